"""Cases: one row for each correlation id, the statements that find them, and the names that an event gives its case."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from signal_gateway.audit.presentation.workload import workload_of
from signal_gateway.datastorage.backend import Case, CaseOutcome, CasePage
from signal_gateway.datastorage.query import EventQuery, Position
from signal_gateway.datastorage.select import Dialect, Statement, Value, count_statement, filters, position_condition

__all__ = [
    "CASE_COUNT_FACTOR",
    "CasePosition",
    "case_count_statement",
    "case_page",
    "case_page_statement",
    "case_summary_statement",
    "cases_of",
    "naming_events_statement",
]

CASE_COUNT_FACTOR = 5
"""The events that are read for the total of cases, as a multiple of `count_limit`: a case has several."""

_NAMING_CATEGORY = "gateway"  # its events name the workload and the signal


@dataclass(frozen=True, slots=True)
class CasePosition:
    """A case that matches, and the position of its event that decides its place in the order.

    Attributes:
        correlation_id: The case.
        position: Of the last event of the case that matches; of the first one in ascending order.
    """

    correlation_id: str
    position: Position


def case_page(
    query: EventQuery, found: Sequence[CasePosition], cases: Sequence[Case], *, events: int, total: int
) -> CasePage:
    """Build a page.

    Args:
        query: The query.
        found: The result of `case_page_statement`.
        cases: The cases of `found` but for the one beyond the page.
        events: The first number of `case_count_statement`.
        total: The second one.
    """
    is_exact = query.count_limit is None or events <= query.count_limit * CASE_COUNT_FACTOR
    seen = query.offset + len(found) if found else 0
    return CasePage(
        cases,
        total if is_exact else max(total, seen),
        has_more=len(found) > query.limit,
        total_is_exact=is_exact,
        last=found[: query.limit][-1].position if found else None,
    )


def case_page_statement(query: EventQuery, dialect: Dialect, *, leading: str | None = None) -> Statement:
    """Select the `CasePosition`s of a page, and one more: correlation id, time and sequence.

    A case has the place of its last event that matches (of the first one in ascending order), so the statement reads
    events in order until the page is full, and skips an event with a later match of the same case.

    Args:
        query: The query; its filters are those of events.
        dialect: The dialect of the database.
        leading: As in `count_statement`.
    """
    p, side = dialect.placeholder, ">" if query.order == "desc" else "<"
    conditions, values = filters(query, dialect, leading)
    # every filter in its further form: the later match is found by the index on the correlation id
    again, values_again = filters(query, dialect, leading, has_index=True)
    if query.after is not None:
        conditions = [*conditions, position_condition(query, dialect)]
        values = [*values, *query.after]
    later = " AND ".join(
        [
            "correlation_id = matched.correlation_id",
            *again,
            f"(event_timestamp, sequence) {side} (matched.event_timestamp, matched.sequence)",
        ]
    )
    where = " AND ".join([*conditions, f"NOT EXISTS (SELECT 1 FROM audit_events WHERE {later})"])
    return (
        f"SELECT correlation_id, event_timestamp, sequence FROM audit_events AS matched WHERE {where}"
        f" ORDER BY event_timestamp {query.order}, sequence {query.order} LIMIT {p} OFFSET {p}",
        [*values, *values_again, query.limit + 1, query.offset],
    )


def case_count_statement(query: EventQuery, dialect: Dialect, *, leading: str | None = None) -> Statement:
    """Count the examined events and the cases of those that match, as `count_statement` counts events."""
    limit = None if query.count_limit is None else query.count_limit * CASE_COUNT_FACTOR
    return count_statement(
        query, dialect, leading=leading, counted="correlation_id", limit=limit, aggregate="count(DISTINCT matches)"
    )


def case_summary_statement(correlation_ids: Sequence[str], dialect: Dialect) -> Statement:
    """Select times, numbers, the last outcome and the id of the event that names each of at least one case.

    The event that names a case is the first one of the gateway, or else the first one.
    """
    placeholders = ", ".join([dialect.placeholder] * len(correlation_ids))
    of_case = "FROM audit_events WHERE correlation_id = summed.correlation_id ORDER BY"
    values: list[Value] = [_NAMING_CATEGORY, *correlation_ids]
    return (
        f"SELECT summed.*, (SELECT event_outcome {of_case} event_timestamp DESC, sequence DESC LIMIT 1),"
        f" (SELECT CAST(event_id AS text) {of_case} event_category <> {dialect.placeholder}, event_timestamp, sequence"
        " LIMIT 1) FROM (SELECT correlation_id, min(event_timestamp), max(event_timestamp), count(*),"
        " count(CASE WHEN event_outcome = 'failure' THEN 1 END)"
        f" FROM audit_events WHERE correlation_id IN ({placeholders}) GROUP BY correlation_id) AS summed",
        values,
    )


def naming_events_statement(event_ids: Sequence[str], dialect: Dialect) -> Statement:
    """Select id, envelope and data of at least one event, by its id."""
    placeholders = ", ".join([dialect.placeholder] * len(event_ids))
    statement = "SELECT CAST(event_id AS text), envelope, event_data FROM audit_events WHERE event_id"
    return f"{statement} IN ({placeholders})", [*event_ids]


def cases_of(
    found: Sequence[CasePosition], summaries: Sequence[Sequence[Any]], naming: Sequence[Sequence[Any]]
) -> list[Case]:
    """Build cases in the order of `found`.

    Args:
        found: The result of `case_page_statement`.
        summaries: The rows of `case_summary_statement`.
        naming: The rows of `naming_events_statement`.
    """
    documents = {event_id: (envelope, data) for event_id, envelope, data in naming}
    by_id = {row[0]: _case(*row[:-1], documents=documents[row[-1]]) for row in summaries}
    return [by_id[case.correlation_id] for case in found if case.correlation_id in by_id]


def _case(
    correlation_id: str,
    first: int,
    last: int,
    events: int,
    failures: int,
    last_outcome: str,
    *,
    documents: tuple[str, str],
) -> Case:
    envelope, data = map(orjson.loads, documents)
    outcome: CaseOutcome = "failure" if failures else "pending" if last_outcome == "pending" else "success"
    kind, namespace, name = _workload(envelope, data)
    return Case(
        correlation_id=correlation_id,
        first=first,
        last=last,
        events=events,
        failures=failures,
        outcome=outcome,
        workload_kind=kind,
        workload_namespace=namespace,
        workload_name=name,
        signal_name=_text(data, "signal_name"),
        severity=_text(envelope, "severity"),
    )


def _workload(envelope: dict[str, Any], data: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """Return kind, namespace and name. The event data of the gateway has them in full, in every release."""
    kind, name = _text(data, "resource_kind"), _text(data, "resource_name")
    namespace = _text(data, "namespace") or _text(envelope, "namespace")
    if kind is not None and name is not None:
        return kind, namespace, name
    workload = workload_of(envelope | {"event_data": data})
    return (None, None, None) if workload is None else (workload.kind, workload.namespace or None, workload.name)


def _text(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    return value if isinstance(value, str) and value else None
