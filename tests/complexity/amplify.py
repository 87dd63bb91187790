"""Makes large inputs of small ones: repeats events and list items, lengthens strings and numbers.

The small inputs are the examples of rules and the streams of the corpus, so that the inputs of a
new rule are amplified without being named.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import orjson
from wiremend.text import json_value

_FIXED = frozenset(
    [
        "type",
        "role",
        "object",
        "finish_reason",
        "finishReason",
        "stop_reason",
        "status",
        "code",
        "method",
    ]
)
"""Members whose strings have a meaning that another string would not have."""
_INDEX = re.compile(r"(?:\A|_)(?:index|number)\Z")
_ID = re.compile(r"(?:\A|_)(?:id|name)\Z|Id\Z")
STRIDE = 8
"""More than the largest index in an example, so that the indices of copies are distinct."""

type Number = Callable[[int, int, int], int | None]
"""Returns the number of a copy from its position, the number of copies, and which of several
repeated items it is a copy of; None leaves the ids of the item."""


def same(copy: int, copies: int, of: int) -> int | None:
    """All copies have the same ids."""
    return None


def distinct(copy: int, copies: int, of: int) -> int | None:
    """Each copy has ids and indices of its own; copies of different items have equal numbers."""
    return copy


def crossed(copy: int, copies: int, of: int) -> int | None:
    """Like `distinct`, but every second item is numbered backwards."""
    return copies - 1 - copy if of % 2 else copy


def apart(copy: int, copies: int, of: int) -> int | None:
    """Like `distinct`, but no two items have equal numbers: no result has a call."""
    return copy + of * copies


def numbered(value: Any, number: int | None) -> Any:
    """Return a copy whose ids, names and indices contain this number."""
    if number is None:
        return value
    if isinstance(value, list):
        return [numbered(item, number) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: _numbered_member(key, item, number) for key, item in value.items()}


def _numbered_member(key: str, item: Any, number: int) -> Any:
    if isinstance(item, str) and _ID.search(key) and item:
        return f"{item}_{number}"
    if type(item) is int and _INDEX.search(key):
        return item + number * STRIDE
    return numbered(item, number)


# Lists


def with_long_lists(value: Any, size: int, number: Number, *, deep: bool) -> Any:
    """Return the value with about `size` items in its lists.

    With `deep`, items that contain lists are kept, and the items of these lists are repeated;
    otherwise the items of the outermost lists.
    """
    items = _count_items(value, deep)
    copies = max(1, size // items) if items else 1
    counter = iter(range(items))
    return _with_copies(value, copies, number, counter, deep)


def _count_items(value: Any, deep: bool) -> int:
    if isinstance(value, dict):
        return sum(_count_items(item, deep) for item in value.values())
    if not isinstance(value, list):
        return 0
    return sum(_count_items(item, deep) if deep and _has_list(item) else 1 for item in value)


def _has_list(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_list(item) for item in value.values())
    return isinstance(value, list) and bool(value)


def _with_copies(
    value: Any, copies: int, number: Number, counter: Iterator[int], deep: bool
) -> Any:
    if isinstance(value, dict):
        return {
            key: _with_copies(item, copies, number, counter, deep) for key, item in value.items()
        }
    if not isinstance(value, list):
        return value
    repeated: list[Any] = []
    for item in value:
        if deep and _has_list(item):
            repeated.append(_with_copies(item, copies, number, counter, deep))
        else:
            of = next(counter)
            repeated += [numbered(item, number(copy, copies, of)) for copy in range(copies)]
    return repeated


def with_repeated_lists(value: Any, size: int, number: Number) -> Any:
    """Return the value with each outermost list repeated as a whole: a, b, a, b, ..."""
    items = _count_items(value, False)
    return _with_lists_repeated(value, max(1, size // items) if items else 1, number)


def _with_lists_repeated(value: Any, copies: int, number: Number) -> Any:
    if isinstance(value, dict):
        return {key: _with_lists_repeated(item, copies, number) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    return [
        numbered(item, number(copy, copies, of))
        for copy in range(copies)
        for of, item in enumerate(value)
    ]


# Scalars and members


def with_long_strings(value: Any, size: int, unit: str) -> Any:
    """Return the value with its strings extended by about `size` characters in total.

    An empty `unit` repeats each string itself.
    """
    count = max(1, _count_strings(value))
    return _with_strings(value, size // count, unit)


def _count_strings(value: Any, key: str = "") -> int:
    if isinstance(value, dict):
        return sum(_count_strings(item, name) for name, item in value.items())
    if isinstance(value, list):
        return sum(_count_strings(item, key) for item in value)
    return isinstance(value, str) and key not in _FIXED


def _with_strings(value: Any, share: int, unit: str, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _with_strings(item, share, unit, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_strings(item, share, unit, key) for item in value]
    if not isinstance(value, str) or key in _FIXED:
        return value
    repeated = unit or value or "x"
    return value + repeated * (share // len(repeated))


def with_many_members(value: Any, size: int) -> Any:
    """Return the value with about `size` further members in its objects."""
    return _with_members(value, size // max(1, _count_objects(value)))


def _count_objects(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_count_objects, value.values()))
    return sum(map(_count_objects, value)) if isinstance(value, list) else 0


def _with_members(value: Any, share: int) -> Any:
    if isinstance(value, dict):
        inner = {key: _with_members(item, share) for key, item in value.items()}
        return inner | {f"more_{number}": {"id": "x"} for number in range(share)}
    return [_with_members(item, share) for item in value] if isinstance(value, list) else value


def nested(value: Any, size: int) -> Any:
    """Return the value with a list nested `size` levels deep in each object."""
    levels = min(size, 500)  # deeper text is refused by the parser
    inner: Any = []
    for _ in range(levels):
        inner = [inner]
    return value | {"more": [inner] * max(1, size // levels)} if isinstance(value, dict) else value


_MEMBER = re.compile(rb'("[a-z_A-Z]+":)("(?:[^"\\]|\\.)*"|[0-9.]+|null|true|false)(?=[,}])')
_INTEGER = re.compile(rb"(?<=[:\[,])[0-9]+(?=[,}\]])")


def with_duplicate_keys(text: bytes, size: int) -> bytes:
    """Return the JSON text with each scalar member written many times."""
    copies = max(1, size // max(1, len(_MEMBER.findall(text))))
    return _MEMBER.sub(lambda match: b",".join([match[0]] * copies), text)


def with_long_numbers(text: bytes, size: int) -> bytes:
    """Return the JSON text with each integer extended by zeros."""
    share = size // max(1, len(_INTEGER.findall(text)))
    return _INTEGER.sub(lambda match: b"1" + match[0] + b"0" * share, text)


def with_long_space(text: bytes, size: int) -> bytes:
    """Return the JSON text with long white space after each comma."""
    share = size // max(1, text.count(b","))
    return text.replace(b",", b"," + b" " * share)


type Variant = Callable[[bytes, int], bytes]


def _of_value(change: Callable[[Any, int], Any]) -> Variant:
    def changed(text: bytes, size: int) -> bytes:
        return json_value.write(change(orjson.loads(text), size))

    return changed


LISTS: dict[str, Variant] = {
    "lists-same": _of_value(lambda v, n: with_long_lists(v, n, same, deep=False)),
    "lists-distinct": _of_value(lambda v, n: with_long_lists(v, n, distinct, deep=False)),
    "lists-crossed": _of_value(lambda v, n: with_long_lists(v, n, crossed, deep=False)),
    "lists-apart": _of_value(lambda v, n: with_long_lists(v, n, apart, deep=False)),
    "inner-lists-same": _of_value(lambda v, n: with_long_lists(v, n, same, deep=True)),
    "inner-lists-distinct": _of_value(lambda v, n: with_long_lists(v, n, distinct, deep=True)),
    "inner-lists-crossed": _of_value(lambda v, n: with_long_lists(v, n, crossed, deep=True)),
    "repeated-lists-same": _of_value(lambda v, n: with_repeated_lists(v, n, same)),
    "repeated-lists-distinct": _of_value(lambda v, n: with_repeated_lists(v, n, distinct)),
}
"""Changes of a JSON text to a number of list items."""
MOST_LISTS = ("lists-distinct", "inner-lists-distinct", "repeated-lists-same")
"""For inputs of which there are many."""
SCALARS: dict[str, Variant] = {
    "members": _of_value(with_many_members),
    "nested": _of_value(nested),
    "duplicate-keys": with_duplicate_keys,
    "long-numbers": with_long_numbers,
    "long-space": with_long_space,
    **{
        f"strings-{name}": _of_value(lambda v, n, unit=unit: with_long_strings(v, n * 8, unit))
        for name, unit in {
            "own": "", "letters": "a", "blank": " ", "digits": "1", "quotes": '"', "lines": "\n",
            "brackets": "{[", "words": "tools.0 ", "surrogates": "\ud83d", "wide": "\u2028",
        }.items()
    },
}  # fmt: skip
"""Changes of a JSON text to a number of members, or of 8 characters in strings."""
MOST_CHANGES = (*MOST_LISTS, "members", "nested", "duplicate-keys", "strings-own", "strings-quotes")
"""For inputs of which there are many."""
