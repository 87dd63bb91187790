"""Single cases of Chat Completions streams; `test_corpus` and `test_two_laws` test more.

The assignment of fragments to calls is tested in test_tool_calls.py.
"""

import json
from typing import Any

import pytest
from framings import FRAMINGS, bytes_of, codes_of
from strategies.chat_completions import DONE, encode
from wiremend.protocols.base.provider_error import ProviderError, make_error
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.chat.stream import ChatRepairer
from wiremend.text import sse

Json = dict[str, Any]

CHAT = FRAMINGS["chat"]

BASE: Json = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


def chunk(delta: Any = ..., reason: Any = None, **fields: Any) -> Json:
    """Return a chunk with one choice, or without choices."""
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return BASE | {"choices": [] if delta is ... else [choice]} | fields


def finished(reason: str | None, **fields: Any) -> Json:
    """Return a chunk whose choice has further fields."""
    return BASE | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason, **fields}]}


def call(arguments: str | None = "", index: Any = 0, **fields: Any) -> Json:
    """Return a delta with a fragment of a call."""
    function = {"arguments": arguments}
    if "name" in fields:
        function = {"name": fields.pop("name"), **function}
        fields = {"id": f"call_{index}", "type": "function", **fields}
    return {"tool_calls": [{"index": index, **fields, "function": function}]}


def stream_of(*chunks: Json) -> bytes:
    return b"".join(map(encode, chunks))


def repair_stream(stream: bytes, **fields: Any) -> list[Repaired]:
    return CHAT.repaired([stream], CHAT.context(**fields))


def shown(stream: bytes) -> list[Json]:
    """Return the chunks in a stream."""
    data = [event.data for event in sse.Decoder().feed(stream)]
    return [json.loads(text) for text in data if text and text != b"[DONE]"]


def reasons(stream: bytes) -> list[str]:
    """Return the finish reasons in a stream, in order."""
    choices = [choice for event in shown(stream) for choice in event.get("choices", ())]
    return [choice["finish_reason"] for choice in choices if choice["finish_reason"]]


ROLE = chunk({"role": "assistant", "content": ""})
HI = chunk({"content": "Hi"})
STOP = chunk({}, "stop")
CALL = chunk(call("{}", name="read"))
CALLED = chunk({}, "tool_calls")


# The kinds of events


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (b"\n", EventKind.IDLE),
        (b": OPENROUTER PROCESSING\n\n", EventKind.IDLE),
        (b"data:\n\n", EventKind.IDLE),
        (b"data: {}\n\n", EventKind.IDLE),
        (b'data: {"tool":"search_files","status":"running"}\n\n', EventKind.IDLE),
        (encode(chunk()), EventKind.IDLE),
        (encode(chunk(usage=USAGE)), EventKind.IDLE),
        (encode(ROLE), EventKind.PREAMBLE),
        (encode(ROLE | {"usage": USAGE}), EventKind.PREAMBLE),
        (
            encode(chunk({"role": "assistant", "content": None, "tool_calls": []})),
            EventKind.PREAMBLE,
        ),
        (encode(chunk({"audio": None})), EventKind.PREAMBLE),
        (encode(HI), EventKind.CONTENT),
        (encode(chunk({"reasoning_content": "Hm"})), EventKind.CONTENT),
        (encode(chunk({"reasoning": "Hm"})), EventKind.CONTENT),
        (encode(chunk({"refusal": "No."})), EventKind.CONTENT),
        (encode(chunk({"audio": {"id": "a"}})), EventKind.CONTENT),
        (encode(CALL), EventKind.CONTENT),
        (encode(STOP), EventKind.PREAMBLE),
        (encode(HI) + encode(STOP) + DONE, EventKind.CONTENT),
        (DONE, EventKind.ERROR),
        (b'data: {"half":\n\n', EventKind.ERROR),
        (b'data: {"error":{"code":"","message":"","type":"server_error"}}\n\n', EventKind.ERROR),
        (encode(chunk({}, "error")), EventKind.ERROR),
        (encode(chunk({}, "network-error")), EventKind.ERROR),
        (encode(finished("stop", native_finish_reason="network_error")), EventKind.ERROR),
        (encode(finished("stop", native_finish_reason="STOP")), EventKind.PREAMBLE),
        (encode(finished(None, native_finish_reason=None)), EventKind.PREAMBLE),
        (encode(STOP | {"x_groq": {"error": "It fell over."}}), EventKind.ERROR),
        (encode(STOP | {"x_groq": {"id": "req_1", "usage": USAGE}}), EventKind.PREAMBLE),
        (b'event: error\ndata: {"message":"boom"}\n\n', EventKind.ERROR),
        (b"event: error\ndata: boom\n\n", EventKind.ERROR),
        (b"event: message\n" + encode(HI), EventKind.CONTENT),
        (encode(BASE | {"choices": None, "base_resp": {"status_code": 1002}}), EventKind.ERROR),
    ],
)
def test_the_kind_of_an_event(event: bytes, kind: EventKind) -> None:
    repaired = repair_stream(event)[0]
    assert repaired.kind is kind
    assert (repaired.error is not None) == (kind is EventKind.ERROR)


@pytest.mark.parametrize(
    ("chunks", "complete"),
    [
        ([], False),
        ([ROLE, HI], False),
        ([ROLE, HI, STOP], True),
        ([ROLE, HI, chunk({}, "")], False),
        ([ROLE, CALL, CALLED], True),
        ([ROLE, chunk(call('{"p"', name="read")), chunk({}, "length")], True),
        ([ROLE, STOP, chunk(call('{"p"', name="read"))], False),
        ([ROLE, STOP, CALL], False),
        ([STOP, BASE | {"choices": [{"index": 1, "delta": {}, "finish_reason": None}]}], False),
    ],
)
def test_a_response_is_complete_with_the_finish_reasons_of_all_choices(
    chunks: list[Json], complete: bool
) -> None:
    repair = CHAT.repair(StreamContext())
    repair.feed(stream_of(*chunks))
    assert repair.complete is complete


def test_text_about_errors_is_not_an_error() -> None:
    content = chunk({"content": '{"error":{"message":"boom","type":"server_error"}}'})
    stream = stream_of(ROLE, content, STOP) + DONE
    repaired = repair_stream(stream)
    assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])


# The finish reason

ENDINGS: dict[str, tuple[list[Json], list[str], list[str]]] = {
    "stop": ([HI, STOP], ["stop"], []),
    "length in a call": ([chunk(call('{"p"', name="read")), chunk({}, "length")], ["length"], []),
    "content_filter": ([HI, chunk({}, "content_filter")], ["content_filter"], []),
    "stop after a call": ([CALL, STOP], ["tool_calls"], ["S208"]),
    "stop with the call": ([chunk(call("{}", name="read"), "stop")], ["tool_calls"], ["S208"]),
    "tool_calls without a call": ([HI, CALLED], ["stop"], ["S208"]),
    "tool_calls after a legacy function_call": (
        [chunk({"function_call": {"name": "f", "arguments": "{}"}}), CALLED],
        ["tool_calls"],
        [],
    ),
    "an empty one in each chunk": ([chunk({"content": "Hi"}, ""), STOP], ["stop"], ["S209"]),
    "end_turn": ([HI, chunk({}, "end_turn")], ["stop"], ["S220"]),
    "STOP": ([HI, chunk({}, "STOP")], ["stop"], ["S220"]),
    "tool_use after a call": ([CALL, chunk({}, "tool_use")], ["tool_calls"], ["S220"]),
    "STOP after a call": ([CALL, chunk({}, "STOP")], ["tool_calls"], ["S220", "S208"]),
    "tool_use without a call": ([HI, chunk({}, "tool_use")], ["stop"], ["S220", "S208"]),
    "MAX_TOKENS in a call": (
        [chunk(call('{"p"', name="read")), chunk({}, "MAX_TOKENS")],
        ["length"],
        ["S220"],
    ),
    "an unknown one": ([HI, chunk({}, "new_reason")], ["new_reason"], []),
    "none": ([HI], ["stop"], ["S210"]),
    "none after a call": ([CALL], ["tool_calls"], ["S210"]),
    "twice": ([HI, STOP, STOP], ["stop", "stop"], []),
    "twice, for a call": ([CALL, STOP, STOP], ["tool_calls"] * 2, ["S208", "S208"]),
    "length, then stop": ([HI, chunk({}, "length"), STOP], ["length"], ["S211"]),
    "stop after tool_calls": ([CALL, CALLED, STOP], ["tool_calls"], ["S211"]),
    "stop, a late call, tool_calls": ([HI, STOP, CALL, CALLED], ["tool_calls"], ["S224"]),
    "stop, a late call, stop": ([HI, STOP, CALL, STOP], ["tool_calls"], ["S224", "S208"]),
    "stop, a late call": ([HI, STOP, CALL], ["tool_calls"], ["S224", "S210"]),
}


@pytest.mark.parametrize(("chunks", "expected", "codes"), ENDINGS.values(), ids=ENDINGS)
def test_the_finish_reason_follows_the_calls(
    chunks: list[Json], expected: list[str], codes: list[str]
) -> None:
    repaired = repair_stream(stream_of(ROLE, *chunks) + DONE)
    assert reasons(bytes_of(repaired)) == expected
    assert codes_of(repaired) == codes
    assert CHAT.violations(bytes_of(repaired)) == []


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_a_missing_done_is_added_after_the_finish_reason(reason: str) -> None:
    stream = stream_of(ROLE, HI, chunk({}, reason))
    repaired = repair_stream(stream)
    assert (bytes_of(repaired), codes_of(repaired)) == (stream + DONE, ["S212"])


@pytest.mark.parametrize(
    "done", [b"data: [DONE] \n\n", b"data:[DONE]  \r\n\r\n", b"data:  [DONE]\n\n"]
)
def test_blanks_around_done_are_removed(done: bytes) -> None:
    repaired = repair_stream(stream_of(ROLE, HI, STOP) + done)
    last = sse.Decoder().feed(bytes_of(repaired))[-1]
    assert (last.data, codes_of(repaired)) == (b"[DONE]", ["S212"])


# Chunks

CHUNKS: dict[str, tuple[Json, Json, list[str]]] = {
    "no object": (
        {key: HI[key] for key in HI if key != "object"},
        HI,
        ["S214"],
    ),
    "another object": (HI | {"object": "chat.completion"}, HI, ["S214"]),
    "created as a float": (HI | {"created": 1.0}, HI, ["S214"]),
    "created as text": (HI | {"created": "1"}, HI, ["S214"]),
    "choices null beside usage": (
        chunk(usage=USAGE) | {"choices": None},
        chunk(usage=USAGE),
        ["S214"],
    ),
    "a delta null": (chunk(None), chunk({}), ["S214"]),
    "a message for the delta": (
        BASE | {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": None}]},
        HI,
        ["S221"],
    ),
    "a message beside the delta": (
        BASE | {"choices": [HI["choices"][0] | {"message": {"content": "Hi"}}]},
        BASE | {"choices": [HI["choices"][0] | {"message": {"content": "Hi"}}]},
        [],
    ),
    "no index": (BASE | {"choices": [{"delta": {}, "finish_reason": None}]}, chunk({}), ["S214"]),
    "an empty role": (
        chunk({"role": "", "content": "Hi"}),
        chunk({"role": "assistant", "content": "Hi"}),
        ["S215"],
    ),
    "the role null": (
        chunk({"role": None, "content": "Hi"}),
        chunk({"role": None, "content": "Hi"}),
        [],
    ),
    "an error of null": (HI | {"error": None}, HI, ["S219"]),
    "MiniMax's base_resp of 0": (
        HI | {"base_resp": {"status_code": 0, "status_msg": ""}},
        HI | {"base_resp": {"status_code": 0, "status_msg": ""}},
        [],
    ),
    "unknown fields": (HI | {"unknown": [1]}, HI | {"unknown": [1]}, []),
}


@pytest.mark.parametrize(("received", "sent", "codes"), CHUNKS.values(), ids=CHUNKS)
def test_a_chunk_is_completed(received: Json, sent: Json, codes: list[str]) -> None:
    stream = stream_of(ROLE, HI, received, STOP) + DONE
    repaired = repair_stream(stream)
    assert shown(bytes_of(repaired)) == [ROLE, HI, sent, STOP]
    assert codes_of(repaired) == codes
    if not codes:
        assert bytes_of(repaired) == stream


def test_the_chunks_next_to_a_repaired_one_are_unchanged() -> None:
    odd = encode(HI).replace(b'"Hi"', b' "\\u0048i"')
    repaired = repair_stream(encode(ROLE) + odd + encode(chunk(None)) + odd + encode(STOP) + DONE)
    assert bytes_of(repaired).count(odd) == 2


def test_only_the_model_name_changes() -> None:
    stream = (stream_of(ROLE, HI, STOP, chunk(usage=USAGE)) + DONE).replace(b'"Hi"', b' "\\u0048i"')
    repaired = repair_stream(stream, shown_model="mine")
    assert bytes_of(repaired) == stream.replace(b'"gpt"', b'"mine"')
    assert codes_of(repaired) == []
    assert bytes_of(repair_stream(stream, shown_model="gpt")) == stream


def test_an_added_chunk_contains_the_shown_model() -> None:
    stream = stream_of(ROLE, chunk(call("", name="read")), CALLED) + DONE
    repaired = repair_stream(stream, shown_model="mine")
    assert codes_of(repaired) == ["S206"]
    assert {event["model"] for event in shown(bytes_of(repaired))} == {"mine"}


# Calls


def test_a_call_without_a_name_is_sent_before_the_finish_reason() -> None:
    late = chunk(call("{}", id="call_1"))
    repaired = repair_stream(stream_of(ROLE, late, CALLED) + DONE, tool_names=("read",))
    opened = shown(bytes_of(repaired))[-2]["choices"][0]["delta"]["tool_calls"]
    function = {"name": "read", "arguments": "{}"}
    assert opened == [{"id": "call_1", "type": "function", "function": function, "index": 0}]
    assert reasons(bytes_of(repaired)) == ["tool_calls"]


def test_the_calls_of_two_choices_are_independent() -> None:
    other = {"index": 1, "delta": call("{}", name="read"), "finish_reason": None}
    last = {"index": 1, "delta": {}, "finish_reason": "tool_calls"}
    stream = stream_of(ROLE, CALL, BASE | {"choices": [other]}, CALLED, BASE | {"choices": [last]})
    repaired = repair_stream(stream + DONE)
    assert (bytes_of(repaired), codes_of(repaired)) == (stream + DONE, [])


LOST: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "before its first chunk"),
    "a cut text": (stream_of(ROLE, HI), "before its finish reason"),
    "[DONE] alone": (DONE, "sent no content"),
    "[DONE] after a role": (stream_of(ROLE) + DONE, "sent no content"),
    "usage alone": (stream_of(chunk(usage=USAGE)) + DONE, "sent no content"),
    "cut arguments": (
        stream_of(ROLE, chunk(call('{"p"', name="read")), CALLED) + DONE,
        "inside its JSON arguments",
    ),
    "a late call that is cut": (
        stream_of(ROLE, STOP, chunk(call('{"p"', name="read"))) + DONE,
        "inside its JSON arguments",
    ),
    "a call without a name": (
        stream_of(ROLE, chunk(call("{}", id="call_1")), CALLED) + DONE,
        "tool call without a name",
    ),
    "arguments of no call": (stream_of(ROLE, chunk(call("{}")), CALLED) + DONE, "never started"),
    "JSON that is cut": (encode(ROLE) + b'data: {"id":"chatcmpl-1\n\n', "not valid JSON"),
}


@pytest.mark.parametrize(("stream", "excerpt"), LOST.values(), ids=LOST)
def test_lost_content_ends_in_the_native_error(stream: bytes, excerpt: str) -> None:
    repaired = repair_stream(stream)
    ended = next(item for item in repaired if item.kind is EventKind.ERROR)
    assert ended.error is not None
    assert (ended.error.status, excerpt in ended.error.message) == (502, True)
    assert shown(bytes_of(repaired))[-1]["error"]["type"] == "server_error"
    assert CHAT.violations(bytes_of(repaired)) == []


# Errors

ERRORS: dict[str, tuple[Json, int, str]] = {
    "OpenRouter's, beside a choice": (
        chunk({"content": ""}, "error", error={"code": 502, "message": "Provider disconnected"}),
        502,
        "Provider disconnected",
    ),
    "OpenRouter's, beside no choice": (
        chunk(error={"code": 429, "message": "m", "metadata": {"raw": "rate-limited upstream"}}),
        429,
        "m: rate-limited upstream",
    ),
    "finish reason error": (chunk({}, "error"), 502, "finish reason 'error'"),
    "finish reason network_error": (
        chunk({}, "network_error"),
        502,
        "finish reason 'network_error'",
    ),
    "a native finish reason beside error": (
        BASE
        | {
            "choices": [
                {
                    "index": 0,
                    "delta": {},
                    "finish_reason": "error",
                    "native_finish_reason": "MALFORMED",
                }
            ]
        },
        502,
        "finish reason 'MALFORMED'",
    ),
    "DeepSeek's overload": (
        chunk({}, "insufficient_system_resource"),
        503,
        "insufficient_system_resource",
    ),
    "MiniMax's base_resp": (
        BASE | {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}},
        429,
        "rate limit (1002)",
    ),
    "no message": (
        {"error": {"code": "", "message": "", "type": "server_error"}},
        500,
        "server_err",
    ),
    "neither type nor envelope": ({"code": "InternalError", "message": "closed"}, 500, "closed"),
}


@pytest.mark.parametrize(("error", "status", "excerpt"), ERRORS.values(), ids=ERRORS)
def test_an_error_in_any_shape_becomes_the_bare_envelope(
    error: Json, status: int, excerpt: str
) -> None:
    repaired = repair_stream(stream_of(ROLE, error))
    assert repaired[1].error is not None
    assert (repaired[1].error.status, repaired[1].error.retryable) == (status, True)
    last = shown(bytes_of(repaired))[-1]
    assert last.keys() <= {"error", "request_id"}
    assert excerpt in last["error"]["message"]


def test_a_native_error_keeps_its_bytes() -> None:
    stream = encode(ROLE) + b'data: {"error": {"message":"B\\u0075sy.","type":"server_error"}}\n\n'
    repaired = repair_stream(stream)
    assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])


def test_a_failure_can_be_reported_at_any_point() -> None:
    failure = make_error(status=504, message="no byte for 120 s")
    for chunks in ([], [ROLE], [ROLE, chunk(call('{"p"', name="read"))], [ROLE, STOP]):
        repair = CHAT.repair(StreamContext())
        stream = bytes_of(repair.feed(stream_of(*chunks))) + repair.fail(failure)
        assert CHAT.violations(stream) == []
        assert shown(stream)[-1]["error"]["message"] == "no byte for 120 s"


def test_an_error_without_a_message_gets_one() -> None:
    events = shown(ChatRepairer(StreamContext()).fail(ProviderError(429, message=" ")))
    expected = "The provider reported rate_limit_error without a message."
    assert events[0]["error"]["message"] == expected


def test_arguments_stay_an_object_if_that_rule_is_disabled() -> None:
    arguments: Any = {"p": 1}
    stream = stream_of(ROLE, chunk(call(arguments, name="read")), CALLED) + DONE
    repaired = repair_stream(stream, disabled=frozenset({"S205"}))
    assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])
