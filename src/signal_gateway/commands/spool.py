"""`signal-gateway audit spool list`, `deliver`, `retry` and `repair`: the events that wait in a spool directory."""

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from signal_gateway.commands.output import age, count, mebibytes, new_table, note, say, terminal_text, wide_console
from signal_gateway.commands.query import (
    DataStorageUrl,
    QueryTokenFile,
    TokenFile,
    datastorage_client,
    datastorage_options,
)
from signal_gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from signal_gateway.audit.client.client import DataStorageClient
    from signal_gateway.audit.wal.inspect import SpoolReport, StoreReport

__all__ = [
    "OLD_FORM",
    "SpoolGroup",
    "deliver_spool",
    "inspect_or_deliver_spool",
    "list_spool",
    "repair_damaged_files",
    "retry_rejected_events",
]

OLD_FORM = "(directory)"
"""Name of the hidden command that takes `audit spool DIR` with the options of earlier releases."""

_Directory = Annotated[Path, typer.Argument(metavar="DIR", help="spool_directory of a store", show_default=False)]
_Timeout = Annotated[float, typer.Option("--timeout", min=0, help="time limit of the delivery, in seconds")]
_TIMEOUT = 60.0


class SpoolGroup(TyperGroup):
    """The commands of `audit spool`; a first argument that is no command is the directory of the old form."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the hidden command before the arguments of the old form."""
        is_old_form = bool(args) and args[0] not in self.commands and args[0] not in ctx.help_option_names
        return super().parse_args(ctx, [OLD_FORM, *args] if is_old_form else args)


def list_spool(
    directory: _Directory,
    rejected: Annotated[bool, typer.Option("--rejected", help="list the events that DataStorage rejected")] = False,
) -> None:
    """Show the contents of a spool directory without changing it."""
    if rejected:
        _list_rejected(directory)
    else:
        _show_spool(directory)


def deliver_spool(
    directory: _Directory,
    datastorage: DataStorageUrl = None,
    token_file: QueryTokenFile = None,
    timeout: _Timeout = _TIMEOUT,
) -> None:
    """Deliver the events of orphaned stores. Exit status 1: some events are not delivered."""
    with datastorage_options(datastorage, token_file).client() as client:
        if not _deliver(directory, client, timeout=timeout, retry_rejected=False):
            raise typer.Exit(1)


def retry_rejected_events(
    directory: _Directory,
    datastorage: DataStorageUrl = None,
    token_file: QueryTokenFile = None,
    timeout: _Timeout = _TIMEOUT,
) -> None:
    """Deliver as `deliver` does, and send the rejected events again. Exit status 1: some events are not delivered."""
    with datastorage_options(datastorage, token_file).client() as client:
        if not _deliver(directory, client, timeout=timeout, retry_rejected=True):
            raise typer.Exit(1)


def repair_damaged_files(directory: _Directory) -> None:
    """Move the intact events of damaged files back into the spool."""
    _repair_spool(directory)


def inspect_or_deliver_spool(
    directory: _Directory,
    deliver: Annotated[
        str | None, typer.Option(metavar="URL", help="deliver the events of orphaned stores to this DataStorage")
    ] = None,
    token_file: TokenFile = None,
    timeout: _Timeout = _TIMEOUT,
    rejected: Annotated[bool, typer.Option("--rejected", help="list the events that DataStorage rejected")] = False,
    retry_rejected: Annotated[
        bool, typer.Option("--retry-rejected", help="with --deliver: also send the rejected events again")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="first move the intact events of damaged files back into the spool")
    ] = False,
) -> None:
    """Do the work of the other commands, in the form of earlier releases (deprecated)."""
    if rejected and (deliver is not None or retry_rejected):
        raise ConfigurationError("--rejected only lists events: remove --deliver and --retry-rejected")
    if retry_rejected and deliver is None:
        raise ConfigurationError("--retry-rejected needs --deliver URL with the DataStorage for the events")
    if token_file is not None and deliver is None:
        raise ConfigurationError("--token-file has no effect without --deliver URL: add it, or remove --token-file")

    lines = []
    is_done = True
    if repair:
        _repair_spool(directory)
        lines.append(_command("repair", directory))
    if deliver is not None:
        with datastorage_client(deliver, source="--deliver", token_file=token_file) as client:
            is_done = _deliver(directory, client, timeout=timeout, retry_rejected=retry_rejected)
        options = ["--datastorage", deliver]
        options += [] if token_file is None else ["--token-file", str(token_file)]
        options += [] if timeout == _TIMEOUT else ["--timeout", f"{timeout:g}"]
        lines.append(_command("retry" if retry_rejected else "deliver", directory, *options))
    else:
        list_spool(directory, rejected)
        if rejected or not repair:
            lines.append(_command("list", directory, *(["--rejected"] if rejected else [])))
    note(f"deprecated: audit spool DIR with options; use {' && '.join(lines)}")
    if not is_done:
        raise typer.Exit(1)


def _command(name: str, directory: Path, *options: str) -> str:
    return shlex.join(["signal-gateway", "audit", "spool", name, str(directory), *options])


def _show_spool(directory: Path) -> None:
    from signal_gateway.audit.wal.inspect import inspect_spool

    report = inspect_spool(directory)
    if report.is_empty:
        say(f"{directory} has no audit events, and nobody uses it")
        return
    console = wide_console()
    if report.stores:
        columns = ("store", "service", "", "pid", "since", "segments", "pending", "size", "oldest pending")
        table = new_table(*columns, right=("pid", "segments", "pending", "size", "oldest pending"))
        for store in report.stores:
            table.add_row(*_store_row(store))
        console.print(table)
    for line in _spool_lines(report):
        console.print(line, highlight=False, soft_wrap=True)


def _store_row(store: "StoreReport") -> tuple[str, ...]:
    return (
        store.store_id,
        store.service or "?",
        "alive" if store.alive else "dead",
        "?" if store.pid is None else str(store.pid),
        f"{store.since:%Y-%m-%d %H:%M:%S}Z",
        str(store.segments),
        str(store.pending),
        mebibytes(store.held_bytes),
        "" if store.oldest_pending is None else age(datetime.now(UTC) - store.oldest_pending),
    )


def _spool_lines(report: "SpoolReport") -> list[str]:
    """Return the totals and the next steps."""
    dead, live = report.pending(alive=False), report.pending(alive=True)
    lines = [
        f"{count(dead + live, 'event')} pending, {mebibytes(report.held_bytes)}; {report.rejected} rejected,"
        f" {count(len(report.damaged), 'damaged file')}"
    ]
    lines += [f"can't be read: {reason}" for store in report.stores for reason in store.unreadable]
    lines += [f"set aside as damaged: {path} ({mebibytes(path.stat().st_size)})" for path in report.damaged]
    directory = report.directory
    if live:
        lines.append(_of_live_stores(live))
    if dead:
        lines.append(f"{count(dead, 'event')} of dead stores: the next store on this directory delivers them, or")
        lines.append(f"  {_command('deliver', directory, '--datastorage', 'URL')}")
    if report.damaged:
        lines.append("move the intact events of damaged files back into the spool:")
        lines.append(f"  {_command('repair', directory)}")
    if report.rejected:
        lines.append("which were rejected, and why; then, once that is mended, send them again:")
        lines.append(f"  {_command('list', directory, '--rejected')}")
        lines.append(f"  {_command('retry', directory, '--datastorage', 'URL')}")
    return lines


def _repair_spool(directory: Path) -> None:
    from signal_gateway.audit.wal.inspect import inspect_spool
    from signal_gateway.audit.wal.repair import repair_spool

    inspect_spool(directory)  # an error if there is no such directory
    done = repair_spool(directory)
    say(
        f"{count(done.events, 'event')} of {count(done.files, 'damaged file')} pending again,"
        f" {count(done.left, 'damaged file')} left"
    )


def _list_rejected(directory: Path) -> None:
    from signal_gateway.audit.wal.inspect import inspect_spool
    from signal_gateway.audit.wal.rejected_file import rejected_entries

    inspect_spool(directory)
    table = new_table("rejected at", "event_type", "correlation_id", "event_id", "reason")
    for entry in rejected_entries(directory):
        event_type, correlation_id = (str(entry.event.get(name)) for name in ("event_type", "correlation_id"))
        rejected_at = entry.rejected_at[:19]
        cells = (rejected_at, event_type, correlation_id, entry.event_id, entry.reason)
        table.add_row(*map(terminal_text, cells))
    console = wide_console()
    if table.row_count:
        console.print(table)
    console.print(count(table.row_count, "rejected event"))


def _deliver(directory: Path, client: "DataStorageClient", *, timeout: float, retry_rejected: bool) -> bool:
    from signal_gateway.audit.redeliver import redeliver

    client.check_delivery()
    done = redeliver(directory, client, timeout=timeout, retry_rejected=retry_rejected)
    say(f"{count(done.delivered, 'event')} delivered, {done.rejected} rejected, {done.left} left")
    if done.left_to_live_stores:
        say(_of_live_stores(done.left_to_live_stores))
    if done.repeatable:
        say(
            f"{count(done.repeatable, 'delivered event')} left in {directory}, which cannot be changed: a later"
            " delivery repeats them, and DataStorage stores them once"
        )
    if done.torn:
        say(f"{count(done.torn, 'event')} dropped: its process died while it was being recorded")
    if done.damaged:
        say(f"{count(done.damaged, 'damaged file')} set aside in {directory / 'corrupt'}")
    for reason in done.unreadable:
        say(f"can't be read: {reason}")
    if done.error is not None and not done.ok:
        say(f"the last error: {done.error}")
    return done.ok


def _of_live_stores(pending: int) -> str:
    return f"{count(pending, 'event')} of live stores: those deliver them"
