"""`signal-gateway audit list`, `show` and `export`: look into the audit trail."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from signal_gateway.audit.timeline import printable
from signal_gateway.commands.output import count, new_table, note, say, say_json, wide_console
from signal_gateway.commands.query import AuditQuery, query_options
from signal_gateway.errors import SignalGatewayError

__all__ = ["COLUMNS", "Json", "export_events", "list_events", "show_case"]

Json = Annotated[bool, typer.Option("--json", help="write NDJSON, an event a line")]

COLUMNS = ("event_timestamp", "event_type", "event_outcome", "correlation_id", "event_id")


@query_options
def list_events(
    query: AuditQuery,
    limit: Annotated[int, typer.Option(min=1, help="most events to list")] = 50,
    as_json: Json = False,
) -> None:
    """List the newest events, and say how many there are."""
    listed, total = 0, 0
    table = new_table(*COLUMNS)
    with query.client() as client:
        for page in client.pages(limit=limit, **query.filters):
            for event in page.events:
                if as_json:
                    say_json(event)
                else:
                    table.add_row(*(printable(str(event.get(column, ""))) for column in COLUMNS))
            listed, total = listed + len(page.events), page.total

    summary = f"{listed} of {total} events"
    if not as_json:
        console = wide_console()
        console.print(table)
        console.print(summary)
    elif listed < total:
        note(f"{summary}: --limit takes more")


@query_options
def show_case(
    query: AuditQuery,
    correlation_id: Annotated[str, typer.Argument(help="such as a RemediationRequest's name")],
    as_json: Json = False,
) -> None:
    """Show everything about one matter, oldest first, payloads included."""
    shown = 0
    with query.client() as client:
        for event in client.events(**query.filters):
            shown += 1
            if as_json:
                say_json(event)
            else:
                _show(event)
    if not shown:
        besides = " that meets the other filters" if len(query.filters) > 1 else ""
        raise SignalGatewayError(
            f"DataStorage at {query.url} has no event with the correlation id {correlation_id!r}{besides}"
        )


def _show(event: dict[str, Any]) -> None:
    say(printable("  ".join(str(event.get(column)) for column in ("event_timestamp", "event_type", "event_outcome"))))
    payload = json.dumps(event.get("event_data"), indent=2, ensure_ascii=False)
    say("\n".join(map(printable, payload.split("\n"))))


@query_options
def export_events(
    query: AuditQuery,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="write there; it appears when it is complete")
    ] = None,
) -> None:
    """Write every event that matches as NDJSON, oldest first."""
    from signal_gateway.commands.export import write_export

    with query.client() as client:
        events = client.export(**query.filters)
        if output is None:
            for event in events:
                say_json(event)
        else:
            note(f"{count(write_export(events, output), 'event')} in {output}")
