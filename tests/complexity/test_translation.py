"""The time to translate requests and answers grows linearly, whatever is repeated in them."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from translate.directions import A_TO_C, C_TO_A, Direction, context_of, translated, whole
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.middle.state import PREFIX, Origin, State, seal
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.repairer import EventKind, Repaired
from wiremend.protocols.chat import CHAT
from wiremend.text import json_value, sse
from wiremend.translate.answer import StreamTranslation, translate_body

from complexity.growth import Sizes, Work, assert_linear

pytestmark = pytest.mark.complexity

SIZES = Sizes(first=64, last=1 << 13, seconds=0.1)
READ = {"name": "read", "input_schema": {"type": "object"}}
SEALED = seal(State(Origin(WireProtocol.CHAT_COMPLETIONS, "h", "m"), "x"))


def message(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def use(number: int) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": "read", "input": {"a": number}}


def result(number: int) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "ok"}


def turns(size: int) -> list[dict[str, Any]]:
    pairs = [
        (message("assistant", [use(number)]), message("user", [result(number)]))
        for number in range(size)
    ]
    return [message("user", "Go."), *(turn for pair in pairs for turn in pair)]


def thinking(size: int) -> list[dict[str, Any]]:
    block = {"type": "thinking", "thinking": "Hm.", "signature": SEALED}
    return [message("user", "Go."), message("assistant", [block] * size), message("user", "?")]


CONVERSATIONS: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "turns": turns,
    "parallel calls": lambda size: [
        message("user", "Go."),
        message("assistant", [use(number) for number in range(size)]),
        message("user", [result(number) for number in reversed(range(size))]),
    ],
    "one id": lambda size: [
        message("user", "Go."),
        message("assistant", [use(0)] * size),
        message("user", [result(0)] * size),
    ],
    "calls without results": lambda size: [
        turn for number in range(size) for turn in (message("assistant", [use(number)]),)
    ],
    "results without calls": lambda size: [message("user", [result(n)]) for n in range(size)],
    "system messages": lambda size: [message("system", "Be brief."), message("user", "a")] * size,
    "system messages between call and result": lambda size: [
        message("assistant", [use(0)]),
        *[message("system", "Be brief.")] * size,
        message("user", [result(0)]),
    ],
    "texts": lambda size: [message("user", [{"type": "text", "text": "a"}] * size)],
    "thinking": thinking,
    "unknown members": lambda size: [
        message("user", [{"type": "text", "text": "a", f"x{n}": 1} for n in range(size)])
    ],
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_requests_for_chat_completions(name: str) -> None:
    def prepare(size: int) -> Work:
        messages = CONVERSATIONS[name](size)
        request = {"model": "m", "max_tokens": 9, "tools": [READ], "messages": messages}
        return lambda: translated(ANTHROPIC, request, CHAT)

    assert_linear(prepare, SIZES)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_requests_for_messages(name: str) -> None:
    def prepare(size: int) -> Work:
        request = {"model": "m", "max_tokens": 9, "tools": [READ]}
        request["messages"] = CONVERSATIONS[name](size)
        there = orjson.loads(translated(ANTHROPIC, request, CHAT).body)
        return lambda: translated(CHAT, there, ANTHROPIC)

    assert_linear(prepare, SIZES)


def test_many_tools() -> None:
    def prepare(size: int) -> Work:
        tools = [{**READ, "name": f"tool.{number}"} for number in range(size)]
        request = {"model": "m", "max_tokens": 9, "tools": tools, "messages": []}
        return lambda: translated(ANTHROPIC, request, CHAT)

    assert_linear(prepare, SIZES)


@pytest.mark.parametrize("letter", ["A", "=", "\u2713"])
def test_a_long_forged_envelope(letter: str) -> None:
    def prepare(size: int) -> Work:
        block = {"type": "redacted_thinking", "data": PREFIX + letter * size * 64}
        messages = [message("user", "Go."), message("assistant", [block]), message("user", "?")]
        request = {"model": "m", "max_tokens": 9, "messages": messages}
        return lambda: translated(ANTHROPIC, request, CHAT)

    assert_linear(prepare, SIZES)


def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    value = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return sse.encode(json_value.write({**value, "choices": [choice]}))


def fragment(index: int, arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


def started(index: int) -> dict[str, Any]:
    function = {"name": "read", "arguments": ""}
    call = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
    return {"tool_calls": [call]}


def detail(index: int) -> dict[str, Any]:
    return {"reasoning_details": [{"type": "reasoning.text", "text": "x", "index": index}]}


DELTAS: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "text": lambda size: [{"content": "a"}] * size,
    "reasoning": lambda size: [{"reasoning_content": "a"}] * size,
    "reasoning and text": lambda size: [{"reasoning": "a"}, {"content": "b"}] * size,
    "details": lambda size: [detail(0)] * size,
    "details with indices": lambda size: [detail(number) for number in range(size)],
    "calls": lambda size: [
        delta for number in range(size) for delta in (started(number), fragment(number, "{}"))
    ],
    "open calls": lambda size: [started(number) for number in range(size)],
    "interleaved calls": lambda size: [
        *(started(number) for number in range(size)),
        *(fragment(number, "{}") for number in range(size)),
    ],
    "arguments in pieces": lambda size: [started(0), *[fragment(0, '"}')] * size],
    "arguments in pieces beside text": lambda size: [
        started(0),
        *[delta for _ in range(size) for delta in (fragment(0, '"}'), {"content": "a"})],
    ],
    "unknown members": lambda size: [{f"x{number}": number} for number in range(size)],
    "annotations": lambda size: (
        [{"annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]}] * size
    ),
}


def translating(direction: Direction, stream: bytes) -> Work:
    def work() -> None:
        translation = StreamTranslation(direction, context_of(direction))
        translation.feed(Repaired(stream, EventKind.TERMINAL))

    return work


@pytest.mark.parametrize("name", DELTAS)
def test_answers_of_chat_completions(name: str) -> None:
    def prepare(size: int) -> Work:
        deltas = DELTAS[name](size)
        stream = b"".join(map(chunk, deltas)) + chunk({}, "stop") + b"data: [DONE]\n\n"
        return translating(A_TO_C, stream)

    assert_linear(prepare, SIZES)


@pytest.mark.parametrize("name", DELTAS)
def test_answers_of_messages(name: str) -> None:
    def prepare(size: int) -> Work:
        stream = b"".join(map(chunk, DELTAS[name](size))) + chunk({}, "length")
        translation = StreamTranslation(A_TO_C, context_of(A_TO_C))
        done = stream + b"data: [DONE]\n\n"
        there = translation.feed(Repaired(done, EventKind.TERMINAL)).data
        return translating(C_TO_A, there)

    assert_linear(prepare, SIZES)


@pytest.mark.parametrize("name", ["text", "calls", "reasoning and text"])
def test_whole_answers(name: str) -> None:
    def prepare(size: int) -> Work:
        stream = b"".join(map(chunk, DELTAS[name](size))) + chunk({}, "length")
        body = whole(CHAT, stream + b"data: [DONE]\n\n")
        return lambda: translate_body(A_TO_C, body, context_of(A_TO_C))

    assert_linear(prepare, SIZES)
