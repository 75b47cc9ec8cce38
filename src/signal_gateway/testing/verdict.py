"""Verdict: what became of the audit events of one process of a test run."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Verdict", "totals"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a process's events, told when its audit store has closed.

    Attributes:
        worker: The xdist worker's id, or `main`.
        servers: How many servers were live in the process, one after the other or side by side.
        flushers: How many audit stores the process shared among its tests: 0 or 1.
        recorded: Events that the store took.
        delivered: Events that DataStorage acknowledged.
        rejected: Events that DataStorage refused for good.
        pending: Events that were not delivered when the time was up.
        refused: Events that the store did not take: `record` raised.
        waited: Seconds that the store was given for what was left.
        error: The last error of the delivery, if there was one.
        datastorage: Where they were to go, with the URL's source.
        trouble: What of the harness's own did not stop, if anything.
    """

    worker: str
    servers: int = 0
    flushers: int = 0
    recorded: int = 0
    delivered: int = 0
    rejected: int = 0
    pending: int = 0
    refused: int = 0
    waited: float = 0.0
    error: str | None = None
    datastorage: str | None = None
    trouble: str | None = None

    @property
    def lost_events(self) -> bool:
        """Whether an event was not delivered."""
        return bool(self.rejected or self.pending or self.refused)

    @property
    def complaint(self) -> str:
        """One line that says how many events were not delivered, where they are, where they should be, and why."""
        losses = []
        if self.pending:
            kept = "kept in memory, lost with the process"
            losses.append(f"{_counted(self.pending, 'audit event')} not delivered within {self.waited:g} s ({kept})")
        if self.rejected:
            losses.append(f"{_counted(self.rejected, 'audit event')} rejected by DataStorage")
        if self.refused:
            losses.append(f"{_counted(self.refused, 'audit event')} refused by the store (record raised)")
        cause = f": {self.error}" if self.error else ""
        return f"{self.worker}: {', '.join(losses)}; DataStorage at {self.datastorage}{cause}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values, for xdist to carry."""
        return asdict(self)


def totals(verdicts: Iterable[Verdict]) -> str:
    """Say in one line what became of the events of all processes."""
    verdicts = list(verdicts)

    def total(field: str) -> int:
        return sum(getattr(verdict, field) for verdict in verdicts)

    fates = [f"{total(fate)} {fate}" for fate in ("delivered", "rejected", "pending")]
    if total("refused"):
        fates.append(f"{total('refused')} refused")
    made = f"{_counted(total('servers'), 'server')}, {_counted(total('flushers'), 'flusher')}"
    return f"{made}, {_counted(total('recorded'), 'event')} recorded, {', '.join(fates)}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
