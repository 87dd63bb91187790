from dataclasses import field, replace

import pytest
from wiremend.value_class import value_class


@value_class
class Point:
    x: int
    tags: tuple[str, ...] = field(default=(), compare=False)


def assign(point: Point) -> None:
    """Is not called: mypy reports the comment if it does not refuse the assignment."""
    point.x = 2  # type: ignore[misc]


def test_equal_values_have_the_same_hash() -> None:
    assert Point(1) == Point(1, ("a",))
    assert len({Point(1), Point(1, ("a",)), Point(2)}) == 2


def test_a_value_can_be_copied_with_changes() -> None:
    assert replace(Point(1), x=2) == Point(2)


def test_a_value_has_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Point(1).y = 2  # type: ignore[attr-defined]
