"""The command line: `signal-gateway`, also `python -m signal_gateway`. Each command imports what it needs."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from signal_gateway.errors import ConfigurationError, SignalGatewayError

if TYPE_CHECKING:
    from signal_gateway.audit.client import Page
    from signal_gateway.audit.inspection import SpoolReport, StoreReport

__all__ = ["main"]

DataStorageUrl = Annotated[str, typer.Option("--datastorage", metavar="URL", help="where DataStorage answers")]

app = typer.Typer(
    help="Alerts in, one RemediationRequest per problem out, and an audit trail that loses nothing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
audit = typer.Typer(help="Look into the audit trail, and into what is on its way there.", no_args_is_help=True)
app.add_typer(audit, name="audit")


def main() -> None:
    """Run the command line; a mistake of the user's is one line and exit status 2."""
    try:
        app()
    except SignalGatewayError as exc:
        sys.stderr.write(f"signal-gateway: {exc}\n")
        raise SystemExit(2) from exc


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="leave everything running until Ctrl-C")] = False,
) -> None:
    """Start everything embedded on loopback, send alerts, and show what became of them."""
    from signal_gateway.demo import run_demo

    run_demo(_console(), keep=keep)


@app.command()
def serve(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="YAML file; see the README")],
) -> None:
    """Run the gateway in production: SIGTERM finishes what is in flight, flushes the audit store and exits with 0."""
    from signal_gateway.gateway.service import run_service
    from signal_gateway.gateway.service_config import ServiceConfig

    service = ServiceConfig.load_from_file(config)
    asyncio.run(run_service(service, on_start=lambda url: _say(f"gateway on {url}")))


@app.command()
def datastorage(
    database: Annotated[str, typer.Option(metavar="URL", help="such as sqlite:///audit.db or postgresql://…")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="port 0 takes a free one")] = "127.0.0.1:8080",
) -> None:
    """Run DataStorage, the service that keeps audit events."""
    from signal_gateway.datastorage import create_datastorage
    from signal_gateway.datastorage.database import shown_url
    from signal_gateway.web.serving import AppServer
    from signal_gateway.web.sockets import bind, parse_listen

    async def run() -> None:
        server = AppServer(create_datastorage(database).app, sock=bind(*parse_listen(listen)))
        await server.run(on_start=lambda: _say(f"DataStorage on {server.url}, events in {shown_url(database)}"))

    asyncio.run(run())


@audit.command("list")
def list_events(
    datastorage: DataStorageUrl,
    correlation_id: Annotated[str | None, typer.Option(help="only the events of this matter")] = None,
    event_type: Annotated[str | None, typer.Option(help="such as gateway.crd.created")] = None,
    outcome: Annotated[str | None, typer.Option(help="success, failure or pending")] = None,
    since: Annotated[str | None, typer.Option(help="RFC 3339, a date, or 24h, 30m, 7d")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
) -> None:
    """List the newest events."""
    filters = {"correlation_id": correlation_id, "event_type": event_type, "event_outcome": outcome, "since": since}
    page = _query(datastorage, limit=limit, **{key: value for key, value in filters.items() if value is not None})

    fields = ("event_timestamp", "event_type", "event_outcome", "correlation_id", "event_id")
    table = _table(*fields)
    for event in page.events:
        table.add_row(*(Text(event[field]) for field in fields))
    console = _console()
    console.print(table)
    console.print(f"{len(page.events)} of {page.total} events")


@audit.command("show")
def show_correlation(
    correlation_id: Annotated[str, typer.Argument(help="such as a RemediationRequest's name")],
    datastorage: DataStorageUrl,
) -> None:
    """Show everything about one matter, oldest first, payloads included."""
    page = _query(datastorage, correlation_id=correlation_id, order="asc", limit=1000)
    if not page.events:
        raise SignalGatewayError(
            f"DataStorage at {datastorage} has no event with the correlation id {correlation_id!r}"
        )

    console = _console()
    for event in page.events:
        console.print(Text(f"{event['event_timestamp']}  {event['event_type']}", "bold"), Text(event["event_outcome"]))
        console.print_json(data=event["event_data"])


@audit.command("spool")
def look_into_spool(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="a store's spool_directory", show_default=False)],
    deliver: Annotated[
        str | None, typer.Option(metavar="URL", help="deliver what dead stores left there to this DataStorage")
    ] = None,
    timeout: Annotated[float, typer.Option(min=0, help="seconds that the delivery may take")] = 60.0,
    rejected: Annotated[bool, typer.Option("--rejected", help="list the events that DataStorage refused")] = False,
    retry_rejected: Annotated[
        bool, typer.Option("--retry-rejected", help="with --deliver: send those events once more, too")
    ] = False,
) -> None:
    """Show what is in a spool directory, changing nothing; with --deliver, empty it.

    Exit status 1 says that not everything could be delivered, and what is left.
    """
    if rejected and (deliver is not None or retry_rejected):
        raise ConfigurationError("--rejected only lists events: leave --deliver and --retry-rejected out")
    if retry_rejected and deliver is None:
        raise ConfigurationError("--retry-rejected needs --deliver URL: where should the events go?")

    if deliver is not None:
        _deliver_spool(directory, deliver, timeout=timeout, retry_rejected=retry_rejected)
    elif rejected:
        _list_rejected(directory)
    else:
        _show_spool(directory)


def _show_spool(directory: Path) -> None:
    from signal_gateway.audit.inspection import inspect_spool

    report = inspect_spool(directory)
    if report.is_empty:
        _say(f"{directory} has no audit events, and nobody uses it")
        return
    console = _console(least=150)
    if report.stores:
        columns = ("store", "service", "", "pid", "since", "segments", "pending", "size", "oldest pending")
        table = _table(*columns, right=("pid", "segments", "pending", "size", "oldest pending"))
        for store in report.stores:
            table.add_row(*map(Text, _store_row(store)))
        console.print(table)
    for line in _spool_lines(report):
        console.print(Text(line), soft_wrap=True)


def _store_row(store: "StoreReport") -> tuple[str, ...]:
    return (
        store.store_id,
        store.service or "?",
        "alive" if store.alive else "dead",
        "?" if store.pid is None else str(store.pid),
        f"{store.since:%Y-%m-%d %H:%M:%S}Z",
        str(store.segments),
        str(store.pending),
        _mebibytes(store.held_bytes),
        "" if store.oldest_pending is None else _age(datetime.now(UTC) - store.oldest_pending),
    )


def _spool_lines(report: "SpoolReport") -> list[str]:
    """Say what it comes to, and what to do next."""
    dead, live = report.pending(alive=False), report.pending(alive=True)
    lines = [
        f"{_count(dead + live, 'event')} pending, {_mebibytes(report.held_bytes)}; {report.rejected} rejected,"
        f" {_count(len(report.damaged), 'damaged file')}"
    ]
    lines += [f"can't be read: {reason}" for store in report.stores for reason in store.unreadable]
    lines += [f"set aside as damaged: {path} ({_mebibytes(path.stat().st_size)})" for path in report.damaged]
    command = f"signal-gateway audit spool {report.directory}"
    if live:
        lines.append(_of_live_stores(live))
    if dead:
        lines.append(f"{_count(dead, 'event')} of dead stores: the next store on this directory delivers them, or")
        lines.append(f"  {command} --deliver URL")
    if report.rejected:
        lines.append("which were rejected, and why; then, once that is mended, send them again:")
        lines.append(f"  {command} --rejected")
        lines.append(f"  {command} --deliver URL --retry-rejected")
    return lines


def _list_rejected(directory: Path) -> None:
    from signal_gateway.audit.inspection import inspect_spool
    from signal_gateway.audit.rejected_file import rejected_entries

    inspect_spool(directory)
    table = _table("rejected at", "event_type", "correlation_id", "event_id", "reason")
    for entry in rejected_entries(directory):
        event_type, correlation_id = (str(entry.event.get(name)) for name in ("event_type", "correlation_id"))
        rejected_at = entry.rejected_at[:19]
        table.add_row(*map(Text, (rejected_at, event_type, correlation_id, entry.event_id, entry.reason)))
    console = _console(least=150)
    if table.row_count:
        console.print(table)
    console.print(_count(table.row_count, "rejected event"))


def _deliver_spool(directory: Path, url: str, *, timeout: float, retry_rejected: bool) -> None:
    from signal_gateway.audit.client import DataStorageClient
    from signal_gateway.audit.redelivery import redeliver

    client = DataStorageClient(url, source="--deliver")
    try:
        client.check()
        done = redeliver(directory, client, timeout=timeout, retry_rejected=retry_rejected)
    finally:
        client.close()
    _say(f"{_count(done.delivered, 'event')} delivered, {done.rejected} rejected, {done.left} left")
    if done.left_to_live_stores:
        _say(_of_live_stores(done.left_to_live_stores))
    if done.torn:
        _say(f"{_count(done.torn, 'event')} dropped: its process died while it was being recorded")
    if done.damaged:
        _say(f"{_count(done.damaged, 'damaged file')} set aside in {directory / 'corrupt'}")
    for reason in done.unreadable:
        _say(f"can't be read: {reason}")
    if done.error is not None and not done.ok:
        _say(f"the last error: {done.error}")
    if not done.ok:
        raise typer.Exit(1)


def _query(url: str, **filters: Any) -> "Page":
    from signal_gateway.audit.client import DataStorageClient

    client = DataStorageClient(url, source="--datastorage")
    try:
        client.check()
        return client.query(**filters)
    finally:
        client.close()


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    return table


def _console(least: int = 110) -> Console:
    """Return a console wide enough for a row of a table; a narrower terminal wraps it."""
    return Console(width=max(Console().width, least))


def _of_live_stores(pending: int) -> str:
    return f"{_count(pending, 'event')} of live stores: those deliver them"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _mebibytes(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"


def _age(age: timedelta) -> str:
    seconds = max(int(age.total_seconds()), 0)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
