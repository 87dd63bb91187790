"""Responses with values in the wrong place, in streams of both framings and whole.

Also what depends on the form that the client asked for: numbers for enumerations, and Code
Assist's wrapper.
"""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from wiremend.protocols.base.protocol import RequestFacts
from wiremend.protocols.base.provider_error import read_error
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.gemini.body import repair_body
from wiremend.protocols.gemini.errors import STATUS_BY_FAILED_REASON, error_envelope
from wiremend.protocols.gemini.grammar import FINISH_REASONS, Grammar
from wiremend.protocols.gemini.request import read_request
from wiremend.protocols.gemini.stream import GeminiRepairer
from wiremend.repair.stream import StreamRepair
from wiremend.text import sse

type Json = dict[str, Any]

HELLO: Json = {"parts": [{"text": "Hello"}], "role": "model"}
GOOD: Json = {"candidates": [{"content": HELLO, "finishReason": "STOP"}]}
CALLED: Json = {"functionCall": {"name": "f", "args": {"x": 1}}}


def candidate(**fields: Any) -> Json:
    """One response with this candidate, which has its finish reason."""
    return {"candidates": [{"finishReason": "STOP", **fields}]}


def with_parts(*parts: Any) -> Json:
    return candidate(content={"parts": list(parts), "role": "model"})


def streamed(value: Any, context: StreamContext) -> list[Repaired]:
    """One event, as a stream of its own."""
    text = orjson.dumps(value)
    repair = StreamRepair(GeminiRepairer(context))
    data = b"[" + text + b"]" if context.array else b"data: " + text + b"\n\n"
    repaired = [*repair.feed(data), *repair.end()]
    assert not repair.gave_up
    return repaired


def shown(repaired: list[Repaired], *, array: bool) -> Any:
    data = b"".join(one.data for one in repaired)
    if array:
        (value,) = orjson.loads(data)
    else:
        (event,) = (event for event in sse.Decoder().feed(data) if event.data)
        value = orjson.loads(event.data or b"")
    return value


def assert_becomes(value: Any, expected: Any, code: str, **fields: Any) -> None:
    """Check a response in both framings and whole; without a code, that it keeps its bytes."""
    for array in (False, True):
        context = StreamContext(array=array, **fields)
        repaired = streamed(value, context)
        assert shown(repaired, array=array) == expected
        codes = {finding.code for one in repaired for finding in one.findings}
        assert codes == ({code} if code else set())
        assert repaired[-1].kind is EventKind.TERMINAL
    body = orjson.dumps(value)
    whole = repair_body(body, StreamContext(**fields))
    assert orjson.loads(whole.data) == expected
    assert whole.error is None
    assert {finding.code for finding in whole.findings} == ({code} if code else set())
    assert code or whole.data == body


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (candidate(content="Hello"), candidate(content=HELLO)),
        (candidate(content=["Hello"]), candidate(content=HELLO)),
        (candidate(content=[{"text": "Hello"}]), candidate(content=HELLO)),
        (candidate(text="Hello"), candidate(content=HELLO)),
        (candidate(output="Hello"), candidate(content=HELLO)),
        (candidate(parts=[{"text": "Hello"}]), candidate(content=HELLO)),
        (candidate(parts="Hello"), candidate(content=HELLO)),
        (candidate(message={"role": "assistant", "content": "Hello"}), candidate(content=HELLO)),
        (candidate(delta={"role": "assistant", "text": "Hello"}), candidate(content=HELLO)),
        (candidate(message=HELLO), candidate(content=HELLO)),
        (candidate(content={"text": "Hello", "role": "model"}), candidate(content=HELLO)),
        (candidate(content={"parts": "Hello", "role": "model"}), candidate(content=HELLO)),
        (with_parts("Hello"), candidate(content=HELLO)),
        (with_parts({"text": {"value": "Hello"}}), candidate(content=HELLO)),
        (with_parts({"text": ["Hello"]}), candidate(content=HELLO)),
        (with_parts({"content": "Hello"}), candidate(content=HELLO)),
        (with_parts({"output_text": "Hello"}), candidate(content=HELLO)),
        (with_parts({"function_call": {"name": "f", "args": {"x": 1}}}), with_parts(CALLED)),
        (
            with_parts({"functionCall": {"name": "f", "arguments": {"x": 1}}}),
            with_parts(CALLED),
        ),
        (
            with_parts({"functionCall": {"function": {"name": "f", "parameters": {"x": 1}}}}),
            with_parts(CALLED),
        ),
        (with_parts({"name": "f", "args": {"x": 1}}), with_parts(CALLED)),
        (with_parts({"functionCall": '{"name":"f","args":{"x":1}}'}), with_parts(CALLED)),
        (with_parts({"thought": "Hm."}), with_parts({"text": "Hm.", "thought": True})),
        (with_parts({"reasoning_content": "Hm."}), with_parts({"text": "Hm.", "thought": True})),
        (with_parts({"text": "", "thinking": "Hm."}), with_parts({"text": "Hm.", "thought": True})),
        (
            {"candidates": ["Hello"], "promptFeedback": {"blockReason": "OTHER"}},
            {"candidates": [{"content": HELLO}], "promptFeedback": {"blockReason": "OTHER"}},
        ),
        (
            with_parts({**CALLED, "thought_signature": "c2ln"}),
            with_parts({**CALLED, "thoughtSignature": "c2ln"}),
        ),
        (candidate(content={**CALLED, "role": "model"}), with_parts(CALLED)),
        ({"candidates": [{"content": HELLO, "finish_reason": "STOP"}]}, GOOD),
        ({"candidates": [{"content": {**HELLO, "finishReason": "STOP"}}]}, GOOD),
        ({"content": HELLO, "finishReason": "STOP"}, GOOD),
        ({"parts": [{"text": "Hello"}], "role": "model", "finishReason": "STOP"}, GOOD),
        ({"text": "Hello", "finishReason": "STOP"}, GOOD),
        (
            {"text": "Hello", "finish_reason": "STOP", "model_version": "m"},
            {**GOOD, "modelVersion": "m"},
        ),
        (
            candidate(content=HELLO, usageMetadata={"totalTokenCount": 3}),
            {**GOOD, "usageMetadata": {"totalTokenCount": 3}},
        ),
        (
            {**GOOD, "usage_metadata": {"prompt_token_count": 3}},
            {**GOOD, "usageMetadata": {"promptTokenCount": 3}},
        ),
        (
            {"prompt_feedback": {"block_reason": "SAFETY"}},
            {"promptFeedback": {"blockReason": "SAFETY"}},
        ),
    ],
)
def test_a_value_is_moved_to_its_place(value: Json, expected: Json) -> None:
    assert_becomes(value, expected, "S420")


@pytest.mark.parametrize(
    "value",
    [
        GOOD,
        candidate(content=HELLO, text="Hello"),
        candidate(content=HELLO, message={"content": "x"}),
        with_parts({"text": "", "content": "x"}),
        with_parts({"inlineData": {"mimeType": "image/png", "data": "aQ=="}, "value": "x"}),
        with_parts({"functionCall": {"name": "f", "args": {}, "input": "x"}}),
        with_parts({"aNewPart": {"content": "x"}}),
        with_parts({"thoughtSignature": "c2ln"}),
        with_parts({"text": "Hm.", "thought": True, "reasoning": "x"}),
        {**GOOD, "text": "x", "content": "x"},
        {**GOOD, "usageMetadata": 1},
        {**GOOD, "usageMetadata": [], "promptFeedback": 1},
    ],
)
def test_a_response_with_its_values_in_place_keeps_other_members(value: Json) -> None:
    assert_becomes(value, value, "")


@pytest.mark.parametrize(
    "envelope",
    [
        {"success": True, "data": GOOD},
        {"code": 0, "msg": "ok", "data": GOOD},
        {"code": 200, "message": "success", "result": GOOD},
        {"data": {"response": GOOD}},
        {"status": "ok", "body": orjson.dumps(GOOD).decode()},
        {"response": orjson.dumps(GOOD).decode()},
        {"error": None, "output": GOOD},
    ],
)
def test_an_envelope_is_removed(envelope: Json) -> None:
    assert_becomes(envelope, GOOD, "S421")
    assert_becomes(envelope, {"response": GOOD}, "S421", in_wrapper=True)


@pytest.mark.parametrize("array", [False, True])
def test_envelopes_in_a_list_are_removed(array: bool) -> None:
    value = [{"traceId": "t", "text": GOOD}]
    repaired = streamed(value, StreamContext(array=array))
    assert shown(repaired, array=array) == GOOD
    assert "S421" in {finding.code for one in repaired for finding in one.findings}


def test_the_wrapper_is_that_of_the_client() -> None:
    wrapped = {"response": GOOD, "traceId": "t"}
    assert_becomes(wrapped, GOOD, "S421", in_wrapper=False)
    assert_becomes(wrapped, wrapped, "", in_wrapper=True)
    assert_becomes(wrapped, wrapped, "")
    assert_becomes(GOOD, {"response": GOOD}, "S421", in_wrapper=True)
    assert_becomes(GOOD, GOOD, "", in_wrapper=False)


@pytest.mark.parametrize(
    ("value", "status", "message"),
    [
        ({"success": False, "code": 429, "message": "Busy.", "data": None}, 429, "Busy."),
        ({"success": False, "error": "Busy.", "result": {}}, 502, "Busy."),
        ({"response": {"error": {"code": 503, "message": "Busy."}}}, 503, "Busy."),
        ({"error": {"code": 503, "message": "Busy."}, "data": GOOD}, 503, "Busy."),
    ],
)
def test_an_error_in_an_envelope_is_an_error(value: Json, status: int, message: str) -> None:
    whole = repair_body(orjson.dumps(value), StreamContext())
    assert whole.error is not None
    assert (whole.error.status, whole.error.message) == (status, message)
    error = streamed(value, StreamContext())[-1].error
    assert error is not None
    assert (error.status, error.message) == (status, message)


# Numbers for enumerations


@pytest.mark.parametrize("reason", [1, 2, 3, 4, 5, 8, 11, 19])
def test_a_client_that_asked_for_numbers_gets_numbers(reason: int) -> None:
    value = candidate(
        content=HELLO, finishReason=reason, safetyRatings=[{"category": 7, "probability": 1}]
    )
    assert_becomes(value, value, "", numeric_enums=True)


def test_numbers_mean_what_names_mean() -> None:
    context = StreamContext(numeric_enums=True)
    blocked = {"promptFeedback": {"blockReason": 1}}
    assert_becomes(blocked, blocked, "", numeric_enums=True)
    unset = {"candidates": [{"content": HELLO, "finishReason": 0}]}
    assert streamed(unset, context)[-1].kind is EventKind.ERROR
    unfinished = with_parts({"functionCall": {"name": "f", "willContinue": True}})
    unfinished["candidates"][0]["finishReason"] = 1
    assert streamed(unfinished, context)[0].kind is EventKind.ERROR
    running = with_parts({"executableCode": {"language": 1, "code": "1"}})
    running["candidates"][0]["finishReason"] = 1
    assert streamed(running, context)[-1].kind is EventKind.ERROR
    grammar = Grammar(numeric_enums=True)
    assert grammar.feed(sse.Decoder().feed(sse.encode(orjson.dumps(GOOD)))[0]) == []


def test_another_client_gets_names() -> None:
    for number, name in [
        (1, "STOP"),
        (2, "MAX_TOKENS"),
        ("length", "MAX_TOKENS"),
        ("tool_calls", "STOP"),
        ("end_turn", "STOP"),
        ("content_filter", "SAFETY"),
        ("FINISH_REASON_MAX_TOKENS", "MAX_TOKENS"),
        (" stop ", "STOP"),
    ]:
        numbered = candidate(content=HELLO, finishReason=number)
        assert_becomes(numbered, candidate(content=HELLO, finishReason=name), "S414")


STREAM = "/v1beta/models/m:streamGenerateContent"


@pytest.mark.parametrize(
    ("path", "facts"),
    [
        (f"{STREAM}?alt=sse", RequestFacts()),
        (STREAM, RequestFacts(array=True)),
        (f"{STREAM}?$alt=sse", RequestFacts()),
        (f"{STREAM}?%24alt=sse%3Benum-encoding%3Dint", RequestFacts(numeric_enums=True)),
        (f"{STREAM}?key=k&$alt=sse;enum-encoding=int", RequestFacts(numeric_enums=True)),
        (
            f"{STREAM}?$alt=json;enum-encoding=int",
            RequestFacts(array=True, numeric_enums=True),
        ),
        (f"{STREAM}?alt=json;ENUM_ENCODING=int", RequestFacts(array=True, numeric_enums=True)),
        (f"{STREAM}?alt=json;enum-encoding=string", RequestFacts(array=True)),
        (f"{STREAM}?x=enum-encoding%3Dint&alt=sse", RequestFacts()),
        ("/v1internal:streamGenerateContent?alt=sse", RequestFacts(in_wrapper=True)),
    ],
)
def test_the_form_that_a_request_asks_for(path: str, facts: RequestFacts) -> None:
    expected = replace(
        facts,
        streaming=True,
        model="" if "internal" in path else "m",
        in_wrapper=facts.in_wrapper or False,
    )
    assert read_request(path, {}) == expected


def test_a_wrapped_request_is_answered_in_a_wrapper() -> None:
    body = {"model": "m", "request": {"contents": []}}
    assert read_request("/v1internal:generateContent", body).in_wrapper is True


# Failures, limits and counts


@pytest.mark.parametrize(
    "reason", [*STATUS_BY_FAILED_REASON, "ABORT", "Network-Error", "FINISH_REASON_ERROR"]
)
def test_a_reason_that_reports_a_failure_is_an_error(reason: str) -> None:
    value = candidate(content=HELLO, finishReason=reason)
    whole = repair_body(orjson.dumps(value), StreamContext())
    assert whole.error is not None
    assert whole.error.status in {429, *range(500, 505)}
    assert repr(reason) in whole.error.message
    for array in (False, True):
        assert streamed(value, StreamContext(array=array))[0].error == whole.error


@pytest.mark.parametrize("reason", [*sorted(FINISH_REASONS), "A_NEW_REASON"])
def test_a_reason_of_the_protocol_is_an_answer(reason: str) -> None:
    value = candidate(finishReason=reason, finishMessage="Because.")
    assert_becomes(value, value, "")


@pytest.mark.parametrize("args", ['{"x":"lo', '{"x":', "{", '{"x":[1,{"y'])
def test_the_output_limit_explains_a_cut_call(args: str) -> None:
    cut = {"functionCall": {"name": "f", "args": args}}
    value = with_parts({"text": "Hello"}, cut)
    value["candidates"][0]["finishReason"] = "MAX_TOKENS"
    expected = candidate(content=HELLO, finishReason="MAX_TOKENS")
    assert_becomes(value, expected, "S404")
    value["candidates"][0]["finishReason"] = "STOP"
    assert repair_body(orjson.dumps(value), StreamContext()).error is not None
    assert streamed(value, StreamContext())[0].kind is EventKind.ERROR
    del value["candidates"][0]["finishReason"]
    assert repair_body(orjson.dumps(value), StreamContext()).error is not None
    assert streamed(value, StreamContext())[-1].kind is EventKind.ERROR


@pytest.mark.parametrize(
    "parts",
    [
        [{"text": "Hm.", "thought": True}],
        [{"text": "Hm.", "thought": True}, {"text": ""}],
        [{"text": "a", "thought": True}, {"text": "b", "thought": True, "thoughtSignature": "c"}],
    ],
)
def test_thoughts_alone_are_no_answer_without_a_finish_reason(parts: list[Json]) -> None:
    content = {"parts": parts, "role": "model"}
    error = repair_body(orjson.dumps({"candidates": [{"content": content}]}), StreamContext()).error
    assert error is not None
    assert "thoughts without an answer" in error.message
    stopped = {"candidates": [{"content": content, "finishReason": "MAX_TOKENS"}]}
    assert_becomes(stopped, stopped, "")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, {}),
        ({"promptTokenCount": None}, {"promptTokenCount": 0}),
        (
            {"promptTokenCount": 7, "candidatesTokenCount": None, "totalTokenCount": 12},
            {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12},
        ),
        (
            {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": None},
            {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12},
        ),
        (
            {"promptTokenCount": "7", "thoughtsTokenCount": 2, "totalTokenCount": None},
            {"promptTokenCount": 7, "thoughtsTokenCount": 2, "totalTokenCount": 9},
        ),
        (
            {"cachedContentTokenCount": None, "totalTokenCount": 3},
            {"cachedContentTokenCount": 0, "totalTokenCount": 3},
        ),
        (
            {"promptTokenCount": None, "candidatesTokenCount": None, "totalTokenCount": None},
            {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0},
        ),
    ],
)
def test_counts_are_numbers(usage: Json | None, expected: Json) -> None:
    assert_becomes({**GOOD, "usageMetadata": usage}, {**GOOD, "usageMetadata": expected}, "S423")


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (
            {"code": "tool_use_failed", "message": "m", "failed_generation": "<f>"},
            {"failed_generation": "<f>"},
        ),
        ({"message": "m", "innererror": {"code": "x"}}, {"innererror": {"code": "x"}}),
        (
            {"message": "m", "metadata": {"provider_name": "p"}},
            {"metadata": {"provider_name": "p"}},
        ),
        (
            {"code": "14", "message": "m", "details": [{"@type": "t", "reason": "x"}]},
            {"details": [{"@type": "t", "reason": "x"}]},
        ),
    ],
)
def test_an_error_keeps_its_own_fields(error: Json, kept: Json) -> None:
    found = read_error({"error": error})
    assert found is not None
    written = orjson.loads(error_envelope(found))["error"]
    assert {key: written[key] for key in kept} == kept
    assert {"code", "message", "status"} <= written.keys()
    repaired = streamed({"error": error}, StreamContext())
    assert shown(repaired[:1], array=False)["error"].items() >= kept.items()


def test_a_detail_of_the_provider_is_not_repeated() -> None:
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
    found = read_error({"error": {"code": "429", "message": "m", "details": [delay]}})
    assert found is not None
    assert orjson.loads(error_envelope(found))["error"]["details"] == [delay]


# Events without blank lines between them

LINE = orjson.dumps({"candidates": [{"content": HELLO}]})
END = orjson.dumps(GOOD)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [END, b"[DONE]"])
def test_events_without_blank_lines_are_separated(end: bytes, last: bytes) -> None:
    repair = StreamRepair(GeminiRepairer(StreamContext()))
    data = b"".join(b"data: " + line + end for line in (LINE, END, last)) + end
    repaired = [*repair.feed(data), *repair.end()]
    values = [event.data for event in sse.Decoder().feed(b"".join(one.data for one in repaired))]
    assert values[:2] == [LINE, END]
    assert repaired[-1].kind is EventKind.TERMINAL


def test_an_error_between_such_events_ends_the_stream() -> None:
    repair = StreamRepair(GeminiRepairer(StreamContext()))
    error = b'{"error":{"code":503,"message":"m"}}'
    (repaired,) = repair.feed(b"data: " + LINE + b"\ndata: " + error + b"\ndata: " + END + b"\n\n")
    assert repaired.kind is EventKind.ERROR
    assert repaired.data.endswith(b"data: " + error + b"\n\n")


def test_lines_that_are_one_object_together_are_one_event() -> None:
    repair = StreamRepair(GeminiRepairer(StreamContext()))
    data = b'data: {"candidates":\ndata: [{"finishReason":"STOP"}]}\n\n'
    assert b"".join(one.data for one in repair.feed(data)) == data
