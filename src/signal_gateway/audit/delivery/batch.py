"""Batch: the events of one delivery, and what became of each while its size or a bad event is being found out."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

__all__ = ["Batch", "BatchLimit", "Run"]


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """How much one delivery may hold.

    Attributes:
        events: Most events.
        body_bytes: Most bytes of the JSON array; a single event may be larger.
    """

    events: int
    body_bytes: int


@dataclass(slots=True)
class _Cut:
    """A run that did not pass and was halved."""

    limit_if_both_pass: BatchLimit
    halves_to_pass: int = 2


@dataclass(frozen=True, slots=True)
class Run:
    """Events of a batch that are sent together.

    Attributes:
        indices: Which ones, in order.
    """

    indices: Sequence[int]
    _cut: _Cut | None = None

    def __len__(self) -> int:
        return len(self.indices)


class Batch:
    """Works on the oldest events first, so that what is settled can be acknowledged in order.

    What does not pass is halved, and its halves again, until a bad event stands alone. If both halves of something
    pass, then its size was at fault, and `limit` becomes what passed.

    Args:
        sizes: The events' lengths in bytes, encoded.
        limit: How much one delivery may hold.
    """

    def __init__(self, sizes: Sequence[int], *, limit: BatchLimit) -> None:
        self.limit = limit
        self._sizes = sizes
        self._runs = deque([Run(range(len(sizes)))] if sizes else [])
        self._rejected: dict[int, str] = {}
        self._acknowledged = 0

    def next_run(self) -> Run | None:
        """Return the oldest events that are not settled, within the limit; the same again until they are."""
        if not self._runs:
            return None
        run = self._runs[0]
        fitting = self._fitting(run)
        if fitting < len(run):
            self._runs[0] = Run(run.indices[fitting:])
            self._runs.appendleft(Run(run.indices[:fitting]))
        return self._runs[0]

    def narrow(self, limit: BatchLimit) -> None:
        """Hold the runs from now on to this limit, too."""
        self.limit = BatchLimit(min(self.limit.events, limit.events), min(self.limit.body_bytes, limit.body_bytes))

    def accept(self, run: Run) -> None:
        """Settle a run as delivered."""
        self._runs.popleft()
        if run._cut is not None:
            run._cut.halves_to_pass -= 1
            if run._cut.halves_to_pass == 0:
                self.limit = run._cut.limit_if_both_pass

    def too_large(self, run: Run, reason: str) -> None:
        """Halve a run that has too many bytes; a single event is rejected."""
        left, right = _halves(run)
        self._halve(run, reason, replace(self.limit, body_bytes=max(self._body_bytes(left), self._body_bytes(right))))

    def refuse(self, run: Run, reason: str, items: Mapping[int, str]) -> None:
        """Reject the named events of a run and keep the others; when none is named, halve it.

        Args:
            run: What was sent.
            reason: What the server said about all of it.
            items: What it said about single events, by their index in the run.
        """
        if not items:
            self._halve(run, reason, replace(self.limit, events=len(_halves(run)[0])))
            return
        self._runs.popleft()
        self._rejected.update({run.indices[item]: said for item, said in items.items()})
        others = [index for item, index in enumerate(run.indices) if item not in items]
        if others:
            self._runs.appendleft(Run(others))

    def take_settled(self) -> tuple[int, dict[int, str]]:
        """Return how many events at the batch's head are newly settled, and the rejected ones among them.

        Returns:
            The count to acknowledge, and the reason for each rejected event by its index among them.
        """
        begin = self._acknowledged
        end = self._runs[0].indices[0] if self._runs else len(self._sizes)
        self._acknowledged = end
        return end - begin, {i - begin: said for i, said in self._rejected.items() if begin <= i < end}

    def _halve(self, run: Run, reason: str, limit_if_both_pass: BatchLimit) -> None:
        self._runs.popleft()
        if len(run) == 1:
            self._rejected[run.indices[0]] = reason
            return
        cut = _Cut(limit_if_both_pass)
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
