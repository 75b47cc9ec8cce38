"""crc32: the CRC-32 of zlib, from zlib-ng where a build exists: seven times as fast for an event."""

try:
    from zlib_ng.zlib_ng import crc32
except ImportError:  # a platform without a build of zlib-ng
    from zlib import crc32

__all__ = ["crc32"]
