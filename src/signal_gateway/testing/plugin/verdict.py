"""Verdict: the numbers of delivered, rejected, pending and refused audit events of one test process."""

import shlex
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Verdict", "totals"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The audit events of one process, counted when its audit store has closed.

    Attributes:
        worker: The id of the xdist worker, or `main`.
        servers: The number of live servers of the process.
        flushers: The number of audit stores that its tests shared: 0 or 1.
        recorded: Events that the store recorded or recovered: the sum of the next three.
        delivered: Events that DataStorage acknowledged.
        rejected: Events that DataStorage rejected.
        pending: Events that were not delivered within the timeout.
        recovered: Recorded events from the spool of a process that ended: a crashed worker or a forked child. The
            other events of a crashed worker are not known.
        refused: Events that the store refused: `record` raised an error.
        corrupt: Damaged spool files that the store set aside.
        timeout: Seconds for the last delivery.
        error: The last error of the delivery, if any.
        datastorage: The URL of the DataStorage and its source.
        spool: The spool directory, if it is not empty.
        crash: The end of the process, if the controller had to deliver its events.
        stop_error: The error of a harness part that did not stop, if any.
    """

    worker: str
    servers: int = 0
    flushers: int = 0
    recorded: int = 0
    delivered: int = 0
    rejected: int = 0
    pending: int = 0
    recovered: int = 0
    refused: int = 0
    corrupt: int = 0
    timeout: float = 0.0
    error: str | None = None
    datastorage: str | None = None
    spool: str | None = None
    crash: str | None = None
    stop_error: str | None = None

    @property
    def lost_events(self) -> bool:
        """Whether an event was not delivered, or was possibly not delivered."""
        return bool(self.rejected or self.pending or self.refused or self.corrupt or self.spool)

    @property
    def loss_message(self) -> str:
        """One line with the number of undelivered events, the DataStorage, the error and the location of the events."""
        losses = []
        if self.pending:
            losses.append(f"{_counted(self.pending, 'audit event')} not delivered within {self.timeout:g} s")
        if self.rejected:
            losses.append(f"{_counted(self.rejected, 'audit event')} rejected by DataStorage")
        if self.refused:
            losses.append(f"{_counted(self.refused, 'audit event')} refused by the store (record raised)")
        if self.corrupt:
            losses.append(f"{_counted(self.corrupt, 'damaged spool file')} set aside")
        if not losses:
            losses.append("audit events may be left in the spool")
        cause = f": {self.error}" if self.error else ""
        return f"{self._process}: {', '.join(losses)}; DataStorage at {self.datastorage}{cause}{self._location}"

    @property
    def recovery_message(self) -> str | None:
        """One line about the recovered events of a crashed worker; None without a crash or without such events."""
        if self.crash is None or (self.lost_events and not self.delivered):
            return None
        count = _counted(self.delivered, "audit event")
        return f"{self._process}: pytest delivered {count} that it had left in its spool"

    @property
    def _process(self) -> str:
        return self.worker if self.crash is None else f"{self.worker} crashed ({self.crash})"

    @property
    def _location(self) -> str:
        if self.spool is None:
            return ""
        if self.pending or not (self.rejected or self.refused or self.corrupt):
            command = f"signal-gateway audit spool deliver {shlex.quote(self.spool)} --datastorage URL"
            return f"; kept, to deliver them: {command}"
        return f"; kept in {self.spool}"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, for the transport of xdist."""
        return asdict(self)


def totals(verdicts: Iterable[Verdict]) -> str:
    """Return one line with the sums over all processes."""
    verdicts = list(verdicts)

    def total(field: str) -> int:
        return sum(getattr(verdict, field) for verdict in verdicts)

    outcomes = [f"{total(outcome)} {outcome}" for outcome in ("delivered", "rejected", "pending")]
    if total("refused"):
        outcomes.append(f"{total('refused')} refused")
    if total("recovered"):
        outcomes.append(f"{total('recovered')} adopted from processes that died")
    sources = f"{_counted(total('servers'), 'server')}, {_counted(total('flushers'), 'flusher')}"
    return f"{sources}, {_counted(total('recorded'), 'event')} recorded, {', '.join(outcomes)}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
