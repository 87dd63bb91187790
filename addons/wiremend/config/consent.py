"""What a configuration file can reach, computed from its parsed TOML before anything else is read.

A `wiremend.toml` may come with a cloned repository. It can send prompts and secrets to any host,
so its content is obeyed only after the user allowed it, unless it reaches nothing. Two contents
are compared by what they reach: an edit that adds nothing to it needs no new consent.

The reach is the set of everything that decides where calls and secrets go: providers with their
addresses, environment variables, key files, keys and headers, each together with the address that
receives it; intercepted hosts; web origins. Settings are listed as harmless here by name; any
other setting counts, so a new one needs consent until somebody decides that it does not.
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
        "timeouts",
        "heartbeat",
        "rules",
        "models",  # they choose between providers, which count themselves
        "lessons",
        "fire_and_forget",
        "shutdown",
    }
)
"""Sections that send nothing anywhere."""
HARMLESS_KEYS: Mapping[str, frozenset[str]] = {
    "intercept": frozenset({"websocket"}),
    "providers": frozenset({"schema_dialect", "message_rules", "max_output_tokens"}),
}
"""The same for keys of the other sections."""

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""An environment variable in a secret."""
_PLAIN = re.compile(r"[^\s,()'\"]+\Z")


class Kind(enum.Enum):
    """The kinds of things that a file can reach; the values are the labels in messages."""

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
    """One thing that a file can reach.

    `name` and `detail` are shown to people; they hold no literal secret. `digest` is of the exact
    values, so that another literal key, header value or path of an address is another thing.
    """

    kind: Kind
    name: str
    detail: str = ""
    digest: str = ""


Reach = frozenset[Reached]


def reach(values: Mapping[str, Any]) -> Reach:
    """Everything that a configuration can reach. `values` is its TOML, with `${NAME}` as written.

    Values of a wrong type are accepted; validating them is not the task of this function.
    """
    return frozenset(_reached(values))


def describe(reached: Iterable[Reached]) -> list[str]:
    """One line for each kind: its label, and the names in alphabetical order."""
    names: dict[Kind, set[str]] = {kind: set() for kind in Kind}
    for one in reached:
        names[one.kind].add(f"{one.name} ({one.detail})" if one.detail else one.name)
    return [f"{kind.value}: {', '.join(sorted(found))}" for kind, found in names.items() if found]


def content_digest(data: bytes, values: Mapping[str, Any], directory: Path) -> str:
    """The digest that a consent is recorded under: of the content, wherever the file is.

    A file that names a key file relative to its own directory means another key in another
    directory. Its digest includes the directory.
    """
    digest = hashlib.sha256(data)
    if any(not os.path.isabs(os.path.expanduser(name)) for name in key_files(values)):
        digest.update(b"\0" + os.fsencode(directory))
    return digest.hexdigest()


def key_files(values: Mapping[str, Any]) -> list[str]:
    """The names of all key files, as written."""
    found = [provider.get("api_key_file") for _, provider in _tables(values.get("providers"))]
    return [name for name in found if isinstance(name, str)]


def _reached(values: Mapping[str, Any]) -> Iterator[Reached]:
    for section, content in values.items():
        if section == "providers" and isinstance(content, dict):
            for name, provider in content.items():
                yield from _reached_by_provider(name, provider)
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
            yield from (Reached(kind, _printable(str(one).lower())) for one in value)
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
        kinds = {"api_key": Kind.KEY, "api_key_file": Kind.KEY_FILE}
        shown = str(value) if key == "api_key_file" else key
        literal = Reached(kinds.get(key, Kind.SETTING), _printable(shown), f"to {to}")
        yield from _secret(literal, [address, key], value)


def _secret(literal: Reached, place: list[Any], value: Any) -> Iterator[Reached]:
    """The variables in a value, or the literal when it contains none."""
    digest = _digest([*place, value])
    variables = sorted({*VARIABLE.findall(json.dumps(value, default=str))})
    if not variables:
        yield Reached(literal.kind, literal.name, literal.detail, digest)
    for name in variables:
        yield Reached(Kind.VARIABLE, name, literal.detail, digest)


def _origin(address: Any) -> str:
    """Scheme, host and port of an address. The rest is not shown: keys are pasted into it."""
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
    """The text, quoted and escaped where it could pass for something else on a terminal."""
    return text if text.isprintable() and _PLAIN.match(text) else ascii(text)


def _tables(content: Any) -> list[tuple[str, dict[str, Any]]]:
    entries = content.items() if isinstance(content, dict) else ()
    return [(name, table) for name, table in entries if isinstance(table, dict)]
