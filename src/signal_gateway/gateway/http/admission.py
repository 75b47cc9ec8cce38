"""Room: how much memory the requests of a gateway may take together, told from their bodies."""

from typing import Final

from signal_gateway.gateway.http.responses import unavailable
from signal_gateway.web.problem import Problem
from signal_gateway.web.serving.allocator import release_free_memory

__all__ = ["Lease", "Room"]

# a body is joined once, and its text takes up to four bytes a character when one of them is an emoji
_PER_BYTE: Final = 5
# an object with one member is two values, and 232 bytes and a place of eight in the list that it is in
_PER_VALUE: Final = 120
_PER_SIGNAL: Final = 1024
_FREE_BYTES: Final = 64 * 1024

_BODIES: Final = 8
_BYTES_OF_A_VALUE: Final = 16
_BYTES_OF_A_SIGNAL: Final = 256


class Room:
    """What requests with signals may take, together and each. Runs on one loop.

    Together they get the size of eight of the largest bodies. One alone gets what it needs, and the first 64 KiB of
    each are not counted: however busy large ones keep the gateway, small ones are handled.

    Each may have a value for every 16 bytes of the largest body, and a signal for every 256. Alertmanager needs more
    bytes than that for either.

    When all is given back after more than half was taken, the C library is asked to give it to the system.

    Args:
        max_body_bytes: The largest body.
    """

    def __init__(self, max_body_bytes: int) -> None:
        self._free = _BODIES * max_body_bytes
        self._total = self._least_free = self._free
        self._max_values = max(max_body_bytes // _BYTES_OF_A_VALUE, 1000)
        self._max_signals = max(max_body_bytes // _BYTES_OF_A_SIGNAL, 100)

    def lease(self) -> "Lease":
        """Return what notes how much one request takes."""
        return Lease(self)

    def check_values(self, body: bytes) -> int:
        """Return how many values a body has at most, told by the characters that come before or behind one.

        Raises:
            Problem: There may be too many to decode them.
        """
        values = body.count(b",") + body.count(b"[") + body.count(b"{")
        if values > self._max_values:
            raise Problem(413, f"The body has more than {self._max_values} values.")
        return values

    def check_signals(self, number: int) -> None:
        """Make sure that a request has not too many signals.

        Raises:
            Problem: It has.
        """
        if number > self._max_signals:
            raise Problem(413, f"There are {number} signals, and {self._max_signals} may come at once.")

    def _move(self, taken: int, missing: int) -> None:
        is_alone = self._free + taken == self._total
        if 0 < missing > self._free and not is_alone:
            raise unavailable("Other requests take too much memory now.", retry_after=1)
        self._free -= missing
        if self._free == self._total and self._least_free < self._total // 2:
            release_free_memory()
            self._least_free = self._total
        self._least_free = min(self._least_free, self._free)


class Lease:
    """What one request takes.

    Args:
        room: Of what.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._needed = 0
        self._taken = 0

    def add_bytes(self, number: int) -> None:
        """Note that a part of the body came.

        Raises:
            Problem: 503, the others leave no room for it.
        """
        self._add(number * _PER_BYTE)

    def add_values(self, number: int) -> None:
        """Note what decoding will take.

        Raises:
            Problem: 503, the others leave no room for it.
        """
        self._add(number * _PER_VALUE)

    def add_signals(self, number: int) -> None:
        """Note what handling will take.

        Raises:
            Problem: 503, the others leave no room for it.
        """
        self._add(number * _PER_SIGNAL)

    def end(self) -> None:
        """Give everything back."""
        self._room._move(self._taken, -self._taken)
        self._taken = self._needed = 0

    def _add(self, amount: int) -> None:
        self._needed += amount
        missing = max(0, self._needed - _FREE_BYTES - self._taken)
        self._room._move(self._taken, missing)
        self._taken += missing
