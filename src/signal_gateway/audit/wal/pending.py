"""PendingRecords: the oldest events of a source that are being delivered, and the source that they are taken from."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Protocol

import orjson

from signal_gateway.audit.wal.rejected import RejectedEvent
from signal_gateway.audit.wal.segment import Segment

__all__ = ["DeliveryQueue", "PendingRecords"]


@dataclass(frozen=True, slots=True)
class PendingRecords:
    """The oldest unsettled events of a source, where they are and not what they say: it takes little memory.

    Attributes:
        places: For each event its segment, and where its payload begins and ends there.
    """

    places: Sequence[tuple[Segment, int, int]]

    def __len__(self) -> int:
        return len(self.places)

    def sizes(self) -> list[int]:
        """Return the length of each payload in bytes."""
        return [end - begin for _, begin, end in self.places]

    def split(self, count: int) -> "tuple[PendingRecords, PendingRecords]":
        """Return the first so many events, and the rest."""
        return PendingRecords(self.places[:count]), PendingRecords(self.places[count:])

    def json_array(self, indices: Iterable[int]) -> bytes:
        """Join payloads, at least one, with commas."""
        payloads: list[bytes] = []
        # by segment, so that an event costs no call
        for segment, places in groupby([self.places[index] for index in indices], key=itemgetter(0)):
            payloads += segment.payloads([(begin, end) for _, begin, end in places])
        payloads[0] = b"[" + payloads[0]  # around the whole they would be another copy of it
        payloads[-1] += b"]"
        return b",".join(payloads)

    def rejected_events(self, reasons: Mapping[int, str]) -> tuple[RejectedEvent, ...]:
        """Copy the rejected events out.

        Args:
            reasons: The reason for each rejected one, by its index.
        """
        events = []
        for index, reason in sorted(reasons.items()):
            segment, begin, end = self.places[index]
            payload = segment.buffer.read(begin, end)
            events.append(RejectedEvent(orjson.loads(payload)["event_id"], payload, reason))
        return tuple(events)

    def settle(self, rejected: Collection[int]) -> None:
        """Move the cursors of the segments that these events are in behind them.

        Args:
            rejected: The indices of those that were refused; the others were delivered.
        """
        if self.places and self.places[0][0] is self.places[-1][0]:
            segment, _, end = self.places[-1]
            segment.settle(end, delivered=len(self) - len(rejected), rejected=len(rejected))
            return
        tally: dict[Segment, tuple[int, int, int]] = {}
        for index, (segment, _, end) in enumerate(self.places):
            _, delivered, refused = tally.get(segment, (0, 0, 0))
            if index in rejected:
                refused += 1
            else:
                delivered += 1
            tally[segment] = end, delivered, refused
        for segment, (end, delivered, refused) in tally.items():
            segment.settle(end, delivered=delivered, rejected=refused)


class DeliveryQueue(Protocol):
    """What the flusher delivers from, and the only one to take from it."""

    def head(self, max_events: int, max_bytes: int) -> PendingRecords:
        """Return the oldest unsettled events, whose JSON array has at most `max_bytes`, or one; they stay."""
        ...

    def acknowledge(self, count: int, *, rejected: Mapping[int, str]) -> tuple[RejectedEvent, ...]:
        """Let the oldest `count` events go; the rejected ones among them are kept aside first.

        Args:
            count: How many, delivered and rejected ones together.
            rejected: The reason for each rejected one, by its index among them.

        Returns:
            The rejected ones among them.

        Raises:
            AuditError: A rejected event can't be kept; nothing was let go.
        """
        ...
