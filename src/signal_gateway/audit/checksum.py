"""CRC-32 as of zlib, seven times as fast for an event where there is zlib-ng."""

try:
    from zlib_ng.zlib_ng import crc32
except ImportError:  # a platform that it is not built for
    from zlib import crc32

__all__ = ["crc32"]
