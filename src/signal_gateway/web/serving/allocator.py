"""The memory allocator of glibc: limits for the free memory that a process keeps."""

import ctypes
from typing import Final

__all__ = ["limit_free_memory", "release_free_memory"]

# malloc.h of glibc
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_MMAP_BYTES: Final = 256 * 1024
_TRIM_BYTES: Final = 1024 * 1024


def limit_free_memory() -> None:
    """Make the allocator return the memory of large bodies to the system; does nothing without glibc.

    By default glibc adapts to large blocks: after one is freed, it keeps free blocks of that size, up to 32 MiB, and
    free heap of twice that size. Fixed thresholds switch that off. They apply to the whole process.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)


def release_free_memory() -> None:
    """Return free pages within the heap to the system; does nothing without glibc."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
