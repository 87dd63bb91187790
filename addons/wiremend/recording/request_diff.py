"""How a request differs from a recorded one, as lines for people."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from wiremend.text import json_value

PLACES_LIMIT = 8
"""Further differences are counted only."""
LINES_LIMIT = 6
"""Of a text, how many lines of each side are shown."""
LINE_LIMIT = 160
"""How many characters of a line are shown."""
_CONTEXT = 40
"""Characters before the first difference in a long line."""
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place in which two requests differ."""

    place: str
    """Such as `messages[2].content[0].text`."""
    recorded: tuple[str, ...]
    """Lines of the recorded value; none: the place is only in the request."""
    asked: tuple[str, ...]
    """Lines of the request's value; none: the place is only in the recording."""


def differences(recorded: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield the places in which two normalised requests differ, in the order of the request."""
    yield from _compare(dict(recorded), dict(asked), "")


def _compare(recorded: Any, asked: Any, place: str) -> Iterator[Difference]:
    if recorded == asked:
        return
    if isinstance(recorded, dict) and isinstance(asked, dict):
        for name in dict.fromkeys((*recorded, *asked)):
            inner = f"{place}.{name}" if place else name
            yield from _compare(recorded.get(name, _MISSING), asked.get(name, _MISSING), inner)
    elif isinstance(recorded, list) and isinstance(asked, list):
        pairs = zip_longest(recorded, asked, fillvalue=_MISSING)
        for index, (one, other) in enumerate(pairs):
            yield from _compare(one, other, f"{place}[{index}]")
    else:
        yield Difference(place, *_shown(recorded, asked))


def _shown(recorded: Any, asked: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the lines in which two values differ."""
    one, other = _lines(recorded), _lines(asked)
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    one, other = one[start : len(one) - end], other[start : len(other) - end]
    if len(one) == len(other) == 1:
        at = _first_difference(one[0], other[0])
        return (_around(one[0], at),), (_around(other[0], at),)
    return _first_lines(one), _first_lines(other)


def _lines(value: Any) -> list[str]:
    if value is _MISSING:
        return []
    text = value if isinstance(value, str) else json_value.write(value).decode()
    return text.split("\n")


def _first_lines(lines: list[str]) -> tuple[str, ...]:
    shown = [_around(line, 0) for line in lines[:LINES_LIMIT]]
    if len(lines) > LINES_LIMIT:
        shown.append(f"... {len(lines) - LINES_LIMIT} more lines")
    return tuple(shown)


def _first_difference(one: str, other: str) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )


def _around(line: str, at: int) -> str:
    """Return the part of a line around this position, without control characters."""
    start = max(0, at - _CONTEXT) if len(line) > LINE_LIMIT else 0
    part = line[start : start + LINE_LIMIT]
    before = "..." if start else ""
    after = "..." if start + LINE_LIMIT < len(line) else ""
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in part)
    return f"{before}{printable}{after}"


def as_lines(found: list[Difference]) -> Iterator[str]:
    """Yield differences as a diff: `-` is recorded, `+` is what the client sent now."""
    for difference in found[:PLACES_LIMIT]:
        note = ""
        if not difference.recorded:
            note = " (only in this request)"
        elif not difference.asked:
            note = " (only in the recording)"
        yield f"{difference.place}{note}"
        yield from (f"  - {line}" for line in difference.recorded)
        yield from (f"  + {line}" for line in difference.asked)
    if len(found) > PLACES_LIMIT:
        yield f"... and {len(found) - PLACES_LIMIT} more differences"
