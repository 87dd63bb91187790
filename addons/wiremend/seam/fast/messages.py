"""Parts that replace how mitmproxy makes and reads messages; see `wiremend.seam.fast.paths`."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from itertools import chain
from operator import itemgetter
from types import UnionType
from typing import Any, get_args, get_origin

from mitmproxy import http
from mitmproxy.net import check as net_check
from mitmproxy.net.http import url, validate
from mitmproxy.net.http.http1 import read
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers import http as layers_http

from wiremend.text.patterns import linear_pattern

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

    def names_in(headers: http.Headers) -> list[bytes]:
        """Return the names of the fields in lower case."""
        fields = headers.fields
        known = headers.__dict__.get(_NAMES)
        if known is not None and known[0] is fields:
            names: list[bytes] = known[1]
            return names
        names = list(map(bytes.lower, map(name_of, fields)))
        if type(fields) is tuple:  # what an addon may set does not change
            headers.__dict__[_NAMES] = fields, names
        return names

    def key_of(name: str | bytes) -> bytes:
        if type(name) is str:
            return name.encode("utf-8", "surrogateescape").lower()
        return http._always_bytes(name).lower()

    def get_all(headers: http.Headers, name: str | bytes) -> list[str]:
        key, names = key_of(name), names_in(headers)
        if key not in names:
            return []  # as in most cases
        return [
            field[1].decode("utf-8", "surrogateescape")
            for field, known in zip(headers.fields, names, strict=True)
            if known == key
        ]

    def __getitem__(headers: http.Headers, name: str | bytes) -> str:
        values = headers.get_all(name)
        if not values:
            raise KeyError(name)
        return values[0] if len(values) == 1 else ", ".join(values)

    def __contains__(headers: http.Headers, name: object) -> bool:
        return key_of(name) in names_in(headers)  # type: ignore[arg-type]

    def get(headers: http.Headers, name: str | bytes, default: Any = None) -> Any:
        key, names = key_of(name), names_in(headers)
        count = names.count(key)
        if count == 0:
            return default
        if count == 1:
            return headers.fields[names.index(key)][1].decode("utf-8", "surrogateescape")
        return ", ".join(headers.get_all(name))

    methods = (__init__, get_all, __getitem__, __contains__, get)
    return [(http.Headers, method.__name__, method) for method in methods]


# head_lines


def head_lines() -> Sequence[Replacement]:
    """Replace how the lines of a head are read, which raises and catches nothing then."""
    original = read._read_headers

    def _read_headers(lines: Iterable[bytes]) -> http.Headers:
        given, fields = list(lines), []
        for line in given:
            name, colon, value = line.partition(b":")
            if not name or not colon or name[0] in b" \t":
                return original(given)  # a continued line, or an error
            fields.append((name, value.strip()))
        headers = http.Headers()
        headers.fields = tuple(fields)
        return headers

    return [(read, "_read_headers", _read_headers)]


# head_checks


def head_checks() -> Sequence[Replacement]:
    """Replace the check of a head, which matches each name and looks at each field."""
    original, name_of = validate.validate_headers, itemgetter(0)
    are_valid = linear_pattern(rb"[!#$%&'*+\-.^_`|~0-9a-zA-Z\n]+").fullmatch
    is_length = validate._valid_content_length.match

    def validate_headers(message: http.Message) -> None:
        fields = message.headers.fields
        names = list(map(bytes.lower, map(name_of, fields)))
        together = b"\n".join(names)
        if all(names) and are_valid(together) and together.count(b"\n") == len(names) - 1:
            lengths, codings = names.count(b"content-length"), names.count(b"transfer-encoding")
            if not codings:
                if not lengths:
                    return
                if lengths == 1 and is_length(fields[names.index(b"content-length")][1]):
                    return
            elif codings == 1 and not lengths and _is_plainly_chunked(message, names):
                return
        original(message)

    return [
        (validate, "validate_headers", validate_headers),
        (layers_http, "validate_headers", validate_headers),
    ]


def _is_plainly_chunked(message: http.Message, names: list[bytes]) -> bool:
    coding = message.headers.fields[names.index(b"transfer-encoding")][1]
    status = message.data.status_code if isinstance(message, http.Response) else 200
    return coding == b"chunked" and message.is_http11 and status >= 200 and status != 204


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


# urls


def urls() -> Sequence[Replacement]:
    """Replace how the target of a request to a forward proxy is parsed, which only checks it."""
    original = url.parse
    remembered = _remembered(original)

    def parse(target: str | bytes) -> tuple[bytes, bytes, int, bytes]:
        mark = b"?" if isinstance(target, bytes) else "?"
        # A query differs each time, and may contain a key.
        return original(target) if mark in target else remembered(target)  # type: ignore[operator]

    return [(url, "parse", parse)]


# context_forks


def context_forks() -> Sequence[Replacement]:
    """Replace how a context is copied: mitmproxy makes a server with an id, and drops it."""

    def fork(context: Context) -> Context:
        copy = object.__new__(Context)
        copy.client, copy.options = context.client, context.options
        copy.server, copy.layers = context.server, context.layers.copy()
        return copy

    return [(Context, "fork", fork)]


def _remembered[T](original: Callable[..., T]) -> Callable[..., T]:
    """Remember the results for the last short names; an exception is not remembered."""
    cached = lru_cache(_REMEMBERED_HOSTS, typed=True)(original)

    def function(name: str | bytes, *args: Any, **kwargs: Any) -> T:
        if isinstance(name, str | bytes) and len(name) <= _LONGEST_HOST:
            return cached(name, *args, **kwargs)
        return original(name, *args, **kwargs)

    return function
