"""Which rows of a table of tests run in the short tier.

A traffic test costs a call through a real proxy, and the rows of its tables are combinations. In
the short tier each value of each parameter is used once; other combinations are `long`. Of a table
with the mark `first_row`, in which each row starts processes, the short tier runs the first row.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path

import pytest

_TRAFFIC = Path(__file__).with_name("traffic")
DESELECTED = ("long", "agents", "chromium", "complexity")
"""The marks of tests that only `scripts/test --all` runs, or one of its other options."""


def covering[Row](
    rows: Iterable[Row], values_of: Callable[[Row], Iterable[Hashable]]
) -> Iterator[Row]:
    """Yield the rows that contain a value that no earlier row contains."""
    covered: set[Hashable] = set()
    for row in rows:
        values = set(values_of(row))
        if not values <= covered:
            covered |= values
            yield row


def mark_long_rows(items: Iterable[pytest.Item]) -> None:
    """Mark rows of traffic tests as long if each of their values is in an earlier row.

    Of tests with the mark `first_row`, mark all rows but the first. A row that is marked as long
    already covers nothing.
    """
    tables: dict[str, list[pytest.Item]] = {}
    for item in items:
        if _is_row(item) and not any(map(item.get_closest_marker, DESELECTED)):
            tables.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for rows in tables.values():
        short = {id(item) for item in covering(rows, _values_of)}
        for item in rows:
            if id(item) not in short:
                item.add_marker(pytest.mark.long)


def _is_row(item: pytest.Item) -> bool:
    """Return whether the item is a row of a table whose rows are not all in the short tier."""
    chosen = item.path.is_relative_to(_TRAFFIC) or item.get_closest_marker("first_row") is not None
    return chosen and hasattr(item, "callspec")


def _values_of(item: pytest.Item) -> Iterator[Hashable]:
    if item.get_closest_marker("first_row") is not None:
        yield "first row"
        return
    # Parameters need not be hashable. The rows of a table contain the same objects.
    for name, value in item.callspec.params.items():  # type: ignore[attr-defined]
        yield name, id(value)
