"""`signal-gateway audit cases`: one line for each case, with its workload and outcome."""

from typing import TYPE_CHECKING, Annotated

import typer

from signal_gateway.commands.output import new_table, note, say_json, terminal_text, wide_console
from signal_gateway.commands.query import AuditQuery, OldestFirst, query_options

if TYPE_CHECKING:
    from signal_gateway.audit.client.cases import AuditCase

__all__ = ["list_cases"]

_COLUMNS = ("last event (UTC)", "outcome", "workload", "alert", "events", "correlation id")


@query_options
def list_cases(
    query: AuditQuery,
    limit: Annotated[int, typer.Option(min=1, help="highest number of cases")] = 50,
    oldest_first: OldestFirst = False,
    as_json: Annotated[bool, typer.Option("--json", help="write NDJSON, one case per line")] = False,
) -> None:
    """List the cases with an event that matches, newest first by default. Open one with `audit show CORRELATION_ID`."""
    listed, total = 0, "0"
    table = new_table(*_COLUMNS, right=("events",))
    with query.client() as client:
        for page in client.case_pages(limit=limit, ascending=oldest_first, **query.filters):
            for case in page.cases:
                if as_json:
                    say_json(case)
                else:
                    table.add_row(*(terminal_text(cell) for cell in _cells(case)))
            listed += len(page.cases)
            total = f"{'' if page.total_is_exact else 'at least '}{page.total}"

    summary = f"{listed} of {total} cases"
    if not as_json:
        console = wide_console()
        console.print(table)
        console.print(summary)
    elif str(listed) != total:
        note(f"{summary}: --limit takes more")


def _cells(case: "AuditCase") -> tuple[str, ...]:
    return (
        f"{case.last:%Y-%m-%d %H:%M:%S}",
        case.outcome,
        case.workload or "-",
        case.signal_name or "-",
        str(case.events),
        case.correlation_id,
    )
