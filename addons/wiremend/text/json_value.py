"""Reading and writing JSON as leniently as clients do.

orjson is strict: it refuses lone surrogates and invalid UTF-8 in text, and cannot write integers
beyond 64 bits or deep nesting. Clients accept all of these, so they must not end a stream.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any, TypeGuard

import orjson

from wiremend.text.json_edits import Path

type JsonObject = dict[str, Any]

_LARGEST = sys.float_info.max
_BYTE_ORDER_MARK = "\ufeff"


def read(text: bytes | str) -> Any:
    """Return the value of a JSON text. Raises ValueError for text that clients cannot read."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace").removeprefix(_BYTE_ORDER_MARK)
    try:
        return json.loads(text, parse_constant=_refuse, parse_int=_integer, parse_float=_float)
    except RecursionError as too_deep:
        raise ValueError("nested too deeply") from too_deep


def write(value: Any) -> bytes:
    """Return a value as JSON on one line without white space; lone surrogates become escapes."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def write_sorted(value: Any) -> bytes:
    """Return a value as JSON text that is the same for objects with members in another order."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def write_indented(value: Any) -> str:
    """Return a value as JSON with line feeds and indents of two spaces.

    A value that is nested too deeply is replaced by a note.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    except TypeError:
        pass
    try:
        return json.dumps(value, indent=2, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply)"


def _integer(text: str) -> int | float:
    """Return the number as orjson reads it: a float if it does not fit into 64 bits."""
    number = int(text) if len(text) < 21 else 2**64
    return number if -(2**63) <= number < 2**64 else _float(text)


def _float(text: str) -> float:
    """Return the nearest finite number, since JSON has no infinity."""
    return max(-_LARGEST, min(float(text), _LARGEST))


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def parses(text: Any) -> bool:
    """Return whether this is a string, or bytes, that contains JSON."""
    if not isinstance(text, str | bytes):
        return False
    try:
        read(text)
    except ValueError:
        return False
    return True


def member(text: bytes | None, *keys: str) -> Any:
    """Return the value at `keys` in a JSON text; None if it has none, or is not JSON."""
    if text is None:
        return None
    try:
        value = read(text)
    except ValueError:
        return None
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def is_number(value: Any) -> bool:
    """Return whether this is a JSON number, with or without a fraction."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Any) -> TypeGuard[int]:
    """Return whether this is a JSON number without a fraction, positive or negative; not 1.0."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_blank(text: Any) -> bool:
    """Return whether this is a string that is empty or contains only white space."""
    return isinstance(text, str) and (not text or text.isspace())


def objects(value: Any, path: Path) -> Iterator[tuple[Path, JsonObject]]:
    """Yield the objects in the list at `path`, each with its path; none if it is not a list."""
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, dict):
            yield (*path, index), item


def dicts_in(value: Any) -> list[JsonObject]:
    """Return the objects in a list; an empty list if the value is not a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
