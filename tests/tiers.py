"""Which rows of a table of traffic tests run in the short tier.

A traffic test costs a call through a real proxy, and the rows of its tables are combinations. In
the short tier each value of each parameter is used once; other combinations are `long`.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator

import pytest

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
    """Mark rows of parametrized tests as long if each of their values is in an earlier row.

    A row that is marked as long already covers nothing.
    """
    tables: dict[str, list[pytest.Item]] = {}
    for item in items:
        if hasattr(item, "callspec") and not any(map(item.get_closest_marker, DESELECTED)):
            tables.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for rows in tables.values():
        short = {id(item) for item in covering(rows, _values_of)}
        for item in rows:
            if id(item) not in short:
                item.add_marker(pytest.mark.long)


def _values_of(item: pytest.Item) -> Iterator[Hashable]:
    # Parameters need not be hashable. The rows of a table contain the same objects.
    for name, value in item.callspec.params.items():  # type: ignore[attr-defined]
        yield name, id(value)
