"""DeliveryQueue: a source of pending records; Batch: the outcome of each event of a batch that was not accepted."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from signal_gateway.audit.wal.rejected import RejectedEvent
from signal_gateway.audit.wal.segment import PendingRecords

__all__ = ["Batch", "BatchLimit", "DeliveryQueue", "Run"]


class DeliveryQueue(Protocol):
    """A source of pending records. Only the flusher calls the methods."""

    def peek(self, max_events: int, max_bytes: int) -> PendingRecords:
        """Return the oldest unsettled events without removing them.

        Args:
            max_events: Maximum number of events.
            max_bytes: Maximum size of their JSON array. A single event may be larger.
        """
        ...

    def ack(self, count: int, *, rejected: Mapping[int, str]) -> tuple[RejectedEvent, ...]:
        """Settle the oldest events. The rejected ones among them are stored first.

        Args:
            count: Number of events, delivered and rejected.
            rejected: Reason for each rejected event, by its index among them.

        Returns:
            The rejected events.

        Raises:
            AuditError: A rejected event cannot be stored; no event is settled.
        """
        ...


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """Maximum size of one delivery.

    Attributes:
        events: Maximum number of events.
        body_bytes: Maximum bytes of the JSON array. A single event may be larger.
    """

    events: int
    body_bytes: int


@dataclass(slots=True)
class _Cut:
    """A run that was not accepted and was halved."""

    limit_if_accepted: BatchLimit
    open_halves: int = 2


@dataclass(frozen=True, slots=True)
class Run:
    """Events of a batch that are sent together.

    Attributes:
        indices: Indices of the events, in order.
    """

    indices: Sequence[int]
    _cut: _Cut | None = None

    def __len__(self) -> int:
        return len(self.indices)


class Batch:
    """Bisection of a batch, oldest events first: events settle in order.

    A run that is not accepted is halved, again and again, until the rejected event stands alone. If both halves of a
    run are accepted, the size of the run was the reason: `limit` becomes the size of a half.

    Args:
        sizes: Size of each encoded event in bytes.
        limit: Maximum size of one delivery.
    """

    def __init__(self, sizes: Sequence[int], *, limit: BatchLimit) -> None:
        self.limit = limit
        self._sizes = sizes
        self._runs = deque([Run(range(len(sizes)))] if sizes else [])
        self._rejected: dict[int, str] = {}
        self._acknowledged = 0

    def next_run(self) -> Run | None:
        """Return the oldest unsettled events, within the limit; None if all events are settled."""
        if not self._runs:
            return None
        run = self._runs[0]
        fitting = self._fitting(run)
        if fitting < len(run):
            self._runs[0] = Run(run.indices[fitting:])
            self._runs.appendleft(Run(run.indices[:fitting]))
        return self._runs[0]

    def narrow(self, limit: BatchLimit) -> None:
        """Lower the limit of all later runs."""
        self.limit = BatchLimit(min(self.limit.events, limit.events), min(self.limit.body_bytes, limit.body_bytes))

    def accept(self, run: Run) -> None:
        """Settle all events of a run as delivered."""
        self._runs.popleft()
        if run._cut is not None:
            run._cut.open_halves -= 1
            if run._cut.open_halves == 0:
                self.limit = run._cut.limit_if_accepted

    def too_large(self, run: Run, reason: str) -> None:
        """Halve a run with too many bytes; reject a single event."""
        left, right = _halves(run)
        self._halve(run, reason, replace(self.limit, body_bytes=max(self._body_bytes(left), self._body_bytes(right))))

    def reject(self, run: Run, reason: str, items: Mapping[int, str]) -> None:
        """Reject the named events of a run and keep the others. Without named events, halve the run.

        Args:
            run: The run that was sent.
            reason: Reason of the server for the whole run.
            items: Reasons for single events, by their index in the run.
        """
        if not items:
            self._halve(run, reason, replace(self.limit, events=len(_halves(run)[0])))
            return
        self._runs.popleft()
        self._rejected.update({run.indices[item]: why for item, why in items.items()})
        others = [index for item, index in enumerate(run.indices) if item not in items]
        if others:
            self._runs.appendleft(Run(others))

    def take_settled(self) -> tuple[int, dict[int, str]]:
        """Return the newly settled events at the beginning of the batch.

        Returns:
            The number of events, and the reason for each rejected one, by its index among them.
        """
        begin = self._acknowledged
        end = self._runs[0].indices[0] if self._runs else len(self._sizes)
        self._acknowledged = end
        return end - begin, {i - begin: why for i, why in self._rejected.items() if begin <= i < end}

    def _halve(self, run: Run, reason: str, limit_if_accepted: BatchLimit) -> None:
        self._runs.popleft()
        if len(run) == 1:
            self._rejected[run.indices[0]] = reason
            return
        cut = _Cut(limit_if_accepted)
        self._runs.extendleft(Run(half, cut) for half in reversed(_halves(run)))

    def _fitting(self, run: Run) -> int:
        if len(run) <= self.limit.events and self._body_bytes(run.indices) <= self.limit.body_bytes:
            return len(run)
        body_bytes = 1
        for count, index in enumerate(run.indices):
            body_bytes += self._sizes[index] + 1
            if count and (count == self.limit.events or body_bytes > self.limit.body_bytes):
                return count
        return len(run)

    def _body_bytes(self, indices: Sequence[int]) -> int:
        return 1 + len(indices) + sum(map(self._sizes.__getitem__, indices))


def _halves(run: Run) -> tuple[Sequence[int], Sequence[int]]:
    middle = (len(run) + 1) // 2
    return run.indices[:middle], run.indices[middle:]
