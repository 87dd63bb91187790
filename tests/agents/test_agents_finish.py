"""Runs every agent in every scenario; without wiremend, agents hang or fail in them."""

import re
from collections.abc import Callable
from enum import Enum

import pytest
from traffic import good

from agents import scenarios
from agents.clis import AGENTS, CLAUDE_CODE, CODEX, GEMINI_CLI, OPENCODE, OPENCODE_ON_OPENAI, Agent
from agents.runs import Cell, Run
from agents.scenarios import Scenario

pytestmark = pytest.mark.agents

PASSING_SECONDS = 60.0
LASTING_HEARTBEAT_SECONDS = 5.0
"""Longer than all attempts of a call except stalls: the agent gets an HTTP error, not an event."""
INTERNALS = ("Traceback (most recent call last)", "[object Object]", "<html", "<!DOCTYPE")
"""Texts that must not appear in the output of an agent that got its answer."""
CODEX_TEXT_FOR_500 = "currently experiencing high demand"
"""Codex prints this for a 500, and the message of any other error."""
BREAKER_TEXT = "failed several calls in a row"
"""The circuit breaker's 503 may be the last error; it does not contain the text of another call."""
MOST_CALLS = 48
"""Upper limit of requests per turn to a broken provider: twelve calls with all their attempts."""

PASSING = [
    Cell(agent, scenario, PASSING_SECONDS, scenarios.HEARTBEAT_SECONDS)
    for scenario in scenarios.PASSING
    for agent in AGENTS
    if agent.protocol in scenario.protocols
]


@pytest.mark.parametrize("cell", PASSING, ids=str)
def test_the_agent_answers(cell: Cell, played: Callable[[Cell], Run]) -> None:
    run = played(cell)
    assert run.status == 0, str(run)
    assert run.stdout.strip().endswith(good.TEXT), str(run)
    assert not [text for text in INTERNALS if text in run.text], str(run)
    # All calls count: the second one of Claude Code may not stream.
    calls = sum(map(cell.agent.is_call, run.requests))
    assert calls == cell.scenario.calls, str(run)


@pytest.mark.parametrize("cell", [cell for cell in PASSING if cell.agent is CODEX][:1], ids=str)
def test_codex_stops_using_its_websocket_after_the_first_426(
    cell: Cell, played: Callable[[Cell], Run]
) -> None:
    run = played(cell)
    assert sum("426 Upgrade Required" in line for line in run.log) == 1, str(run)
    assert not [received for received in run.requests if received.header("upgrade")]


class End(Enum):
    """How an agent ends if the provider never streams a good answer."""

    ANSWERS = "repeats the call without streaming, and answers"
    STOPS = "exits with the message of the error"
    REPORTS = "exits with status 0, the partial answer and a message about the broken stream"
    RETRIES = "keeps retrying with growing waits until the test kills it"


SECONDS = {End.ANSWERS: 120.0, End.STOPS: 400.0, End.REPORTS: 120.0, End.RETRIES: 25.0}

_A, _S, _R, _Z = End.ANSWERS, End.STOPS, End.RETRIES, End.REPORTS
_AGENTS = (CLAUDE_CODE, OPENCODE, OPENCODE_ON_OPENAI, CODEX, GEMINI_CLI)
ENDS: dict[str, tuple[tuple[End, ...], str]] = {
    # Runs to the final error for one fault before content and one after; the others are alike.
    "wrapped error first": ((_S, _S, _S, _S, _S), "server_error"),
    "reset after the head": ((_R, _R, _R, _S, _R), "Connection lost"),
    "reset before the head": ((_R, _R, _R, _S, _R), "Connection lost"),
    "HTML 524": ((_R, _R, _R, _S, _R), "HTTP 524"),
    "stall after the head": ((_A, _R, _R, _S, _R), "limit: idle"),
    "wrapped error mid-stream": ((_A, _R, _R, _S, _Z), "server_error"),
    "reset mid-stream": ((_A, _R, _R, _S, _Z), "Connection lost"),
    "end without terminal event": ((_A, _R, _R, _S, _Z), "ended before"),
    "stall mid-stream": ((_A, _S, _S, _S, _Z), "limit: idle"),
}
"""Persistent fault -> the ends of _AGENTS, and the text of the error that STOPS must print."""


def lasting(scenario: Scenario, agent: Agent) -> tuple[Cell, End, str]:
    ends, words = ENDS[scenario.name]
    end = ends[_AGENTS.index(agent)]
    return Cell(agent, scenario, SECONDS[end], LASTING_HEARTBEAT_SECONDS), end, words


FAILED_ATTEMPTS = re.compile(r"/v1\S+: (?:failed: |timed out: |cancelled: .* attempts,.*R004 )")
"""A line of the log on a call whose attempts failed; the test may end during one of them. After
content there is only one attempt, and the agent makes the next call."""
LASTING = [lasting(scenario, agent) for scenario in scenarios.LASTING for agent in AGENTS]


@pytest.mark.parametrize(
    ("cell", "end", "words"), LASTING, ids=[f"{cell}, {end.name}" for cell, end, _ in LASTING]
)
def test_a_persistent_fault_ends_as_expected(
    cell: Cell, end: End, words: str, played: Callable[[Cell], Run]
) -> None:
    run = played(cell)
    assert 1 <= sum(map(cell.agent.is_call, run.requests)) <= MOST_CALLS, str(run)
    if end is End.ANSWERS:
        assert run.status == 0, str(run)
        assert run.stdout.strip().endswith(good.TEXT), str(run)
    elif end is End.STOPS:
        assert run.status not in (0, None), str(run)
        assert any(text in run.text for text in (words, CODEX_TEXT_FOR_500, BREAKER_TEXT)), str(run)
        # Gemini CLI prints its stack and an [object Object] after the message of any error.
        if cell.agent is not GEMINI_CLI:
            assert not [text for text in INTERNALS if text in run.text], str(run)
    elif end is End.REPORTS:
        assert run.status == 0, str(run)
        assert "stream ended" in run.stderr, str(run)
    else:
        assert run.status is None, str(run)
        assert any(FAILED_ATTEMPTS.search(line) for line in run.log), str(run)
