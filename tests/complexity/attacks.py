"""Texts that make a regular expression slow, derived from its own structure."""

import re
from collections.abc import Iterator
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)
_UNLIKELY = "\x00"
_CANDIDATES = "aA0 .-_/:\"'`[(<>{\n\r\t\x01\x80\u2028"
_AT_MOST = 400


class Structure:
    """The samples of the parts of a pattern: what may precede each part, and what repeats."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        text = pattern.pattern
        self._is_bytes = isinstance(text, bytes)
        self._groups: dict[int, str] = {}
        self._before: list[str] = [""]
        self._bodies: list[str] = []
        self.prefixes: dict[str, None] = {}
        self.repeated: dict[tuple[str, str], None] = {}
        """A sample of what precedes each repetition, and of its body."""
        self._visit(parser.parse(text, pattern.flags), "")

    def _visit(self, nodes: Any, before: str) -> str:
        """Return a text that matches these nodes; `before` matches what precedes them."""
        sample = ""
        for op, argument in nodes:
            sample += self._sample(op, argument, before + sample)
            self.prefixes[before + sample] = None
        return sample

    def _sample(self, op: Any, argument: Any, before: str) -> str:
        if op is ops.LITERAL:
            return chr(argument)
        if op is ops.NOT_LITERAL:
            return next(c for c in _CANDIDATES if ord(c) != argument)
        if op is ops.ANY:
            return "x"
        if op is ops.IN:
            return next(c for c in (*_CANDIDATES, *map(chr, range(0x3000))) if _is_in(c, argument))
        if op is ops.BRANCH:
            samples = [self._visit(branch, before) for branch in argument[1]]
            return samples[0]
        if op in _REPEATS:
            least, _, body = argument
            sample = self._visit(body, before)
            self.repeated[before, sample] = None
            return sample * max(1, min(least, 8))
        if op is ops.SUBPATTERN:
            group, _, _, body = argument
            sample = self._visit(body, before)
            self._groups[group] = sample
            return sample
        if op is ops.ATOMIC_GROUP:
            return self._visit(argument, before)
        if op is ops.GROUPREF:
            return self._groups.get(argument, "")
        if op in (ops.ASSERT, ops.ASSERT_NOT):
            self._visit(argument[1], before)
        return ""


def _is_in(character: str, items: Any) -> bool:
    negated = items[0][0] is ops.NEGATE
    matched = False
    for op, argument in items:
        if op is ops.LITERAL:
            matched |= ord(character) == argument
        elif op is ops.RANGE:
            matched |= argument[0] <= ord(character) <= argument[1]
        elif op is ops.CATEGORY:
            matched |= bool(re.match(_CATEGORIES[argument], character))
    return matched != negated


_CATEGORIES = {
    ops.CATEGORY_DIGIT: r"\d",
    ops.CATEGORY_NOT_DIGIT: r"\D",
    ops.CATEGORY_SPACE: r"\s",
    ops.CATEGORY_NOT_SPACE: r"\S",
    ops.CATEGORY_WORD: r"\w",
    ops.CATEGORY_NOT_WORD: r"\W",
}


def attacks(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str, str]]:
    """Yield start, unit and end of texts of any length: the unit is repeated between the others."""
    structure = Structure(pattern)
    prefixes = [prefix for prefix in structure.prefixes if prefix]
    repeated = list(structure.repeated)
    found: dict[tuple[str, str, str], None] = {}
    for prefix in prefixes:
        found["", prefix, ""] = None
    for before, body in repeated:
        if not body:
            continue
        for end in ("", _UNLIKELY):
            found[before, body, end] = None
        found["", before + body, ""] = None
        found["", before + body * 3, ""] = None
    for _, first in repeated:
        for before, second in repeated:
            if first and second:
                found[before, first + second, _UNLIKELY] = None
    for unit in ("a", " ", "1", "/", "\n"):
        found["", unit, ""] = None
    yield from list(found)[:_AT_MOST]
