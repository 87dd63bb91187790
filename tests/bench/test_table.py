import pytest
from benchmarks import contenders, table
from benchmarks.metrics import Cell, Comparison
from benchmarks.summary import Conditions, Figure, Row
from benchmarks.workloads import all_workloads

ROWS = [
    Row(
        "https",
        "calls-1",
        "requests/s",
        "",
        Comparison.RATIO,
        {
            "floor": Figure(1234.5, 1, 1, 1, False),
            "floor again": Figure(1240, 1.004, 0.97, 1.04, False),
            "wiremend": Figure(670, 0.543, 0.5, 0.6, True),
        },
    ),
    Row(
        "https",
        "calls-1",
        "response, added p50",
        "ms",
        Comparison.ADDED,
        {
            "floor": Figure(2.25, 0, 0, 0, False),
            "floor again": Figure(2.3, 0.05, -0.1, 0.21, False),
            "wiremend": Figure(3.4, 1.15, 1, 1.3, True),
        },
    ),
]


def test_the_table_shows_units_of_the_floor_and_ratios_of_others() -> None:
    cell = Cell("https", "calls-1", "wiremend", 0, {}, 1.0, problem="1 failed: status 500")
    text = table.markdown(
        ROWS,
        [Conditions("https", "calls-1", 0.25, 0.125, 0.5, 1.5)],
        [cell],
        [contenders.floor(), contenders.wiremend(), contenders.floor(contenders.AGAIN)],
        [all_workloads()["calls-1"]],
        {"CPU": "a CPU, 2 cores"},
    )
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "- CPU: a CPU, 2 cores" in lines
    assert "### HTTPS" in lines
    assert "| workload | figure | floor | wiremend | floor again |" in lines
    assert "| `calls-1` | requests/s | 1,234 | **0.54x** | 1.00x (0.97 … 1.04) |" in lines
    assert "| | response, added p50 | 2.25 ms | **3.40 ms** | 2.30 ms (-0.10 … +0.21) |" in lines
    assert "| `calls-1` | 25% | 12% | 50% | 150% |" in lines
    assert "- https, `calls-1`, wiremend: 1 failed: status 500" in lines


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1234, "0.12"), (9.999, "10.00"), (12.34, "12.3"), (123.4, "123"), (12345.6, "12,346")],
)
def test_numbers_have_about_three_digits(value: float, text: str) -> None:
    assert table.number(value) == text
