"""Links: the manifest of a batch or purge, the link that seals it, and the head of the chain."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal, NamedTuple, Protocol, Self
from uuid import UUID

from signal_gateway.datastorage.integrity.hashing import HASH_BYTES, leaf_hash, merkle_root

__all__ = ["NEVER", "ChainHead", "Link", "LinkKind", "Manifest", "Seal", "SealableEvent", "StoredEvent"]

LinkKind = Literal["batch", "purge"]

NEVER = 2**63 - 1
"""The end of retention of an event that is kept for ever, in a manifest."""

_ENTRY_BYTES = 16 + 8 + 8 + HASH_BYTES


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


class StoredEvent(NamedTuple):
    """A `SealableEvent` that was read from the database, for a purge or for the start of a chain."""

    event_id: str
    received_at: int
    expires_at: int | None
    envelope: str
    event_data: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The events of one link, in the order of storage.

    Attributes:
        event_ids: UUIDs in canonical form, without hyphens.
        sequences: The positions in the order of storage.
        expiries: The ends of retention, in microseconds since the epoch; `NEVER` without one.
        leaves: The leaf hashes.
    """

    event_ids: Sequence[str]
    sequences: Sequence[int]
    expiries: Sequence[int]
    leaves: Sequence[bytes]

    @classmethod
    def of(cls, events: Sequence[SealableEvent], sequences: Sequence[int]) -> Self:
        """Return the manifest of events with these sequences."""
        return cls(
            [event.event_id.replace("-", "") for event in events],
            sequences,
            [NEVER if event.expires_at is None else event.expires_at for event in events],
            [leaf_hash(event.received_at, event.envelope, event.event_data) for event in events],
        )

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the manifest that `pack` encoded; of an altered one, as many events as there are bytes for."""
        count = len(packed) // _ENTRY_BYTES
        ids, numbers, leaves = packed[: 16 * count], packed[16 * count : 32 * count], packed[32 * count :]
        digits = ids.hex()
        integers = struct.unpack(f">{2 * count}q", numbers)
        return cls(
            [digits[start : start + 32] for start in range(0, 32 * count, 32)],
            integers[:count],
            integers[count:],
            [leaves[start : start + HASH_BYTES] for start in range(0, HASH_BYTES * count, HASH_BYTES)],
        )

    def pack(self) -> bytes:
        """Return the manifest as bytes: all ids, all sequences, all ends of retention, all leaves."""
        sequences = struct.pack(f">{len(self.sequences)}q", *self.sequences)
        return b"".join((self.packed_ids(), sequences, self.packed_expiries(), *self.leaves))

    def packed_ids(self) -> bytes:
        """Return the first part of `pack`."""
        return bytes.fromhex("".join(self.event_ids))

    def packed_expiries(self) -> bytes:
        """Return the third part of `pack`."""
        return struct.pack(f">{len(self.expiries)}q", *self.expiries)

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
        root: The Merkle root of the leaves.
        digest: The SHA-256 of the packed manifest.
        hash: The hash of this link and, through it, of all links before.
    """

    number: int
    kind: LinkKind
    sealed_at: int
    count: int
    total: int
    purged: int
    root: bytes
    digest: bytes
    hash: bytes

    def expected_hash(self, previous: bytes) -> bytes:
        """Return the hash of the values of this link, after a link with the hash `previous`."""
        numbers = f"{self.number} {self.kind} {self.sealed_at} {self.count} {self.total} {self.purged}"
        return sha256(b"\2%b\n%b%b%b" % (numbers.encode(), self.root, self.digest, previous)).digest()


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
        root: As in `Link`.
        manifest: The packed manifest.
    """

    kind: LinkKind
    sealed_at: int
    count: int
    root: bytes
    manifest: bytes

    @classmethod
    def of_batch(cls, events: Sequence[SealableEvent], sequences: Sequence[int]) -> Self:
        """Return the seal of new events, with the latest time of arrival.

        Args:
            events: At least one, in the order of storage.
            sequences: Their sequences.
        """
        return cls._of("batch", events, sequences, max(event.received_at for event in events))

    @classmethod
    def of_purge(cls, events: Sequence[SealableEvent], sequences: Sequence[int], *, now: int) -> Self:
        """Return the seal of a purge.

        Args:
            events: The deleted events, at least one.
            sequences: Their sequences.
            now: The time of the purge, in microseconds since the epoch.
        """
        return cls._of("purge", events, sequences, now)

    @classmethod
    def _of(cls, kind: LinkKind, events: Sequence[SealableEvent], sequences: Sequence[int], sealed_at: int) -> Self:
        manifest = Manifest.of(events, sequences)
        return cls(kind, sealed_at, len(events), merkle_root(manifest.leaves), manifest.pack())

    @property
    def digest(self) -> bytes:
        """As in `Link`."""
        return sha256(self.manifest).digest()

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
            self.root,
            self.digest,
            b"",
        )
        return replace(link, hash=link.expected_hash(head.hash))
