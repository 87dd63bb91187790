"""The reach of a configuration file, computed from its parsed TOML before anything else is read.

A `wiremend.toml` may come with a cloned repository. It can send prompts and secrets to any host.
So its content is used only after the user has allowed it, unless its reach is empty. Two contents
are compared by their reach: an edit that adds nothing to it needs no new consent.

The reach is the set of everything that decides where calls and secrets are sent: providers with
their addresses; environment variables, key files, keys and headers, each with the address that
receives it; intercepted hosts; web origins. Harmless settings are listed here by name. Any other
setting belongs to the reach, so a new setting needs consent until it is added to that list.
"""

import enum
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HARMLESS_SECTIONS = frozenset(
    {
        "retry",
        "breaker",
        "timeouts",
        "heartbeat",
        "rules",
        "lessons",
        "fire_and_forget",
        "memory",
        "shutdown",
        "check",
    }
)
"""Sections that do not decide where calls and secrets are sent."""
HARMLESS_KEYS: Mapping[str, frozenset[str]] = {
    "intercept": frozenset({"websocket"}),
    "learning": frozenset({"max_amendments", "max_elapsed"}),  # `file` writes to any place
    # Routes choose between providers, which belong to the reach. What they set in a request can
    # make a provider send it elsewhere, for example to an MCP server.
    "models": frozenset(
        {
            "match",
            "when",
            "model",
            "provider",
            "fallback",
            "stream",
            "timeouts",
            "retry",
            "disable",
        }
    ),
    "providers": frozenset(
        {
            # What it fills in belongs to the reach as if it were written.
            "preset",
            "protocol",
            "schema_dialect",
            "message_rules",
            "max_output_tokens",
            "on_unsupported",
            "timeouts",
            "retry",
            "disable",
        }
    ),
}
"""Such keys of other sections, by section."""

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""A reference to an environment variable in a secret."""
_PLAIN = re.compile(r"[^\s,()'\"]+\Z")


class Kind(enum.Enum):
    """The kinds of things in a reach. The values are the labels in messages."""

    HOST = "hosts"
    VARIABLE = "environment variables"
    KEY_FILE = "key files"
    KEY = "keys in the file itself"
    HEADER = "headers"
    INTERCEPTED = "intercepted hosts"
    ORIGIN = "web origins that may use the keys"
    SETTING = "other settings"


@dataclass(frozen=True, slots=True)
class Reached:
    """One thing in a reach.

    `name` and `detail` are shown to the user; they contain no literal secret. `digest` is that of
    the exact values, so that things with different keys, header values or paths are different.
    """

    kind: Kind
    name: str
    detail: str = ""
    digest: str = ""


Reach = frozenset[Reached]


def reach(values: Mapping[str, Any]) -> Reach:
    """Return the reach of a configuration. `values` is its TOML, with `${NAME}` as written.

    Values of a wrong type are accepted; they are validated elsewhere.
    """
    return frozenset(_reached(values))


def describe(reached: Iterable[Reached]) -> list[str]:
    """Return a line for each kind: its label, and the names in alphabetical order."""
    by_kind: dict[Kind, set[str]] = {kind: set() for kind in Kind}
    for thing in reached:
        name = f"{thing.name} ({thing.detail})" if thing.detail else thing.name
        by_kind[thing.kind].add(name)
    return [f"{kind.value}: {', '.join(sorted(names))}" for kind, names in by_kind.items() if names]


def content_digest(data: bytes, values: Mapping[str, Any], directory: Path) -> str:
    """Return the digest under which a consent is recorded: that of the content, without the path.

    If the content contains a relative path of a key file, which refers to another key in another
    directory, the digest includes the directory.
    """
    digest = hashlib.sha256(data)
    if any(not os.path.isabs(os.path.expanduser(name)) for name in key_files(values)):
        digest.update(b"\0" + os.fsencode(directory))
    return digest.hexdigest()


def key_files(values: Mapping[str, Any]) -> list[str]:
    """Return the paths of all key files, as written."""
    files = [provider.get("api_key_file") for _, provider in _tables(values.get("providers"))]
    # No file has a name with a null character; the check of the values reports it.
    return [name for name in files if isinstance(name, str) and "\0" not in name]


def _reached(values: Mapping[str, Any]) -> Iterator[Reached]:
    for section, content in values.items():
        if section == "providers" and isinstance(content, dict):
            for name, provider in content.items():
                yield from _reached_by_provider(name, provider)
        elif section == "models" and isinstance(content, list):
            for entry in content:
                yield from _reached_by_section(section, entry)
        elif section not in HARMLESS_SECTIONS:
            yield from _reached_by_section(section, content)


def _reached_by_section(section: str, content: Any) -> Iterator[Reached]:
    listed = {"intercept": ("hosts", Kind.INTERCEPTED), "access": ("origins", Kind.ORIGIN)}
    list_key, kind = listed.get(section, ("", Kind.SETTING))
    if not isinstance(content, dict):
        yield Reached(Kind.SETTING, _printable(section), digest=_digest(content))
        return
    for key, value in content.items():
        if key in HARMLESS_KEYS.get(section, ()):
            continue
        if key == list_key and isinstance(value, list):
            yield from (Reached(kind, _printable(str(item).lower())) for item in value)
        else:
            yield Reached(Kind.SETTING, _printable(f"{section}.{key}"), digest=_digest(value))


def _reached_by_provider(name: str, provider: Any) -> Iterator[Reached]:
    if not isinstance(provider, dict):
        yield Reached(Kind.SETTING, _printable(f"providers.{name}"), digest=_digest(provider))
        return
    address = provider.get("base_url", "")
    to = _origin(address)
    yield Reached(Kind.HOST, to, f"provider {_printable(name)}", _digest(address))
    for key, value in provider.items():
        if key == "base_url" or key in HARMLESS_KEYS["providers"]:
            continue
        if key == "headers" and isinstance(value, dict):
            for header, text in value.items():
                place = [address, key, header.lower()]
                literal = Reached(Kind.HEADER, _printable(header.lower()), f"to {to}")
                yield from _secret(literal, place, text)
            continue
        if key == "api_keys" and isinstance(value, list):
            for number, text in enumerate(value, start=1):
                literal = Reached(Kind.KEY, f"api_keys[{number}]", f"to {to}")
                yield from _secret(literal, [address, key], text)
            continue
        kinds = {"api_key": Kind.KEY, "api_key_file": Kind.KEY_FILE}
        shown = str(value) if key == "api_key_file" else key
        literal = Reached(kinds.get(key, Kind.SETTING), _printable(shown), f"to {to}")
        yield from _secret(literal, [address, key], value)


def _secret(literal: Reached, place: list[Any], value: Any) -> Iterator[Reached]:
    """Yield the variables in a value, or the literal if the value contains none."""
    digest = _digest([*place, value])
    variables = sorted({*VARIABLE.findall(json.dumps(value, default=str))})
    if not variables:
        yield Reached(literal.kind, literal.name, literal.detail, digest)
    for name in variables:
        yield Reached(Kind.VARIABLE, name, literal.detail, digest)


def _origin(address: Any) -> str:
    """Return scheme, host and port of an address. The rest may contain a key and is not shown."""
    try:
        url = urlsplit(address if isinstance(address, str) else "")
        host, port = url.hostname or "", url.port
    except ValueError:
        host, port = "", None
    if not host:
        return "an unknown address"
    shown = f"[{host}]" if ":" in host else host
    return _printable(f"{url.scheme}://{shown}" + (f":{port}" if port is not None else ""))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _printable(text: str) -> str:
    """Return the text, quoted and escaped if it could be misread on a terminal."""
    return text if text.isprintable() and _PLAIN.match(text) else ascii(text)


def _tables(content: Any) -> list[tuple[str, dict[str, Any]]]:
    entries = content.items() if isinstance(content, dict) else ()
    return [(name, table) for name, table in entries if isinstance(table, dict)]
