"""What the C library keeps of memory that was freed."""

import ctypes
from typing import Final

__all__ = ["give_back_memory", "keep_little_memory"]

# malloc.h of glibc
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_MMAP_BYTES: Final = 256 * 1024
_TRIM_BYTES: Final = 1024 * 1024


def keep_little_memory() -> None:
    """Have memory given back to the system that large bodies took; does nothing where the C library isn't glibc.

    glibc learns from each large block that is freed to keep blocks of that size, up to 32 MiB, and twice as much free
    heap. Set by hand, it doesn't learn. It is a setting of the whole process.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)


def give_back_memory() -> None:
    """Give free pages in the midst of the heap back to the system; does nothing where the C library isn't glibc."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
