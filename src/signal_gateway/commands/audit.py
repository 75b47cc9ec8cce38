"""`signal-gateway audit list`, `show` and `export`: query the audit trail."""

import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from signal_gateway.commands.output import count, new_table, note, say, say_json, terminal_text, wide_console
from signal_gateway.commands.query import AuditQuery, query_options
from signal_gateway.errors import ConfigurationError, SignalGatewayError

__all__ = ["COLUMNS", "Json", "export_events", "list_events", "show_case"]

Json = Annotated[bool, typer.Option("--json", help="write NDJSON, one event per line")]

COLUMNS = ("event_timestamp", "event_type", "event_outcome", "correlation_id", "event_id")


@query_options
def list_events(
    query: AuditQuery,
    limit: Annotated[int, typer.Option(min=1, help="highest number of events")] = 50,
    as_json: Json = False,
) -> None:
    """List the newest events and the number of matching events."""
    listed, total, least = 0, 0, ""
    table = new_table(*COLUMNS)
    with query.client() as client:
        for page in client.pages(limit=limit, **query.filters):
            for event in page.events:
                if as_json:
                    say_json(event)
                else:
                    table.add_row(*(terminal_text(str(event.get(column, ""))) for column in COLUMNS))
            listed, total = listed + len(page.events), page.total
            least = "" if page.total_is_exact else "at least "

    summary = f"{listed} of {least}{total} events"
    if not as_json:
        console = wide_console()
        console.print(table)
        console.print(summary)
    elif listed < total:
        note(f"{summary}: --limit takes more")


@query_options
def show_case(
    query: AuditQuery,
    correlation_id: Annotated[str, typer.Argument(help="for example the name of a RemediationRequest")],
    as_json: Json = False,
) -> None:
    """Show all events of one case with their payloads, oldest first."""
    shown = 0
    with query.client() as client:
        for event in client.events(**query.filters):
            shown += 1
            if as_json:
                say_json(event)
            else:
                _show(event)
    if not shown:
        besides = " that matches the other filters" if len(query.filters) > 1 else ""
        raise SignalGatewayError(
            f"DataStorage at {query.url} has no event with the correlation id {correlation_id!r}{besides}"
        )


def _show(event: dict[str, Any]) -> None:
    say(
        terminal_text(
            "  ".join(str(event.get(column)) for column in ("event_timestamp", "event_type", "event_outcome"))
        )
    )
    payload = json.dumps(event.get("event_data"), indent=2, ensure_ascii=False)
    say("\n".join(map(terminal_text, payload.split("\n"))))


@query_options
def export_events(
    query: AuditQuery,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="write to this file; it appears when complete"),
    ] = None,
) -> None:
    """Write all matching events as NDJSON, oldest first."""
    with query.client() as client:
        events = client.export(**query.filters)
        if output is None:
            for event in events:
                say_json(event)
        else:
            note(f"{count(_write_export(events, output), 'event')} in {output}")


def _write_export(events: Iterable[dict[str, Any]], path: Path) -> int:
    """Write events to a temporary file beside `path`, and rename it when it is complete.

    Args:
        events: The events; an error while reading them leaves the file at `path` unchanged.
        path: The file for the events, as NDJSON.

    Returns:
        The number of events.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    import orjson

    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    written = 0
    try:
        with partial.open("xb") as file:
            for event in events:
                file.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
                written += 1
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as exc:
        raise ConfigurationError(f"cannot write --output {path}: {exc.strerror}") from exc
    finally:
        partial.unlink(missing_ok=True)
    return written
