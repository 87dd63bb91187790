from typing import Any

import pytest
from benchmarks.metrics import Cell, Comparison, Metric
from benchmarks.summary import Conditions, Figure, conditions, rows
from benchmarks.workloads import Workload, all_workloads


def cell(contender: str, round: int, **fields: Any) -> Cell:
    defaults = {"scheme": "http", "workload": "calls-1", "load": {"done": 10}, "window_seconds": 2}
    return Cell(**{"contender": contender, "round": round, **defaults, **fields})


def workload(comparison: Comparison) -> Workload:
    metric = Metric("CPU", "s", comparison, lambda cell: cell.cpu_seconds)
    registered = all_workloads()["calls-1"]
    return Workload("calls-1", "", registered.play, registered.load, (metric,))


def figures(comparison: Comparison, **seconds: list[float]) -> dict[str, Figure]:
    """Return the figures of contenders that took these seconds in each round."""
    cells = [
        cell(name.replace("_", " "), number, cpu_seconds=value)
        for name, values in seconds.items()
        for number, value in enumerate(values)
    ]
    [row] = rows(cells, [workload(comparison)])
    return dict(row.figures)


def test_ratios_are_taken_within_a_round() -> None:
    found = figures(Comparison.RATIO, floor=[1, 2, 10], wiremend=[2, 2, 30])
    assert found["wiremend"] == Figure(2, 2.0, 1.0, 3.0, False)
    assert found["floor"].value == 2


def test_a_round_without_the_floor_has_no_ratio() -> None:
    cells = [cell("floor", 1, cpu_seconds=2.0)]
    cells += [cell("wiremend", number, cpu_seconds=6.0 + number) for number in range(2)]
    [row] = rows(cells, [workload(Comparison.RATIO)])
    assert row.figures["wiremend"].compared == 3.5


@pytest.mark.parametrize(
    ("again", "differs"), [([0.5, 1.5, 1], False), ([1, 1.3, 1], True), ([], False)]
)
def test_a_ratio_differs_if_it_is_beyond_the_spread_of_the_second_floor(
    again: list[float], differs: bool
) -> None:
    found = figures(
        Comparison.RATIO, floor=[1, 1, 1], wiremend=[1.4, 1.4, 9], **{"floor_again": again}
    )
    assert found["wiremend"].differs is differs


def test_what_is_added_is_the_difference_to_direct_in_the_same_round() -> None:
    found = figures(
        Comparison.ADDED, direct=[1, 2, 3], floor=[2, 4, 4], wiremend=[5, 7, 9], floor_again=[2, 4]
    )
    assert "direct" not in found
    assert found["floor"].value == 1
    assert found["wiremend"] == Figure(5, 3, 3, 5, True)
    assert found["floor again"].compared == 0


def test_memory_is_compared_by_the_difference_to_the_floor() -> None:
    found = figures(Comparison.VALUE, floor=[100, 120], wiremend=[150, 180])
    assert found["wiremend"] == Figure(165, 55, 50, 60, False)


def test_a_measurement_that_failed_has_no_figure() -> None:
    cells = [cell("floor", 0, cpu_seconds=1.0), cell("ccr", 0, cpu_seconds=1.0, problem="500")]
    [row] = rows(cells, [workload(Comparison.RATIO)])
    assert set(row.figures) == {"floor"}


def test_the_conditions_are_shares_of_one_cpu() -> None:
    shares = {"load_cpu_seconds": 0.2, "upstream_cpu_seconds": 0.4}
    cells = [
        cell("floor", number, others_cpu_seconds=others, **shares)
        for number, others in enumerate([0.0, 1.0, 3.0])
    ]
    assert conditions(cells) == [Conditions("http", "calls-1", 0.1, 0.2, 0.5, 1.5)]
