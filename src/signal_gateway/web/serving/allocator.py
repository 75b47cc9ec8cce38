"""The memory of a process: limits for the free memory that glibc keeps, and the work of the garbage collector."""

import ctypes
import gc
from typing import Final

__all__ = ["collect_less_often", "limit_free_memory", "release_free_memory"]

# malloc.h of glibc
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_YOUNG_OBJECTS: Final = 10_000
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


def collect_less_often() -> None:
    """Leave out the objects that live now from every collection, and collect after 10 000 new objects instead of 700.

    Call it when the service is ready to start. A request at work has hundreds of objects: with 700 a collection looks
    at the requests in flight again and again, and a full one at every module.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])
