"""The measurement of one contender, and the figures that are read from it."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_MILLISECOND = 1e6
"""In nanoseconds."""
_MEBIBYTE = 1024 * 1024


class Comparison(enum.Enum):
    """How contenders are compared in a figure."""

    RATIO = "ratio"
    """By the ratio to the floor in the same round."""
    ADDED = "added"
    """By what is added to the figure of `direct` in the same round."""
    VALUE = "value"
    """As it is."""


@dataclass(frozen=True)
class Cell:
    """One measurement: a contender under a workload in one round."""

    scheme: str
    workload: str
    contender: str
    round: int
    load: Mapping[str, Any]
    """The result of the load client; see `native/load.c`."""
    window_seconds: float
    """The time between the two readings of /proc."""
    cpu_seconds: float = 0.0
    """CPU time of the contender's processes."""
    load_cpu_seconds: float = 0.0
    upstream_cpu_seconds: float = 0.0
    others_cpu_seconds: float = 0.0
    """CPU time of everything that does not belong to the bench."""
    memory_before: int = 0
    """Resident memory of the contender's processes before the calls, in bytes."""
    memory_peak: int = 0
    """Their peak during the calls, in bytes."""
    problem: str = ""
    """Why there is no figure, or empty."""


@dataclass(frozen=True)
class Metric:
    """A figure of a workload; `read` returns None if the cell does not contain it."""

    name: str
    unit: str
    comparison: Comparison
    read: Callable[[Cell], float | None]


def per_second(key: str) -> Callable[[Cell], float | None]:
    """Return a reader of how many calls (`done`) or deltas (`marks`) ended per second."""
    return lambda cell: _quotient(cell.load.get(key), cell.load.get("elapsed", 0) / 1e9)


def cpu_per(key: str, unit_seconds: float) -> Callable[[Cell], float | None]:
    """Return a reader of the contender's CPU time per call or delta, in `unit_seconds`."""
    return lambda cell: _quotient(cell.cpu_seconds / unit_seconds, cell.load.get(key))


def latency(series: str, percentile: str) -> Callable[[Cell], float | None]:
    """Return a reader of a percentile of a series of the load client, in milliseconds."""
    return lambda cell: _quotient(cell.load.get(series, {}).get(percentile), _MILLISECOND)


def peak_memory(cell: Cell) -> float | None:
    """Return the peak of the memory, in MiB."""
    return _quotient(cell.memory_peak, _MEBIBYTE)


def memory_per_call(cell: Cell) -> float | None:
    """Return by how much the peak exceeds the memory before the calls, in KiB per call."""
    return _quotient((cell.memory_peak - cell.memory_before) / 1024, cell.load.get("done"))


def _quotient(value: float | None, divisor: float | None) -> float | None:
    return value / divisor if value and divisor else None
