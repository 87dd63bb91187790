"""Tests of the soak: its schedule, its judgement, and a run of a few seconds."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from traffic.clients import Outcome, RawResponse

from soak.callers import _judge, _judge_response
from soak.samples import Sample
from soak.scenarios import SCENARIOS, SDK, Call, End, expected_answer
from soak.schedule import call_of
from soak.verdict import Growth, Verdict, growth_of

ROOT = Path(__file__).resolve().parents[2]
QUIET = Sample(0.0, rss=100, pss=90, sockets=4, files=4, threads=2, tasks=8, objects=1000)


def test_a_schedule_depends_on_its_seed_only() -> None:
    calls = [[str(call_of(seed, number)) for number in range(50)] for seed in (1, 1, 2)]
    assert calls[0] == calls[1] != calls[2]


def test_every_scenario_is_part_of_a_schedule() -> None:
    names = Counter(call_of(1, number).scenario.name for number in range(3000))
    assert names.keys() == {scenario.name for scenario in SCENARIOS}


# Growth


def samples(level: Callable[[float], float], minutes: int = 20) -> list[Sample]:
    """Return a sample every ten seconds, whose memory is this function of the seconds."""
    return [
        replace(QUIET, seconds=seconds, rss=int(level(seconds)))
        for seconds in map(float, range(0, minutes * 60, 10))
    ]


LEVELS: dict[str, tuple[Callable[[float], float], bool]] = {
    "constant": (lambda seconds: 1e8, True),
    "a warm-up of five minutes": (lambda seconds: 1e8 if seconds >= 300 else 1e7, True),
    "noise": (lambda seconds: 1e8 + 2e7 * (seconds % 30 == 0), True),
    "a single peak": (lambda seconds: 2e8 if seconds == 900 else 1e8, True),
    "shrinking": (lambda seconds: 2e8 - seconds * 5e4, True),
    "growing by 4 %": (lambda seconds: 1e8 * (1 + 0.04 * seconds / 900), True),
    "growing by 10 %": (lambda seconds: 1e8 * (1 + 0.10 * seconds / 900), False),
    "a late jump": (lambda seconds: 1.2e8 if seconds >= 860 else 1e8, False),
    "a leak that begins late": (lambda seconds: 1e8 + max(0.0, seconds - 700) * 5e4, False),
}


@pytest.mark.parametrize(("level", "is_flat"), LEVELS.values(), ids=LEVELS)
def test_growth_after_the_warm_up_is_judged(level: Callable[[float], float], is_flat: bool) -> None:
    growth = growth_of("rss", samples(level))
    assert growth is not None
    assert growth.is_flat is is_flat, growth


def test_a_short_run_is_not_judged_by_its_growth() -> None:
    assert growth_of("rss", samples(lambda seconds: 1e8 + seconds * 1e6, minutes=7)) is None
    assert growth_of("rss", samples(lambda seconds: 1e8, minutes=9)) is not None


FLAT = Growth("rss", 1e8, 0.01, 0.02)
GOOD = Verdict(made=10, failed=0, growths=(FLAT,), before=QUIET, after=QUIET)


@pytest.mark.parametrize(
    ("verdict", "is_good"),
    [
        (GOOD, True),
        (replace(GOOD, after=replace(QUIET, sockets=3, threads=6)), True),
        (replace(GOOD, after=replace(QUIET, sockets=5)), False),
        (replace(GOOD, after=replace(QUIET, tasks=9)), False),
        (replace(GOOD, failed=1), False),
        (replace(GOOD, complaints=("a traceback",)), False),
        (replace(GOOD, growths=(FLAT, replace(FLAT, by_line=0.06))), False),
    ],
)
def test_a_run_fails_for_lost_calls_leftovers_growth_and_tracebacks(
    verdict: Verdict, is_good: bool
) -> None:
    assert verdict.is_good is is_good


# How a call ended


def call_like(name: str, client: str = "HTTP/1.1") -> Call:
    return next(
        call
        for call in (call_of(1, number) for number in range(5000))
        if call.scenario.name == name and call.client == client and call.stream and not call.tool
    )


CLEAN = call_like("clean", SDK)
ANSWER = Outcome(text=expected_answer(CLEAN).text, finished=True)


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (ANSWER, End.ANSWER),
        (replace(ANSWER, text=ANSWER.text + " "), End.WRONG),
        (replace(ANSWER, text=expected_answer(replace(CLEAN, number=1)).text), End.WRONG),
        (replace(ANSWER, finished=False), End.WRONG),
        (replace(ANSWER, tool_calls=(("get_weather", {}),)), End.WRONG),
        (Outcome(text="Hello", error_class="APIError", message="no more"), End.ERROR),
        (Outcome(text="another", error_class="APIError", message="no more"), End.WRONG),
        (Outcome(error_class="APIError"), End.WRONG),
    ],
)
def test_an_outcome_is_compared_with_what_was_scripted(outcome: Outcome, end: End) -> None:
    assert _judge(CLEAN, outcome)[0] is end


@pytest.mark.parametrize(
    ("raw", "end"),
    [
        (RawResponse(200, (), b"", "closed"), End.LOST),
        (RawResponse(0, (), b"", "reset"), End.LOST),
        (RawResponse(200, (), b"data: {", "timeout"), End.HUNG),
        (RawResponse(200, (), b"data: {", "complete"), End.WRONG),
        (RawResponse(502, (), b"<html>", "complete"), End.WRONG),
        (RawResponse(200, (), b"", "complete"), End.WRONG),
    ],
)
def test_a_response_without_its_end_is_no_answer(raw: RawResponse, end: End) -> None:
    assert _judge_response(call_like("clean"), raw)[0] is end


# A run


def soak(*arguments: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join(str(ROOT / folder) for folder in ("addons", "tests"))
    return subprocess.run(
        [sys.executable, "-m", "soak", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads /proc")
def test_a_short_run_loses_no_call(tmp_path: Path) -> None:
    done = soak("0.3", "--rate", "4", "--json", str(tmp_path / "soak.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    measured = json.loads((tmp_path / "soak.json").read_text())
    assert (measured["made"], measured["failed"], measured["left_over"]) == (72, [], {})
    assert done.stdout.splitlines()[-1] == "good"


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="reads /proc")
def test_a_call_that_does_not_end_as_scripted_fails_the_run(tmp_path: Path) -> None:
    """Without any attempt left, the client gets the errors that are scripted to be hidden."""
    configuration = tmp_path / "wiremend.toml"
    configuration.write_text("[retry]\nattempts = 1\n")
    done = soak("0.05", "--only", "529, twice", "--config", str(configuration))
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "FAILED"
    assert "529, twice" in done.stdout
