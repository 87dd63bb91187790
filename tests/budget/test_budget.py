"""The hot paths cost no more than budget.toml allows, and the counts are the same in every run."""

import os
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from budget.__main__ import counted_from
from budget.budget_file import PYTHON, Budget, differences, read_budget, write_budget
from budget.counting import NAMES, Counted, Counts, Work, count
from budget.report import problems

ROOT = Path(__file__).resolve().parents[2]
CHEAP = Counts(instructions=1000, calls=100, c_bytes=2000, peak=10_000, kept=1000)
BODY = orjson.dumps({"text": "abcde " * 20_000})


def start_counting(hash_seed: str) -> "subprocess.Popen[str]":
    path = os.pathsep.join(str(ROOT / folder) for folder in ("addons", "tests"))
    return subprocess.Popen(
        [sys.executable, "-m", "budget", "--json"],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def two_runs() -> list[dict[str, Counted]]:
    """The counts of two processes with different hashes."""
    processes = [start_counting(seed) for seed in ("0", "random")]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    return [counted_from(output) for output in outputs]


def test_the_hot_paths_keep_to_the_budget(two_runs: list[dict[str, Counted]]) -> None:
    """If a count is too high, find out why; for one that is lower, run scripts/budget accept."""
    found = list(problems(two_runs[0], read_budget()))
    assert not found, "\n".join(found)


def test_the_counts_do_not_depend_on_hashes(two_runs: list[dict[str, Counted]]) -> None:
    first, second = two_runs
    allowed = Budget(PYTHON, {name: one.counts for name, one in first.items()})
    assert list(problems(second, allowed)) == []
    for name, one in first.items():
        assert second[name].instructions == one.instructions, name


def dedenting(times: int) -> Callable[[], Work]:
    text = "    a line\n" * 50

    def work() -> object:
        return [textwrap.dedent(text) for _ in range(times)][:0]

    return lambda: work


def test_twice_the_work_is_counted_twice() -> None:
    """The functions of the tests themselves are not counted."""
    once, twice, again = (count(dedenting(times)) for times in (1, 2, 2))
    assert once.counts.instructions > 100
    for name in ("instructions", "calls", "c_bytes"):
        assert getattr(twice.counts, name) == 2 * getattr(once.counts, name)
    assert twice.counts == again.counts
    assert "textwrap.dedent" in once.instructions
    assert not [name for name in once.instructions if "test_budget" in name]


def parsing(times: int) -> Callable[[], Work]:
    def prepare() -> Work:
        functions = vars(__import__("json"))
        return lambda: [functions["loads"](BODY) for _ in range(times)][-1]

    return prepare


def test_a_second_parse_in_c_is_visible_in_bytes() -> None:
    once, twice = count(parsing(1)), count(parsing(2))
    assert once.counts.c_bytes >= len(BODY)
    assert twice.counts.c_bytes == 2 * once.counts.c_bytes


def test_memory_is_counted_at_its_peak_and_at_the_end() -> None:
    one = count(lambda: lambda: (len(bytes(500_000)), bytes(100_000))[1])
    assert 500_000 < one.counts.peak < 500_000 + 101_000
    assert 100_000 <= one.counts.kept < 101_000


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("factor", "is_reported"), [(1.01, False), (1.5, True), (0.5, True)])
def test_a_count_that_is_clearly_higher_or_lower_is_reported(
    name: str, factor: float, is_reported: bool
) -> None:
    changed = Counts(**{**vars(CHEAP), name: getattr(CHEAP, name) * factor})
    found = differences(changed, CHEAP)
    assert list(found) == ([name] if is_reported else [])
    counted = {"event": Counted(changed, Counter(), Counter())}
    assert len(list(problems(counted, Budget(PYTHON, {"event": CHEAP})))) == is_reported


@pytest.mark.parametrize(("name", "factor"), [("instructions", 1.2), ("calls", 0.8)])
def test_another_python_is_compared_with_a_wider_tolerance(name: str, factor: float) -> None:
    changed = Counts(**{**vars(CHEAP), name: getattr(CHEAP, name) * factor})
    near = replace(CHEAP, instructions=CHEAP.instructions * 1.08, kept=CHEAP.kept * 2)
    assert list(differences(changed, CHEAP, "3.99")) == [name]
    assert differences(near, CHEAP, "3.99") == {}
    assert list(differences(near, CHEAP)) == ["instructions", "kept"]


def test_a_path_without_budget_and_a_budget_without_path_are_reported() -> None:
    counted = {"new": Counted(CHEAP, Counter(), Counter())}
    lines = problems(counted, Budget(PYTHON, {"old": CHEAP}))
    assert [line.partition(":")[0] for line in lines] == ["new", "old"]


def test_an_accepted_budget_is_read_as_it_was_counted(tmp_path: Path) -> None:
    path = tmp_path / "budget.toml"
    assert read_budget(path) == Budget(PYTHON, {})
    counts = replace(CHEAP, calls=3.5)
    write_budget({"anthropic event": counts, "chat event": CHEAP}, path)
    assert read_budget(path) == Budget(PYTHON, {"anthropic event": counts, "chat event": CHEAP})
    assert list(read_budget(path).of("chat").paths) == ["chat event"]
