"""Every agent in every scenario on which it hangs or breaks without wiremend."""

from collections.abc import Callable

import pytest
from traffic import good

from agents import scenarios
from agents.clis import AGENTS
from agents.runs import Cell, Run

pytestmark = pytest.mark.agents

PASSING_SECONDS = 60.0
INTERNALS = ("Traceback (most recent call last)", "[object Object]", "<html", "<!DOCTYPE")
"""What no agent shows to its user."""

PASSING = [
    Cell(agent, scenario, PASSING_SECONDS)
    for scenario in scenarios.PASSING
    for agent in AGENTS
    if agent.protocol in scenario.protocols
]


@pytest.mark.parametrize("cell", PASSING, ids=str)
def test_the_agent_answers(cell: Cell, played: Callable[[Cell], Run]) -> None:
    run = played(cell)
    assert run.status == 0, run
    assert run.stdout.strip().endswith(good.TEXT), run
    assert not [text for text in INTERNALS if text in run.text], run
    calls = sum(map(cell.agent.is_call, run.requests))  # Claude Code's second may not stream
    assert calls == cell.scenario.calls, run
