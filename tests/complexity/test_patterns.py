"""Every regular expression of the library is linear, and is applied to bounded text."""

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import wiremend
from wiremend.text.patterns import FOREIGN_TEXT_LIMIT, TextPattern, WholePattern

from complexity.attacks import attacks
from complexity.growth import Sizes, Work, assert_linear

pytestmark = pytest.mark.complexity

OWN_TEXT = (
    "wiremend.config",
    "wiremend.launch",
    "wiremend.testing",
    "wiremend.catalogue",
    "wiremend.__main__",
)
"""Modules that read the user's own files, and processes that they start."""
BOUNDED = Sizes(first=2 * FOREIGN_TEXT_LIMIT, last=2 * FOREIGN_TEXT_LIMIT)
"""For patterns that are applied to bounded text only: a cheap one needs no closer look."""
UNBOUNDED = Sizes(first=1 << 17, last=1 << 17)


def patterns() -> dict[str, re.Pattern[Any] | TextPattern[Any] | WholePattern[Any]]:
    """Return all patterns by the place where they were found."""
    found: dict[str, re.Pattern[Any] | TextPattern[Any] | WholePattern[Any]] = {}
    known: set[int] = set()
    for module in pkgutil.walk_packages(wiremend.__path__, "wiremend."):
        if module.name.startswith(OWN_TEXT):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            for place, pattern in _patterns_in(value, f"{module.name}.{name}", known):
                found.setdefault(place, pattern)
    unique: dict[re.Pattern[Any] | TextPattern[Any] | WholePattern[Any], str] = {}
    for place, pattern in found.items():
        unique.setdefault(pattern, place)
    return {place: pattern for pattern, place in unique.items()}


def _patterns_in(
    value: Any, place: str, known: set[int]
) -> Iterator[tuple[str, re.Pattern[Any] | TextPattern[Any] | WholePattern[Any]]]:
    if isinstance(value, re.Pattern | TextPattern | WholePattern):
        yield place, value
        return
    if id(value) in known:
        return
    known.add(id(value))
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        inner = list(value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        inner = list(enumerate(value))
    elif getattr(type(value), "__module__", "").startswith("wiremend.") or (
        isinstance(value, type) and value.__module__.startswith("wiremend.")
    ):
        names = [*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())]
        inner = [(name, getattr(value, name, None)) for name in names if not name.startswith("__")]
    for name, item in inner:
        yield from _patterns_in(item, f"{place}.{name}", known)


ALL = patterns()
SEARCHING = ("search", "finditer", "findall", "split", "sub")


def is_searched(place: str) -> bool:
    """Return whether the module of a constant searches with it; else it matches at a position."""
    module, _, name = place.rpartition(".")
    source = Path(str(importlib.import_module(module).__file__)).read_text()
    return any(f"{name}.{method}" in source for method in SEARCHING)


METHODS: dict[str, Callable[[re.Pattern[Any], Any], object]] = {
    "finditer": lambda pattern, text: sum(1 for _ in pattern.finditer(text)),
    "match": lambda pattern, text: pattern.match(text),
    "fullmatch": lambda pattern, text: pattern.fullmatch(text),
}


def test_the_patterns_of_tables_and_of_modules_are_found() -> None:
    places = list(ALL)
    assert len(places) > 40
    assert any("sse" in place for place in places)
    assert any("REJECTIONS" in place or "rejections" in place for place in places)
    assert any("ENDPOINTS" in place or "endpoints" in place for place in places)


@pytest.mark.parametrize("place", ALL)
def test_patterns_are_linear(place: str) -> None:
    found = ALL[place]
    is_bounded = isinstance(found, TextPattern)
    pattern = found if isinstance(found, re.Pattern) else found.compiled
    is_constant = isinstance(found, re.Pattern) and place.rpartition(".")[0] in sys.modules
    only_at_start = isinstance(found, WholePattern) or (is_constant and not is_searched(place))
    sizes = BOUNDED if is_bounded else UNBOUNDED
    for start, unit, end in attacks(pattern):
        for name, method in METHODS.items():
            if name == "finditer" and only_at_start:
                continue

            def prepare(size: int, start=start, unit=unit, end=end, method=method) -> Work:
                text: Any = start + unit * max(1, size // len(unit)) + end
                if isinstance(pattern.pattern, bytes):
                    text = text.encode()
                return lambda: method(pattern, text)

            try:
                assert_linear(prepare, sizes)
            except AssertionError as failure:
                raise AssertionError(
                    f"{pattern.pattern!r} with {start!r} + {unit!r} * n + {end!r}: {failure}"
                ) from None
