"""Book: what the fault server committed, answered and refused, kept apart from the store's own figures."""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from tests.campaigns.ledger import Ledger
from tests.campaigns.orders import Order

__all__ = ["Book"]

_CLOCK_GRANULARITY = 0.005


class _Settled:
    """How far a writer's numbers are settled without a gap."""

    def __init__(self) -> None:
        self.end = 0
        self._ahead: set[int] = set()

    def add(self, number: int) -> bool:
        """Return whether the number is new."""
        if number < self.end or number in self._ahead:
            return False
        self._ahead.add(number)
        while self.end in self._ahead:
            self._ahead.remove(self.end)
            self.end += 1
        return True


class Book:
    """Commits by event id, so that a repeated event is stored once; any thread may call it.

    Args:
        path: The ledger of what is stored.
    """

    def __init__(self, path: Path) -> None:
        self._ledger = Ledger(path)
        self._lock = threading.Lock()
        self._committed: set[str] = set()
        self._confirmed: set[str] = set()
        self._settled: defaultdict[str, _Settled] = defaultdict(_Settled)
        self._counts: Counter[str] = Counter()

    def arrive(self, orders: Sequence[Order]) -> None:
        """Note that a batch was sent, however it will be answered."""
        with self._lock:
            self._counts["requests"] += 1
            self._counts["redelivered"] += sum(order.event_id in self._committed for order in orders)
            self._counts["sent_again"] += sum(order.event_id in self._confirmed for order in orders)

    def commit(self, orders: Sequence[Order]) -> None:
        """Store a batch; what is stored already stays as it is."""
        with self._lock:
            new = [order for order in orders if order.event_id not in self._committed]
            self._committed.update(order.event_id for order in new)
            self._counts["same_number"] += sum(not self._settled[order.writer].add(order.number) for order in new)
            self._ledger.append(*(order.event_id for order in new))

    def refuse(self, orders: Sequence[Order]) -> None:
        """Note that bad events were named or stood alone, or were at least among what was refused."""
        with self._lock:
            for order in orders:
                self._settled[order.writer].add(order.number)

    def confirm(self, orders: Sequence[Order]) -> None:
        """Note that the client surely read the acknowledgement: from now on it must not send these again."""
        with self._lock:
            self._confirmed.update(order.event_id for order in orders)

    def come_back(self, alone_until: float) -> None:
        """Note a request of a client that surely read a Retry-After, and whether it waited until then."""
        with self._lock:
            self._counts["told_to_wait"] += 1
            self._counts["too_early"] += time.monotonic() < alone_until - _CLOCK_GRANULARITY

    def progress(self) -> tuple[int, dict[str, int]]:
        """Return how many events are stored, and up to which number each writer's are stored or refused."""
        with self._lock:
            return len(self._committed), {writer: settled.end for writer, settled in self._settled.items()}

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)
