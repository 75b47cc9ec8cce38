"""Origin: the constant part of a segment's header: the store, process and time of the segment's creation."""

import struct
from dataclasses import dataclass
from uuid import UUID

from signal_gateway._machine import machine
from signal_gateway.audit.checksum import crc32

__all__ = ["BadSegment", "NewerSegment", "Origin"]

_MAGIC = b"SGSPOOL\0"
_VERSION = 1
_ORIGIN = struct.Struct("<8sIIQ16sI16sd64s")
_CHECKSUM = struct.Struct("<I")


class BadSegment(Exception):  # noqa: N818 - internal to audit.wal
    """A file is not a readable segment. The message has the reason."""


class NewerSegment(BadSegment):
    """A segment has a format version that this release does not support."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Store, process and time of the creation of a segment.

    Attributes:
        store_id: Id of the audit store.
        sequence: Number of the segment among the segments of its store, from 1.
        service: Name of the service, cut to 64 bytes.
        pid: Id of the process.
        boot_id: Boot id of the machine; zero on systems without one.
        created: Seconds since the epoch.
    """

    store_id: UUID
    sequence: int
    service: str
    pid: int
    boot_id: UUID
    created: float

    @classmethod
    def of(cls, *, store_id: UUID, sequence: int, service: str, pid: int, boot_id: UUID) -> "Origin":
        """Return the origin of a segment that is created now."""
        return cls(store_id, sequence, service, pid, boot_id, machine.time())

    @classmethod
    def unknown(cls) -> "Origin":
        """Return the origin of a segment with a damaged header."""
        return cls(UUID(int=0), 0, "", 0, UUID(int=0), 0.0)

    def encoded(self, size: int) -> bytes:
        """Return the encoded origin with its checksum.

        Args:
            size: Size of the segment in bytes.
        """
        name = self.service.encode()[:64]
        data = _ORIGIN.pack(
            _MAGIC,
            _VERSION,
            self.sequence,
            size,
            self.store_id.bytes,
            self.pid,
            self.boot_id.bytes,
            self.created,
            name,
        )
        return data + _CHECKSUM.pack(crc32(data))

    @classmethod
    def read(cls, data: bytes) -> "Origin":
        """Decode the origin at the beginning of a header.

        Raises:
            BadSegment: The data is no origin, is damaged, or has an unsupported version.
        """
        magic, version, sequence, _, store_id, pid, boot_id, created, name = _ORIGIN.unpack_from(data)
        (checksum,) = _CHECKSUM.unpack_from(data, _ORIGIN.size)
        if magic != _MAGIC:
            raise BadSegment("it is no spool segment")
        if checksum != crc32(data[: _ORIGIN.size]):
            raise BadSegment("the header is damaged")
        if version != _VERSION:
            raise NewerSegment(f"it has version {version}, this release supports version {_VERSION}")
        service = name.rstrip(b"\0").decode(errors="replace")
        return cls(UUID(bytes=store_id), sequence, service, pid, UUID(bytes=boot_id), created)
