"""Tests of complete responses that contain no answer although tools were offered."""

import orjson
import pytest
from wiremend.engine.actions import Head, Respond, ShowBody, StartAttempt
from wiremend.engine.call import Call, Target
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Heartbeat
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.repairer import Shows, StreamContext
from wiremend.protocols.registry import PROTOCOLS
from wiremend.testing import answers

from engine.whole_calls import receive

SSE = Head(200, ((b"content-type", b"text/event-stream"),))
JSON = Head(200, ((b"content-type", b"application/json"),))
TOOLS = StreamContext(model="m", tool_names=("get_weather",))
each_protocol = pytest.mark.parametrize("protocol", answers.PROTOCOLS)


def without_text(protocol: WireProtocol) -> tuple[bytes, ...]:
    """Return the events of a stream that stops without any content."""
    events = answers.text_stream(protocol).events
    if protocol is answers.ANTHROPIC:
        return tuple(event for event in events if b"content_block" not in event)
    if protocol is answers.CHAT:
        return tuple(event for event in events if b'"content": "' not in event)
    if protocol is answers.RESPONSES:
        kept = [event for event in events if b"response.created" in event]
        response = {**orjson.loads(answers.json_body(protocol)), "output": []}
        end = {"type": "response.completed", "sequence_number": 1, "response": response}
        return (*kept, b"event: response.completed\ndata: " + orjson.dumps(end) + b"\n\n")
    return (b"data: " + silent_body(protocol) + b"\r\n\r\n",)


def silent_body(protocol: WireProtocol) -> bytes:
    body = orjson.loads(answers.json_body(protocol))
    if protocol is answers.ANTHROPIC:
        body["content"] = []
    elif protocol is answers.CHAT:
        body["choices"][0]["message"]["content"] = ""
    elif protocol is answers.RESPONSES:
        body["output"] = []
    else:
        body["candidates"][0]["content"] = {"parts": [{"text": ""}], "role": "model"}
    return orjson.dumps(body)


SHOWS = {
    answers.ANTHROPIC: [
        ({"content": []}, Shows.NOTHING),
        ({"content": [{"type": "text", "text": ""}], "stop_reason": "end_turn"}, Shows.NOTHING),
        ({"content": [{"type": "thinking", "thinking": "hm"}]}, Shows.REASONING),
        ({"content": [{"type": "text", "text": "x"}]}, Shows.ANSWER),
        ({"content": [{"type": "server_tool_use", "name": "w"}]}, Shows.ANSWER),
        ({"content": [{"type": "web_search_tool_result"}]}, Shows.ANSWER),
        ({"content": [], "stop_reason": "refusal"}, Shows.ANSWER),
        (
            {"content": [], "stop_reason": "stop_sequence", "stop_sequence": "\nEND"},
            Shows.ANSWER,
        ),
        (
            {
                "type": "message_delta",
                "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"},
            },
            Shows.ANSWER,
        ),
        ({"content": [], "stop_reason": "stop_sequence", "stop_sequence": None}, Shows.NOTHING),
        ({"content": [], "stop_reason": "end_turn", "stop_sequence": None}, Shows.NOTHING),
        ({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}}, Shows.ANSWER),
        ({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, Shows.NOTHING),
        ({"type": "content_block_delta", "delta": {"type": "text_delta", "text": ""}}, 0),
        ({"type": "content_block_start", "content_block": {"type": "tool_use"}}, Shows.ANSWER),
        ({"type": "message_start", "message": {"content": [{"type": "tool_use"}]}}, Shows.ANSWER),
    ],
    answers.CHAT: [
        ({"choices": []}, Shows.NOTHING),
        ({"choices": [{"delta": {"role": "assistant", "content": ""}}]}, Shows.NOTHING),
        ({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}, Shows.NOTHING),
        ({"choices": [{"delta": {"reasoning_content": "hm"}}]}, Shows.REASONING),
        ({"choices": [{"delta": {"content": "x"}}]}, Shows.ANSWER),
        ({"choices": [{"message": {"refusal": "no"}}]}, Shows.ANSWER),
        ({"choices": [{"message": {"audio": {"id": "a"}}}]}, Shows.ANSWER),
        ({"choices": [{"message": {"tool_calls": [{}]}}]}, Shows.ANSWER),
        ({"choices": [{"delta": {}, "finish_reason": "length"}]}, Shows.ANSWER),
        ({"choices": [{"delta": {}}, {"delta": {"content": "x"}}]}, Shows.ANSWER),
    ],
    answers.RESPONSES: [
        ({"output": [], "status": "completed"}, Shows.NOTHING),
        ({"output": [{"type": "message", "content": []}], "status": "completed"}, Shows.NOTHING),
        ({"output": [{"type": "reasoning", "summary": []}]}, Shows.NOTHING),
        ({"type": "response.reasoning_summary_text.delta", "delta": "hm"}, Shows.REASONING),
        ({"type": "response.output_text.delta", "delta": "x"}, Shows.ANSWER),
        ({"type": "response.output_text.delta", "delta": ""}, Shows.NOTHING),
        ({"type": "response.refusal.delta", "delta": "x"}, Shows.ANSWER),
        ({"type": "response.output_item.added", "item": {"type": "web_search_call"}}, Shows.ANSWER),
        ({"output": [{"type": "message", "content": [{"refusal": "no"}]}]}, Shows.ANSWER),
        ({"type": "response.x", "response": {"output": [], "status": "incomplete"}}, Shows.ANSWER),
    ],
    answers.GEMINI: [
        ({"candidates": [{"content": {"parts": [{"text": ""}]}, "finishReason": "STOP"}]}, 0),
        ({"candidates": [{"content": {}, "finishReason": "STOP"}]}, Shows.NOTHING),
        ({"candidates": [{"content": {"parts": [{"thoughtSignature": "x", "text": ""}]}}]}, 0),
        ({"candidates": [{"content": {"parts": [{"text": "hm", "thought": True}]}}]}, 1),
        ({"candidates": [{"content": {"parts": [{"text": "x"}]}}]}, Shows.ANSWER),
        ({"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]}, Shows.ANSWER),
        ({"candidates": [{"content": {"parts": [{"executableCode": {}}]}}]}, Shows.ANSWER),
        ({"candidates": [{"finishReason": "SAFETY"}]}, Shows.ANSWER),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, Shows.ANSWER),
        ({"response": {"candidates": [{"content": {"parts": [{"text": "x"}]}}]}}, Shows.ANSWER),
    ],
}


@pytest.mark.parametrize(
    ("protocol", "value", "expected"),
    [(protocol, *row) for protocol, rows in SHOWS.items() for row in rows],
)
def test_what_events_and_bodies_show(
    protocol: WireProtocol, value: dict[str, object], expected: Shows
) -> None:
    assert PROTOCOLS[protocol].shows(value) == expected


@each_protocol
@pytest.mark.parametrize("streaming", [True, False])
def test_a_silent_stop_is_reported_and_forwarded(protocol: WireProtocol, streaming: bool) -> None:
    chunks = without_text(protocol) if streaming else [silent_body(protocol)]
    head = SSE if streaming else JSON
    received = receive(protocol, head, chunks, streaming=streaming, context=TOOLS)
    assert received.body == b"".join(chunks)
    assert received.codes == ["E008"]


@each_protocol
@pytest.mark.parametrize("streaming", [True, False])
def test_a_call_without_tools_or_with_an_answer_is_not_silent(
    protocol: WireProtocol, streaming: bool
) -> None:
    head = SSE if streaming else JSON
    silent = without_text(protocol) if streaming else [silent_body(protocol)]
    for chunks, context in (
        (silent, StreamContext(model="m")),
        (answers.text_stream(protocol).events, TOOLS),
        (answers.tool_stream(protocol).events, TOOLS),
    ):
        if not streaming and chunks is not silent:
            chunks = [answers.json_body(protocol)]
        received = receive(protocol, head, chunks, streaming=streaming, context=context)
        assert received.codes == []
    disabled = StreamContext(model="m", tool_names=("a",), disabled=frozenset({"E008"}))
    assert receive(protocol, head, silent, streaming=streaming, context=disabled).codes == []


def machine_of(protocol: WireProtocol, streaming: bool) -> CallMachine:
    call = Call(
        protocol=PROTOCOLS[protocol],
        targets=(Target("api.example.com", "m"),),
        streaming=streaming,
        context=TOOLS,
        retry=RetryPolicy(attempts=1, silent_stop=True),
        heartbeat=Heartbeat(after=0.0),
        wants_answer=True,
    )
    machine = CallMachine(call, random=lambda: 1.0, wall_clock=lambda: 0.0)
    machine.start(0)
    machine.connected(0, reused=False)
    return machine


def play(machine: CallMachine, head: Head, chunks: tuple[bytes, ...]) -> list[object]:
    actions: list[object] = [*machine.head(1, head)]
    for number, chunk in enumerate(chunks):
        actions += machine.body(2 + number, chunk)
    return [*actions, *machine.body_end(30)]


def shown(actions: list[object]) -> bytes:
    whole = [action.body for action in actions if isinstance(action, Respond)]
    return b"".join([*whole, *(action.data for action in actions if isinstance(action, ShowBody))])


@each_protocol
@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("is_silent_again", [True, False])
def test_it_is_asked_once_more_if_configured(
    protocol: WireProtocol, streaming: bool, is_silent_again: bool
) -> None:
    head = SSE if streaming else JSON
    silent = without_text(protocol) if streaming else (silent_body(protocol),)
    good = answers.tool_stream(protocol).events
    good = good if streaming else (answers.json_tool_body(protocol),)
    machine = machine_of(protocol, streaming)
    first = play(machine, head, silent)
    assert shown(first) == b""
    assert any(isinstance(action, StartAttempt) for action in first)
    machine.connected(31, reused=False)
    second = silent if is_silent_again else good
    actions = play(machine, head, second)
    assert shown(actions) == b"".join(second)
    assert not any(isinstance(action, StartAttempt) for action in actions)
    codes = [finding.code for finding in machine.findings]
    assert codes == ["E008"] * (2 if is_silent_again else 1)
    assert machine.answered


def test_what_was_shown_is_not_asked_for_again() -> None:
    """Reasoning is shown at once, so a stop behind it is reported only."""
    events = list(answers.text_stream(answers.CHAT).events)
    reasoning = events[1].replace(b'"content"', b'"reasoning_content"')
    stream = (events[0], reasoning, *without_text(answers.CHAT)[1:])
    machine = machine_of(answers.CHAT, True)
    actions = play(machine, SSE, stream)
    assert shown(actions) == b"".join(stream)
    assert [finding.code for finding in machine.findings] == ["E008"]


@each_protocol
def test_an_answer_is_shown_at_once_with_the_frame_before_it(protocol: WireProtocol) -> None:
    events = answers.text_stream(protocol).events
    first = next(number for number, event in enumerate(events) if b"Hello" in event)
    machine = machine_of(protocol, True)
    machine.head(1, SSE)
    assert [shown(list(machine.body(2, event))) for event in events[:first]] == [b""] * first
    assert shown(list(machine.body(3, events[first]))) == b"".join(events[: first + 1])
    assert shown(list(machine.body(3, events[first + 1]))) == events[first + 1]
