"""Responses: native errors, and the grammar of event streams."""

import json
from typing import Any

import pytest
from hypothesis import given
from strategies.responses import as_event, valid_streams
from wiremend.protocols.base.openai_errors import error_envelope
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.responses.errors import client_error, error_event
from wiremend.protocols.responses.grammar import Grammar
from wiremend.text import sse

Json = dict[str, Any]


def response(status: str = "in_progress", **fields: Any) -> Json:
    base = {"id": "resp_1", "created_at": 1, "model": "gpt-5", "status": status, "output": []}
    return base | fields


MESSAGE: Json = {"id": "m", "type": "message", "role": "assistant", "content": []}
PART = {"type": "output_text", "text": "", "annotations": []}
AT = {"item_id": "m", "output_index": 0, "content_index": 0}
CALL: Json = {"id": "f", "type": "function_call", "name": "read", "call_id": "c", "arguments": ""}
CREATED = {"type": "response.created", "response": response()}
COMPLETED = {"type": "response.completed", "response": response("completed")}
ADDED = {"type": "response.output_item.added", "output_index": 0, "item": MESSAGE}
PART_ADDED = {"type": "response.content_part.added", **AT, "part": PART}
DELTA = {"type": "response.output_text.delta", **AT, "delta": "Hi"}
DONE: Json = {
    "type": "response.output_item.done",
    "output_index": 0,
    "item": MESSAGE | {"status": "completed", "content": [PART | {"text": "Hi"}]},
}
CALL_ADDED = ADDED | {"item": CALL}
CALL_DONE: Json = DONE | {"item": CALL | {"status": "completed", "arguments": "{}"}}
FAILED = {
    "type": "response.failed",
    "response": response("failed", error={"code": "server_error", "message": "No."}),
}


def violations(*steps: Json, number: bool = True) -> list[str]:
    grammar, problems = Grammar(), []
    for count, step in enumerate(steps):
        data = {"sequence_number": count, **step} if number else step
        for event in sse.Decoder().feed(as_event(data)):
            problems += grammar.feed(event)
    return problems + grammar.end()


def completed(*output: Json, **fields: Any) -> Json:
    return COMPLETED | {"response": response("completed", **{"output": list(output), **fields})}


@pytest.mark.parametrize(
    "steps",
    [
        [CREATED, COMPLETED],
        [CREATED, ADDED, PART_ADDED, DELTA, DONE, completed(DONE["item"])],
        [CREATED, CALL_ADDED, CALL_DONE, completed(CALL_DONE["item"])],
        [CREATED, ADDED, FAILED],
        [CREATED, {"type": "error", "message": "No."}],
        [CREATED, {"type": "error", "error": {"message": "No."}}],
        [{"type": "codex.rate_limits"}, CREATED, {"type": "unknown.event"}, COMPLETED],
        [CREATED, {"type": "response.unknown_event", "output_index": 9}, COMPLETED],
        [{"type": "response.unknown_event"}, CREATED, COMPLETED],
    ],
)
def test_a_legal_stream_has_no_violations(steps: list[Json]) -> None:
    assert violations(*steps) == []


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ([CREATED], "the end without a terminal event"),
        ([CREATED, COMPLETED, COMPLETED], "an event after the end"),
        ([COMPLETED], "response.completed before response.created"),
        ([ADDED, FAILED], "response.output_item.added before response.created"),
        ([CREATED, CREATED, COMPLETED], "a second response.created"),
        ([CREATED, {"type": "keepalive"}, COMPLETED], "a keepalive frame"),
        ([CREATED, {"kind": "?"}, COMPLETED], "data without a type"),
        (
            [CREATED, COMPLETED | {"sequence_number": 0}],
            "sequence number 0 after 0",
        ),
        (
            [CREATED, COMPLETED | {"sequence_number": True}],
            "an event without a sequence number",
        ),
        (
            [CREATED, completed(id="resp_2")],
            "response id resp_2 after resp_1",
        ),
        ([CREATED | {"response": {"id": "r"}}, FAILED], "response.created without time or model"),
        (
            [CREATED, COMPLETED | {"response": response()}],
            "response.completed with the status 'in_progress'",
        ),
        ([CREATED, completed(output=None)], "output that is not a list of items"),
        ([CREATED, completed(MESSAGE)], "output whose items were never streamed"),
        ([CREATED, ADDED, completed()], "item 0 is not done"),
        (
            [CREATED, CALL_ADDED, CALL_DONE, completed()],
            "output without the items that were streamed",
        ),
        ([CREATED, completed(usage={"input_tokens": 1})], "usage without total_tokens"),
        (
            [CREATED, FAILED | {"response": response("failed")}],
            "response.failed without code and message",
        ),
        ([CREATED, {"type": "error", "message": ""}], "an error without a message"),
        ([CREATED, ADDED | {"output_index": 1}, FAILED], "item 1 instead of 0"),
        ([CREATED, ADDED | {"item": None}, FAILED], "an added item without a type"),
        ([CREATED, ADDED | {"item": {"type": "message"}}, FAILED], "message without role"),
        ([CREATED, DELTA, FAILED], "response.output_text.delta of item 0, which was not added"),
        (
            [CREATED, ADDED, DELTA, FAILED],
            "response.output_text.delta of part 0, which was not added",
        ),
        (
            [CREATED, ADDED, PART_ADDED, PART_ADDED, FAILED],
            "part 0 instead of 1",
        ),
        ([CREATED, CALL_ADDED, DELTA, FAILED], "response.output_text.delta of a function_call"),
        (
            [CREATED, ADDED, PART_ADDED | {"part": {"type": "refusal"}}, DELTA, FAILED],
            "response.output_text.delta of a part of type refusal",
        ),
        (
            [CREATED, ADDED, PART_ADDED, DELTA | {"delta": None}, FAILED],
            "response.output_text.delta without delta",
        ),
        (
            [CREATED, ADDED, PART_ADDED, DELTA | {"item_id": None}, FAILED],
            "response.output_text.delta without an item id",
        ),
        (
            [CREATED, ADDED, DONE, DELTA, FAILED],
            "response.output_text.delta of item 0, which is done",
        ),
        (
            [CREATED, ADDED, PART_ADDED, DELTA, DONE | {"item": MESSAGE}, FAILED],
            "a done item without the content that was streamed",
        ),
        (
            [CREATED, CALL_ADDED, CALL_DONE | {"item": CALL | {"arguments": '{"a'}}, FAILED],
            "arguments that are not JSON",
        ),
        (
            [CREATED, CALL_ADDED, CALL_DONE | {"item": CALL | {"name": ""}}, FAILED],
            "function_call without name",
        ),
        ([CREATED, CALL_ADDED, DONE, FAILED], "an item that is done as another type"),
    ],
)
def test_an_illegal_stream_has_a_violation(steps: list[Json], problem: str) -> None:
    assert problem in violations(*steps)


def test_the_event_line_must_match_and_the_data_must_be_json() -> None:
    grammar = Grammar()
    data = json.dumps(CREATED | {"sequence_number": 0}).encode()
    assert grammar.feed(sse.Event(b"", "message", data)) == [
        "event line 'message' over response.created"
    ]
    assert grammar.feed(sse.Event(b"", "", b"{")) == ["data that is not JSON"]
    assert grammar.feed(sse.Event(b": comment\n\n")) == []


@given(valid_streams())
def test_the_generated_streams_are_legal(events: list[bytes]) -> None:
    grammar, decoder = Grammar(), sse.Decoder()
    for event in [*decoder.feed(b"".join(events)), *decoder.end()]:
        assert grammar.feed(event) == []
    assert grammar.end() == []


def test_the_form_of_an_http_error() -> None:
    error = make_error(code="rate_limit_exceeded", message="Slow.", request_id="req_1")
    assert json.loads(error_envelope(error)) == {
        "error": {
            "message": "Slow.",
            "type": "rate_limit_error",
            "param": None,
            "code": "rate_limit_exceeded",
        },
        "request_id": "req_1",
    }


@pytest.mark.parametrize(
    ("fields", "before_output", "code", "message"),
    [
        ({"message": "No."}, True, "server_error", "No."),
        ({"status": 429, "message": "No."}, True, "rate_limit_exceeded", "No."),
        (
            {"status": 429, "message": "No.", "retry_after_seconds": 2.5},
            True,
            "rate_limit_exceeded",
            "No. Please try again in 2.5s.",
        ),
        (
            {"code": "slow_down", "message": "Busy."},
            True,
            "rate_limit_exceeded",
            "Busy. Please try again in 2s.",
        ),
        ({"code": "slow_down", "message": "Busy."}, False, "slow_down", "Busy."),
        (
            {"code": "insufficient_quota", "message": "Pay.", "retry_after_seconds": 9.0},
            True,
            "insufficient_quota",
            "Pay.",
        ),
        (
            {"type": "server_error"},
            True,
            "server_error",
            "The provider reported server_error without a message.",
        ),
    ],
)
def test_an_error_has_a_code_and_message_that_clients_act_on(
    fields: Json, before_output: bool, code: str, message: str
) -> None:
    error = client_error(make_error(**fields), before_output=before_output)
    assert (error.code, error.message) == (code, message)


def test_an_error_event_contains_a_whole_response() -> None:
    raw = error_event(make_error(message="No."), {"id": "resp_1", "model": "gpt-5"}, 4)
    (event,) = sse.Decoder().feed(raw)
    assert event.type == "response.failed"
    assert json.loads(event.data or b"") == {
        "type": "response.failed",
        "sequence_number": 4,
        "response": {
            "id": "resp_1",
            "object": "response",
            "created_at": 0,
            "model": "gpt-5",
            "status": "failed",
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "error": {"code": "server_error", "message": "No."},
            "incomplete_details": None,
        },
    }
