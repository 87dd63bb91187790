"""Reading the JSON of another proxy: comments and trailing commas, addresses, keys.

claude-code-router reads JSON5, so people write comments and trailing commas.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from wiremend.launch.importing.result import Imported, shown

FILE_LIMIT_BYTES = 1024 * 1024
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"|//[^\r\n]*+|/\*.*?\*/|,(?=\s*+[}\]])', re.DOTALL)
_REFERENCE = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))\Z", re.ASCII)
_NAME = re.compile(r"[^A-Za-z0-9]+")
_ENDPOINT = re.compile(r"/(?:chat/completions|messages|responses|models)/?\Z")
_PROTOCOLS: tuple[tuple[str, str], ...] = (
    ("/chat/completions", "chat"),
    ("/messages", "anthropic"),
    ("/responses", "responses"),
    ("/models", "gemini"),
)


class NotImportable(Exception):
    """The file cannot be imported; the message contains the reason and what to do."""


def parse(data: bytes) -> Mapping[str, Any]:
    """Return the object in a file of JSON, in which comments and trailing commas are accepted.

    Raises NotImportable.
    """
    if len(data) > FILE_LIMIT_BYTES:
        raise NotImportable(f"is larger than {FILE_LIMIT_BYTES} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotImportable("is not UTF-8") from None
    try:
        value = json.loads(_without_comments(text))
    except json.JSONDecodeError as error:
        raise NotImportable(f"line {error.lineno}: is not JSON: {error.msg.lower()}") from None
    except (ValueError, RecursionError):
        raise NotImportable("contains a number that is too long, or is nested too deeply") from None
    if not isinstance(value, dict):
        raise NotImportable("is not a JSON object")
    return value


def _without_comments(text: str) -> str:
    """Blank comments and trailing commas out; what follows keeps its line."""

    def replacement(match: re.Match[str]) -> str:
        token = match[0]
        return token if token.startswith('"') else re.sub(r"[^\r\n]", " ", token)

    once = _TOKENS.sub(replacement, text)
    return _TOKENS.sub(replacement, once)  # commas that a comment followed


def text_of(value: Any) -> str:
    """Return a value that is text, without white space around it; "" for any other value."""
    return value.strip() if isinstance(value, str) else ""


def dict_of(value: Any) -> Mapping[str, Any]:
    """Return a value that is an object; an empty one for any other value."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """Return a value that is a list; an empty one for any other value."""
    return value if isinstance(value, list) else []


def count_of(value: Any) -> int:
    """Return a value that is a positive whole number; 0 for any other value."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def address(url: str, comments: list[str]) -> str:
    """Return a base URL for `[providers.NAME]`: without endpoint, user, query and fragment.

    Adds a comment if a part that may contain a secret was left out. Returns "" if the text is no
    http or https address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not host:
        return ""
    if parts.username is not None or parts.query:
        comments.append(
            "Not carried: the user or query in the address, which may contain a secret. If the "
            "provider needs it, use api_key or headers."
        )
    authority = f"[{host}]" if ":" in host else host
    authority += f":{port}" if port else ""
    path = _ENDPOINT.sub("", parts.path).rstrip("/")
    return urlunsplit((parts.scheme, authority, path, "", ""))


def protocol_of(url: str) -> str:
    """Return the protocol whose endpoint an address ends in; "" if it ends in none."""
    path = url.split("?")[0].rstrip("/")
    return next((name for suffix, name in _PROTOCOLS if path.endswith(suffix)), "")


def keys_of(
    values: Iterable[Any], place: str, provider: str, imported: Imported
) -> tuple[tuple[str, ...], list[str]]:
    """Return references to the environment variables of keys, and comments on them.

    A key that was written in the file is replaced by a reference to a variable that is named after
    the provider. The key itself is not returned.
    """
    references: list[str] = []
    comments: list[str] = []
    for text in filter(None, map(text_of, values)):
        match = _REFERENCE.match(text)
        name = (match[1] or match[2]) if match else _variable(provider, len(references))
        if match is None:
            comments.append(f"The key was written in the file: set the variable {name} to it.")
            imported.moved_keys.append((place, name))
        if f"${{{name}}}" not in references:
            references.append(f"${{{name}}}")
    return tuple(references), comments


def not_carried(keys: Iterable[str], known: Mapping[str, str]) -> list[str]:
    """Return a comment on each key: what `known` says about it, or that it is unknown."""
    return [
        f"Not carried: {shown(key)}. {known.get(key, 'wiremend does not know this key.')}".rstrip()
        for key in keys
    ]


def _variable(provider: str, number: int) -> str:
    name = _NAME.sub("_", provider).strip("_").upper() or "PROVIDER"
    name = name if name[0].isalpha() else f"PROVIDER_{name}"
    return f"{name}_API_KEY" if number == 0 else f"{name}_API_KEY_{number + 1}"
