"""Measures how the CPU time of an operation grows with the size of its input."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

type Work = Callable[[], object]
type Prepare = Callable[[int], Work]
"""Returns work on an input of this size. The work can be repeated and does not include making the
input."""

SHORTEST_SECONDS = 0.005
"""Shorter runs are not compared."""
MOST_PER_DOUBLING = 3.0
"""A doubled input may take this many times as long: 2 is linear, 4 is quadratic."""
REPETITIONS = 5

_SCREENED_FACTOR = 6.0
"""Four times the input within this many times the time is linear enough for no closer look."""


class GrowsTooFast(AssertionError):
    """The time of an operation grows faster than its input."""


@dataclass(frozen=True)
class Sizes:
    """The sizes that are tried: doubled from `first` until a run takes `seconds`, or to `last`.

    A weak quadratic part is only visible in large inputs, so `seconds` is much more than
    `SHORTEST_SECONDS`.
    """

    first: int = 64
    last: int = 1 << 14
    seconds: float = 0.08


def assert_linear(prepare: Prepare, sizes: Sizes = Sizes()) -> None:
    """Raise GrowsTooFast if the CPU time grows more than threefold when the size is doubled."""
    gc.disable()  # a collection visits all objects of the test run
    try:
        _assert_linear(prepare, sizes)
    finally:
        gc.enable()


def _assert_linear(prepare: Prepare, sizes: Sizes) -> None:
    size, taken = _large_enough(prepare, sizes)
    if taken < SHORTEST_SECONDS:
        return  # the largest size is cheap
    quarter = prepare(max(1, size // 4))
    if taken <= _SCREENED_FACTOR * min(_seconds(quarter), _seconds(quarter)):
        return
    while True:
        table = {n: _best(prepare(n)) for n in (max(1, size // 4), max(1, size // 2), size)}
        factors = [b / a for a, b in pairwise(table.values())]
        if max(factors) <= MOST_PER_DOUBLING:
            return
        if min(table.values()) >= SHORTEST_SECONDS:
            table[2 * size] = _best(prepare(2 * size))
            factors.append(table[2 * size] / table[size])
            if factors[-1] <= MOST_PER_DOUBLING:
                return  # one step, such as from memory that is reused to memory that is not
            break
        size *= 2
    shown = ", ".join(f"{n}: {seconds * 1000:.1f} ms" for n, seconds in table.items())
    raise GrowsTooFast(f"{shown}; per doubling: {', '.join(f'{x:.1f}' for x in factors)}")


def _large_enough(prepare: Prepare, sizes: Sizes) -> tuple[int, float]:
    """Return a size, and the time of one run with it."""
    size = sizes.first
    while True:
        taken = _seconds(prepare(size))
        if taken >= sizes.seconds or size >= sizes.last:
            return size, taken
        wanted = sizes.seconds / max(taken, 1e-6)
        size = min(sizes.last, size * max(2, min(16, 1 << int(wanted).bit_length() - 1)))


def _best(work: Work) -> float:
    return min(_seconds(work) for _ in range(REPETITIONS))


def _seconds(work: Work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
