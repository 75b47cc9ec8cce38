"""Links: the hash of an event, the manifest of a batch or purge, the link that seals it, and the head of the chain."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, NamedTuple, Protocol, Self
from uuid import UUID

__all__ = [
    "HASH_BYTES",
    "NEVER",
    "ChainHead",
    "Link",
    "LinkKind",
    "Manifest",
    "Seal",
    "SealableEvent",
    "SealedEvent",
    "event_hash",
    "event_hashes",
    "pack_events",
]

LinkKind = Literal["batch", "purge"]

HASH_BYTES = 32

NEVER = 2**63 - 1
"""The end of retention of an event that is kept for ever, in a manifest."""

_PARTS = ((0, 16), (16, 24), (24, 56), (56, 64))
_ENTRY_BYTES = 64


class SealableEvent(Protocol):
    """The values of a stored event that a manifest needs, as in `EventRow`."""

    @property
    def event_id(self) -> str:
        """The id, a UUID in canonical form."""
        ...

    @property
    def received_at(self) -> int:
        """The time of arrival, in microseconds since the epoch."""
        ...

    @property
    def expires_at(self) -> int | None:
        """The end of retention, in microseconds since the epoch."""
        ...

    @property
    def envelope(self) -> str:
        """JSON object."""
        ...

    @property
    def event_data(self) -> str:
        """JSON object."""
        ...


class SealedEvent(NamedTuple):
    """A `SealableEvent` that was read from the database, for a purge or for the start of a chain."""

    event_id: str
    received_at: int
    expires_at: int | None
    envelope: str
    event_data: str


def event_hash(received_at: int, envelope: str, event_data: str) -> bytes:
    """Return the SHA-256 of the canonical form of a stored event.

    The canonical form is the text as the database has it: the time of arrival, the envelope and the event data,
    separated by line feeds. The envelope is one JSON object, so no other three values have the same form.

    Args:
        received_at: Microseconds since the epoch.
        envelope: As in `EventRow`.
        event_data: As in `EventRow`.
    """
    return sha256(f"\0{received_at}\n{envelope}\n{event_data}".encode()).digest()


def event_hashes(events: Sequence[SealableEvent]) -> list[bytes]:
    """Return the `event_hash` of each event."""
    return [event_hash(event.received_at, event.envelope, event.event_data) for event in events]


def pack_events(events: Sequence[SealableEvent], hashes: Sequence[bytes]) -> bytes:
    """Return a packed manifest without its last part, the sequences."""
    ids = bytes.fromhex("".join([event.event_id for event in events]).replace("-", ""))
    expiries = [NEVER if event.expires_at is None else event.expires_at for event in events]
    return b"".join((ids, struct.pack(f">{len(expiries)}q", *expiries), *hashes))


@dataclass(frozen=True, slots=True)
class Manifest:
    """The events of one link, in the order of storage.

    Packed, it has all ids, all ends of retention, all hashes and all sequences, in this order.

    Attributes:
        event_ids: UUIDs in canonical form, without hyphens.
        expiries: The ends of retention, in microseconds since the epoch; `NEVER` without one.
        hashes: Of `event_hash`.
        sequences: The positions in the order of storage.
    """

    event_ids: Sequence[str]
    expiries: Sequence[int]
    hashes: Sequence[bytes]
    sequences: Sequence[int]

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the manifest of its packed form; of an altered one, as many events as there are bytes for."""
        count = len(packed) // _ENTRY_BYTES
        ids, expiries, hashes, sequences = (packed[start * count : end * count] for start, end in _PARTS)
        digits = ids.hex()
        return cls(
            [digits[start : start + 32] for start in range(0, 32 * count, 32)],
            struct.unpack(f">{count}q", expiries),
            [hashes[start : start + HASH_BYTES] for start in range(0, HASH_BYTES * count, HASH_BYTES)],
            struct.unpack(f">{count}q", sequences),
        )

    def event_id(self, index: int) -> str:
        """Return the id of an event in canonical form."""
        return str(UUID(self.event_ids[index]))


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain.

    Attributes:
        number: Links count from 1, without gaps.
        kind: `batch` for new events, `purge` for deleted ones.
        sealed_at: The time of arrival of the batch, or of the purge, in microseconds since the epoch.
        count: The events of this link.
        total: The events of all batches up to this link.
        purged: The events of all purges up to this link.
        digest: The SHA-256 of the packed manifest.
        hash: The hash of this link and, through it, of all links before.
    """

    number: int
    kind: LinkKind
    sealed_at: int
    count: int
    total: int
    purged: int
    digest: bytes
    hash: bytes

    def expected_hash(self, previous: bytes) -> bytes:
        """Return the hash of the values of this link, after a link with the hash `previous`."""
        numbers = f"{self.number} {self.kind} {self.sealed_at} {self.count} {self.total} {self.purged}"
        return sha256(b"\1%b\n%b%b" % (numbers.encode(), self.digest, previous)).digest()


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The newest link, as the one row of `audit_chain` has it.

    Attributes:
        datastorage: The id of the DataStorage: a UUID that was chosen when the chain began.
        number: The number of the newest link; 0 without links.
        total: As in `Link`.
        purged: As in `Link`.
        hash: The hash of the newest link.
    """

    datastorage: str
    number: int
    total: int
    purged: int
    hash: bytes

    @classmethod
    def start(cls, datastorage: str) -> Self:
        """Return the head of a chain without links."""
        return cls(datastorage, 0, 0, 0, sha256(f"signal-gateway audit chain {datastorage}".encode()).digest())

    def after(self, link: Link) -> "ChainHead":
        """Return the head after a link was added."""
        return ChainHead(self.datastorage, link.number, link.total, link.purged, link.hash)


@dataclass(frozen=True, slots=True)
class Seal:
    """All of a link that does not depend on the chain: computed before the head is locked.

    Attributes:
        kind: As in `Link`.
        sealed_at: As in `Link`.
        count: As in `Link`.
        manifest: The packed manifest.
    """

    kind: LinkKind
    sealed_at: int
    count: int
    manifest: bytes

    @classmethod
    def of_batch(cls, events: Sequence[SealableEvent], hashes: Sequence[bytes], sequences: Sequence[int]) -> Self:
        """Return the seal of new events, with the latest time of arrival.

        Args:
            events: At least one, in the order of storage.
            hashes: Their hashes.
            sequences: Their sequences.
        """
        manifest = pack_events(events, hashes) + struct.pack(f">{len(sequences)}q", *sequences)
        return cls("batch", max([event.received_at for event in events]), len(events), manifest)

    def as_purge(self, *, now: int) -> "Seal":
        """Return the seal of the purge of the same events.

        Args:
            now: The time of the purge, in microseconds since the epoch.
        """
        return replace(self, kind="purge", sealed_at=now)

    def link(self, head: ChainHead) -> Link:
        """Return the next link after a head."""
        stored, purged = (self.count, 0) if self.kind == "batch" else (0, self.count)
        link = Link(
            head.number + 1,
            self.kind,
            self.sealed_at,
            self.count,
            head.total + stored,
            head.purged + purged,
            sha256(self.manifest).digest(),
            b"",
        )
        return replace(link, hash=link.expected_hash(head.hash))
