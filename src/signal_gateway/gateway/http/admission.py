"""MemoryBudget: the memory that the requests of a gateway may use together, estimated from their bodies."""

from dataclasses import dataclass
from typing import Final

from signal_gateway.gateway.http.responses import unavailable
from signal_gateway.web.problem import Problem
from signal_gateway.web.serving.allocator import release_free_memory

__all__ = ["MemoryBudget", "Reservation"]

# a body is joined once, and its text takes up to four bytes per character if one of them is an emoji
_PER_BYTE: Final = 5
# an object with one member counts as two values, and takes 232 bytes and 8 bytes in its list
_PER_VALUE: Final = 120
_PER_SIGNAL: Final = 1024
_FREE_BYTES: Final = 64 * 1024

_BODIES: Final = 8
_BYTES_PER_ALLOWED_VALUE: Final = 16
_BYTES_PER_ALLOWED_SIGNAL: Final = 256


class MemoryBudget:
    """Limits the memory of the requests with signals. Belongs to one event loop.

    The requests together may use the memory of eight bodies of maximum size. A single request may always use as much as
    it needs. The first 64 KiB of each request do not count: a gateway that is busy with large requests still handles
    small ones.

    A request may have one value for every 16 bytes of the maximum body size, and one signal for every 256 bytes.
    Requests of Alertmanager stay below both limits.

    When all memory is released after more than half of it was reserved, the C library returns it to the system.

    Args:
        max_body_bytes: The maximum size of a body.
    """

    def __init__(self, max_body_bytes: int) -> None:
        self.max_values = max(max_body_bytes // _BYTES_PER_ALLOWED_VALUE, 1000)
        self.max_signals = max(max_body_bytes // _BYTES_PER_ALLOWED_SIGNAL, 100)
        self._total = self._free = self._least_free = _BODIES * max_body_bytes

    def reserve(self) -> "Reservation":
        """Return an empty reservation for one request."""
        return Reservation(self)

    def _take(self, number: int, *, reserved: int) -> None:
        is_alone = self._free + reserved == self._total
        if number > self._free and not is_alone:
            raise unavailable("Other requests use too much memory right now. Retry later.", retry_after=1)
        self._free -= number
        self._least_free = min(self._least_free, self._free)

    def _give_back(self, number: int) -> None:
        self._free += number
        if self._free == self._total and self._least_free < self._total // 2:
            release_free_memory()
            self._least_free = self._total


@dataclass(slots=True, eq=False)
class Reservation:
    """The memory of one request; grows while the request is read.

    Attributes:
        budget: The budget of the gateway.
    """

    budget: MemoryBudget
    _needed: int = 0
    _reserved: int = 0

    def add_bytes(self, number: int, /) -> None:
        """Reserve memory for one part of the body.

        Raises:
            Problem: 503, other requests use the memory.
        """
        self._add(number * _PER_BYTE)

    def add_values(self, body: bytes) -> None:
        """Reserve memory for the decoded body. The number of its values is estimated by the characters beside a value.

        Raises:
            Problem: 413, the body has too many values; 503, other requests use the memory.
        """
        values = body.count(b",") + body.count(b"[") + body.count(b"{")
        if values > self.budget.max_values:
            raise Problem(413, f"Too many JSON values in the body: {values}, the limit is {self.budget.max_values}.")
        self._add(values * _PER_VALUE)

    def add_signals(self, number: int) -> None:
        """Reserve memory for the signals.

        Raises:
            Problem: 413, the request has too many signals; 503, other requests use the memory.
        """
        if number > self.budget.max_signals:
            limit = self.budget.max_signals
            raise Problem(413, f"Too many signals in one request: {number}, the limit is {limit}.")
        self._add(number * _PER_SIGNAL)

    def release(self, _: object = None) -> None:
        """Give all memory back; fit for a callback of a task. Does nothing if it was released before."""
        self.budget._give_back(self._reserved)
        self._needed = self._reserved = 0

    def _add(self, amount: int) -> None:
        self._needed += amount
        missing = self._needed - _FREE_BYTES - self._reserved
        if missing > 0:
            self.budget._take(missing, reserved=self._reserved)
            self._reserved += missing
