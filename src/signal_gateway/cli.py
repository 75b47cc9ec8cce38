"""The command line: `signal-gateway`, also `python -m signal_gateway`. Each command imports what it needs."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from signal_gateway.errors import SignalGatewayError

if TYPE_CHECKING:
    from signal_gateway.audit.client import Page

__all__ = ["main"]

DataStorageUrl = Annotated[str, typer.Option("--datastorage", metavar="URL", help="where DataStorage answers")]

app = typer.Typer(
    help="Alerts in, one RemediationRequest per problem out, and an audit trail that loses nothing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
audit = typer.Typer(help="Look into the audit trail.", no_args_is_help=True)
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
    database: Annotated[str, typer.Option(metavar="URL", help="such as sqlite:///audit.db")],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="port 0 takes a free one")] = "127.0.0.1:8080",
) -> None:
    """Run DataStorage, the service that keeps audit events."""
    from signal_gateway.datastorage import create_datastorage
    from signal_gateway.web.serving import AppServer
    from signal_gateway.web.sockets import bind, parse_listen

    async def run() -> None:
        server = AppServer(create_datastorage(database).app, sock=bind(*parse_listen(listen)))
        await server.run(on_start=lambda: _say(f"DataStorage on {server.url}, events in {database}"))

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
    table = Table(*fields, box=None, pad_edge=False)
    for event in page.events:
        table.add_row(
            *(
                event[field]
                for field in ("event_timestamp", "event_type", "event_outcome", "correlation_id", "event_id")
            )
        )
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
        console.print(f"[bold]{event['event_timestamp']}  {event['event_type']}[/bold]  {event['event_outcome']}")
        console.print_json(data=event["event_data"])


def _query(url: str, **filters: Any) -> "Page":
    from signal_gateway.audit.client import DataStorageClient

    client = DataStorageClient(url, source="--datastorage")
    try:
        client.check()
        return client.query(**filters)
    finally:
        client.close()


def _console() -> Console:
    """Return a console wide enough for a row of a table; a narrower terminal wraps it."""
    return Console(width=max(Console().width, 110))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
