"""Verdict: what became of the audit events of one process of a test run."""

import shlex
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
        recorded: Events that the store took or adopted: the next three together.
        delivered: Events that DataStorage acknowledged.
        rejected: Events that DataStorage refused for good.
        pending: Events that were not delivered when the time was up.
        adopted: Those among the recorded that had been left by a process which died: a worker that crashed, and then
            these are all that is known of it, or a child that was forked.
        refused: Events that the store did not take: `record` raised.
        corrupt: Damaged spool files that were set aside, and the events in them.
        waited: Seconds that the store was given for what was left.
        error: The last error of the delivery, if there was one.
        datastorage: Where they were to go, with the URL's source.
        spool: The spool directory, if something is left in it.
        crash: How the process died, if the controller had to deliver its events.
        trouble: What of the harness's own did not stop, if anything.
    """

    worker: str
    servers: int = 0
    flushers: int = 0
    recorded: int = 0
    delivered: int = 0
    rejected: int = 0
    pending: int = 0
    adopted: int = 0
    refused: int = 0
    corrupt: int = 0
    waited: float = 0.0
    error: str | None = None
    datastorage: str | None = None
    spool: str | None = None
    crash: str | None = None
    trouble: str | None = None

    @property
    def lost_events(self) -> bool:
        """Whether an event was not delivered, or may not have been."""
        return bool(self.rejected or self.pending or self.refused or self.corrupt or self.spool)

    @property
    def complaint(self) -> str:
        """One line that says how many events were not delivered, where they should be, why, and where they are."""
        losses = []
        if self.pending:
            losses.append(f"{_counted(self.pending, 'audit event')} not delivered within {self.waited:g} s")
        if self.rejected:
            losses.append(f"{_counted(self.rejected, 'audit event')} rejected by DataStorage")
        if self.refused:
            losses.append(f"{_counted(self.refused, 'audit event')} refused by the store (record raised)")
        if self.corrupt:
            losses.append(f"{_counted(self.corrupt, 'damaged spool file')} set aside")
        if not losses:
            losses.append("audit events may be left in the spool")
        cause = f": {self.error}" if self.error else ""
        return f"{self._who}: {', '.join(losses)}; DataStorage at {self.datastorage}{cause}{self._whereabouts}"

    @property
    def notice(self) -> str | None:
        """One line about a worker that crashed; None if it didn't, or if the complaint says it all."""
        if self.crash is None or (self.lost_events and not self.delivered):
            return None
        count = _counted(self.delivered, "audit event")
        return f"{self._who}: the controller delivered {count} that it had left in its spool"

    @property
    def _who(self) -> str:
        return self.worker if self.crash is None else f"{self.worker} crashed ({self.crash})"

    @property
    def _whereabouts(self) -> str:
        if self.spool is None:
            return ""
        if self.pending or not (self.rejected or self.refused or self.corrupt):
            return f"; kept, to deliver them: signal-gateway audit spool {shlex.quote(self.spool)} --deliver URL"
        return f"; kept in {self.spool}"

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
    if total("adopted"):
        fates.append(f"{total('adopted')} adopted from processes that died")
    made = f"{_counted(total('servers'), 'server')}, {_counted(total('flushers'), 'flusher')}"
    return f"{made}, {_counted(total('recorded'), 'event')} recorded, {', '.join(fates)}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
