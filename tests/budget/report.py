"""The table of the counts, beside what is allowed."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from .budget_file import PYTHON, Budget, differences
from .counting import NAMES, Counted, Counts

_NAME_WIDTH = 32
_WIDTH = 20
_FUNCTIONS = ("instructions", "c_bytes")


def table(counted: Mapping[str, Counted], allowed: Budget, functions: int) -> Iterator[str]:
    """Yield the lines of a table: each count, and by how much it differs from the budget.

    `functions`: how many of the most expensive functions to list for each path.
    """
    yield f"{'Python ' + PYTHON:<{_NAME_WIDTH}}" + "".join(f"{name:>{_WIDTH}}" for name in NAMES)
    for name, one in counted.items():
        before = allowed.paths.get(name)
        cells = [_cell(key, one.counts, before) for key in NAMES]
        yield f"{name:<{_NAME_WIDTH}}" + "".join(f"{cell:>{_WIDTH}}" for cell in cells)
        if functions:
            yield from _most_expensive(one, functions)
    for name in allowed.paths.keys() - counted.keys():
        yield f"{name:<{_NAME_WIDTH}}  is no longer counted"


def _cell(key: str, counts: Counts, allowed: Counts | None) -> str:
    value = getattr(counts, key)
    text = f"{value:,.0f}" if value >= 1000 else f"{value:g}"
    if allowed is None:
        return f"{text}   new  "
    before = getattr(allowed, key)
    change = (value - before) / before if before else 0.0
    return f"{text} {change:+7.1%}" if abs(change) >= 0.0005 else f"{text}        "


def _most_expensive(one: Counted, functions: int) -> Iterator[str]:
    for key in _FUNCTIONS:
        share: Counter[str] = getattr(one, key)
        total = share.total() or 1
        for name, value in share.most_common(functions):
            if value:
                yield f"{'':<4}{key:<13}{value:>14,} {value / total:>5.0%}  {name}"


def problems(
    counted: Mapping[str, Counted], allowed: Budget, ignore: Collection[str] = ()
) -> Iterator[str]:
    """Yield what does not agree with the budget, a line for each path and count.

    `ignore` lists names of counts.
    """
    for name in sorted(counted.keys() | allowed.paths.keys()):
        if name not in counted:
            yield f"{name}: in the budget, but not counted"
        elif name not in allowed.paths:
            yield f"{name}: not in the budget"
        else:
            counts, limit = counted[name].counts, allowed.paths[name]
            for key, change in differences(counts, limit, allowed.python).items():
                if key not in ignore:
                    value, before = getattr(counts, key), getattr(limit, key)
                    yield f"{name}: {key} {value:,.0f}, {change:+.1%}; the budget is {before:,.0f}"
