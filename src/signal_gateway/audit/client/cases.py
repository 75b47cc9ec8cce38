"""AuditCase: one row for each correlation id, as DataStorage returns it; AuditCasePage: a page of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["AuditCase", "AuditCasePage", "read_cases"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCase:
    """All events with one correlation id, in one row.

    Attributes:
        correlation_id: The id.
        first: Time of the first event.
        last: Time of the last event.
        events: Number of events.
        failures: Number of events with the outcome `failure`.
        outcome: `failure` if an event failed; otherwise `pending` if the last event is pending, or else `success`.
        workload_kind: Kind of the workload; None if no event names it.
        workload_namespace: Its namespace; None for a cluster-scoped object.
        workload_name: Its name.
        signal_name: Name of the alert.
        severity: Severity, in the words of the source.
    """

    correlation_id: str
    first: datetime
    last: datetime
    events: int
    failures: int
    outcome: str
    workload_kind: str | None
    workload_namespace: str | None
    workload_name: str | None
    signal_name: str | None
    severity: str | None

    @property
    def workload(self) -> str | None:
        """The workload as `namespace/Kind/name`, or `Kind/name` for a cluster-scoped object; None if it is unknown."""
        if self.workload_kind is None:
            return None
        return "/".join(part for part in (self.workload_namespace, self.workload_kind, self.workload_name) if part)


@dataclass(frozen=True, slots=True)
class AuditCasePage:
    """One page of cases.

    Attributes:
        cases: The cases.
        total: Number of cases with an event that matches; at least so many if it is not exact.
        has_more: Whether there is another page.
        cursor: Cursor of the next page.
        total_is_exact: Whether DataStorage counted all such cases.
    """

    cases: tuple[AuditCase, ...]
    total: int
    has_more: bool
    cursor: str | None
    total_is_exact: bool


def read_cases(document: Any) -> AuditCasePage:
    """Read a page from decoded JSON.

    Raises:
        ValueError: The document is not a page of cases; the message names the missing members.
    """
    try:
        pagination = document["pagination"]
        return AuditCasePage(
            cases=tuple(_read(case) for case in document["data"]),
            total=int(pagination["total"]),
            has_more=bool(pagination["has_more"]),
            cursor=pagination.get("next_cursor"),
            total_is_exact=pagination.get("total_is_exact", True) is True,
        )
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise ValueError("without 'data' and 'pagination' of cases") from exc


def _read(case: Mapping[str, Any]) -> AuditCase:
    members = {name: case[name] for name in AuditCase.__dataclass_fields__}
    members |= {name: datetime.fromisoformat(case[name]) for name in ("first", "last")}
    return AuditCase(**members)
