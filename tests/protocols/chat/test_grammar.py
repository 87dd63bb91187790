"""Chat Completions: native errors, and the grammar of event streams."""

import json
from typing import Any

import pytest
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.chat.errors import ERROR_REASONS, error_event, error_in
from wiremend.protocols.chat.grammar import (
    FINISH_REASONS,
    FOREIGN_REASONS,
    Grammar,
    finish_reason_of,
)
from wiremend.text import sse

Json = dict[str, Any]

BASE: Json = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
DONE = b"data: [DONE]\n\n"


def chunk(delta: Any = ..., reason: Any = None, index: Any = 0, **fields: Any) -> Json:
    """Return a chunk with one choice, or without choices."""
    choice = {"index": index, "delta": delta, "finish_reason": reason}
    return BASE | {"choices": [] if delta is ... else [choice]} | fields


def call(arguments: Any = "", index: Any = 0, **fields: Any) -> Json:
    """Return a delta that opens a call."""
    function = {"name": "read", "arguments": arguments}
    opened = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
    return {"tool_calls": [opened | fields]}


def more(arguments: str, index: int = 0, **fields: Any) -> Json:
    """Return a delta that adds to a call."""
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}, **fields}]}


def violations(*steps: Json | bytes) -> list[str]:
    """Return the violations of a stream with these chunks or bytes."""
    encoded = (
        step if isinstance(step, bytes) else b"data: %s\n\n" % json.dumps(step).encode()
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


ROLE = chunk({"role": "assistant", "content": ""})
HI = chunk({"content": "Hi"})
STOP = chunk({}, "stop")
CALLED = chunk({}, "tool_calls")
CUSTOM = {"tool_calls": [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "x"}}]}
ERROR: Json = {"error": {"message": "No."}}

LEGAL: dict[str, list[Json | bytes]] = {
    "text": [ROLE, HI, STOP, DONE],
    "content with the finish reason": [chunk({"content": "Hi"}, "stop"), DONE],
    "usage after the finish reason": [HI, STOP, chunk(usage={"total_tokens": 1}), DONE],
    "usage before the finish reason": [HI, chunk(usage={"total_tokens": 1}), STOP, DONE],
    "comments": [b": OPENROUTER PROCESSING\n\n", HI, STOP, DONE],
    "an error": [HI, ERROR],
    "an error alone": [ERROR],
    "a call": [chunk(call("{")), chunk(more("}")), CALLED, DONE],
    "calls interleaved": [
        chunk(call("{")),
        chunk(call("{", index=1)),
        chunk(more("}")),
        chunk(more("}", index=1)),
        CALLED,
        DONE,
    ],
    "a call cut by length": [chunk(call("{")), chunk({}, "length"), DONE],
    "a call cut by a filter": [chunk(call("{")), chunk({}, "content_filter"), DONE],
    "a custom tool": [chunk(CUSTOM), CALLED, DONE],
    "a legacy function call": [chunk({"function_call": {"name": "f"}}), CALLED, DONE],
    "a repeated reason beside the usage": [HI, STOP, STOP, DONE],
    "Perplexity's last chunk": [HI, STOP | {"object": "chat.completion.done"}, DONE],
    "a signature after the reason": [
        HI,
        STOP,
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "abc"}]}),
        DONE,
    ],
    "two choices": [HI, chunk({"content": "Ho"}, index=1), STOP, chunk({}, "length", 1), DONE],
    "an unknown finish reason": [HI, chunk({}, "new_reason"), DONE],
    "Azure's filter results": [{"id": "", "object": "", "choices": []}, HI, STOP, DONE],
    "unknown fields": [HI | {"unknown": 1}, chunk({"unknown": 1}), STOP, DONE],
}
ILLEGAL: dict[str, tuple[list[Json | bytes], str]] = {
    "no end": ([HI, STOP], "the end without [DONE] or error"),
    "a second end": ([HI, STOP, DONE, DONE], "an event after the end"),
    "data after an error": ([ERROR, HI], "an event after the end"),
    "no finish reason": ([HI, DONE], "[DONE] without a finish reason for [0]"),
    "no finish reason of one": (
        [HI, chunk({}, index=1), STOP, DONE],
        "[DONE] without a finish reason for [1]",
    ),
    "not JSON": ([b"data: {\n\n", STOP, DONE], "data that is not JSON"),
    "a list": ([b"data: []\n\n", STOP, DONE], "data that is not an object"),
    "an error beside choices": ([HI | ERROR], "an error beside choices"),
    "an error without a message": ([{"error": {"code": 500}}], "an error without a message"),
    "error: null": ([HI | {"error": None}, STOP, DONE], "an empty error"),
    "Groq's error": ([STOP | {"x_groq": {"error": "No."}}, DONE], "an error under x_groq"),
    "no choices": ([BASE, STOP, DONE], "a chunk without choices"),
    "no object": ([HI | {"object": ""}, STOP, DONE], "a chunk without its object name"),
    "a delta of null": ([chunk(None), STOP, DONE], "a choice without a delta"),
    "no index": ([chunk({}, index=None), STOP, DONE], "a choice without an index"),
    "a role": ([chunk({"role": ""}), STOP, DONE], "role ''"),
    "a failure as the reason": (
        [chunk({}, "error"), DONE],
        "a finish reason that is a failure: error",
    ),
    "a failure in the native reason": (
        [
            BASE | {"choices": [STOP["choices"][0] | {"native_finish_reason": "network-error"}]},
            DONE,
        ],
        "a finish reason that is a failure: network-error",
    ),
    "an empty reason": ([chunk({}, ""), DONE], "finish reason ''"),
    "Anthropic's reason": ([chunk({}, "end_turn"), DONE], "finish reason 'end_turn'"),
    "a reason in capitals": ([chunk({}, "STOP"), DONE], "finish reason 'STOP'"),
    "a second reason": ([HI, STOP, chunk({}, "length"), DONE], "a second finish reason"),
    "content after the reason": ([STOP, HI, STOP, DONE], "content after the finish reason"),
    "a call after the reason": (
        [
            chunk(call("{")),
            chunk({}, "length"),
            chunk(more("}")),
            chunk({}, "length"),
            DONE,
        ],
        "content after the finish reason",
    ),
    "stop with a call": ([chunk(call("{}")), STOP, DONE], "stop with tool calls"),
    "tool_calls without one": ([HI, CALLED, DONE], "tool_calls without a call"),
    "a call that is cut": ([chunk(call("{")), CALLED, DONE], "arguments that are not JSON"),
    "a call without arguments": ([chunk(call()), CALLED, DONE], "arguments that are not JSON"),
    "arguments as an object": (
        [chunk(call({})), chunk(more("{}")), CALLED, DONE],
        "arguments that are not a string",
    ),
    "a call without a function": (
        [chunk({"tool_calls": [{"index": 0}]}), STOP, DONE],
        "a tool call without a function",
    ),
    "a call without an index": (
        [chunk(call("{}", index=None)), chunk({}, "length"), DONE],
        "a tool call with index None",
    ),
    "calls from 1": ([chunk(call("{}", index=1)), CALLED, DONE], "tool call 1 instead of 0"),
    "a call without an id": (
        [chunk(call("{}", id="")), CALLED, DONE],
        "a tool call that opens without id, type or name",
    ),
    "two calls under one index": (
        [chunk(call("{}")), chunk(call("", id="other")), CALLED, DONE],
        "a second id with one index",
    ),
    "a repeated name": (
        [
            chunk(call("{")),
            chunk({"tool_calls": [{"index": 0, "function": {"name": "read", "arguments": "}"}}]}),
            CALLED,
            DONE,
        ],
        "a repeated name",
    ),
}


@pytest.mark.parametrize("steps", LEGAL.values(), ids=LEGAL)
def test_a_legal_stream_has_no_violations(steps: list[Json | bytes]) -> None:
    assert violations(*steps) == []


@pytest.mark.parametrize(("steps", "problem"), ILLEGAL.values(), ids=ILLEGAL)
def test_an_illegal_stream_has_one_violation(steps: list[Json | bytes], problem: str) -> None:
    assert violations(*steps) == [problem]


@pytest.mark.parametrize(
    ("reason", "name"),
    [
        ("STOP", "stop"),
        ("Tool_Calls", "tool_calls"),
        ("TOOL_USE", "tool_calls"),
        ("New_Reason", "New_Reason"),
        *((reason, reason) for reason in sorted(FINISH_REASONS)),
        *FOREIGN_REASONS.items(),
    ],
)
def test_a_finish_reason_is_normalised(reason: str, name: str) -> None:
    assert finish_reason_of(reason) == name


@pytest.mark.parametrize(("reason", "status"), ERROR_REASONS.items())
def test_a_failure_in_a_finish_reason_is_an_error(reason: str, status: int) -> None:
    error = error_in(chunk({}, reason))
    assert error is not None
    assert (error.status, reason in error.message) == (status, True)


def test_the_form_of_an_error_event() -> None:
    (event,) = sse.Decoder().feed(error_event(ProviderError(429, message="Slow.")))
    assert event.type == ""
    assert json.loads(event.data or b"") == {
        "error": {"message": "Slow.", "type": "rate_limit_error", "param": None, "code": None}
    }
