"""Calls whose provider has another protocol: what the machine sends in the client's protocol."""

import itertools
import json

import pytest
from wiremend.call_record.outcomes import CallState
from wiremend.engine.actions import (
    Action,
    FinishResponse,
    Head,
    Respond,
    ShowBody,
    ShowHead,
    StartAttempt,
)
from wiremend.engine.call import Call, Target
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Heartbeat
from wiremend.engine.translation.answers import TargetTranslation
from wiremend.held_memory import CallMemory, HeldMemory
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.registry import PROTOCOLS
from wiremend.protocols.responses import RESPONSES
from wiremend.testing import answers
from wiremend.translate.answer import Direction

SSE = Head(200, ((b"content-type", b"text/event-stream"), (b"x-request-id", b"req_1")))
JSON = Head(200, ((b"content-type", b"application/json"),))


def machine_of(
    client: Protocol = ANTHROPIC,
    provider: Protocol = CHAT,
    *,
    streaming: bool = True,
    is_array: bool = False,
    attempts: int = 1,
    memory: CallMemory | None = None,
) -> CallMachine:
    translation = TargetTranslation(
        Direction(provider, client),
        StreamContext(model="m"),
        AnswerContext(Origin(provider.name, "p.example", "m"), model="asked", input_tokens=9),
        is_array=is_array,
    )
    call = Call(
        protocol=client,
        targets=(Target("p.example", "m", translation=translation),),
        streaming=streaming,
        context=StreamContext(shown_model="asked", model="asked", array=is_array),
        retry=RetryPolicy(attempts=attempts),
        heartbeat=Heartbeat(after=15.0, interval=15.0),
    )
    return CallMachine(call, random=lambda: 0.5, wall_clock=lambda: 1e9, memory=memory)


def begin(machine: CallMachine, head: Head = SSE) -> list[Action]:
    assert isinstance(machine.start(0)[0], StartAttempt)
    machine.connected(0, reused=False)
    return machine.head(0, head)


def shown(actions: list[Action]) -> bytes:
    return b"".join(action.data for action in actions if isinstance(action, ShowBody))


def heads(actions: list[Action]) -> list[Head]:
    return [action.head for action in actions if isinstance(action, ShowHead | Respond)]


def test_the_frame_is_held_and_content_is_sent_at_once() -> None:
    machine = machine_of()
    begin(machine)
    events = answers.text_stream(CHAT.name).events
    assert shown(machine.body(1, events[0])) == b""
    actions = machine.body(2, events[1])
    assert b"message_start" in shown(actions)
    assert b'"Hello"' in shown(actions)
    [head] = heads(actions)
    assert head.get(b"content-type") == "text/event-stream"
    assert head.get(b"x-request-id") == "req_1"
    rest = shown(machine.body(3, b"".join(events[2:])))
    assert rest.endswith(b'data: {"type":"message_stop"}\n\n')
    assert machine.outcome.state is CallState.ANSWERED


@pytest.mark.parametrize("client", PROTOCOLS.values(), ids=str)
def test_after_a_keep_alive_a_rejection_is_an_error_event_of_the_client(client: Protocol) -> None:
    provider = ANTHROPIC if client is CHAT else CHAT
    machine = machine_of(client, provider, is_array=client is GEMINI)
    machine.start(0)
    machine.connected(0, reused=False)
    actions = machine.wake(15)
    assert shown(actions) == b"\n"
    label = "application/json" if client is GEMINI else "text/event-stream"
    assert heads(actions)[0].get(b"content-type") == label
    machine.head(16, Head(400, JSON.fields))
    error = {"error": {"type": "invalid_request_error", "message": "no such field: blue"}}
    machine.body(16, json.dumps(error).encode())
    last = shown(machine.body_end(16))
    assert b"no such field: blue" in last
    if client is GEMINI:
        [element] = json.loads(last)
        assert element["error"]["code"] == 400
    else:
        assert b"data: " in last


def test_a_prompt_that_is_too_long_is_reported_in_the_words_of_the_client() -> None:
    machine = machine_of(streaming=False)
    begin(machine, Head(400, JSON.fields))
    message = "This model's maximum context length is 1000 tokens. You requested 1200 tokens."
    machine.body(1, json.dumps({"error": {"message": message}}).encode())
    [respond, *_] = machine.body_end(1)
    assert isinstance(respond, Respond)
    assert respond.head.status == 400
    text = json.loads(respond.body)["error"]["message"]
    assert text.startswith("prompt is too long: 1200 tokens > 1000 maximum")
    assert text.count("prompt is too long") == 1


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(Head(307, ((b"location", b"https://elsewhere"),)), id="redirect"),
        pytest.param(Head(200, (*SSE.fields, (b"content-encoding", b"lzma"))), id="unknown coding"),
    ],
)
def test_a_response_that_cannot_be_read_is_never_passed_on(head: Head) -> None:
    machine = machine_of()
    actions = begin(machine, head)
    [respond] = [action for action in actions if isinstance(action, Respond)]
    assert respond.head.status == 502
    assert json.loads(respond.body)["type"] == "error"


def test_a_body_beyond_the_memory_is_an_error_and_not_passed_on() -> None:
    machine = machine_of(streaming=False, memory=HeldMemory(limit_bytes=1).share())
    begin(machine, JSON)
    actions = machine.body(1, answers.json_body(CHAT.name))
    [respond] = [action for action in actions if isinstance(action, Respond)]
    assert respond.head.status == 502
    assert b"Hello" not in respond.body


def test_each_attempt_has_an_answer_with_another_id() -> None:
    numbers = itertools.count()
    call = machine_of(attempts=2).call
    machine = CallMachine(call, random=lambda: next(numbers) / 100, wall_clock=lambda: 1e9)
    machine.start(0)
    first = machine._response.translation
    machine.connected(0, reused=False)
    machine.attempt_failed(0, "reset")
    machine.wake(10)
    assert machine._log.number == 2
    second = machine._response.translation
    assert first is not None
    assert second is not None
    assert len({first.answer.answer_id, second.answer.answer_id}) == 2


def test_a_stream_without_its_terminal_event_is_completed_for_the_client() -> None:
    """The stop reason arrived, so nothing is missing but the end."""
    machine = machine_of(RESPONSES)
    begin(machine)
    machine.body(1, b"".join(answers.text_stream(CHAT.name).events[:-1]))
    last = shown(machine.body_end(2))
    assert b"response.completed" in last
    assert machine.outcome.state is CallState.ANSWERED


@pytest.mark.parametrize("client", PROTOCOLS.values(), ids=str)
def test_a_connection_that_breaks_in_the_middle_is_an_error_event_of_the_client(
    client: Protocol,
) -> None:
    provider = ANTHROPIC if client is CHAT else CHAT
    machine = machine_of(client, provider)
    begin(machine)
    events = answers.text_stream(provider.name).events
    assert b"Hello" in shown(machine.body(1, b"".join(events[:4])))
    actions = machine.attempt_failed(2, "connection reset")
    assert b"error" in shown(actions)
    assert b"connection reset" in shown(actions)
    assert FinishResponse() in actions


_ODD_CALL = (
    b'data: {"choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[{"index":0,'
    b'"id":"call_1","type":"function","function":{"name":"read","arguments":"[1]"}}]},'
    b'"finish_reason":null}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
    b"data: [DONE]\n\n"
)
"""A call whose arguments are JSON, but no object: Gemini has no word for it."""


@pytest.mark.parametrize("streaming", [True, False])
def test_an_answer_that_the_writer_cannot_write_is_a_failure_of_the_call(streaming: bool) -> None:
    machine = machine_of(GEMINI, streaming=streaming)
    begin(machine)
    actions = machine.body(1, _ODD_CALL) + machine.body_end(2)
    assert machine.outcome.state is not CallState.ANSWERED
    text = shown(actions) or next(a.body for a in actions if isinstance(a, Respond))
    assert b"arguments that are no JSON object" in text


def test_an_answer_that_the_writer_cannot_write_is_tried_again_while_nothing_was_sent() -> None:
    machine = machine_of(GEMINI, attempts=2)
    begin(machine)
    assert shown(machine.body(1, _ODD_CALL)) == b""
    assert any(isinstance(action, StartAttempt) for action in machine.wake(100))
