"""`signal-gateway audit list`, `show` and `export`: look into the audit trail."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from signal_gateway.audit.timeline import without_control_characters
from signal_gateway.commands.output import count, new_table, note, say, say_json, wide_console
from signal_gateway.commands.question import Question, asks
from signal_gateway.errors import SignalGatewayError

__all__ = ["COLUMNS", "Json", "export_events", "list_events", "show_correlation"]

Json = Annotated[bool, typer.Option("--json", help="write NDJSON, an event a line")]

COLUMNS = ("event_timestamp", "event_type", "event_outcome", "correlation_id", "event_id")


@asks
def list_events(
    question: Question,
    limit: Annotated[int, typer.Option(min=1, help="most events to list")] = 50,
    as_json: Json = False,
) -> None:
    """List the newest events, and say how many there are."""
    listed, total = 0, 0
    table = new_table(*COLUMNS)
    with question.client() as client:
        for page in client.pages(limit=limit, **question.filters):
            for event in page.events:
                if as_json:
                    say_json(event)
                else:
                    table.add_row(*(without_control_characters(str(event.get(column, ""))) for column in COLUMNS))
            listed, total = listed + len(page.events), page.total

    summary = f"{listed} of {total} events"
    if not as_json:
        console = wide_console()
        console.print(table)
        console.print(summary)
    elif listed < total:
        note(f"{summary}: --limit takes more")


@asks
def show_correlation(
    question: Question,
    correlation_id: Annotated[str, typer.Argument(help="such as a RemediationRequest's name")],
    as_json: Json = False,
) -> None:
    """Show everything about one matter, oldest first, payloads included."""
    shown = 0
    with question.client() as client:
        for event in client.events(**question.filters):
            shown += 1
            if as_json:
                say_json(event)
            else:
                _show(event)
    if not shown:
        besides = " that meets the other filters" if len(question.filters) > 1 else ""
        raise SignalGatewayError(
            f"DataStorage at {question.url} has no event with the correlation id {correlation_id!r}{besides}"
        )


def _show(event: dict[str, Any]) -> None:
    say(
        without_control_characters(
            "  ".join(str(event.get(column)) for column in ("event_timestamp", "event_type", "event_outcome"))
        )
    )
    payload = json.dumps(event.get("event_data"), indent=2, ensure_ascii=False)
    say("\n".join(map(without_control_characters, payload.split("\n"))))


@asks
def export_events(
    question: Question,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="write there; it appears when it is complete")
    ] = None,
) -> None:
    """Write every event that matches as NDJSON, oldest first."""
    from signal_gateway.commands.export import write_export

    with question.client() as client:
        events = client.export(**question.filters)
        if output is None:
            for event in events:
                say_json(event)
        else:
            note(f"{count(write_export(events, output), 'event')} in {output}")
