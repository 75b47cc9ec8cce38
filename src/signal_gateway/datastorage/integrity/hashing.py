"""Hashes: the leaf of a stored event, and the root of a Merkle tree (RFC 9162, 2.1)."""

from collections.abc import Sequence
from hashlib import sha256

__all__ = ["HASH_BYTES", "leaf_hash", "merkle_root"]

HASH_BYTES = 32


def leaf_hash(received_at: int, envelope: str, event_data: str) -> bytes:
    """Return the hash of the canonical form of a stored event.

    The canonical form is the text as the database has it: the time of arrival, the envelope and the event data,
    separated by line feeds. The envelope is one JSON object, so no other three values have the same form.

    Args:
        received_at: Microseconds since the epoch.
        envelope: As in `EventRow`.
        event_data: As in `EventRow`.
    """
    return sha256(f"\0{received_at}\n{envelope}\n{event_data}".encode()).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash of leaf hashes; that of no leaves is the hash of the empty string."""
    if not leaves:
        return sha256().digest()
    level = leaves
    while len(level) > 1:
        above = [sha256(b"\1" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            above.append(level[-1])  # the last node of an odd level moves up as it is
        level = above
    return level[0]
