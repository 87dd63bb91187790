"""A part of `fast_paths`: host names are read once."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from mitmproxy.net import check as net_check
from mitmproxy.net.http import url

Replacement = tuple[object, str, Any]
"""An owner, the name of its attribute, and the new value."""

_REMEMBERED_HOSTS = 128
_LONGEST_HOST = 300
"""Longer names are not remembered. A valid one has 255 bytes at most, and a port."""


def host_names() -> Sequence[Replacement]:
    """Replace functions that read the same few host names several times in each call."""
    parse_authority = _remembered(url.parse_authority)
    is_valid_host = _remembered(net_check.is_valid_host)
    return [
        (url, "parse_authority", parse_authority),
        (url, "is_valid_host", is_valid_host),
        (net_check, "is_valid_host", is_valid_host),
    ]


def _remembered[T](original: Callable[..., T]) -> Callable[..., T]:
    """Remember the results for the last short names; an exception is not remembered."""
    cached = lru_cache(_REMEMBERED_HOSTS, typed=True)(original)

    def function(name: str | bytes, *args: Any, **kwargs: Any) -> T:
        if isinstance(name, str | bytes) and len(name) <= _LONGEST_HOST:
            return cached(name, *args, **kwargs)
        return original(name, *args, **kwargs)

    return function
