"""JSON text to values and back, as leniently as clients read it.

orjson is strict: it refuses lone surrogates and invalid UTF-8 in text, and cannot write integers
beyond 64 bits or deep nesting. Clients take all of that, so no stream may fail over it.
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
    """The value. Raises ValueError when no client could read it either."""
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
    """The value as JSON on one line, without white space; lone surrogates become escapes."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def _integer(text: str) -> int | float:
    """What orjson makes of it: beyond 64 bits it is a float."""
    number = int(text) if len(text) < 21 else 2**64
    return number if -(2**63) <= number < 2**64 else _float(text)


def _float(text: str) -> float:
    """The nearest number that JSON can write, for there is no infinity in it."""
    return max(-_LARGEST, min(float(text), _LARGEST))


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def parses(text: Any) -> bool:
    """Whether this is a string, or bytes, that contains JSON."""
    if not isinstance(text, str | bytes):
        return False
    try:
        read(text)
    except ValueError:
        return False
    return True


def is_number(value: Any) -> bool:
    """Whether this is a JSON number, with a fraction or without."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether this is a JSON number without a fraction, negative or not; 1.0 is not one."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_blank(text: Any) -> bool:
    """Whether this is a string without anything to read."""
    return isinstance(text, str) and not text.strip()


def objects(value: Any, path: Path) -> Iterator[tuple[Path, JsonObject]]:
    """The objects in a list, each with its path; nothing if it is no list."""
    for index, item in enumerate(value if isinstance(value, list) else ()):
        if isinstance(item, dict):
            yield (*path, index), item


def dicts_in(value: Any) -> list[JsonObject]:
    """The objects in a list; none if it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
