"""`signal-gateway audit verify`, `hold`, `holds`, `release` and `reconstruct`: the commands for auditors."""

import getpass
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from signal_gateway.commands.output import count, note, replaced_file, say, say_json, terminal_text
from signal_gateway.commands.query import (
    DataStorageUrl,
    QueryTokenFile,
    Utc,
    check_encoding,
    datastorage_options,
    time_option,
)
from signal_gateway.errors import ConfigurationError, SignalGatewayError

__all__ = ["list_holds", "place_hold", "reconstruct_request", "release_hold", "verify_events"]

_VERIFY = "/api/v1/audit/verify"
_HOLDS = "/api/v1/audit/holds"
_RELEASE = "/api/v1/audit/holds/release"
_VERIFY_TIMEOUT = 3600.0  # seconds; it reads every event

_Case = Annotated[str, typer.Argument(help="for example the name of a RemediationRequest")]
_Reason = Annotated[str, typer.Option("--reason", help="the reason, for the audit event")]
_By = Annotated[
    str | None, typer.Option("--by", metavar="NAME", help="the responsible person; your login name by default")
]


def verify_events(
    datastorage: DataStorageUrl = None,
    token_file: QueryTokenFile = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="compare the events that arrived from then on; forms as in audit list"),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="compare the events that arrived up to then")
    ] = None,
    utc: Utc = False,
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", metavar="FILE", help="a checkpoint that must be in the chain")
    ] = None,
    write_checkpoint: Annotated[
        Path | None, typer.Option("--write-checkpoint", metavar="FILE", help="write the end of the chain to this file")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="write the result as JSON")] = False,
) -> None:
    """Check that the audit trail is complete and unaltered: exit 0 if so, 1 if not, 2 if that cannot be told.

    --since and --until limit the events that are compared; all links are verified. A window without events is exit 2.
    """
    given = {
        "since": time_option(since, "since", utc=utc),
        "until": time_option(until, "until", utc=utc),
        "checkpoint": None if checkpoint is None else _read(checkpoint),
    }
    params = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in given.items()
        if value is not None
    }
    options = datastorage_options(datastorage, token_file)
    with options.client() as client:
        result = client.call("GET", _VERIFY, params=params, timeout=_VERIFY_TIMEOUT)
    if not isinstance(result, dict) or not isinstance(result.get("unaltered"), bool):
        raise SignalGatewayError(f"DataStorage at {options.url} returned no verification; is it an older release?")
    if as_json:
        say_json(result)
    if not result["unaltered"]:
        if not as_json:
            say(terminal_text(f"ALTERED: {result['finding']['reason']}"))
        raise typer.Exit(1)
    end = result["checkpoint"]
    window = ", ".join(f"{name} {params[name]}" for name in ("since", "until") if name in params)
    if not as_json:
        say(_confirmed(result, window=window))
        say(f"the chain ends with {end['hash']}")
    if window and not result["events"]:
        raise SignalGatewayError(
            f"no event arrived in the window {window}: nothing was compared; choose a wider window"
        )
    if write_checkpoint is not None:
        _write(write_checkpoint, end)


def place_hold(
    correlation_id: _Case,
    reason: _Reason,
    by: _By = None,
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown", help="place the hold although no event has the correlation id yet")
    ] = False,
    datastorage: DataStorageUrl = None,
    token_file: QueryTokenFile = None,
) -> None:
    """Keep all events of a case from purges, until you release the hold. Needs a token with the scope write."""
    check_encoding(correlation_id, reason, by)
    body = {"correlation_id": correlation_id, "reason": reason, "by": by or _login_name()}
    with datastorage_options(datastorage, token_file).client() as client:
        placed = client.call("POST", _HOLDS, document=body | ({"allow_unknown": True} if allow_unknown else {}))
    say(terminal_text(f"{correlation_id} is on hold{_kept(placed)}"))


def release_hold(
    correlation_id: _Case,
    reason: _Reason,
    by: _By = None,
    datastorage: DataStorageUrl = None,
    token_file: QueryTokenFile = None,
) -> None:
    """Release a hold: the next purge deletes the events of the case whose retention is over. Needs the scope write."""
    check_encoding(correlation_id, reason, by)
    body = {"correlation_id": correlation_id, "reason": reason, "by": by or _login_name()}
    with datastorage_options(datastorage, token_file).client() as client:
        client.call("POST", _RELEASE, document=body)
    say(terminal_text(f"the hold on {correlation_id} is released"))


def list_holds(datastorage: DataStorageUrl = None, token_file: QueryTokenFile = None) -> None:
    """List the legal holds, oldest first. The scope read is enough."""
    with datastorage_options(datastorage, token_file).client() as client:
        held = client.call("GET", _HOLDS)
    if not held["holds"]:
        note("no case is on hold")
    for hold in held["holds"]:
        say(terminal_text("  ".join(str(hold[name]) for name in ("placed_at", "correlation_id", "by", "reason"))))


def reconstruct_request(
    correlation_id: _Case, datastorage: DataStorageUrl = None, token_file: QueryTokenFile = None
) -> None:
    """Print the RemediationRequest of a case as YAML, rebuilt from its audit events."""
    import yaml

    from signal_gateway.gateway.audit.events import CRD_CREATED
    from signal_gateway.gateway.remediation.restoration import restored_request

    check_encoding(correlation_id)
    options = datastorage_options(datastorage, token_file)
    with options.client() as client:
        event = next(client.events(correlation_id=correlation_id, event_type=CRD_CREATED), None)
    if event is None:
        raise SignalGatewayError(
            f"DataStorage at {options.url} has no {CRD_CREATED} event with the correlation id {correlation_id!r}"
        )
    restored = restored_request(event)
    for name in restored.missing:
        say(f"# not restored: {name}")
    has_all_characters = sys.stdout.encoding.lower().startswith("utf")
    say(yaml.safe_dump(restored.request, sort_keys=False, allow_unicode=has_all_characters).rstrip())


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as exc:  # a container may run as a user that its password file does not have
        raise ConfigurationError(
            "--by is missing, and this user has no login name: name the responsible person"
        ) from exc


def _confirmed(result: dict[str, Any], *, window: str) -> str:
    """Return the line about an unaltered chain; a window confirms only the events that were compared."""
    end, events = result["checkpoint"], result["events"]
    gone = f", {result['purged']} of them purged" if result["purged"] else ""
    up_to = f" up to {end['time']}" if end["position"] else ""  # an empty chain has no time
    links = count(result["links"], "link")
    if not window:
        return f"complete and unaltered: {count(events, 'event')}{gone}, in {links}{up_to}"
    every = count(result.get("all_events", end["count"]), "event")  # an older DataStorage has the count alone
    return f"in the window {window}: {events} of {every} compared{gone}, all links verified ({links}{up_to})"


def _kept(placed: Any) -> str:
    """Return what a hold keeps; nothing for an older DataStorage, which does not say it."""
    if not isinstance(placed, dict) or not isinstance(placed.get("events"), int):
        return ""
    names = [placed.get(name) for name in ("workload_namespace", "workload_kind", "workload_name")]
    workload = "/".join(name for name in names if isinstance(name, str))
    return f": {count(placed['events'], 'event')}{f' of {workload}' if workload else ''}, with that of the hold"


def _read(path: Path) -> str:
    from signal_gateway.datastorage.integrity.checkpoint import Checkpoint

    try:
        text = path.read_text(encoding="utf-8")
        Checkpoint.parse(text)
    except OSError as exc:
        raise ConfigurationError(f"cannot read --checkpoint {path}: {exc.strerror}") from exc
    except ValueError as exc:
        raise ConfigurationError(f"--checkpoint {path} is no checkpoint: it {exc}") from exc
    return text.strip()


def _write(path: Path, checkpoint: dict[str, Any]) -> None:
    import orjson

    with replaced_file(path, option="--write-checkpoint") as file:  # a full disk must not cost the one before
        file.write(orjson.dumps(checkpoint, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    note(f"checkpoint {checkpoint['position']} in {path}: keep it where the owner of the database cannot write")
