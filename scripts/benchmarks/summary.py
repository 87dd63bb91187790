"""Medians over the rounds: ratios to the floor, and differences to direct calls."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.contenders import AGAIN, DIRECT, FLOOR
from benchmarks.metrics import Cell, Comparison, Metric
from benchmarks.workloads import Workload

Rounds = Mapping[int, float]
"""A figure of one contender by the number of the round."""


@dataclass(frozen=True)
class Figure:
    """A figure of one contender in the table."""

    value: float
    """The median of the rounds."""
    compared: float
    """The median of the ratios to the floor, or of the differences to it, in the same round."""
    lowest: float
    """The least of these ratios or differences."""
    highest: float
    differs: bool
    """Whether `compared` is beyond the spread of the second floor."""


@dataclass(frozen=True)
class Row:
    """One figure of a workload for all contenders."""

    scheme: str
    workload: str
    metric: str
    unit: str
    comparison: Comparison
    figures: Mapping[str, Figure]
    """By the contender's name; without those that have no figure."""


@dataclass(frozen=True)
class Conditions:
    """What else used the CPUs during a workload, as shares of one CPU."""

    scheme: str
    workload: str
    load_client: float
    """The highest share in any measurement."""
    upstream: float
    """The highest share in any measurement."""
    others: float
    """The median share of everything that does not belong to the bench."""
    others_highest: float


def rows(cells: Sequence[Cell], workloads: Iterable[Workload]) -> list[Row]:
    """Return the rows of the table, for each scheme in the order of the workloads."""
    schemes = dict.fromkeys(cell.scheme for cell in cells)
    names = {workload.name: workload for workload in workloads}
    return [
        _row(metric, [c for c in cells if (c.scheme, c.workload) == (scheme, workload.name)])
        for scheme in schemes
        for workload in names.values()
        for metric in workload.metrics
        if any((c.scheme, c.workload) == (scheme, workload.name) for c in cells)
    ]


def conditions(cells: Sequence[Cell]) -> list[Conditions]:
    """Return the conditions of each scheme and workload, in the order of the cells."""
    keys = dict.fromkeys((cell.scheme, cell.workload) for cell in cells)
    return [
        _conditions(
            scheme, workload, [c for c in cells if (c.scheme, c.workload) == (scheme, workload)]
        )
        for scheme, workload in keys
    ]


def compare(rounds: Rounds, floor: Rounds, comparison: Comparison) -> list[float]:
    """Return the ratio to the floor, or the difference to it, of each round that both have."""
    both = sorted(rounds.keys() & floor.keys())
    if comparison is Comparison.RATIO:
        return [rounds[number] / floor[number] for number in both if floor[number]]
    return [rounds[number] - floor[number] for number in both]


def _row(metric: Metric, cells: Sequence[Cell]) -> Row:
    values = _values(metric, cells)
    floor = values.get(FLOOR, {})
    compared = {name: compare(rounds, floor, metric.comparison) for name, rounds in values.items()}
    figures = {
        name: _figure(values[name], compared[name], compared.get(AGAIN, []))
        for name in values
        if compared[name]
    }
    return Row(
        cells[0].scheme, cells[0].workload, metric.name, metric.unit, metric.comparison, figures
    )


def _values(metric: Metric, cells: Sequence[Cell]) -> dict[str, dict[int, float]]:
    values: dict[str, dict[int, float]] = {}
    for cell in cells:
        value = None if cell.problem else metric.read(cell)
        if value is not None:
            values.setdefault(cell.contender, {})[cell.round] = value
    if metric.comparison is not Comparison.ADDED:
        return values
    direct = values.get(DIRECT, {})
    return {
        name: {
            number: value - direct[number] for number, value in rounds.items() if number in direct
        }
        for name, rounds in values.items()
        if name != DIRECT
    }


def _figure(rounds: Rounds, compared: Sequence[float], spread: Sequence[float]) -> Figure:
    middle = median(compared)
    differs = bool(spread) and not min(spread) <= middle <= max(spread)
    return Figure(median(rounds.values()), middle, min(compared), max(compared), differs)


def _conditions(scheme: str, workload: str, cells: Sequence[Cell]) -> Conditions:
    def shares(attribute: str) -> list[float]:
        return [
            getattr(cell, attribute) / cell.window_seconds for cell in cells if cell.window_seconds
        ] or [0.0]

    others = shares("others_cpu_seconds")
    return Conditions(
        scheme,
        workload,
        max(shares("load_cpu_seconds")),
        max(shares("upstream_cpu_seconds")),
        median(others),
        max(others),
    )
