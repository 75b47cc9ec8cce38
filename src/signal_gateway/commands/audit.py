"""`signal-gateway audit list`, `show` and `export`: query the audit trail."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signal_gateway.commands.event_lines import heading_lines, listed_lines, shown_lines
from signal_gateway.commands.output import count, note, replaced_file, say, say_json
from signal_gateway.commands.query import AuditQuery, OldestFirst, query_options
from signal_gateway.errors import ConfigurationError, SignalGatewayError

if TYPE_CHECKING:
    from signal_gateway.audit.client.query import EventPage, ExportBlock

__all__ = ["Json", "export_events", "list_events", "show_case"]

Json = Annotated[bool, typer.Option("--json", help="write NDJSON, one event per line")]


@query_options
def list_events(
    query: AuditQuery,
    limit: Annotated[int, typer.Option(min=1, help="highest number of events")] = 50,
    oldest_first: OldestFirst = False,
    as_json: Json = False,
) -> None:
    """List matching events, newest first by default, and their number."""
    listed, total, least = 0, 0, ""
    lines = heading_lines()
    with query.client() as client:
        for page in client.pages(limit=limit, ascending=oldest_first, **query.filters):
            for event in _ordered(page, query.url) if oldest_first else page.events:
                if as_json:
                    say_json(event)
                else:
                    lines += listed_lines(event)
            listed, total = listed + len(page.events), page.total
            least = "" if page.total_is_exact else "at least "

    summary = f"{listed} of {least}{total} events"
    if not as_json:
        say("\n".join([*lines, summary]))
    elif listed < total:
        note(f"{summary}: --limit takes more")


def _ordered(page: "EventPage", url: str) -> list[dict[str, Any]]:
    """Return the events of a page of an ascending query, also of a DataStorage that knows no order.

    Raises:
        SignalGatewayError: The oldest events are on another page.
    """
    from signal_gateway.audit.client.paging import oldest_first

    if page.has_more and page.cursor is None:
        raise SignalGatewayError(
            f"DataStorage at {url} lists the newest events first: leave out --oldest-first, or use audit export, which"
            " begins with the oldest event"
        )
    return oldest_first(list(page.events))


@query_options
def show_case(
    query: AuditQuery,
    correlation_id: Annotated[str, typer.Argument(help="for example the name of a RemediationRequest")],
    sensitive: Annotated[bool, typer.Option("--sensitive", help="show the payload of sensitive events, too")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="write NDJSON, one event per line, with the payload of sensitive events")
    ] = False,
) -> None:
    """Show all events of one case with actor, workload, duration, error and payload, oldest first."""
    shown = 0
    with query.client() as client:
        for event in client.events(**query.filters):
            shown += 1
            if as_json:
                say_json(event)
            else:
                say("\n".join(shown_lines(event, with_sensitive=sensitive)))
    if not shown:
        besides = " that matches the other filters" if len(query.filters) > 1 else ""
        raise SignalGatewayError(
            f"DataStorage at {query.url} has no event with the correlation id {correlation_id!r}{besides}"
        )


@query_options
def export_events(
    query: AuditQuery,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="write to this file; it appears when complete"),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", metavar="ndjson|csv", help="ndjson has the events exactly, csv is for a spreadsheet"),
    ] = "ndjson",
) -> None:
    """Write all matching events as NDJSON or CSV, oldest first."""
    if form not in ("ndjson", "csv"):
        raise ConfigurationError(f"--format {form} is not valid: choose ndjson or csv")
    with query.client() as client:
        is_csv = form == "csv"
        blocks = _as_csv(client.export(**query.filters)) if is_csv else client.export_blocks(**query.filters)
        if output is None:
            for block in blocks:
                sys.stdout.buffer.write(block.content)
        else:
            note(f"{count(_write_export(blocks, output), 'event')} in {output}")


def _as_csv(events: Iterable[dict[str, Any]]) -> "Iterator[ExportBlock]":
    from signal_gateway.audit.client.query import ExportBlock
    from signal_gateway.audit.presentation.event_csv import CsvLines

    lines = CsvLines()
    yield ExportBlock(lines.heading(), 0)
    for event in events:
        yield ExportBlock(lines.row(event), 1)


def _write_export(blocks: "Iterable[ExportBlock]", path: Path) -> int:
    """Write an export to a file, which is replaced when the export is complete.

    Args:
        blocks: The export; an error while reading it leaves the file at `path` unchanged.
        path: The file for the export.

    Returns:
        The number of events.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    written = 0
    with replaced_file(path, option="--output") as file:
        for block in blocks:
            file.write(block.content)
            written += block.events
    return written
