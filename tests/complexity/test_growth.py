"""The measure of growth accepts linear work and rejects quadratic work."""

import pytest

from complexity.growth import GrowsTooFast, Sizes, Work, assert_linear

pytestmark = pytest.mark.complexity

SIZES = Sizes(first=64, last=1 << 20, seconds=0.03)


def test_linear_work_is_accepted() -> None:
    def prepare(size: int) -> Work:
        return lambda: sum(range(size))

    assert_linear(prepare, SIZES)


def test_quadratic_work_is_rejected() -> None:
    def prepare(size: int) -> Work:
        return lambda: [sum(range(size)) for _ in range(size)]

    with pytest.raises(GrowsTooFast):
        assert_linear(prepare, SIZES)
