"""Checkpoint: a position of the chain in JSON, to be kept outside the database."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from signal_gateway.datastorage.integrity.link import HASH_BYTES

__all__ = ["Checkpoint"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = ("datastorage", "position", "count", "hash", "time")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A position of the chain and its hash, which binds every event and purge up to it.

    Attributes:
        datastorage: The id of the DataStorage.
        position: The number of the link.
        count: The events that were stored up to it, purged ones included.
        hash: The hash of the link.
        sealed_at: The time of the link, in microseconds since the epoch; 0 for an empty chain.
    """

    datastorage: str
    position: int
    count: int
    hash: bytes
    sealed_at: int

    def to_json(self) -> dict[str, Any]:
        """Return the checkpoint as a JSON object, with the hash in hexadecimal and the time in RFC 3339."""
        time = _EPOCH + timedelta(microseconds=self.sealed_at)
        return {
            "datastorage": self.datastorage,
            "position": self.position,
            "count": self.count,
            "hash": self.hash.hex(),
            "time": time.isoformat().replace("+00:00", "Z"),
        }

    @classmethod
    def parse(cls, text: str | bytes) -> "Checkpoint":
        """Parse the JSON of a checkpoint.

        Raises:
            ValueError: It is no checkpoint; the message names the member.
        """
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError as exc:
            raise ValueError(f"is not JSON: {exc}") from exc
        if not isinstance(document, dict):
            raise ValueError("must be a JSON object")
        for name in _SHOWN:
            wanted = int if name in ("position", "count") else str
            value = document.get(name)
            if type(value) is not wanted or (isinstance(value, int) and not 0 <= value < 2**63):
                raise ValueError(f"has no valid member {name!r}: it is {value!r:.80}")
        try:
            digest = bytes.fromhex(document["hash"])
            moment = datetime.fromisoformat(document["time"])
            sealed_at = (moment - _EPOCH) // timedelta(microseconds=1)
        except (ValueError, TypeError) as exc:
            raise ValueError(f"has no valid hash or time: {exc}") from exc
        if len(digest) != HASH_BYTES:
            raise ValueError(f"has a hash of {len(digest)} bytes, a SHA-256 has {HASH_BYTES}")
        return cls(document["datastorage"], document["position"], document["count"], digest, sealed_at)
