"""`signal-gateway audit`: look into the audit trail."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from signal_gateway.commands.output import new_table, printable, wide_console
from signal_gateway.errors import SignalGatewayError

if TYPE_CHECKING:
    from signal_gateway.audit.client import Page

__all__ = ["list_events", "show_correlation"]

DataStorageUrl = Annotated[str, typer.Option("--datastorage", metavar="URL", help="where DataStorage answers")]


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
    table = new_table(*fields)
    for event in page.events:
        table.add_row(*(printable(event[field]) for field in fields))
    console = wide_console()
    console.print(table)
    console.print(f"{len(page.events)} of {page.total} events")


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

    console = wide_console()
    for event in page.events:
        console.print(
            f"{event['event_timestamp']}  {printable(event['event_type'])} {event['event_outcome']}", style="bold"
        )
        console.print_json(data=event["event_data"])


def _query(url: str, **filters: Any) -> "Page":
    from signal_gateway.audit.client import DataStorageClient

    client = DataStorageClient(url, source="--datastorage")
    try:
        client.check()
        return client.query(**filters)
    finally:
        client.close()
