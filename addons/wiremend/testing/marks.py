"""The arguments of the marker `wiremend`, and fault tables as TOML."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

USAGE = "wiremend(config=..., cassette=..., faults=..., match=..., plain=..., provider_hosts=...)"
LEVELS = ("messages", "strict", "order")
"""The levels of `wiremend.recording.normal_form.Level`, whose module imports much."""


class WrongMark(ValueError):
    """An argument of the marker cannot be used; the text is for the user."""


@dataclass(frozen=True)
class Mark:
    """What the markers of a test request."""

    config: str = ""
    """TOML text; empty: the defaults."""
    cassette: Path | None = None
    """As written; relative to the folder of cassettes."""
    faults: str = ""
    """TOML text; empty: there are none."""
    match: str = ""
    """The level of matching; empty: that of the ini file."""
    is_plain: bool = False
    """Whether nothing is repaired and retried."""
    provider_hosts: tuple[str, ...] = ()
    """Host names and IP addresses of this machine that are the scripted provider in this test."""


def mark_of(item: pytest.Item) -> Mark:
    """Return the arguments of all markers of a test; the closest one decides. Raises WrongMark."""
    given: dict[str, Any] = {}
    for marker in item.iter_markers("wiremend"):
        if marker.args or not marker.kwargs or set(marker.kwargs) - set(_ARGUMENTS):
            raise WrongMark(f"write the marker as {USAGE}")
        given = {**marker.kwargs, **given}
    folder = item.path.parent
    fields = (_ARGUMENTS[name](value, folder) for name, value in given.items())
    return Mark(**{name: value for field in fields for name, value in field.items()})


def _config(value: Any, folder: Path) -> dict[str, Any]:
    return {"config": value if isinstance(value, str) else _text_of("config", value, folder)}


def _cassette(value: Any, folder: Path) -> dict[str, Any]:
    if not isinstance(value, str | Path) or not str(value):
        raise WrongMark(f"cassette: expected the name of a file, got {value!r}")
    return {"cassette": Path(value)}


def _faults(value: Any, folder: Path) -> dict[str, Any]:
    if isinstance(value, str | Path):
        return {"faults": _text_of("faults", value, folder)}
    return {"faults": fault_toml(value)}


def _match(value: Any, folder: Path) -> dict[str, Any]:
    return {"match": checked_level("match", value)}


def _plain(value: Any, folder: Path) -> dict[str, Any]:
    return {"is_plain": bool(value)}


def _provider_hosts(value: Any, folder: Path) -> dict[str, Any]:
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not is_list or not all(isinstance(host, str) and host for host in value):
        raise WrongMark(f"provider_hosts: expected a list of hosts, got {value!r}")
    return {"provider_hosts": tuple(host.lower() for host in value)}


_ARGUMENTS = {
    "config": _config,
    "cassette": _cassette,
    "faults": _faults,
    "match": _match,
    "plain": _plain,
    "provider_hosts": _provider_hosts,
}


def checked_level(name: str, value: Any) -> str:
    """Return a level of matching. Raises WrongMark."""
    if value not in LEVELS:
        raise WrongMark(f"{name}: expected one of {', '.join(LEVELS)}, got {value!r}")
    return str(value)


def _text_of(name: str, value: Any, folder: Path) -> str:
    if not isinstance(value, str | Path):
        raise WrongMark(f"{name}: expected the path of a file, got {value!r}")
    path = folder / value
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as reason:
        detail = reason.strerror if isinstance(reason, OSError) else "it is not UTF-8"
        raise WrongMark(f"{name}: {path} cannot be read: {detail}") from None


def fault_toml(value: Any) -> str:
    """Return a fault file as TOML: one fault, a list of them, or a table like the file's content.

    Raises WrongMark for values that TOML does not have.
    """
    if isinstance(value, Mapping) and "faults" not in value:
        value = [value]
    document = value if isinstance(value, Mapping) else {"faults": value}
    entries = document["faults"]
    if not isinstance(entries, Sequence) or not all(isinstance(one, Mapping) for one in entries):
        raise WrongMark("faults: expected the path of a file, a table, or a list of tables")
    lines = [_pair(key, one) for key, one in document.items() if key != "faults"]
    for entry in entries:
        lines += ["", "[[faults]]", *(_pair(key, one) for key, one in entry.items())]
    return "\n".join([*lines, ""])


def _pair(key: object, value: object) -> str:
    return f"{_value(str(key))} = {_value(value)}"


def _value(value: object) -> str:
    # For these types, JSON is TOML, apart from DEL, which JSON does not escape.
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str | bool | int | float):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    raise WrongMark(f"faults: {value!r} is no string, number, boolean or list of them")
