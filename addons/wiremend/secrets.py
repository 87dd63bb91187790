"""Which parts of a message are secrets, and the same message fit to be shown, logged or saved.

Two uses: what never travels to another provider (routing), and what nobody gets to read.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Set
from urllib.parse import quote, unquote, unquote_plus

REDACTED = "REDACTED"
"""What stands in the place of a secret."""

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
    }
)
"""What identifies a client to its provider; besides these, names that say it: `helicone-auth`."""
CREDENTIAL_QUERY_KEYS = frozenset({"key", "api_key", "api-key", "access_token", "token"})
"""`key=` is Gemini's (https://ai.google.dev/api); the others are gateways'."""

_SECRET_NAME = re.compile(
    r"(?:\A|[-_.])(?:auth|authorization|(?:api)?key|token|secret|cookie2?|credentials?|signature"
    r"|password|sig)\Z"
)
_NO_SECRETS = frozenset(
    {"idempotency-key", "x-idempotency-key", "sec-websocket-key", "prompt-cache-key"}
)
_CREDENTIAL_WORD = re.compile(r"auth|key|token|cookie|secret|credential", re.IGNORECASE)
_SCHEME = re.compile(r"(?:bearer|basic|token)\s+", re.IGNORECASE)
_SHORTEST = 8
"""Shorter values are no keys, and would be found in any text."""

Fields = Iterable[tuple[str, str]]


def is_secret_header(name: str) -> bool:
    """Whether a header's value is a credential, by its name in any case."""
    name = name.lower()
    if name in CREDENTIAL_HEADERS:
        return True
    return name not in _NO_SECRETS and _SECRET_NAME.search(name) is not None


def may_hold_credential(name: str) -> bool:
    """Whether a header of the configuration may carry a credential: a wider net, also by words."""
    return is_secret_header(name) or _CREDENTIAL_WORD.search(name) is not None


def is_secret_parameter(name: str) -> bool:
    """Whether a query parameter's value is a credential; `name` as it stands in the URL."""
    name = unquote_plus(name).lower()
    return name in CREDENTIAL_QUERY_KEYS or _SECRET_NAME.search(name) is not None


def redacted_value(name: str, value: str) -> str:
    """The value that a header of this name is shown with; a scheme (`Bearer`) stays."""
    if not value or not is_secret_header(name):
        return value
    scheme = _SCHEME.match(value)
    return (scheme[0] if scheme else "") + REDACTED


def redacted_path(path: str) -> str:
    """A path with its query, less the values of parameters that are credentials."""
    endpoint, mark, query = path.partition("?")
    if not mark:
        return path
    return endpoint + mark + "&".join(_redacted_parameter(part) for part in query.split("&"))


def secret_values(fields: Fields, path: str = "") -> frozenset[str]:
    """The credentials in headers and query, in every form in which they may turn up again."""
    values: set[str] = set()
    for name, value in fields:
        if is_secret_header(name):
            values |= {value, *_parts(name.lower(), value)}
    for part in path.partition("?")[2].split("&"):
        name, _, value = part.partition("=")
        if is_secret_parameter(name):
            values |= {value, unquote(value)}
    values |= {quote(value, safe="", errors="surrogateescape") for value in values}
    return frozenset(v for v in values if len(v) >= _SHORTEST and REDACTED not in v)


def masked(text: str, values: Set[str]) -> str:
    """The text with every one of these values made unreadable; the same object without any."""
    for value in sorted(values, key=len, reverse=True):
        if value in text:
            text = text.replace(value, REDACTED)
    return text


def masked_bytes(data: bytes, values: Set[str]) -> bytes:
    """The same for bytes."""
    for value in sorted(values, key=len, reverse=True):
        encoded = value.encode("utf-8", "surrogateescape")
        if encoded in data:
            data = data.replace(encoded, REDACTED.encode())
    return data


def masked_in_place(data: bytes, values: Set[str]) -> bytes:
    """The same for bytes whose length must stay; values are at least as long as `REDACTED`."""
    for value in sorted(values, key=len, reverse=True):
        encoded = value.encode("utf-8", "surrogateescape")
        if encoded in data:
            data = data.replace(encoded, REDACTED.encode().ljust(len(encoded), b"_"))
    return data


def _redacted_parameter(part: str) -> str:
    name, sign, value = part.partition("=")
    return f"{name}={REDACTED}" if sign and value and is_secret_parameter(name) else part


def _parts(name: str, value: str) -> set[str]:
    """A header's credentials without what surrounds them: scheme, user, cookies' names."""
    if name in ("cookie", "set-cookie"):
        pairs = value.split(";") if name == "cookie" else value.split(";")[:1]
        return {pair.partition("=")[2].strip() for pair in pairs}
    scheme = _SCHEME.match(value)
    if scheme is None:
        return set()
    rest = value[scheme.end() :]
    if not scheme[0].lower().startswith("basic"):
        return {rest}
    try:
        decoded = base64.b64decode(rest, validate=True).decode()
    except (binascii.Error, ValueError):
        return {rest}
    return {rest, decoded, decoded.partition(":")[2]}
