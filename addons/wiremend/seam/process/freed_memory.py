"""Freed memory: what the C library keeps of it, and what it returns to the system."""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Numbers of the parameters of glibc's `mallopt` (malloc.h)."""
_LARGE_BYTES = 256 * 1024


def return_large_buffers() -> None:
    """Make the C library return each buffer of 256 KiB or more to the system when it is freed.

    By default, glibc raises this size to that of the largest buffer that was freed, up to 32 MiB.
    From then on large bodies are parts of its heap, and small objects behind them keep the heap
    large. Systems without `mallopt` are left alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)
