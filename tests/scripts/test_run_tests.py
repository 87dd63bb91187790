"""The tiers of `scripts/test`: their parts, the summary, and which rows are in the short tier."""

import importlib.util
import os
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tiers

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run_tests() -> ModuleType:
    specification = importlib.util.spec_from_file_location(
        "run_tests", ROOT / "scripts" / "run_tests.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["run_tests"] = module  # dataclasses look it up
    specification.loader.exec_module(module)
    return module


def exiting(run_tests: ModuleType, name: str, status: int) -> Any:
    """Return a part whose command prints its name and exits with the status."""
    code = f"print('output of {name}'); raise SystemExit({status})"
    return run_tests.Part(name, (sys.executable, "-c", code))


@pytest.mark.parametrize(("statuses", "expected"), [((0, 0), 0), ((0, 3), 1), ((5, 0), 1)])
def test_the_summary_lists_each_part_and_a_failed_one_counts(
    run_tests: ModuleType,
    statuses: tuple[int, int],
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    one, other = (
        exiting(run_tests, name, status)
        for name, status in zip(("one", "other"), statuses, strict=True)
    )
    absent = run_tests.Part("absent", ("false",), "nothing to run it with")
    monkeypatch.setattr(run_tests, "short_tier", lambda: [[one, absent], [other]])
    assert run_tests.main([]) == expected
    output, summary = capfd.readouterr().out.split("\nscripts/test\n")
    assert "output of one" in output
    assert "output of other" in output
    lines = [line.split() for line in summary.splitlines()]
    words = ["failed" if status else "passed" for status in statuses]
    assert [line[:2] for line in lines[::2]] == [["one", words[0]], ["other", words[1]]]
    assert lines[1] == ["absent", "skipped:", "nothing", "to", "run", "it", "with"]
    assert lines[3][0] == "together"
    for line in (lines[0], lines[2], lines[3]):
        assert re.fullmatch(r"\d+ s", " ".join(line[-2:]))


def test_the_output_of_parts_that_run_at_the_same_time_is_not_mixed(
    run_tests: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Opening a pipe blocks until its other end is opened, so neither part ends alone."""
    os.mkfifo(tmp_path / "pipe")
    code = "import sys; print('start', flush=True); open('{}', '{}').close(); print('end')"
    parts = [
        run_tests.Part(mode, (sys.executable, "-c", code.format(tmp_path / "pipe", mode)))
        for mode in "rw"
    ]
    results = list(run_tests.run_parts([parts]))
    assert [result.outcome for result in results] == [run_tests.Outcome.PASSED] * 2
    output = capfd.readouterr().out
    for mode in "rw":
        assert f"-- {mode}\nstart\nend\n" in output


def test_a_mark_without_tests_is_a_skipped_part(
    run_tests: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = str(ROOT / "tests" / "text")
    part = run_tests.Part("none", (*run_tests.PYTEST, "-q", "-m", "agents", folder))
    result = run_tests.run_part(part)
    assert (result.outcome, result.reason) == (
        run_tests.Outcome.SKIPPED,
        "there is no such test",
    )


def test_parts_that_cannot_run_are_skipped_with_a_reason(
    run_tests: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    reasons = {part.name: part.why_skipped for parts in run_tests.whole_tier("") for part in parts}
    assert {name: reason for name, reason in reasons.items() if reason} == {
        "Chromium": "no Chromium is installed",
        "agents": "node and npm not found; they need Node.js 20 or newer",
        "recordings": "no path was given, and WIREMEND_RECORDINGS is not set",
    }
    for name in ("node", "npm", "chromium"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    parts = {part.name: part for parts in run_tests.whole_tier("a.jsonl") for part in parts}
    assert not [part for part in parts.values() if part.why_skipped]
    assert parts["recordings"].command == ("scripts/test", "--recordings", "a.jsonl")


def options() -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    settings: dict[str, Any] = project["tool"]["pytest"]["ini_options"]
    return settings


def test_every_mark_is_deselected_by_default_and_selected_by_the_whole_tier(
    run_tests: ModuleType,
) -> None:
    marks = [line.partition(":")[0] for line in options()["markers"]]
    marks.remove("first_row")  # which makes rows long
    assert sorted(marks) == sorted(tiers.DESELECTED)
    assert options()["addopts"][-2:] == ["-m", f"not ({' or '.join(tiers.DESELECTED)})"]
    expressions = [
        part.command[part.command.index("-m", 3) + 1]
        for parts in run_tests.whole_tier("x")
        for part in parts
        if "-m" in part.command[3:]
    ]
    kept = next(expression for expression in expressions if expression.startswith("not "))
    assert set(re.findall(r"\w+", kept)) - {"not", "or"} == set(marks) - {"long"}
    assert set(marks) - {"long"} <= set(expressions)


def test_in_the_short_tier_each_value_of_a_parameter_occurs_once(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiers, "_TRAFFIC", pytester.path)
    items = pytester.getitems("""
import pytest

@pytest.mark.parametrize("c", ["x", pytest.param("y", marks=pytest.mark.long)])
@pytest.mark.parametrize("b", [{}, {1: 1}, []], ids="123")
@pytest.mark.parametrize("a", [True, False])
def test_table(a, b, c): pass

@pytest.mark.parametrize("a", [True, False])
def test_other_table(a): pass

@pytest.mark.first_row
@pytest.mark.parametrize("a", [True, False])
@pytest.mark.parametrize("b", [True, False])
def test_first_row(a, b): pass

def test_without_a_table(): pass
""")
    tiers.mark_long_rows(items)
    short = [item.name for item in items if item.get_closest_marker("long") is None]
    assert short == [
        "test_table[True-1-x]",
        "test_table[True-2-x]",
        "test_table[True-3-x]",
        "test_table[False-1-x]",
        "test_other_table[True]",
        "test_other_table[False]",
        "test_first_row[True-True]",
        "test_without_a_table",
    ]
    assert len(items) == 2 * 3 * 2 + 2 + 4 + 1


def test_outside_of_traffic_tests_only_marked_tables_have_long_rows(
    pytester: pytest.Pytester,
) -> None:
    items = pytester.getitems("""
import pytest

@pytest.mark.parametrize("a", [1, 2])
@pytest.mark.parametrize("b", [1, 2])
def test_table(a, b): pass

@pytest.mark.first_row
@pytest.mark.parametrize("a", [1, 2])
def test_first_row(a): pass
""")
    tiers.mark_long_rows(items)
    long = [item.name for item in items if item.get_closest_marker("long") is not None]
    assert long == ["test_first_row[2]"]


def test_a_row_covers_the_values_that_no_earlier_row_has() -> None:
    assert list(tiers.covering(["ab", "ba", "bc", "ac", "d"], set)) == ["ab", "bc", "d"]


def test_a_path_without_recordings_is_refused_before_the_first_part(
    run_tests: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tests.main(["--all", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"scripts/test: there is no file {tmp_path}\n"
