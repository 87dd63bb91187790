"""The time to translate from and to Responses grows linearly."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from translate.directions import target_of, through
from translate.responses_content import PAIRS
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.responses import RESPONSES
from wiremend.translate.request import translate_request

from complexity.growth import Sizes, Work, assert_linear

pytestmark = pytest.mark.complexity

type Json = dict[str, Any]

STREAMS = Sizes(first=64, last=1 << 12, seconds=0.15)
REQUESTS = Sizes(first=32, last=1 << 12, seconds=0.15)


def responses_stream(items: list[Json]) -> bytes:
    base = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed"}
    return b"".join(RESPONSES.unfold({**base, "output": items}))


def message(text: str, number: int = 0) -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "id": f"msg_{number}", "status": "completed", "role": "assistant"}
    return {**item, "content": [part]}


def call(number: int, arguments: str = "{}") -> Json:
    item = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}"}
    return {**item, "name": "f", "arguments": arguments, "status": "completed"}


def deltas(size: int) -> bytes:
    """One message of many deltas."""
    before, _, after = responses_stream([message("x" * size)]).partition(
        b"event: response.output_text.delta"
    )
    _, _, after = after.partition(b"\n\n")
    delta = {"type": "response.output_text.delta", "item_id": "msg_0", "output_index": 0}
    delta |= {"content_index": 0, "delta": "x"}
    events = [
        b"event: response.output_text.delta\ndata: "
        + json.dumps({**delta, "sequence_number": 100 + number}).encode()
        for number in range(size)
    ]
    return b"\n\n".join([before.rstrip(b"\n"), *events, after])


SHAPES: dict[str, Callable[[int], bytes]] = {
    "many-items": lambda size: responses_stream([message("hi", n) for n in range(size)]),
    "many-calls": lambda size: responses_stream([call(n) for n in range(size)]),
    "many-deltas": deltas,
    "a-long-text": lambda size: responses_stream([message("x" * 64 * size)]),
    "long-arguments": lambda size: responses_stream([call(0, json.dumps(["x"] * 16 * size))]),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pair", ["responses-for-anthropic", "responses-for-chat"])
def test_answers_from_responses(pair: str, shape: str) -> None:
    def prepare(size: int) -> Work:
        stream = SHAPES[shape](size)
        return lambda: through(PAIRS[pair], [stream])

    assert_linear(prepare, STREAMS)


@pytest.mark.parametrize("shape", SHAPES)
def test_answers_for_responses(shape: str) -> None:
    """The answer of an Anthropic provider, written from one of a Responses provider."""

    def prepare(size: int) -> Work:
        stream, _ = through(PAIRS["responses-for-anthropic"], [SHAPES[shape](size)])
        return lambda: through(PAIRS["anthropic-for-responses"], [stream])

    assert_linear(prepare, STREAMS)


def history(size: int) -> list[Json]:
    items: list[Json] = []
    for number in range(size):
        items += [{"role": "user", "content": "hi"}, message("yes", number), call(number)]
        items.append({"type": "function_call_output", "call_id": f"call_{number}", "output": "ok"})
    return items


def tools(size: int) -> list[Json]:
    inner = [{"type": "function", "name": f"f{n}", "parameters": {}} for n in range(size)]
    spaces = [{"type": "namespace", "name": f"n{n}", "tools": inner[:1]} for n in range(size)]
    return [*inner, *spaces]


BODIES: dict[str, Callable[[int], Json]] = {
    "many-items": lambda size: {"model": "m", "input": history(size)},
    "one-turn": lambda size: {"model": "m", "input": history(size)[1::4] + history(size)[2::4]},
    "many-tools": lambda size: {"model": "m", "input": "hi", "tools": tools(size)},
}


@pytest.mark.parametrize("shape", BODIES)
@pytest.mark.parametrize("provider", [ANTHROPIC, CHAT], ids=str)
def test_requests_from_responses(provider: Protocol, shape: str) -> None:
    def prepare(size: int) -> Work:
        body, target = BODIES[shape](size), target_of(provider)
        return lambda: translate_request(RESPONSES, "/v1/responses", body, provider, target)

    assert_linear(prepare, REQUESTS)


@pytest.mark.parametrize("shape", BODIES)
def test_requests_for_responses(shape: str) -> None:
    def prepare(size: int) -> Work:
        path = "/v1/responses"
        chat = translate_request(RESPONSES, path, BODIES[shape](size), CHAT, target_of(CHAT))
        body, target = json.loads(chat.body), target_of(RESPONSES)
        return lambda: translate_request(CHAT, "", body, RESPONSES, target)

    assert_linear(prepare, REQUESTS)
