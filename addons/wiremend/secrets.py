"""Which parts of a message are credentials, and redacting them.

Routing does not send the client's credentials to another provider. What is shown, logged or saved
is redacted first.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Sequence, Set
from functools import cached_property
from urllib.parse import quote, unquote, unquote_plus

import orjson

from wiremend.text.patterns import text_pattern

REDACTED = "REDACTED"
"""The text that replaces a secret."""

CREDENTIAL_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "x-goog-user-project",
        "cookie",
        "set-cookie",
        "chatgpt-account-id",
        "openai-organization",
        "openai-project",
        "anthropic-organization-id",
    }
)
"""Headers that identify a client to its provider. Others are recognised by a word in their name,
such as `helicone-auth`."""
CREDENTIAL_QUERY_KEYS = frozenset({"key", "api_key", "api-key", "access_token", "token"})
"""`key` is used by Gemini (https://ai.google.dev/api), the others by gateways."""

_SECRET_WORDS = frozenset(
    {
        *("auth", "authorization", "key", "apikey", "token", "secret", "cookie", "cookie2"),
        *("credential", "credentials", "signature", "password", "sig", "passwd", "passphrase"),
        *("authentication", "dpop", "assertion", "bearer"),
    }
)
"""The last words of names of secrets; words are separated by `-`, `_` and `.`."""
_SECRET_ENDS = tuple(_SECRET_WORDS)
_NO_SECRETS = frozenset(
    {"idempotency-key", "x-idempotency-key", "sec-websocket-key", "prompt-cache-key"}
)
_CREDENTIAL_WORDS = ("auth", "key", "token", "cookie", "secret", "credential")
_SCHEME = text_pattern(r"(?:bearer|basic|token)\s++", ignore_case=True)
_COOKIES = ("cookie", "set-cookie")
SECRETS_LIMIT = 100
"""The number of secrets of one request that are searched for in everything that is kept of it."""
SHORTEST_SECRET = 8
"""Minimum length of a secret value. Shorter values are not keys, and occur in any text."""

Fields = Iterable[tuple[str, str]]


def is_secret_header(name: str) -> bool:
    """Return whether the value of a header is a credential. The name's case is ignored."""
    name = name.lower()
    if name in CREDENTIAL_HEADERS:
        return True
    if "jwt" in name and ("-jwt" in name or name.startswith("jwt")):
        return True
    if not name.endswith(_SECRET_ENDS):  # as most names
        return False
    return name not in _NO_SECRETS and _last_word(name) in _SECRET_WORDS


def may_hold_credential(name: str) -> bool:
    """Return whether a configured header may contain a credential.

    More names qualify than for `is_secret_header`: those that contain a word such as `key`.
    """
    name = name.lower()
    return is_secret_header(name) or any(word in name for word in _CREDENTIAL_WORDS)


def is_secret_parameter(name: str) -> bool:
    """Return whether a query parameter's value is a credential; `name` is URL-encoded."""
    name = unquote_plus(name).lower()
    return name in CREDENTIAL_QUERY_KEYS or _last_word(name) in _SECRET_WORDS


def _last_word(name: str) -> str:
    return name[max(map(name.rfind, "-_.")) + 1 :]


def redacted_value(name: str, value: str) -> str:
    """Return a header's value with its credential redacted; a scheme such as `Bearer` is kept."""
    if not value or not is_secret_header(name):
        return value
    scheme = _SCHEME.match(value)
    return (scheme[0] if scheme else "") + REDACTED


def redacted_path(path: str) -> str:
    """Return a path and query with the values of secret parameters redacted."""
    endpoint, mark, query = path.partition("?")
    if not mark:
        return path
    return endpoint + mark + "&".join(_redacted_parameter(part) for part in query.split("&"))


def redacted_credentials(fields: Fields, path: str = "") -> tuple[str, ...]:
    """Return the names of the credentials that were redacted, without those of cookies.

    They are the headers of `fields`, and the parameters in the query of `path`.
    """
    names = [
        name
        for name, value in fields
        if REDACTED in value and is_secret_header(name) and name.lower() not in _COOKIES
    ]
    for part in path.partition("?")[2].split("&"):
        name, _, value = part.partition("=")
        if value == REDACTED and is_secret_parameter(name):
            names.append(name)
    return tuple(dict.fromkeys(names))


def secret_values(fields: Fields, path: str = "") -> frozenset[str]:
    """Return the credentials in header fields and in the query of `path`, as text to search for.

    Each is returned in the forms in which it may appear elsewhere: with and without its scheme,
    decoded, and percent-encoded. Values of fewer than 8 characters are left out, and all but the
    first `SECRETS_LIMIT`, with those in cookies last: the time to redact a message grows with their
    number. Further values are redacted in their own headers and parameters only.
    """
    headers: list[str] = []
    cookies: list[str] = []
    for name, value in fields:
        if is_secret_header(name):
            found = (value, *_parts(name.lower(), value))
            (cookies if name.lower() in _COOKIES else headers).extend(found)
    parameters: list[str] = []
    query = path.partition("?")[2]
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if is_secret_parameter(name):
            parameters += [value, unquote(value)]
    return _searched_for([*headers, *parameters, *cookies])


def secret_forms(credentials: Iterable[str]) -> frozenset[str]:
    """Return credentials that stand in a body, in the forms that `secret_values` returns."""
    found: list[str] = []
    for value in credentials:
        found += (value, *_parts("", value), *_escaped(value))
    return _searched_for(found)


def _escaped(value: str) -> Iterable[str]:
    """Yield the forms in which JSON may contain a text with characters such as `/` or `"`."""
    yield value.replace("/", "\\/")
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]


def _searched_for(found: Iterable[str]) -> frozenset[str]:
    distinct = [value for value in dict.fromkeys(found) if len(value) >= SHORTEST_SECRET]
    if not distinct:
        return frozenset()
    values = set(distinct[:SECRETS_LIMIT])
    values |= {_percent_encoded(value) for value in values}
    return frozenset([value for value in values if REDACTED not in value])


def _percent_encoded(value: str) -> str:
    words = value.replace("-", "").replace("_", "").replace(" ", "")
    if words.isascii() and words.isalnum():  # as usual keys, with and without their schemes
        return value.replace(" ", "%20")
    return quote(value, safe="", errors="surrogateescape")


def without_secret_parameters(query: str) -> str:
    """Return a query string without secret parameters; the others keep their bytes."""
    parts = query.split("&") if query else []
    return "&".join(part for part in parts if not is_secret_parameter(part.split("=")[0]))


class Redactor:
    """Redacts these values, each of which is encoded once.

    Most texts contain none of them. For that, only the values that contain no other value are
    searched for: if a key is not found, neither is the same key with its scheme. Bytes are searched
    with `find`: `in` takes longer for short ones, since it first tries to read its left operand as
    an integer.
    """

    def __init__(self, values: Set[str]) -> None:
        self._longest_first = sorted(values, key=len, reverse=True)
        self._innermost = _innermost(self._longest_first)
        self._encoded = list(map(_encoded, self._innermost))

    @cached_property
    def _in_json(self) -> list[bytes]:
        """The values as JSON contains them; an empty one, which all texts contain, if it cannot."""
        try:
            return [orjson.dumps(value)[1:-1] for value in self._innermost]
        except TypeError:  # a lone surrogate
            return [b""]

    def text(self, text: str) -> str:
        """Return the text with the values redacted; the same object if it contains none."""
        for value in self._innermost:
            if value in text:
                break
        else:
            return text
        for value in self._longest_first:
            text = text.replace(value, REDACTED)
        return text

    def data(self, data: bytes) -> bytes:
        """Return bytes with the values redacted; the same object if they contain none."""
        return self._redacted(data, keeps_length=False)

    def data_in_place(self, data: bytes) -> bytes:
        """The same for bytes whose length must stay; values are at least as long as `REDACTED`."""
        return self._redacted(data, keeps_length=True)

    def _redacted(self, data: bytes, *, keeps_length: bool) -> bytes:
        for value in self._encoded:
            if data.find(value) >= 0:
                break
        else:
            return data
        for encoded in map(_encoded, self._longest_first):
            shown = REDACTED.encode()
            data = data.replace(encoded, shown.ljust(len(encoded), b"_") if keeps_length else shown)
        return data

    def may_be_in_json(self, text: bytes) -> bool:
        """Return whether JSON that orjson wrote may contain a value."""
        return bool([value for value in self._in_json if text.find(value) >= 0])


_MOST_COMPARED = 16
"""Values; comparing each with each takes longer than to search for more of them."""


def _innermost(longest_first: Sequence[str]) -> list[str]:
    """Return the values that contain no other one; all, if there are many."""
    if not 1 < len(longest_first) <= _MOST_COMPARED:
        return list(longest_first)
    found: list[str] = []
    for value in reversed(longest_first):
        if not [inner for inner in found if inner in value]:
            found.append(value)
    return found


def _encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def masked(text: str, values: Set[str]) -> str:
    """Return the text with these values redacted; the same object if it contains none."""
    return Redactor(values).text(text)


def masked_in_place(data: bytes, values: Set[str]) -> bytes:
    """The same for bytes, whose length stays."""
    return Redactor(values).data_in_place(data)


def _redacted_parameter(part: str) -> str:
    name, sign, value = part.partition("=")
    return f"{name}={REDACTED}" if sign and value and is_secret_parameter(name) else part


def _parts(name: str, value: str) -> list[str]:
    """Return the credentials in a header's value without scheme, user name and cookie names."""
    if name in _COOKIES:
        pairs = value.split(";") if name == "cookie" else value.split(";")[:1]
        return [pair.partition("=")[2].strip() for pair in pairs]
    scheme = _SCHEME.match(value)
    if scheme is None:
        return []
    rest = value[scheme.end() :]
    if not scheme[0].lower().startswith("basic"):
        return [rest]
    try:
        decoded = base64.b64decode(rest, validate=True).decode()
    except (binascii.Error, ValueError):
        return [rest]
    return [rest, decoded, decoded.partition(":")[2]]


def without_quoted_bytes(message: str) -> str:
    """Return an error message without the bytes that mitmproxy or h2 quotes in it.

    They are what the peer sent: part of a head may contain half a secret.
    """
    quotes = (" b'", ' b"', " bytearray(")
    starts = [start for quote in quotes if (start := message.find(quote)) >= 0]
    if not starts:
        return message
    return f"{message[: min(starts)].rstrip(': ')} (its bytes are not shown)"
