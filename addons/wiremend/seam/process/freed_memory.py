"""Freed memory: what the C library keeps of it, and what it returns to the system."""

import ctypes
from collections.abc import Callable
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of the parameters of glibc's `mallopt` (malloc.h)."""
_MAPPED_BYTES = 4 * 1024 * 1024
_KEPT_BYTES = 16 * 1024 * 1024


def keep_freed_buffers() -> None:
    """Make the C library keep freed buffers for the next ones, up to a limit.

    A buffer that is returned to the system when it is freed costs a page fault for each of its
    pages when it is needed again: for the copies of a body of 1 MB that takes longer than to copy
    them. asyncio allocates 256 KiB for each read. Buffers of 4 MiB or more are returned at once;
    by default, glibc would raise this size to that of the largest one that was freed.
    Systems without `mallopt` are left alone.
    """
    mallopt = _function("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def return_freed_memory() -> None:
    """Return all free pages to the system, also those between objects that still exist.

    Call it from time to time: small objects behind a large buffer would keep the heap large. It
    takes a tenth of a millisecond. Systems without `malloc_trim` are left alone.
    """
    malloc_trim = _function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def _function(name: str) -> Callable[..., Any] | None:
    """Return a function of the C library; None if it has none of this name."""
    try:
        function: Callable[..., Any] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return None
    return function
