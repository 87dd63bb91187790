"""Parts that replace how mitmproxy makes and reads messages; see `wiremend.seam.fast.paths`."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from itertools import chain
from operator import itemgetter
from types import UnionType
from typing import Any, get_args, get_origin

from mitmproxy import http
from mitmproxy.net import check as net_check
from mitmproxy.net.http import url

Replacement = tuple[object, str, Any]
"""An owner, the name of its attribute, and the new value."""


# field_types


def field_types() -> Sequence[Replacement]:
    """Replace the check of the types, which reads the annotations of each message."""

    @cache
    def types_of(message: type) -> tuple[tuple[str, tuple[type, ...]], ...]:
        return tuple((field.name, _classes_of(field.type)) for field in dataclasses.fields(message))

    original = http.MessageData.__post_init__

    def __post_init__(data: http.MessageData) -> None:
        values = data.__dict__
        for name, classes in types_of(type(data)):
            if not isinstance(values[name], classes):
                original(data)  # type: ignore[no-untyped-call] # raises the error, or accepts an int for a float
                return

    return [(http.MessageData, "__post_init__", __post_init__)]


def _classes_of(annotation: Any) -> tuple[type, ...]:
    """Return the classes whose instances have this type; none if it is not that simple."""
    parts = get_args(annotation) if get_origin(annotation) is UnionType else (annotation,)
    return parts if all(isinstance(part, type) for part in parts) else ()


# header_lookup


_NAMES = "wiremend_names"
"""The attribute of Headers with the fields that were looked through last, and their names."""


def header_lookup() -> Sequence[Replacement]:
    """Replace how header fields are checked, and found by name."""
    original = http.Headers.__init__
    pair, just_bytes, name_of = frozenset({2}), frozenset({bytes}), itemgetter(0)

    def __init__(headers: http.Headers, fields: Any = (), **named: Any) -> None:
        given = tuple(map(tuple, fields))
        are_pairs = pair.issuperset(map(len, given))
        if are_pairs and not named and just_bytes.issuperset(map(type, chain.from_iterable(given))):
            headers.fields = given
        else:
            original(headers, given, **named)

    def get_all(headers: http.Headers, name: str | bytes) -> list[str]:
        if type(name) is str:
            key = name.encode("utf-8", "surrogateescape").lower()
        else:
            key = http._always_bytes(name).lower()
        fields = headers.fields
        fields_and_names = headers.__dict__.get(_NAMES)
        if fields_and_names is None or fields_and_names[0] is not fields:
            fields_and_names = fields, set(map(bytes.lower, map(name_of, fields)))
            if type(fields) is tuple:  # what an addon may set does not change
                headers.__dict__[_NAMES] = fields_and_names
        if key not in fields_and_names[1]:
            return []  # as in most cases
        return [
            value.decode("utf-8", "surrogateescape")
            for field, value in fields
            if field.lower() == key
        ]

    def __getitem__(headers: http.Headers, name: str | bytes) -> str:
        values = headers.get_all(name)
        if not values:
            raise KeyError(name)
        return values[0] if len(values) == 1 else ", ".join(values)

    def __contains__(headers: http.Headers, name: object) -> bool:
        return bool(headers.get_all(name))  # type: ignore[arg-type]

    def get(headers: http.Headers, name: str | bytes, default: Any = None) -> Any:
        values = headers.get_all(name)
        if not values:
            return default
        return values[0] if len(values) == 1 else ", ".join(values)

    methods = (__init__, get_all, __getitem__, __contains__, get)
    return [(http.Headers, method.__name__, method) for method in methods]


# host_names

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
