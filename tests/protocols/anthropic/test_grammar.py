"""Anthropic Messages: native errors, and the grammar of event streams."""

import json
from typing import Any

import pytest
from wiremend.protocols.anthropic.errors import error_event, error_type
from wiremend.protocols.anthropic.grammar import BLOCK_BY_DELTA, DELTAS_BY_BLOCK, Grammar
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.text import sse

Json = dict[str, Any]


def violations(*steps: Json | bytes) -> list[str]:
    """Return the violations of a stream with these events or bytes."""
    encoded = (
        step if isinstance(step, bytes) else sse.encode(json.dumps(step).encode(), step["type"])
        for step in steps
    )
    grammar, decoder = Grammar(), sse.Decoder()
    problems = [
        problem
        for step in encoded
        for event in decoder.feed(step)
        for problem in grammar.feed(event)
    ]
    return problems + grammar.end()


def start(block: Any, index: Any = 0) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(fields: Any, index: Any = 0) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def stop(index: Any = 0) -> Json:
    return {"type": "content_block_stop", "index": index}


def finish(reason: Any = "end_turn", **fields: Any) -> Json:
    usage = {"output_tokens": 3}
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage} | fields


MESSAGE: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [],
    "model": "claude",
    "stop_reason": None,
    "usage": {"input_tokens": 9, "output_tokens": 1},
}
BEGIN: Json = {"type": "message_start", "message": MESSAGE}
END: Json = {"type": "message_stop"}
PING: Json = {"type": "ping"}
ERROR: Json = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
TEXT: Json = {"type": "text", "text": ""}
HI = delta({"type": "text_delta", "text": "Hi"})
THINKING: Json = {"type": "thinking", "thinking": "", "signature": ""}
TOOL: Json = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}}
CALL_BY_CODE: Json = TOOL | {"caller": {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}}


def json_delta(text: Any, index: int = 0) -> Json:
    return delta({"type": "input_json_delta", "partial_json": text}, index)


LEGAL: dict[str, list[Json | bytes]] = {
    "text": [BEGIN, start(TEXT), HI, stop(), finish(), END],
    "no content": [BEGIN, finish(), END],
    "pings anywhere": [PING, BEGIN, PING, start(TEXT), PING, HI, stop(), finish(), PING, END],
    "an error": [BEGIN, start(TEXT), HI, ERROR],
    "an error alone": [ERROR],
    "thinking, then a tool": [
        BEGIN,
        start(THINKING),
        delta({"type": "thinking_delta", "thinking": "Hm"}),
        delta({"type": "signature_delta", "signature": "c2ln"}),
        stop(),
        start(TOOL, 1),
        json_delta("", 1),
        json_delta("{}", 1),
        stop(1),
        finish("tool_use"),
        END,
    ],
    "a tool without input": [BEGIN, start(TOOL), stop(), finish("tool_use"), END],
    "a tool cut by max_tokens": [
        BEGIN,
        start(TOOL),
        json_delta("{"),
        stop(),
        finish("max_tokens"),
        END,
    ],
    "a block after a tool cut by max_tokens": [
        BEGIN,
        start(TOOL),
        json_delta("{"),
        stop(),
        start(TEXT, 1),
        stop(1),
        finish("max_tokens"),
        END,
    ],
    "a message that is whole at its start": [
        BEGIN | {"message": MESSAGE | {"content": [CALL_BY_CODE], "stop_reason": "tool_use"}},
        END,
    ],
    "a block behind the content of the start": [
        BEGIN | {"message": MESSAGE | {"content": [CALL_BY_CODE]}},
        start(TEXT, 1),
        HI | {"index": 1},
        stop(1),
        finish(),
        END,
    ],
    "an unknown block": [
        BEGIN,
        start({"type": "new_reason"}),
        delta({"type": "text_delta", "text": "Hi"}),
        delta({"type": "unknown_delta"}),
        stop(),
        finish(),
        END,
    ],
    "an unknown delta": [
        BEGIN,
        start(TEXT),
        delta({"type": "new_reason"}),
        stop(),
        finish(),
        END,
    ],
    "an unknown event": [BEGIN, {"type": "new_reason"}, finish(), END],
    "an unknown reason": [BEGIN, finish("new_reason"), END],
    "comments": [b": x\n\n", BEGIN, b"\n", finish(), END],
}
ILLEGAL: dict[str, tuple[list[Json | bytes], str]] = {
    "no end": ([BEGIN, finish()], "the end without message_stop or error"),
    "a second end": ([BEGIN, finish(), END, END], "an event after the end"),
    "a ping after the end": ([BEGIN, finish(), END, PING], "an event after the end"),
    "data after an error": ([BEGIN, ERROR, END], "an event after the end"),
    "[DONE]": ([BEGIN, finish(), b"data: [DONE]\n\n", END], "data that is not JSON"),
    "no type": ([BEGIN, b"data: {}\n\n", finish(), END], "data without a type"),
    "a keepalive": ([BEGIN, {"type": "keepalive"}, finish(), END], "a keepalive frame"),
    "no event line": (
        [BEGIN, finish(), b'data: {"type":"message_stop"}\n\n'],
        "event line '' over 'message_stop'",
    ),
    "another event line": (
        [BEGIN, finish(), b'event: ping\ndata: {"type":"message_stop"}\n\n'],
        "event line 'ping' over 'message_stop'",
    ),
    "an error without a message": (
        [{"type": "error", "error": {"type": "api_error", "message": ""}}],
        "an error without a message",
    ),
    "an empty error": ([{"type": "error"}], "an error without a message"),
    "a block before the message": (
        [start(TEXT), ERROR],
        "content_block_start before message_start",
    ),
    "an end before the message": ([END, ERROR], "message_stop before message_start"),
    "a second message": ([BEGIN, BEGIN, finish(), END], "a second message_start"),
    "no message": (
        [{"type": "message_start"}, finish(), END],
        "message_start without a message",
    ),
    "a stop reason at the start, without content": (
        [BEGIN | {"message": MESSAGE | {"stop_reason": "end_turn"}}, END],
        "message_stop without a stop reason",
    ),
    "a block behind a whole message": (
        [
            BEGIN | {"message": MESSAGE | {"content": [CALL_BY_CODE], "stop_reason": "tool_use"}},
            start(TEXT, 1),
            stop(1),
            END,
        ],
        "message_stop without a stop reason",
    ),
    "a text block at the start": (
        [BEGIN | {"message": MESSAGE | {"content": [TEXT]}}, finish(), END],
        "message_start with content",
    ),
    "a call of the model at the start": (
        [BEGIN | {"message": MESSAGE | {"content": [TOOL]}}, finish(), END],
        "message_start with content",
    ),
    "a text in the start of its block": (
        [BEGIN, start(TEXT | {"text": "Hi"}), stop(), finish(), END],
        "a text block that starts with its text",
    ),
    "no usage at the start": (
        [BEGIN | {"message": MESSAGE | {"usage": {"input_tokens": 9}}}, finish(), END],
        "message_start without usage",
    ),
    "no content at the start": (
        [BEGIN | {"message": MESSAGE | {"content": None}}, finish(), END],
        "message_start without content",
    ),
    "blocks from 1": (
        [BEGIN, start(TEXT, 1), stop(), finish(), END],
        "block 1 instead of 0",
    ),
    "an index as text": (
        [BEGIN, start(TEXT, "0"), stop(), finish(), END],
        "block '0' instead of 0",
    ),
    "an index that is a boolean": (
        [BEGIN, start(TEXT, False), stop(), finish(), END],
        "block False instead of 0",
    ),
    "a block inside a block": (
        [BEGIN, start(TEXT), start(TEXT, 1), stop(1), finish(), END],
        "a block inside a block",
    ),
    "a block after the reason": (
        [BEGIN, finish(), start(TEXT), stop(), END],
        "a block after the stop reason",
    ),
    "a block after a cut tool, before tool_use": (
        [
            BEGIN,
            start(TOOL),
            json_delta("{"),
            stop(),
            start(TEXT, 1),
            stop(1),
            finish("tool_use"),
            END,
        ],
        "tool_use after a tool block that stops inside its JSON",
    ),
    "a block of null": ([BEGIN, start(None), finish(), END], "a block without a type"),
    "a tool without a name": (
        [BEGIN, start(TOOL | {"name": ""}), stop(), finish(), END],
        "a tool_use block without id or name",
    ),
    "a tool without an id": (
        [BEGIN, start(TOOL | {"id": None}), stop(), finish(), END],
        "a tool_use block without id or name",
    ),
    "a delta outside": ([BEGIN, HI, finish(), END], "a delta outside a block"),
    "a delta of null": (
        [BEGIN, start(TEXT), delta(None), stop(), finish(), END],
        "a delta without a type",
    ),
    "a delta of another block": (
        [BEGIN, start(TEXT), HI | {"index": 1}, stop(), finish(), END],
        "a delta of block 1",
    ),
    "a delta without text": (
        [BEGIN, start(TEXT), delta({"type": "text_delta"}), stop(), finish(), END],
        "text_delta without its text",
    ),
    "a delta of another kind": (
        [BEGIN, start(THINKING), HI, stop(), finish(), END],
        "text_delta in a thinking block",
    ),
    "a stop outside": ([BEGIN, stop(), finish(), END], "a stop outside a block"),
    "a stop of another block": (
        [BEGIN, start(TEXT), stop(1), finish(), END],
        "a stop of block 1",
    ),
    "the reason inside a block": (
        [BEGIN, start(TEXT), finish(), stop(), END],
        "message_delta inside a block",
    ),
    "a second reason": ([BEGIN, finish(), finish(), END], "a second message_delta"),
    "a reason of null": ([BEGIN, finish(None), END], "message_delta without a stop reason"),
    "another protocol's reason": ([BEGIN, finish("tool_calls"), END], "stop reason 'tool_calls'"),
    "a reason in capitals": ([BEGIN, finish("END_TURN"), END], "stop reason 'END_TURN'"),
    "a failure as the reason": ([BEGIN, finish("error"), END], "stop reason 'error'"),
    "no usage at the end": (
        [BEGIN, finish(usage=None), END],
        "message_delta without usage",
    ),
    "a reason after a cut tool": (
        [BEGIN, start(TOOL), json_delta("{"), stop(), finish("tool_use"), END],
        "tool_use after a tool block that stops inside its JSON",
    ),
    "the end inside a block": (
        [BEGIN, finish(), start(TEXT), END],
        "message_stop inside a block",
    ),
    "no reason": ([BEGIN, END], "message_stop without a stop reason"),
}
SEVERAL_VIOLATIONS = {
    "the end inside a block": ["a block after the stop reason", "message_stop inside a block"],
}
"""Violations that cannot occur alone: this block also starts too late."""


@pytest.mark.parametrize("steps", LEGAL.values(), ids=LEGAL)
def test_a_legal_stream_has_no_violations(steps: list[Json | bytes]) -> None:
    assert violations(*steps) == []


@pytest.mark.parametrize("name", ILLEGAL)
def test_an_illegal_stream_has_one_violation(name: str) -> None:
    steps, problem = ILLEGAL[name]
    assert violations(*steps) == SEVERAL_VIOLATIONS.get(name, [problem])


def test_the_tables_of_deltas_and_blocks_agree() -> None:
    assert all(kind in DELTAS_BY_BLOCK[block] for kind, block in BLOCK_BY_DELTA.items())


@pytest.mark.parametrize(
    ("error", "type"),
    [
        (ProviderError(529), "overloaded_error"),
        (ProviderError(418), "invalid_request_error"),
        (ProviderError(502), "api_error"),
        (ProviderError(502, type="new_reason"), "new_reason"),
    ],
)
def test_the_type_of_an_error_is_its_own_or_that_of_its_status(
    error: ProviderError, type: str
) -> None:
    assert error_type(error) == type


def test_the_form_of_an_error_event() -> None:
    error = ProviderError(429, code="slow", message="No.", request_id="req_1")
    (event,) = sse.Decoder().feed(error_event(error))
    assert event.type == "error"
    assert json.loads(event.data or b"") == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "No.", "code": "slow"},
        "request_id": "req_1",
    }
