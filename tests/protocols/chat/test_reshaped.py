"""Answers that providers and gateways reshape: what is moved, joined, kept, or an error.

Streams are repaired whole; the corpus has cases of each kind, which are read in other chunks too.
"""

import json
from typing import Any

import pytest
from framings import FRAMINGS, bytes_of, codes_of
from strategies.chat_completions import DONE, encode
from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.repairer import EventKind, Repaired, RepairedBody, StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.protocols.chat.lines import ChunkDecoder
from wiremend.protocols.chat.request import read_request
from wiremend.text import sse

Json = dict[str, Any]

FRAMING = FRAMINGS["chat"]
BASE: Json = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
LIMIT = {"native_finish_reason": "max_output_tokens"}


def chunk(delta: Any, reason: Any = None, index: int = 0, **fields: Any) -> Json:
    return BASE | {"choices": [{"index": index, "delta": delta, "finish_reason": reason, **fields}]}


def call(arguments: str | None, name: str = "", index: int | None = 0, id: str = "") -> Json:
    function = ({"name": name} if name else {}) | (
        {} if arguments is None else {"arguments": arguments}
    )
    fragment: Json = {} if index is None else {"index": index}
    fragment |= {"id": id, "type": "function"} if id else {}
    return {"tool_calls": [fragment | {"function": function}]}


def stream_of(*chunks: Json) -> bytes:
    return b"".join(map(encode, chunks))


def repair(stream: bytes, **fields: Any) -> list[Repaired]:
    return FRAMING.repaired([stream], FRAMING.context(**fields))


def shown(stream: bytes) -> list[Json]:
    """Return the chunks in a stream."""
    data = [event.data for event in sse.Decoder().feed(stream)]
    return [json.loads(text) for text in data if text and text != b"[DONE]"]


def choices_in(stream: bytes) -> list[Json]:
    return [choice for one in shown(stream) for choice in one.get("choices", ())]


def reasons(stream: bytes) -> list[str]:
    return [one["finish_reason"] for one in choices_in(stream) if one["finish_reason"]]


def text_in(stream: bytes) -> str:
    return "".join(one["delta"].get("content") or "" for one in choices_in(stream))


def repair_body(value: Any, **fields: Any) -> RepairedBody:
    return CHAT.repair_body(json.dumps(value).encode(), StreamContext(**fields))


def completion(message: Any, reason: Any = "stop", **fields: Any) -> Json:
    choice = {"index": 0, "message": message, "finish_reason": reason, **fields}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "choices": [choice]}


def whole_call(arguments: Any) -> Json:
    function = {"name": "read", "arguments": arguments}
    return {
        "role": "assistant",
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }


ROLE = chunk({"role": "assistant", "content": ""})
HI = chunk({"content": "Hi"})
MORE = chunk({"content": " there"})
THOUGHT = chunk({"reasoning_content": "Hm"})
STOP = chunk({}, "stop")
CALLED = chunk({}, "tool_calls")


# A finish reason, then content

EARLY: dict[str, tuple[list[Json], list[str]]] = {
    "stop on reasoning": ([chunk({"reasoning": "Hm"}, "stop"), HI, STOP], ["stop"]),
    "stop on text": ([chunk({"content": "Hi"}, "stop"), MORE, STOP], ["stop"]),
    "stop, an empty chunk, text": ([HI, STOP, ROLE, MORE, STOP], ["stop"]),
    "stop, text, length": ([HI, STOP, MORE, chunk({}, "length")], ["length"]),
    "length, text, stop": ([HI, chunk({}, "length"), MORE, STOP], ["stop"]),
    "stop in every chunk": (
        [chunk({"content": "Hi"}, "stop"), chunk({"content": "!"}, "stop"), STOP],
        ["stop", "stop"],
    ),
    "end_turn, text": ([HI, chunk({}, "end_turn"), MORE, STOP], ["stop"]),
    "stop, a refusal": ([STOP, chunk({"refusal": "No."}), STOP], ["stop"]),
    "stop, a call": ([HI, STOP, chunk(call("{}", "read", id="c1")), CALLED], ["tool_calls"]),
    "tool_calls, more arguments": (
        [chunk(call('{"p"', "read", id="c1")), CALLED, chunk(call(":1}")), CALLED],
        ["tool_calls"],
    ),
    "stop, text, [DONE]": ([HI, STOP, MORE], ["stop"]),
    "length, text, [DONE]": ([HI, chunk({}, "length"), MORE], ["length"]),
    "of one choice": (
        [chunk({"content": "a"}, "stop"), chunk({"content": "b"}, "stop", 1), MORE, STOP],
        ["stop", "stop", "stop"],
    ),
}


@pytest.mark.parametrize(("chunks", "expected"), EARLY.values(), ids=EARLY)
def test_content_after_a_finish_reason_makes_it_void(
    chunks: list[Json], expected: list[str]
) -> None:
    repaired = repair(stream_of(ROLE, *chunks) + DONE)
    assert reasons(bytes_of(repaired)) == expected
    assert repaired[-1].kind is EventKind.TERMINAL
    assert FRAMING.violations(bytes_of(repaired)) == []
    assert text_in(bytes_of(repaired)) == text_in(stream_of(*chunks))


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk({"content": "Hi"}, "stop"), MORE],
        [HI, STOP, MORE],
        [THOUGHT, STOP, HI],
        [HI, chunk({}, "length"), MORE],
        [HI, STOP, chunk(call("{}", "read", id="c1"))],
        [HI, chunk({}, "stop", 1), STOP, MORE],
    ],
)
def test_half_a_text_after_a_finish_reason_is_an_error(chunks: list[Json]) -> None:
    stream = stream_of(ROLE, *chunks)
    repaired = repair(stream)
    assert repaired[-1].kind is EventKind.ERROR
    reading = FRAMING.repair(FRAMING.context())
    sent = bytes_of(reading.feed(stream))
    assert not reading.complete
    reset = make_error(status=502, message="the connection was reset")
    assert b"was reset" in reading.fail(reset)
    assert FRAMING.violations(sent + reading.fail(reset)) == []


KEPT: dict[str, list[Json]] = {
    "the reason again beside the usage": [HI, STOP, STOP | {"usage": USAGE}],
    "the reason again, then usage": [HI, STOP, STOP, BASE | {"choices": [], "usage": USAGE}],
    "a signature": [THOUGHT, HI, STOP, chunk({"reasoning_details": [{"signature": "abc"}]})],
    "annotations": [HI, STOP, chunk({"annotations": [{"type": "url_citation"}]})],
    "an empty chunk": [HI, STOP, chunk({"content": ""})],
    "length without arguments": [chunk(call("", "read", id="c1")), chunk({}, "length")],
    "Perplexity's object": [HI, STOP | {"object": "chat.completion.done"}],
    "content in parts": [chunk({"content": [{"type": "text", "text": "Hi"}]}), STOP],
    "ids that differ": [HI | {"id": "a"}, HI | {"id": "b"}, STOP | {"id": "c"}],
    "the limit, whole arguments": [
        chunk(call("{}", "read", id="c1")),
        chunk({}, "tool_calls", **LIMIT),
    ],
}


@pytest.mark.parametrize("chunks", KEPT.values(), ids=KEPT)
def test_everyday_traffic_keeps_its_bytes(chunks: list[Json]) -> None:
    stream = stream_of(ROLE, *chunks) + DONE
    repaired = repair(stream)
    assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])
    assert FRAMING.violations(stream) == []


def test_a_finish_reason_is_held_back_and_released_with_what_is_behind_it() -> None:
    reading = FRAMING.repair(FRAMING.context())
    assert bytes_of(reading.feed(stream_of(ROLE, HI))) == stream_of(ROLE, HI)
    held = encode(STOP) + b": keep-alive\n\n" + encode(ROLE)
    results = reading.feed(held)
    assert bytes_of(results) == b""
    assert EventKind.CONTENT not in [one.kind for one in results]
    assert reading.holds_back
    assert reading.complete
    assert bytes_of(reading.release()) == held
    assert not reading.holds_back
    assert bytes_of(reading.end()) == DONE


def test_content_after_a_released_finish_reason_needs_another_one() -> None:
    reading = FRAMING.repair(FRAMING.context())
    reading.feed(stream_of(ROLE, HI, STOP))
    reading.release()
    assert bytes_of(reading.feed(encode(MORE))) == encode(MORE)
    assert not reading.complete
    assert reading.end()[-1].kind is EventKind.ERROR


def test_a_call_is_not_judged_before_its_finish_reason_is_certain() -> None:
    begun = chunk(call('{"p":', "read", id="c1"))
    repaired = repair(stream_of(ROLE, begun, CALLED, chunk(call("1}")), CALLED) + DONE)
    assert codes_of(repaired) == ["S224"]


# Reasoning alone

ALONE: dict[str, list[Json]] = {
    "reasoning_content": [THOUGHT],
    "reasoning": [chunk({"reasoning": "Hm"})],
    "thinking": [chunk({"thinking": "Hm"})],
    "details": [chunk({"reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]})],
    "with blank text": [THOUGHT, chunk({"content": "\n\n"})],
    "as parts": [chunk({"content": [{"type": "thinking", "thinking": [{"text": "Hm"}]}]})],
    "in tags": [chunk({"content": "<thi"}), chunk({"content": "nk>Hm</think>\n"})],
    "in open tags": [chunk({"content": "<think>Hm"})],
    "an early finish reason": [THOUGHT, STOP, THOUGHT],
}


@pytest.mark.parametrize("chunks", ALONE.values(), ids=ALONE)
def test_reasoning_alone_without_a_finish_reason_is_no_answer(chunks: list[Json]) -> None:
    repaired = repair(stream_of(ROLE, *chunks) + DONE)
    assert repaired[-1].kind is EventKind.TERMINAL or repaired[-2].kind is EventKind.ERROR
    errors = [one.error for one in repaired if one.error]
    assert errors
    assert errors[0].retryable
    assert "only reasoning" in errors[0].message
    assert repair(stream_of(ROLE, *chunks, STOP) + DONE)[-1].kind is EventKind.TERMINAL


@pytest.mark.parametrize(
    "chunks",
    [
        [THOUGHT, HI],
        [chunk({"content": "<think>Hm</think>Hi"})],
        [THOUGHT, chunk({"audio": {"data": "AAAA"}})],
        [THOUGHT, chunk(call("{}", "read", id="c1"))],
        [chunk({"content": "<b>"})],
    ],
)
def test_an_answer_behind_reasoning_is_one(chunks: list[Json]) -> None:
    repaired = repair(stream_of(ROLE, *chunks) + DONE)
    assert repaired[-1].kind is EventKind.TERMINAL
    assert codes_of(repaired) == ["S210"]


@pytest.mark.parametrize(
    ("message", "reason", "fails"),
    [
        ({"content": None, "reasoning": "Hm"}, None, True),
        ({"content": "", "reasoning_content": "Hm"}, "", True),
        ({"content": "<think>Hm</think>"}, None, True),
        ({"content": None, "reasoning": "Hm"}, "length", False),
        ({"content": None, "reasoning": "Hm"}, "stop", False),
        ({"content": "Hi", "reasoning": "Hm"}, None, False),
    ],
)
def test_a_message_of_reasoning_alone(message: Json, reason: Any, fails: bool) -> None:
    assert (repair_body(completion(message, reason)).error is not None) is fails


# Finish reasons that report a failure

FAILURES = {
    "abort": 502,
    "aborted": 502,
    "ABORT": 502,
    "error": 502,
    "engine_error": 502,
    "internal-error": 502,
    "network_error": 502,
    "NetworkError": 502,
    "insufficient_system_resource": 503,
    "cancelled": 502,
    "request_cancelled": 502,
    "failed": 502,
    "timeout": 504,
    "timed_out": 504,
    "overloaded": 503,
    "rate_limit": 429,
}
OWN_REASONS = ["stop", "length", "content_filter", "function_call", "MALFORMED_FUNCTION_CALL"]
OWN_REASONS += ["eos", "recitation", "model_length", "safety", "refusal", "terror", "unfailing"]


@pytest.mark.parametrize(("reason", "status"), FAILURES.items())
@pytest.mark.parametrize(
    "content",
    [[HI], [], [chunk(call('{"p"', "read", id="c1"))], [THOUGHT]],
    ids=["text", "nothing", "half a call", "reasoning"],
)
def test_a_finish_reason_that_reports_a_failure(
    content: list[Json], reason: str, status: int
) -> None:
    repaired = repair(stream_of(ROLE, *content, chunk({}, reason)) + DONE)
    error = next(one.error for one in repaired if one.error)
    assert (error.status, error.retryable) == (status, True)
    assert repr(reason) in error.message
    body = repair_body(completion({"role": "assistant", "content": "Hi"}, reason))
    assert body.error is not None
    assert body.error.status == status


@pytest.mark.parametrize("reason", OWN_REASONS)
def test_other_finish_reasons_pass(reason: str) -> None:
    assert repair(stream_of(ROLE, HI, chunk({}, reason)) + DONE)[-1].kind is EventKind.TERMINAL
    body = repair_body(completion({"role": "assistant", "content": "Hi"}, reason))
    assert (body.error, body.findings) == (None, [])


# Names in pieces

TOOLS = ("get_weather", "get_time", "read", "read_file")
NAMES: dict[str, tuple[list[Json], list[tuple[str, str]]]] = {
    "two pieces": (
        [call("", "get_", id="c1"), call(None, "time"), call("{}")],
        [("get_time", "{}")],
    ),
    "arguments with the last piece": (
        [call("", "get_", id="c1"), call("{}", "time")],
        [("get_time", "{}")],
    ),
    "letter by letter": (
        [call(None, "r", id="c1"), *(call(None, one) for one in "ead"), call("{}")],
        [("read", "{}")],
    ),
    "the same id beside each": (
        [call("", "get_", id="c1"), call("", "weather", id="c1"), call("{}", id="c1")],
        [("get_weather", "{}")],
    ),
    "another id beside each": (
        [call("", "get_", id="c1"), call("", "weather", id="c2"), call("{}", id="c3")],
        [("get_weather", "{}")],
    ),
    "no index": (
        [call("", "get_", None, "c1"), call("", "weather", None), call("{}", "", None)],
        [("get_weather", "{}")],
    ),
    "the name so far": (
        [call("", "get_", id="c1"), call("", "get_time", id="c1"), call("{}")],
        [("get_time", "{}")],
    ),
    "two calls": (
        [
            call("", "get_", id="c1"),
            call("", "time"),
            call("{}"),
            call("", "get_wea", 1, "c2"),
            call("", "ther", 1),
            call("{}", index=1),
        ],
        [("get_time", "{}"), ("get_weather", "{}")],
    ),
    "a name that no tool has": ([call("", "get", id="c1"), call("{}")], [("get", "{}")]),
    "a name that no tool has, whole": ([call("{}", "get_", id="c1")], [("get_", "{}")]),
    "a name that no tool has, without arguments": ([call("", "get_", id="c1")], [("get_", "{}")]),
    "an unknown beginning": ([call("", "exec", id="c1"), call("{}")], [("exec", "{}")]),
    "an empty first piece": (
        [call("", "", id="c1"), call("", "get_"), call("", "time"), call("{}")],
        [("get_time", "{}")],
    ),
}


def calls_in(stream: bytes) -> list[tuple[str, str]]:
    """Return the calls as a client reads them that takes the first name of each."""
    calls: dict[int, list[str]] = {}
    for choice in choices_in(stream):
        for fragment in choice["delta"].get("tool_calls", ()):
            function = fragment["function"]
            known = calls.setdefault(fragment["index"], [function.get("name") or "", ""])
            known[1] += function.get("arguments") or ""
    return [(name, arguments) for name, arguments in calls.values()]


@pytest.mark.parametrize(("deltas", "expected"), NAMES.values(), ids=NAMES)
def test_a_name_in_pieces_is_joined(deltas: list[Json], expected: list[tuple[str, str]]) -> None:
    stream = stream_of(ROLE, *map(chunk, deltas), CALLED) + DONE
    repaired = repair(stream, tool_names=TOOLS)
    assert calls_in(bytes_of(repaired)) == expected
    assert FRAMING.violations(bytes_of(repaired)) == []


@pytest.mark.parametrize("name", ["read", "get_weather"])
def test_a_whole_name_is_sent_at_once(name: str) -> None:
    """Also if another tool's name begins with it: the opening of a valid call is not delayed."""
    opened = stream_of(ROLE, chunk(call("", name, id="c1")))
    reading = FRAMING.repair(FRAMING.context(tool_names=TOOLS))
    assert bytes_of(reading.feed(opened)) == opened


def test_a_name_that_goes_on_after_a_whole_one_is_left_to_clients_that_join() -> None:
    deltas = [call("", "read", id="c1"), call(None, "_file"), call("{}")]
    stream = stream_of(ROLE, *map(chunk, deltas), CALLED) + DONE
    assert bytes_of(repair(stream, tool_names=TOOLS)) == stream


# Joined chunks


def data_lines(*chunks: Json, end: bytes = b"\n") -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + end for one in chunks)


JOINED: dict[str, bytes] = {
    "all of them": data_lines(ROLE, HI, STOP) + b"data: [DONE]\n",
    "CRLF": data_lines(ROLE, HI, STOP, end=b"\r\n") + b"data: [DONE]\r\n\r\n",
    "two of them": data_lines(ROLE, HI) + b"\n" + data_lines(STOP) + b"\n" + DONE,
    "with event lines": b"".join(b"event: message\n" + data_lines(one) for one in (ROLE, HI, STOP))
    + b"event: message\ndata: [DONE]\n\n",
    "with keep-alives": data_lines(ROLE) + b": ping\n" + data_lines(HI, STOP) + b"data: [DONE]\n\n",
    "without `data:`": data_lines(ROLE)
    + data_lines(HI, STOP).replace(b"data: ", b"")
    + b"\n"
    + DONE,
    "without a space": (data_lines(ROLE, HI, STOP) + b"data: [DONE]\n\n").replace(b": {", b":{"),
}


@pytest.mark.parametrize("stream", JOINED.values(), ids=JOINED)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_joined_chunks_are_taken_apart(stream: bytes, size: int) -> None:
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    repaired = FRAMING.repaired(chunks, FRAMING.context())
    assert (text_in(bytes_of(repaired)), reasons(bytes_of(repaired))) == ("Hi", ["stop"])
    assert "S223" in codes_of(repaired)
    assert FRAMING.violations(bytes_of(repaired)) == []
    off = FRAMING.context(disabled=frozenset({"S223", "S002"}))
    kept = bytes_of(FRAMING.repaired(chunks, off))
    assert kept.startswith(stream.rstrip(b"\r\n"))


def test_joined_chunks_are_sent_before_a_blank_line_comes() -> None:
    reading = FRAMING.repair(FRAMING.context())
    sent = bytes_of(reading.feed(data_lines(ROLE, HI, MORE)))
    assert text_in(sent) == "Hi"
    assert text_in(bytes_of(reading.feed(data_lines(STOP)))) == " there"


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"choices":\ndata: [{"index":0,"delta":{},"finish_reason":null}],\n'
        b'data: "object":"chat.completion.chunk"\ndata: }\n\n',
        b'data: {"choices":[],"object":"chat.completion.chunk"}\ndata: \n\n',
        b'data: {\ndata: "choices":[\ndata: {"index":0,"delta":{},"finish_reason":null}\n'
        b'data: ],"object":"chat.completion.chunk"}\n\n',
    ],
)
def test_one_chunk_on_several_lines_keeps_its_bytes(event: bytes) -> None:
    stream = stream_of(ROLE, HI) + event + stream_of(STOP) + DONE
    repaired = repair(stream)
    assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])


def test_lines_that_are_no_objects_are_not_taken_apart() -> None:
    repaired = repair(stream_of(ROLE) + data_lines(HI) + b"data: and text\n\n")
    assert repaired[-1].kind is EventKind.ERROR


def test_many_lines_without_a_blank_line_take_linear_time() -> None:
    decoder = ChunkDecoder()
    for _ in range(20_000):
        assert decoder.feed(b"data: {\n") == []
    assert decoder.pending_bytes == 160_000


# Usage

COUNTS: dict[str, tuple[Json, Json]] = {
    "one null": ({**USAGE, "completion_tokens": None}, USAGE),
    "the prompt null": ({**USAGE, "prompt_tokens": None}, USAGE),
    "the total null": ({**USAGE, "total_tokens": None}, USAGE),
    "all null": (dict.fromkeys(USAGE), dict.fromkeys(USAGE, 0)),
    "text": ({key: str(value) for key, value in USAGE.items()}, USAGE),
    "under other names": (
        {**dict.fromkeys(USAGE), "input_tokens": 9, "output_tokens": 3},
        {**USAGE, "input_tokens": 9, "output_tokens": 3},
    ),
    "null details": (
        {**USAGE, "completion_tokens": None, "prompt_tokens_details": None},
        {**USAGE, "prompt_tokens_details": None},
    ),
}


@pytest.mark.parametrize(("received", "expected"), COUNTS.values(), ids=COUNTS)
def test_null_counts_become_numbers(received: Json, expected: Json) -> None:
    stream = stream_of(ROLE, HI, STOP, BASE | {"choices": [], "usage": received}) + DONE
    repaired = repair(stream)
    assert shown(bytes_of(repaired))[-1]["usage"] == expected
    assert codes_of(repaired) == ["S225"]
    assert FRAMING.violations(bytes_of(repaired)) == []
    body = repair_body(completion({"content": "Hi"}) | {"usage": received})
    assert json.loads(body.data)["usage"] == expected


@pytest.mark.parametrize("usage", [None, {}, USAGE, {"total_tokens": 3}, {"cost": 0.1}])
def test_other_usage_keeps_its_bytes(usage: Any) -> None:
    stream = stream_of(ROLE, HI, STOP, BASE | {"choices": [], "usage": usage}) + DONE
    assert bytes_of(repair(stream)) == stream


@pytest.mark.parametrize("value", [[], {}, [1], {"a": 1}, True, 1.5])
@pytest.mark.parametrize("key", ["object", "created", "id", "usage", "choices", "model"])
def test_a_value_of_any_type_in_a_chunk_ends_in_a_valid_stream(key: str, value: Any) -> None:
    for last in (HI, STOP | {"object": "chat.completion"}):
        repaired = repair(stream_of(ROLE, HI, last | {key: value}, STOP) + DONE)
        assert FRAMING.violations(bytes_of(repaired)) == []
    repair_body(completion({"content": "Hi"}) | {key: value})


@pytest.mark.parametrize("value", [[], {}, [1], {"a": 1}, True, 1.5])
@pytest.mark.parametrize(
    "key", ["index", "delta", "message", "text", "finish_reason", "native_finish_reason", "usage"]
)
def test_a_value_of_any_type_in_a_choice_ends_in_a_valid_stream(key: str, value: Any) -> None:
    for base in (HI, STOP, STOP | {"object": "chat.completion"}):
        choice = base["choices"][0] | {key: value}
        repaired = repair(stream_of(ROLE, HI, base | {"choices": [choice]}, STOP) + DONE)
        assert FRAMING.violations(bytes_of(repaired)) == []
    for message in ({"content": "Hi"}, whole_call("{}")):
        body = completion(message)
        body["choices"][0][key] = value
        repair_body(body)


# Errors keep the provider's own fields

OWN_FIELDS: dict[str, tuple[Json, Json]] = {
    "Groq": (
        {"error": {"message": "See `failed_generation`.", "failed_generation": "<f>"}},
        {"failed_generation": "<f>"},
    ),
    "Azure": (
        {"error": {"message": "Filtered.", "code": "content_filter", "innererror": {"x": 1}}},
        {"innererror": {"x": 1}},
    ),
    "OpenRouter": (
        chunk({}, "error") | {"error": {"code": 502, "message": "m", "metadata": {"p": "X"}}},
        {"metadata": {"p": "X"}},
    ),
    "OpenRouter, in the choice": (
        chunk({}, "error", error={"code": 502, "message": "m", "metadata": {"p": "X"}}),
        {"metadata": {"p": "X"}},
    ),
    "Groq's extension": (
        STOP | {"x_groq": {"id": "r", "error": "It fell over.", "failed_generation": "<f>"}},
        {"failed_generation": "<f>"},
    ),
}


@pytest.mark.parametrize(("error", "fields"), OWN_FIELDS.values(), ids=OWN_FIELDS)
def test_an_error_keeps_the_provider_s_own_fields(error: Json, fields: Json) -> None:
    last = shown(bytes_of(repair(stream_of(ROLE, error))))[-1]["error"]
    assert last.items() >= fields.items()
    body = repair_body(error)
    assert body.error is not None
    assert json.loads(CHAT.error_body(body.error))["error"].items() >= fields.items()


# Values in the wrong place

MISPLACED: dict[str, Json] = {
    "text": chunk({"text": "Hi"}),
    "output_text": chunk({"output_text": "Hi"}),
    "message": chunk({"message": "Hi"}),
    "a message in the delta": chunk({"message": {"content": "Hi"}}),
    "a part": chunk({"content": {"type": "text", "text": "Hi"}}),
    "a delta that is text": chunk("Hi"),
    "a delta in a list": chunk([{"content": "Hi"}]),
    "a message for the delta": BASE | {"choices": [{"index": 0, "message": {"content": "Hi"}}]},
    "text in the choice": BASE | {"choices": [{"index": 0, "text": "Hi"}]},
    "content in the choice": BASE | {"choices": [{"index": 0, "content": "Hi"}]},
    "choices that are no list": BASE | {"choices": chunk({"content": "Hi"})["choices"][0]},
    "a delta in the chunk": BASE | {"delta": {"content": "Hi"}},
    "content in the chunk": BASE | {"content": "Hi"},
}


@pytest.mark.parametrize("received", MISPLACED.values(), ids=MISPLACED)
def test_text_in_the_wrong_place_is_moved(received: Json) -> None:
    repaired = repair(stream_of(ROLE, received, STOP) + DONE)
    assert text_in(bytes_of(repaired)) == "Hi"
    assert "S221" in codes_of(repaired)
    assert FRAMING.violations(bytes_of(repaired)) == []


CALLS: dict[str, Any] = {
    "a flat call": [{"index": 0, "id": "c1", "name": "read", "arguments": "{}"}],
    "Anthropic's call": [{"index": 0, "id": "c1", "type": "tool_use", "name": "read", "input": {}}],
    "a call that is no list": {
        "index": 0,
        "id": "c1",
        "function": {"name": "read", "arguments": "{}"},
    },
}


@pytest.mark.parametrize("calls", CALLS.values(), ids=CALLS)
def test_a_call_in_the_wrong_place_is_moved(calls: Any) -> None:
    stream = stream_of(ROLE, chunk({"tool_calls": calls}), CALLED) + DONE
    assert calls_in(bytes_of(repair(stream))) == [("read", "{}")]
    body = json.loads(repair_body(completion({"tool_calls": calls}, "tool_calls")).data)
    [moved] = body["choices"][0]["message"]["tool_calls"]
    assert (moved["type"], moved["function"]) == ("function", {"name": "read", "arguments": "{}"})


@pytest.mark.parametrize(
    "finishing",
    [
        chunk({"finish_reason": "stop"}),
        BASE | {"choices": [{"index": 0, "delta": {}, "finishReason": "stop"}]},
        BASE | {"delta": {}, "finish_reason": "stop"},
    ],
)
def test_a_finish_reason_in_the_wrong_place_is_moved(finishing: Json) -> None:
    repaired = repair(stream_of(ROLE, HI, finishing) + DONE)
    assert (reasons(bytes_of(repaired)), codes_of(repaired)) == (["stop"], ["S221"])


@pytest.mark.parametrize("form", ['{"success":true,"data":%s}', '{"result":%s}', "[%s]"])
def test_an_envelope_is_removed(form: str) -> None:
    chunks = [form % json.dumps(one) for one in (ROLE, HI, STOP)]
    stream = b"".join(b"data: %s\n\n" % text.encode() for text in chunks) + DONE
    if form != "[%s]":
        assert text_in(bytes_of(repair(stream))) == "Hi"
    whole = form % json.dumps(completion({"role": "assistant", "content": "Hi"}))
    body = CHAT.repair_body(whole.encode(), StreamContext())
    if form != "[%s]":
        assert json.loads(body.data)["choices"][0]["message"]["content"] == "Hi"


@pytest.mark.parametrize(
    "envelope",
    [
        {"success": False, "data": None, "message": "Busy.", "code": 503},
        {"success": False, "data": {"error": {"message": "Busy.", "code": 503}}},
    ],
)
def test_an_envelope_without_an_answer_is_an_error(envelope: Json) -> None:
    errors = [one.error for one in repair(stream_of(ROLE, envelope)) if one.error]
    body = repair_body(envelope)
    assert {error.status for error in (errors[0], body.error) if error} == {503}


BODIES: dict[str, Json] = {
    "a delta": {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]},
    "text": {"choices": [{"index": 0, "text": "Hi", "finish_reason": "stop"}]},
    "a message without choices": {"message": {"content": "Hi"}, "done_reason": "stop"},
    "choices that are no list": {
        "choices": {"message": {"content": "Hi"}, "finish_reason": "stop"}
    },
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_message_in_the_wrong_place_is_moved(body: Json) -> None:
    repaired = repair_body(body)
    [choice] = json.loads(repaired.data)["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hi", "stop")
    assert {finding.code for finding in repaired.findings} == {"S255"}


# The output limit, and a forced call


@pytest.mark.parametrize("native", ["length", "max_output_tokens", "MAX_TOKENS", "max_tokens"])
@pytest.mark.parametrize("arguments", ["", '{"p":', '{"p":"x'])
def test_a_call_that_the_native_reason_explains_ends_in_length(native: str, arguments: str) -> None:
    finished = chunk({}, "tool_calls", native_finish_reason=native)
    stream = stream_of(ROLE, chunk(call(arguments, "read", id="c1")), finished) + DONE
    repaired = repair(stream)
    assert reasons(bytes_of(repaired)) == ["length"]
    assert calls_in(bytes_of(repaired)) == [("read", arguments)]
    body = repair_body(completion(whole_call(arguments), "tool_calls", native_finish_reason=native))
    assert body.error is None
    [choice] = json.loads(body.data)["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == arguments


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_empty_arguments_of_a_cut_call_stay(reason: str) -> None:
    value = completion(whole_call(""), reason)
    repaired = repair_body(value)
    assert (json.loads(repaired.data), repaired.findings) == (value, [])


@pytest.mark.parametrize(
    ("request_fields", "forced"),
    [
        ({"tool_choice": {"type": "function", "function": {"name": "read"}}}, True),
        ({"tool_choice": {"type": "custom", "custom": {"name": "read"}}}, True),
        ({"function_call": {"name": "read"}}, True),
        ({"tool_choice": "required"}, False),
        ({"tool_choice": "auto"}, False),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("reason", ["stop", "tool_calls"])
def test_a_forced_call_keeps_its_finish_reason(
    request_fields: Json, forced: bool, reason: str
) -> None:
    facts = read_request("/v1/chat/completions", {"model": "m", **request_fields})
    assert facts.forced_tool is forced
    expected = reason if forced else "tool_calls"
    stream = stream_of(ROLE, chunk(call("{}", "read", id="c1")), chunk({}, reason)) + DONE
    assert reasons(bytes_of(repair(stream, forced_tool=facts.forced_tool))) == [expected]
    body = repair_body(completion(whole_call("{}"), reason), forced_tool=facts.forced_tool)
    assert json.loads(body.data)["choices"][0]["finish_reason"] == expected


# Departures that the client accepts

NAMELESS = [{key: item for key, item in one.items() if key != "object"} for one in (ROLE, HI, STOP)]
NO_INDEX = chunk({"tool_calls": [{"id": "c1", "function": {"name": "read", "arguments": "{}"}}]})
DEPARTURES: dict[Deviation, bytes] = {
    Deviation.NO_OBJECT: stream_of(*NAMELESS) + DONE,
    Deviation.NO_DONE: stream_of(ROLE, HI, STOP),
    Deviation.NULL_COUNTS: stream_of(ROLE, HI | {"usage": dict.fromkeys(USAGE)}, STOP) + DONE,
    Deviation.NO_CALL_TYPE: stream_of(
        ROLE,
        chunk({"tool_calls": [{"index": 0, **NO_INDEX["choices"][0]["delta"]["tool_calls"][0]}]}),
        CALLED,
    )
    + DONE,
}


@pytest.mark.parametrize(("deviation", "stream"), DEPARTURES.items(), ids=DEPARTURES)
def test_an_accepted_departure_keeps_its_bytes(deviation: Deviation, stream: bytes) -> None:
    context = FRAMING.context(host_deviations=frozenset({deviation}))
    repaired = FRAMING.repaired([stream], context)
    assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])
    grammar = CHAT.make_grammar(context)
    events = sse.Decoder().feed(stream)
    assert [*(one for event in events for one in grammar.feed(event)), *grammar.end()] == []
    assert bytes_of(repair(stream)) != stream


def test_calls_without_index_and_type_are_accepted_together() -> None:
    stream = stream_of(ROLE, NO_INDEX, CALLED) + DONE
    both = frozenset({Deviation.NO_CALL_INDEX, Deviation.NO_CALL_TYPE})
    assert bytes_of(repair(stream, host_deviations=both)) == stream
    body = completion(whole_call("{}"), "tool_calls")
    del body["choices"][0]["message"]["tool_calls"][0]["type"]
    assert repair_body(body, host_deviations=both).findings == []
    assert repair_body(body).findings != []
