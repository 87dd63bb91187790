"""Answers that gateways reshape, read by the agents that were reported to fail on them.

Each is played with wiremend, and through a proxy that repairs nothing. An answer that the agent
reads without wiremend is one that wiremend must not make worse.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import pytest
from traffic import faults, good
from traffic.proxy import STREAM_RESPONSES
from wiremend.testing.exchange import Reply
from wiremend.text import sse

from agents.clis import CLAUDE_CODE, CODEX, OPENCODE_ON_CHAT, Agent, tool_results
from agents.runs import Cell, Run
from agents.scenarios import HEARTBEAT_SECONDS, Scenario

pytestmark = pytest.mark.agents

LIMIT_SECONDS = 60.0
ARGUMENTS = {"command": "seq -s- 3 7", "description": "Count"}
OUTPUT = "3-4-5-6-7"
INPUT = json.dumps(ARGUMENTS)
HALF = len(INPUT) // 2

type Json = dict[str, Any]


class Outcome(Enum):
    """What the agent makes of an answer."""

    READ = "it prints the text of the turn, and has run the tool"
    TEXT_LOST = "it prints another text"
    INPUT_LOST = "it does not run the tool with the input that was sent"
    REPEATED = "it repeats the call"
    FAILED = "it fails"


@dataclass(frozen=True)
class Answer:
    """An answer to the first call of a turn; later calls get the answer of good.py."""

    name: str
    agent: Agent
    reply: Reply
    direct: Outcome
    """The outcome without wiremend."""
    text: str = good.TEXT
    """What the agent prints at the end of the turn."""
    calls: int = 1
    """The number of calls of the turn."""
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.agent}: {self.name}"

    def outcome(self, run: Run) -> Outcome:
        """Return what the agent made of the answer in this run."""
        if run.status != 0:
            return Outcome.FAILED
        calls = [received for received in run.requests if self.agent.is_call(received)]
        if self.arguments and not any(OUTPUT in result for result in tool_results(calls[-1])):
            return Outcome.INPUT_LOST
        if len(calls) != self.calls:
            return Outcome.REPEATED
        return Outcome.READ if run.stdout.strip() == self.text else Outcome.TEXT_LOST


def message_start(**fields: Any) -> Json:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": CLAUDE_CODE.model}
    message |= {"content": [], "stop_reason": None, "stop_sequence": None}
    usage = {"input_tokens": 9, "output_tokens": 1}
    return {"type": "message_start", "message": {**message, "usage": usage, **fields}}


def start(index: int, block: Json) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **fields: str) -> Json:
    kind = "text_delta" if "text" in fields else "input_json_delta"
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


def message_delta(reason: str | None) -> Json:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}}


def messages(*events: Json, begin: Json | None = None) -> Reply:
    """Return a stream of the Messages API with these events between its begin and its end."""
    whole = [begin or message_start(), *events, {"type": "message_stop"}]
    return faults.streamed([sse.encode(json.dumps(one).encode(), one["type"]) for one in whole])


def text_block(text: str) -> Json:
    return {"type": "text", "text": text}


def bash(**arguments: Any) -> Json:
    return {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": arguments}


FIRST, SECOND = delta(0, partial_json=INPUT[:HALF]), delta(0, partial_json=INPUT[HALF:])
COUNTS = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}}
CALLED, ENDED = message_delta("tool_use"), message_delta("end_turn")
AS_JSON = (("content-type", "application/json"),)


def mislabelled(agent: Agent) -> Reply:
    events = good.text_stream(agent.protocol).events
    return Reply("labelled JSON", (faults.head(headers=AS_JSON), faults.chunks(events), faults.end))


def chunk(delta: Json, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    fields = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1760000000}
    data = {**fields, "model": OPENCODE_ON_CHAT.model, "choices": [choice]}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


REASONING = [chunk({"role": "assistant", "reasoning_content": "Hmm."}), b"data: [DONE]\n\n"]
ONE_LINE_FEED = [event.removesuffix(b"\n") for event in good.text_stream(good.CHAT).events[:-1]] + [
    b"data: [DONE]\n\n"
]


def claude_code(
    name: str, direct: Outcome, *events: Json, text: str = good.TEXT, begin: Json | None = None
) -> Answer:
    reply = messages(*events, begin=begin)
    if CALLED in events:
        return Answer(name, CLAUDE_CODE, reply, direct, text, 2, ("--allowedTools", "Bash(seq:*)"))
    return Answer(name, CLAUDE_CODE, reply, direct, text)


ANSWERS = (
    Answer("an event stream labelled JSON", CLAUDE_CODE, mislabelled(CLAUDE_CODE), Outcome.READ),
    Answer("an event stream labelled JSON", CODEX, mislabelled(CODEX), Outcome.READ),
    claude_code(
        "a tool goes on after its stop",
        Outcome.INPUT_LOST,
        *(start(0, bash()), FIRST, stop(0), SECOND, stop(0), CALLED),
    ),
    claude_code(
        "a tool goes on after its stop and an empty text block",
        Outcome.INPUT_LOST,
        *(start(0, bash()), FIRST, stop(0), start(1, text_block("")), stop(1)),
        *(SECOND, stop(0), CALLED),
    ),
    claude_code(
        "counts inside a text",
        Outcome.READ,
        *(start(0, text_block("")), delta(0, text="Hel"), COUNTS, delta(0, text="lo")),
        *(stop(0), ENDED),
        text="Hello",
    ),
    claude_code(
        "counts inside the input of a tool",
        Outcome.READ,
        *(start(0, bash()), FIRST, COUNTS, SECOND, stop(0), CALLED),
    ),
    claude_code(
        "the input of a tool in the start of its block",
        Outcome.INPUT_LOST,
        *(start(0, bash(**ARGUMENTS)), stop(0), CALLED),
    ),
    claude_code(
        "text in the start of its block",
        Outcome.TEXT_LOST,
        *(start(0, text_block("Hel")), delta(0, text="lo"), stop(0), ENDED),
        text="Hello",
    ),
    claude_code(
        "a message in its start",
        Outcome.REPEATED,
        begin=message_start(content=[text_block("Hi.")], stop_reason="end_turn"),
        text="Hi.",
    ),
    Answer(  # neither the agent nor wiremend may take it for the end of the turn
        "reasoning alone without a finish reason",
        OPENCODE_ON_CHAT,
        faults.streamed(REASONING),
        Outcome.READ,
        calls=2,
    ),
    Answer(
        "chunks separated by one line feed",
        OPENCODE_ON_CHAT,
        faults.streamed(ONE_LINE_FEED),
        Outcome.FAILED,
    ),
)


def cells(scripts: tuple[str, ...] | None) -> list[Any]:
    """Return a row for each answer: the answer, and its cell with these scripts."""
    return [pytest.param(answer, cell(answer, scripts), id=str(answer)) for answer in ANSWERS]


def cell(answer: Answer, scripts: tuple[str, ...] | None) -> Cell:
    scenario = Scenario(answer.name, lambda protocol: [answer.reply, faults.none(protocol)])
    return Cell(answer.agent, scenario, LIMIT_SECONDS, HEARTBEAT_SECONDS, answer.arguments, scripts)


@pytest.mark.parametrize(("answer", "cell"), cells(None))
def test_the_agent_reads_the_answer(
    answer: Answer, cell: Cell, played: Callable[[Cell], Run]
) -> None:
    run = played(cell)
    assert answer.outcome(run) is Outcome.READ, str(run)


@pytest.mark.parametrize(("answer", "cell"), cells((STREAM_RESPONSES,)))
def test_without_wiremend_the_outcome_is_as_listed(
    answer: Answer, cell: Cell, played: Callable[[Cell], Run]
) -> None:
    run = played(cell)
    assert answer.outcome(run) is answer.direct, str(run)
