"""Differences between two lists of events, and between two JSON values; the cost is linear."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wiremend.rules.rule import BodyPlace
from wiremend.text.json_edits import Path

WINDOW = 24
"""How far ahead an item is looked for in the other list."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Items that differ: those from `old_start` and `new_start`; the items before are the same."""

    old_start: int
    new_start: int
    old: tuple[bytes, ...]
    new: tuple[bytes, ...]

    def reaches(self, old_end: int, new_end: int) -> bool:
        """Return whether the difference extends to one of these ends."""
        return (
            self.old_start + len(self.old) >= old_end or self.new_start + len(self.new) >= new_end
        )

    def paired(self) -> "Hunk":
        """Return the difference with as many items on one side as on the other."""
        count = min(len(self.old), len(self.new))
        return Hunk(self.old_start, self.new_start, self.old[:count], self.new[:count])


def nearest_hunks(old: Sequence[bytes], new: Sequence[bytes]) -> list[Hunk]:
    """Return the differences of two lists, paired by position unless that shows much more.

    A stream whose events are all numbered differently has equal items at different positions,
    which belong to different events.
    """
    moved, placed = list(hunks(old, new)), list(_hunks_in_place(old, new))
    is_smaller = 2 * sum(map(_size, moved)) <= sum(map(_size, placed))
    return moved if is_smaller else placed


def _size(hunk: Hunk) -> int:
    return len(hunk.old) + len(hunk.new)


def _hunks_in_place(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[Hunk]:
    """Yield the differences of two lists, in which an item has the same position in both."""
    start, most = 0, max(len(old), len(new))
    while start < most:
        end = start
        while end < most and old[end : end + 1] != new[end : end + 1]:
            end += 1
        if end > start:
            yield Hunk(start, start, tuple(old[start:end]), tuple(new[start:end]))
        start = end + 1


def hunks(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[Hunk]:
    """Yield the differences of two lists.

    After a difference, the nearest pair of equal items within `WINDOW` continues both. So the
    result need not be the shortest one, but never costs more than `WINDOW` steps for each item.
    """
    left = right = 0
    while left < len(old) or right < len(new):
        if left < len(old) and right < len(new) and old[left] == new[right]:
            left, right = left + 1, right + 1
            continue
        skipped_left, skipped_right = _next_common(old, new, left, right)
        yield Hunk(left, right, tuple(old[left:skipped_left]), tuple(new[right:skipped_right]))
        left, right = skipped_left, skipped_right


def _next_common(
    old: Sequence[bytes], new: Sequence[bytes], left: int, right: int
) -> tuple[int, int]:
    """Return the nearest positions with equal items; else those behind the window."""
    end_left, end_right = min(len(old), left + WINDOW), min(len(new), right + WINDOW)
    places: dict[bytes, int] = {}
    for at in range(end_right - 1, right - 1, -1):
        places[new[at]] = at
    best: tuple[int, int] | None = None
    for at in range(left, end_left):
        other = places.get(old[at])
        if other is not None and (best is None or at + other < sum(best)):
            best = at, other
    return best or (end_left, end_right)


@dataclass(frozen=True, slots=True)
class Change:
    """A value that differs. A side without the value has `ABSENT`."""

    path: Path
    old: Any
    new: Any

    @property
    def place(self) -> str:
        """The path as text."""
        return str(BodyPlace(self.path))


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


def changes(old: Any, new: Any) -> Iterator[Change]:
    """Yield the differences of two JSON values, outermost and first ones first."""
    pending: list[tuple[Path, Any, Any]] = [((), old, new)]
    while pending:
        path, left, right = pending.pop()
        if isinstance(left, dict) and isinstance(right, dict):
            pending += reversed(list(_members(path, left, right)))
        elif isinstance(left, list) and isinstance(right, list):
            pending += reversed(list(_items(path, left, right)))
        elif left is ABSENT or right is ABSENT or not _is_same(left, right):
            yield Change(path, left, right)


def _members(
    path: Path, left: Mapping[str, Any], right: Mapping[str, Any]
) -> Iterator[tuple[Path, Any, Any]]:
    for key, value in left.items():
        yield (*path, key), value, right.get(key, ABSENT)
    for key, value in right.items():
        if key not in left:
            yield (*path, key), ABSENT, value


def _items(path: Path, left: list[Any], right: list[Any]) -> Iterator[tuple[Path, Any, Any]]:
    """Pair the items of two lists: those at both ends that are equal are left out."""
    start, most = 0, min(len(left), len(right))
    while start < most and _is_shallowly_same(left[start], right[start]):
        start += 1
    end = 0
    while end < most - start and _is_shallowly_same(left[-1 - end], right[-1 - end]):
        end += 1
    middle_left, middle_right = left[start : len(left) - end], right[start : len(right) - end]
    for index in range(max(len(middle_left), len(middle_right))):
        one = middle_left[index] if index < len(middle_left) else ABSENT
        other = middle_right[index] if index < len(middle_right) else ABSENT
        yield (*path, start + index), one, other


def _is_shallowly_same(left: Any, right: Any) -> bool:
    try:
        return bool(left == right)
    except RecursionError:
        return False


def _is_same(left: Any, right: Any) -> bool:
    """Compare scalars, and values of different types: `1`, `1.0` and `True` are not the same."""
    return type(left) is type(right) and _is_shallowly_same(left, right)
