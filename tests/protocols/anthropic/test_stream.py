"""Single cases of Anthropic Messages streams; `test_corpus` and `test_two_laws` test more."""

import json
from typing import Any

import pytest
from corpus_streams import clean_streams
from framings import FRAMINGS, bytes_of, codes_of
from strategies.anthropic_messages import encode
from strategies.wire import values_of
from wiremend.catalogue import catalogue
from wiremend.clients import traits_of_client
from wiremend.protocols.anthropic.stream import AnthropicRepairer
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import ProviderError, make_error
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.rules.rule import EventPlace
from wiremend.testing import answers
from wiremend.text import sse

Json = dict[str, Any]

ANTHROPIC = FRAMINGS["anthropic"]

MESSAGE: Json = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "output_tokens": 1},
}
MESSAGE_START: Json = {"type": "message_start", "message": MESSAGE}
MESSAGE_STOP: Json = {"type": "message_stop"}
TEXT: Json = {"type": "text", "text": ""}
THINKING: Json = {"type": "thinking", "thinking": "", "signature": ""}


def tool(number: int, name: str = "read") -> Json:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": {}}


def start(index: Any, block: Any) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: Any, **fields: Any) -> Json:
    kinds = {"text": "text_delta", "partial_json": "input_json_delta", "thinking": "thinking_delta"}
    kind = next(kinds[key] for key in fields)
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: Any) -> Json:
    return {"type": "content_block_stop", "index": index}


def message_delta(reason: Any, **usage: Any) -> Json:
    inner = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": inner, "usage": usage or {"output_tokens": 9}}


def stream_of(*events: Json) -> bytes:
    return b"".join(encode(event) for event in events)


def whole(*events: Json, reason: Any = "end_turn") -> bytes:
    return stream_of(MESSAGE_START, *events, message_delta(reason), MESSAGE_STOP)


def repair_stream(stream: bytes, **fields: Any) -> list[Repaired]:
    return ANTHROPIC.repaired([stream], ANTHROPIC.context(**fields))


def shown(stream: bytes) -> list[Json]:
    """Return the data of the events in a stream."""
    return [json.loads(event.data) for event in sse.Decoder().feed(stream) if event.data]


CALL = [start(0, tool(1)), delta(0, partial_json='{"p":1}'), stop(0)]
TEXT_BLOCK = [start(0, TEXT), delta(0, text="Hi"), stop(0)]


# The kinds of events


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (b"\n", EventKind.IDLE),
        (b": comment\n\n", EventKind.IDLE),
        (b"data:\n\n", EventKind.IDLE),
        (b"data: {}\n\n", EventKind.IDLE),
        (b"data: [DONE]\n\n", EventKind.IDLE),
        (b'data: {"tool":"search_files","status":"running"}\n\n', EventKind.IDLE),
        (encode({"type": "ping"}), EventKind.IDLE),
        (encode(MESSAGE_START), EventKind.PREAMBLE),
        (encode(start(0, TEXT)), EventKind.CONTENT),
        (encode({"type": "unknown_event"}), EventKind.CONTENT),
        (encode(message_delta("end_turn")), EventKind.CONTENT),
        (b'data: {"half":\n\n', EventKind.ERROR),
        (encode({"type": "error", "error": {"type": "overloaded_error"}}), EventKind.ERROR),
        (b'data: {"error":{"code":"","message":"","type":"server_error"}}\n\n', EventKind.ERROR),
        (
            b'data: {"code":"InternalError","message":"closed","request_id":"1"}\n\n',
            EventKind.ERROR,
        ),
    ],
)
def test_the_kind_of_an_event(event: bytes, kind: EventKind) -> None:
    repaired = repair_stream(event)[0]
    assert repaired.kind is kind
    assert (repaired.error is not None) == (kind is EventKind.ERROR)


@pytest.mark.parametrize(
    ("events", "complete"),
    [
        ([], False),
        ([MESSAGE_START, *TEXT_BLOCK], False),
        ([MESSAGE_START, *TEXT_BLOCK, message_delta(None)], False),
        ([MESSAGE_START, *TEXT_BLOCK, message_delta("end_turn")], True),
        ([MESSAGE_START, *CALL, message_delta("tool_use"), MESSAGE_STOP], True),
    ],
)
def test_a_response_is_complete_with_its_stop_reason(events: list[Json], complete: bool) -> None:
    repair = ANTHROPIC.repair(StreamContext())
    repair.feed(stream_of(*events))
    assert repair.complete is complete


def test_text_about_errors_is_not_an_error() -> None:
    error = '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    unknown = {"type": "unknown_event", "error": None}
    stream = whole(start(0, TEXT), delta(0, text=error), stop(0), unknown)
    repaired = repair_stream(stream)
    assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])


# Blocks

ORDERS: dict[str, tuple[list[Json], list[Json], list[str]]] = {
    "the first block is number 1": (
        [start(1, tool(1)), delta(1, partial_json="{}"), stop(1)],
        [start(0, tool(1)), delta(0, partial_json="{}"), stop(0)],
        ["S105"] * 3,
    ),
    "every block is number 0": (
        [*TEXT_BLOCK, start(0, tool(1)), delta(0, partial_json="{}"), stop(0)],
        [*TEXT_BLOCK, start(1, tool(1)), delta(1, partial_json="{}"), stop(1)],
        ["S105"] * 3,
    ),
    "numbers with a gap": (
        [*TEXT_BLOCK, start(4, tool(1)), delta(4, partial_json="{}"), stop(4)],
        [*TEXT_BLOCK, start(1, tool(1)), delta(1, partial_json="{}"), stop(1)],
        ["S105"] * 3,
    ),
    "text after a tool call, under the index of the open tool": (
        [
            start(0, tool(1)),
            delta(0, partial_json="{}"),
            start(0, TEXT),
            delta(0, text="Hi"),
            stop(0),
        ],
        [
            start(0, tool(1)),
            delta(0, partial_json="{}"),
            stop(0),
            start(1, TEXT),
            delta(1, text="Hi"),
            stop(1),
        ],
        ["S109", *["S105"] * 3],
    ),
    "deltas of two blocks under one index, each to its own": (
        [
            start(0, tool(1)),
            delta(0, partial_json='{"a"'),
            start(0, TEXT),
            delta(0, text="Hi"),
            delta(0, partial_json=":1}"),
            stop(0),
        ],
        [
            start(0, tool(1)),
            delta(0, partial_json='{"a"'),
            delta(0, partial_json=":1}"),
            stop(0),
            start(1, TEXT),
            delta(1, text="Hi"),
            stop(1),
        ],
        ["S109", "S108", "S111", "S105", "S105", "S105"],
    ),
    "thinking that was never stopped": (
        [start(0, THINKING), delta(0, thinking="Hm"), start(1, TEXT), delta(1, text="Hi"), stop(1)],
        [
            start(0, THINKING),
            delta(0, thinking="Hm"),
            stop(0),
            start(1, TEXT),
            delta(1, text="Hi"),
            stop(1),
        ],
        ["S109"],
    ),
    "two tools side by side": (
        [
            start(0, tool(1)),
            delta(0, partial_json='{"a"'),
            start(1, tool(2)),
            delta(1, partial_json='{"b"'),
            delta(0, partial_json=":1}"),
            delta(1, partial_json=":2}"),
            stop(0),
            stop(1),
        ],
        [
            start(0, tool(1)),
            delta(0, partial_json='{"a"'),
            delta(0, partial_json=":1}"),
            stop(0),
            start(1, tool(2)),
            delta(1, partial_json='{"b"'),
            delta(1, partial_json=":2}"),
            stop(1),
        ],
        ["S109"],
    ),
    "a late stop of a block that is closed": (
        [*TEXT_BLOCK, start(1, tool(1)), delta(1, partial_json="{}"), stop(0), stop(1)],
        [*TEXT_BLOCK, start(1, tool(1)), delta(1, partial_json="{}"), stop(1)],
        ["S110"],
    ),
    "a start for each of a tool's deltas": (
        [
            start(0, tool(1)),
            delta(0, partial_json='{"p"'),
            start(0, tool(1)),
            delta(0, partial_json=":1}"),
            stop(0),
        ],
        [start(0, tool(1)), delta(0, partial_json='{"p"'), delta(0, partial_json=":1}"), stop(0)],
        ["S106"],
    ),
    "text that never started": (
        [delta(0, text="Hi"), stop(0)],
        [start(0, TEXT), delta(0, text="Hi"), stop(0)],
        ["S107"],
    ),
    "thinking in a text block": (
        [start(0, TEXT), delta(0, text="Hi"), delta(0, thinking="Hm"), stop(0)],
        [
            start(0, TEXT),
            delta(0, text="Hi"),
            stop(0),
            start(1, THINKING),
            delta(1, thinking="Hm"),
            stop(1),
        ],
        ["S108", "S109", "S105", "S105"],
    ),
    "a tool's input as an object": (
        [start(0, tool(1)), delta(0, partial_json={"p": 1}), stop(0)],
        [start(0, tool(1)), delta(0, partial_json='{"p":1}'), stop(0)],
        ["S123"],
    ),
    "a tool without input": (
        [start(0, tool(1)), stop(0)],
        [start(0, tool(1)), stop(0)],
        [],
    ),
    "an unknown block": (
        [start(0, {"type": "unknown_block"}), stop(0)],
        [start(0, {"type": "unknown_block"}), stop(0)],
        [],
    ),
}


@pytest.mark.parametrize(("received", "sent", "codes"), ORDERS.values(), ids=ORDERS)
def test_blocks_are_shown_one_after_the_other(
    received: list[Json], sent: list[Json], codes: list[str]
) -> None:
    calls = any("tool_use" in json.dumps(event) for event in received)
    reason = "tool_use" if calls else "end_turn"
    repaired = repair_stream(whole(*received, reason=reason))
    assert shown(bytes_of(repaired)) == shown(whole(*sent, reason=reason))
    assert codes_of(repaired) == codes
    assert ANTHROPIC.violations(bytes_of(repaired)) == []


LOST: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "before its first event"),
    "a cut text": (stream_of(MESSAGE_START, start(0, TEXT), delta(0, text="Hi")), "stop reason"),
    "a tool that stops inside its JSON": (
        whole(start(0, tool(1)), delta(0, partial_json='{"p"'), stop(0)),
        "inside its JSON arguments",
    ),
    "a tool that never stops inside its JSON": (
        whole(start(0, tool(1)), delta(0, partial_json='{"p"')),
        "inside its JSON arguments",
    ),
    "a tool's delta without a start": (
        whole(delta(0, partial_json="{}")),
        "input_json_delta of block 0, which is not open",
    ),
    "a tool's delta in a text block": (
        whole(start(0, TEXT), delta(0, partial_json="{}")),
        "input_json_delta in a text block",
    ),
    "a tool without a name": (whole(start(0, tool(1, name=""))), "a tool call without a name"),
    "a message_stop alone": (stream_of(MESSAGE_STOP), "no content"),
    "JSON that is cut": (
        stream_of(MESSAGE_START) + b'event: ping\ndata: {"type":\n\n',
        "not valid JSON",
    ),
}


@pytest.mark.parametrize(("stream", "excerpt"), LOST.values(), ids=LOST)
def test_lost_content_ends_in_the_native_error(stream: bytes, excerpt: str) -> None:
    repaired = repair_stream(stream)
    ended = next(item for item in repaired if item.kind is EventKind.ERROR)
    assert ended.error is not None
    assert (ended.error.status, excerpt in ended.error.message) == (502, True)
    assert shown(bytes_of(repaired))[-1]["error"]["type"] == "api_error"
    assert ANTHROPIC.violations(bytes_of(repaired)) == []


@pytest.mark.parametrize(("stream", "excerpt"), LOST.values(), ids=LOST)
def test_lost_content_is_reported_in_words_on_which_the_client_retries(
    stream: bytes, excerpt: str
) -> None:
    client = traits_of_client("opencode")
    assert client.retried_words is not None
    repaired = repair_stream(stream, client="opencode")
    message = shown(bytes_of(repaired))[-1]["error"]["message"]
    assert client.retried_words.search(message)
    assert excerpt in message


CUT = [start(0, tool(1)), delta(0, partial_json='{"p":"a')]


@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "model_context_window_exceeded"])
def test_a_tool_that_the_stop_reason_cuts_is_not_an_error(reason: str) -> None:
    stream = whole(*CUT, stop(0), {"type": "ping"}, reason=reason)
    repaired = repair_stream(stream)
    assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])
    unstopped = repair_stream(whole(*CUT, reason=reason))
    assert bytes_of(unstopped) == whole(*CUT, stop(0), reason=reason)
    assert codes_of(unstopped) == ["S111"]


@pytest.mark.parametrize(
    "events",
    [
        *(
            [stop(0), message_delta(reason)]
            for reason in ("tool_use", "end_turn", "pause_turn", "stop")
        ),
        [stop(0), message_delta(None), MESSAGE_STOP],
        [stop(0), MESSAGE_STOP],
        [stop(0), {"type": "ping"}],
        [stop(0), start(1, TEXT), delta(1, text="Hi")],
        [stop(0), delta(0, partial_json='"'), stop(0), message_delta("tool_use"), MESSAGE_STOP],
        [start(1, tool(2)), stop(1), stop(0), message_delta("tool_use")],
    ],
)
def test_a_tool_that_is_cut_without_a_reason_is_never_stopped(events: list[Json]) -> None:
    repaired = repair_stream(stream_of(MESSAGE_START, *CUT, *events))
    sent, _, error = bytes_of(repaired).partition(b"event: error\n")
    assert sent.startswith(stream_of(MESSAGE_START, *CUT))
    assert error
    assert b"content_block_stop" not in sent
    assert ANTHROPIC.violations(bytes_of(repaired)) == []


def test_a_tool_without_a_name_gets_the_only_offered_one() -> None:
    stream = whole(start(0, tool(1, name=" ")), stop(0), reason="tool_use")
    assert shown(bytes_of(repair_stream(stream, tool_names=("read",))))[1] == start(0, tool(1))


def test_generated_ids_differ_between_responses_and_calls_but_not_between_attempts() -> None:
    def generated(**fields: Any) -> list[str]:
        nameless = [{key: tool(1)[key] for key in ("type", "name", "input")}]
        blocks = [start(0, *nameless), stop(0), start(1, *nameless), stop(1)]
        first = MESSAGE_START | {"message": MESSAGE | fields}
        events = [first, *blocks, message_delta("tool_use"), MESSAGE_STOP]
        repaired = shown(bytes_of(repair_stream(stream_of(*events))))
        return [event["content_block"]["id"] for event in repaired if "content_block" in event]

    first, second = generated(), generated(id="msg_2")
    without = [generated(id=None, usage={"input_tokens": n, "output_tokens": 1}) for n in (7, 8)]
    assert first == generated()
    assert len({*first, *second, *without[0], *without[1]}) == 8
    assert all(identity.startswith("toolu_") for identity in first)


# The stop reason

REASONS: dict[str, tuple[list[Json], Any, str, list[str]]] = {
    "end_turn after a call": (CALL, "end_turn", "tool_use", ["S116"]),
    "stop after a call": (CALL, "stop", "tool_use", ["S125", "S116"]),
    "tool_calls after a call": (CALL, "tool_calls", "tool_use", ["S125"]),
    "TOOL_USE after a call": (CALL, "TOOL_USE", "tool_use", ["S125"]),
    "tool_calls without a call": (TEXT_BLOCK, "tool_calls", "end_turn", ["S125", "S116"]),
    "stop": (TEXT_BLOCK, "stop", "end_turn", ["S125"]),
    "length": (TEXT_BLOCK, "length", "max_tokens", ["S125"]),
    "an unknown one": (TEXT_BLOCK, "new_reason", "new_reason", []),
    "max_tokens after a call": (CALL, "max_tokens", "max_tokens", []),
    "refusal after a call": (CALL, "refusal", "refusal", []),
    "pause_turn after a call": (CALL, "pause_turn", "pause_turn", []),
    "tool_use without a call": (TEXT_BLOCK, "tool_use", "end_turn", ["S116"]),
    "stop_sequence": (TEXT_BLOCK, "stop_sequence", "stop_sequence", []),
    "null after text": (TEXT_BLOCK, None, "end_turn", ["S114"]),
    "empty after text": (TEXT_BLOCK, "", "end_turn", ["S114"]),
    "null after a call": (CALL, None, "tool_use", ["S114"]),
}


@pytest.mark.parametrize(("blocks", "reason", "expected", "codes"), REASONS.values(), ids=REASONS)
def test_the_stop_reason_follows_the_blocks(
    blocks: list[Json], reason: Any, expected: str, codes: list[str]
) -> None:
    repaired = repair_stream(whole(*blocks, reason=reason))
    assert shown(bytes_of(repaired))[-2] == message_delta(expected)
    assert codes_of(repaired) == codes


def test_only_the_first_stop_reason_is_kept() -> None:
    events = [*CALL, message_delta("tool_use"), message_delta("end_turn", output_tokens=3)]
    repaired = repair_stream(stream_of(MESSAGE_START, *events, MESSAGE_STOP))
    assert bytes_of(repaired) == whole(*CALL, reason="tool_use")
    assert codes_of(repaired) == ["S115"]


def test_a_message_delta_with_only_usage_is_merged_into_the_next_one() -> None:
    events = [*CALL, message_delta(None, output_tokens=3), message_delta("tool_use")]
    repaired = repair_stream(stream_of(MESSAGE_START, *events, MESSAGE_STOP))
    assert bytes_of(repaired) == whole(*CALL, reason="tool_use")


# The shown model


def test_only_the_model_name_changes() -> None:
    stream = whole(*TEXT_BLOCK).replace(b'"model":"claude"', b'"model" : "cl\\u0061ude"')
    repaired = repair_stream(stream, shown_model="mine")
    assert bytes_of(repaired) == stream.replace(b'"cl\\u0061ude"', b'"mine"')
    assert codes_of(repaired) == []
    assert bytes_of(repair_stream(whole(*TEXT_BLOCK), shown_model="claude")) == whole(*TEXT_BLOCK)


@pytest.mark.parametrize(
    "events", [TEXT_BLOCK, [MESSAGE_START | {"message": MESSAGE | {"model": None}}, *TEXT_BLOCK]]
)
def test_an_added_message_start_contains_the_shown_model(events: list[Json]) -> None:
    stream = stream_of(*events, message_delta("end_turn"), MESSAGE_STOP)
    assert (
        shown(bytes_of(repair_stream(stream, shown_model="mine")))[0]["message"]["model"] == "mine"
    )


@pytest.mark.parametrize(
    ("following", "texts"),
    [
        ([message_delta("end_turn")], ["Hi"]),
        ([start(0, TEXT), delta(0, text="Hi"), stop(0), message_delta("end_turn")], ["Hi"]),
        ([start(1, TEXT), delta(1, text="you"), stop(1), message_delta("end_turn")], ["Hi", "you"]),
    ],
)
def test_content_of_message_start_may_be_a_string(following: list[Json], texts: list[str]) -> None:
    first = {"type": "message_start", "message": MESSAGE | {"content": "Hi"}}
    repaired = repair_stream(stream_of(first, *following, MESSAGE_STOP))
    events = shown(bytes_of(repaired))
    assert [event["delta"]["text"] for event in events if "text" in event.get("delta", {})] == texts
    assert events[0]["message"]["content"] == []
    assert repaired[-1].kind is EventKind.TERMINAL


# Errors

ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize(
    ("event", "status", "type", "message"),
    [
        (ERROR, 529, "overloaded_error", "Overloaded"),
        ({"error": {"type": "rate_limit_error", "message": "Slow."}}, 429, "rate_limit_error", "S"),
        (
            {"code": "InternalError", "message": "peer closed", "request_id": "1"},
            500,
            "api",
            "peer",
        ),
        ({"error": {"code": "", "message": "", "type": "server_error"}}, 500, "server_error", "w"),
        ({"type": "error", "message": "No."}, 502, "api_error", "No."),
    ],
)
def test_an_error_in_any_shape_becomes_the_native_event(
    event: Json, status: int, type: str, message: str
) -> None:
    repaired = repair_stream(stream_of(MESSAGE_START, event))
    error = repaired[1].error
    assert error is not None
    assert error.status == status
    last = shown(bytes_of(repaired))[-1]
    assert (last["type"], type in last["error"]["type"]) == ("error", True)
    assert message in last["error"]["message"]


def test_a_native_error_keeps_its_bytes() -> None:
    stream = stream_of(MESSAGE_START, ERROR).replace(b'"Overloaded"', b' "Overlo\\u0061ded"')
    repaired = repair_stream(stream)
    assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])


def test_a_failure_can_be_reported_at_any_point() -> None:
    failure = make_error(status=504, message="no byte for 120 s")
    for events in ([], [MESSAGE_START], [MESSAGE_START, start(0, tool(1))]):
        repair = ANTHROPIC.repair(StreamContext())
        before = bytes_of(repair.feed(stream_of(*events)))
        stream = before + repair.fail(failure)
        assert ANTHROPIC.violations(stream) == []
        assert shown(stream)[-1]["error"] == {
            "type": "timeout_error",
            "message": "no byte for 120 s",
        }


def test_an_error_without_a_message_gets_one() -> None:
    events = shown(AnthropicRepairer(StreamContext()).fail(ProviderError(529, message=" ")))
    expected = "The provider reported overloaded_error without a message."
    assert events[0]["error"]["message"] == expected


@pytest.mark.parametrize("first", [1, 2, 7])
def test_content_blocks_are_numbered_from_0(first: int) -> None:
    broken = answers.stream_with_blocks_from_index(first)
    repaired = ANTHROPIC.repaired(list(broken.events), ANTHROPIC.context())
    expected = answers.text_stream(answers.ANTHROPIC).data
    assert values_of(bytes_of(repaired)) == values_of(expected)
    assert set(codes_of(repaired)) == {"S105"}


# What is held back

HELD = (b"content_block_stop", b"message_delta")


def clean_events() -> list[tuple[str, list[bytes]]]:
    return [
        (stream.path.stem, [event.raw for event in sse.Decoder().feed(stream.path.read_bytes())])
        for stream in clean_streams(WireProtocol.ANTHROPIC_MESSAGES)
    ]


@pytest.mark.parametrize(("name", "events"), clean_events(), ids=lambda value: str(value)[:40])
def test_only_a_stop_or_a_stop_reason_waits_for_the_next_event(
    name: str, events: list[bytes]
) -> None:
    repair = ANTHROPIC.repair(StreamContext())
    sent = b""
    is_cut = False
    for number, raw in enumerate(events):
        sent += bytes_of(repair.feed(raw))
        received = b"".join(events[: number + 1])
        assert received.startswith(sent)
        waiting = sse.Decoder().feed(received[len(sent) :])
        kinds = [event.type for event in waiting if event.data]
        is_cut = is_cut or ("max-tokens" in name and kinds[:1] == ["content_block_stop"])
        if not is_cut:
            assert kinds in ([], ["ping"]) or kinds[0].encode() in (*HELD, b"message_start"), kinds
            assert set(kinds[1:]) <= {"ping"}
            assert bool(kinds) is repair.holds_back
            sent += bytes_of(repair.release())
            assert sent == received
            assert not repair.holds_back


@pytest.mark.parametrize(
    ("before", "held"),
    [
        ([start(0, TEXT), delta(0, text="Hi")], stop(0)),
        ([start(0, THINKING), delta(0, thinking="Hm.")], stop(0)),
        ([start(0, tool(1))], stop(0)),
        ([*TEXT_BLOCK, {"type": "unknown"}], message_delta("end_turn")),
        ([*CALL], message_delta("tool_use")),
        ([], message_delta("refusal")),
    ],
)
def test_what_is_held_back_is_released_with_the_pings_behind_it(
    before: list[Json], held: Json
) -> None:
    repair = ANTHROPIC.repair(StreamContext())
    sent = bytes_of(repair.feed(stream_of(MESSAGE_START, *before)))
    assert sent == stream_of(MESSAGE_START, *before)
    ping: Json = {"type": "ping"}
    assert bytes_of(repair.feed(stream_of(held, ping) + b": comment\n\n")) == b""
    assert repair.holds_back
    assert bytes_of(repair.release()) == stream_of(held, ping) + b": comment\n\n"
    assert repair.release() == []


@pytest.mark.parametrize(
    "before",
    [
        [*CALL],
        [start(0, {"type": "redacted_thinking", "data": "x"}), stop(0)],
        [start(0, {"type": "web_search_tool_result", "content": []}), stop(0)],
        [start(0, {"type": "unknown_block"}), stop(0)],
        [start(0, THINKING | {"signature": "c2ln"}), stop(0)],
    ],
)
def test_the_stop_of_a_block_that_lacks_nothing_is_not_held_back(before: list[Json]) -> None:
    repair = ANTHROPIC.repair(StreamContext())
    assert bytes_of(repair.feed(stream_of(MESSAGE_START, *before))) == stream_of(
        MESSAGE_START, *before
    )
    assert not repair.holds_back


def released(*events: Json) -> tuple[Any, bytes]:
    """Return a repair that had to release what it held back, and what it sent."""
    repair = ANTHROPIC.repair(StreamContext())
    sent = bytes_of(repair.feed(stream_of(MESSAGE_START, *events)))
    return repair, sent + bytes_of(repair.release())


def test_input_after_a_stop_that_was_sent_is_an_error() -> None:
    repair, sent = released(start(0, tool(1)), stop(0))
    assert sent.endswith(stream_of(stop(0)))
    [repaired] = repair.feed(stream_of(delta(0, partial_json='{"p":1}')))
    assert repaired.kind is EventKind.ERROR


def test_the_stop_inside_the_json_of_a_tool_is_never_released() -> None:
    repair, sent = released(*CUT, stop(0))
    assert not repair.holds_back
    assert sent == stream_of(MESSAGE_START, *CUT)
    rest = [delta(0, partial_json='"}'), stop(0), message_delta("tool_use"), MESSAGE_STOP]
    sent += bytes_of(repair.feed(stream_of(*rest)))
    assert sent == whole(*CUT, *rest[:2], reason="tool_use")


def test_a_stop_reason_that_does_not_explain_a_cut_tool_is_not_released() -> None:
    repair = ANTHROPIC.repair(StreamContext())
    repair.feed(stream_of(MESSAGE_START, *CUT, stop(0), message_delta("end_turn")))
    [repaired] = repair.release()
    assert repaired.kind is EventKind.ERROR
    assert repair.end()[-1].kind is EventKind.ERROR


@pytest.mark.parametrize(
    "late",
    [
        start(1, tool(2)),
        start(1, {"type": "text", "text": "late"}),
        start(1, {"type": "unknown_block"}),
        delta(0, text="late"),
        delta(7, thinking="late"),
        {"type": "content_block_delta", "index": 0, "text": "late"},
    ],
)
def test_content_after_a_stop_reason_that_was_sent_is_an_error(late: Json) -> None:
    repair, sent = released(*TEXT_BLOCK, message_delta("end_turn"))
    assert sent == stream_of(MESSAGE_START, *TEXT_BLOCK, message_delta("end_turn"))
    [repaired] = repair.feed(stream_of(late))
    assert repaired.kind is EventKind.ERROR
    assert "after the stop reason" in str(repaired.error)


@pytest.mark.parametrize("late", [start(1, TEXT), delta(0, text=""), stop(0), stop(1)])
def test_a_late_event_without_content_is_dropped(late: Json) -> None:
    repair, _ = released(*TEXT_BLOCK, message_delta("end_turn"))
    repaired = repair.feed(stream_of(late, MESSAGE_STOP))
    assert bytes_of(repaired) == stream_of(MESSAGE_STOP)
    assert codes_of(repaired) == ["S122"]


def test_counts_after_a_stop_reason_that_was_sent_are_dropped() -> None:
    repair, _ = released(*TEXT_BLOCK, message_delta("end_turn"))
    repaired = repair.feed(stream_of(message_delta(None, output_tokens=42), MESSAGE_STOP))
    assert (bytes_of(repaired), codes_of(repaired)) == (stream_of(MESSAGE_STOP), ["S127"])


def test_a_failure_does_not_write_the_stop_that_is_held_back() -> None:
    repair = ANTHROPIC.repair(StreamContext())
    sent = bytes_of(repair.feed(stream_of(MESSAGE_START, start(0, tool(1)), stop(0))))
    failed = repair.fail(make_error(status=502, message="reset"))
    assert b"content_block_stop" not in sent + failed
    assert ANTHROPIC.violations(sent + failed) == []


@pytest.mark.parametrize(
    "events",
    [
        [*TEXT_BLOCK, message_delta("end_turn"), start(1, TEXT), delta(1, text="more")],
        [*TEXT_BLOCK, message_delta("end_turn"), delta(0, text="more")],
        [message_delta("tool_use"), *CALL],
        [start(0, tool(1)), message_delta("tool_use"), delta(0, partial_json="{}"), stop(0)],
        [message_delta("end_turn"), start(0, THINKING), delta(0, thinking="Hm."), stop(0)],
    ],
)
def test_content_after_a_stop_reason_voids_it(events: list[Json]) -> None:
    for more in ([], [{"type": "ping"}], [message_delta(None, output_tokens=9)]):
        repair = ANTHROPIC.repair(StreamContext())
        repair.feed(stream_of(MESSAGE_START, *events, *more))
        assert not repair.complete
        assert repair.end()[-1].kind is EventKind.ERROR


def test_an_empty_block_after_a_stop_reason_does_not_void_it() -> None:
    events = [*TEXT_BLOCK, message_delta("end_turn"), start(1, TEXT), stop(1)]
    repaired = repair_stream(stream_of(MESSAGE_START, *events))
    assert repaired[-1].kind is EventKind.TERMINAL
    assert bytes_of(repaired) == whole(*TEXT_BLOCK, start(1, TEXT), stop(1))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("tool_use", "end_turn", "tool_use"),
        ("max_tokens", "end_turn", "max_tokens"),
        ("end_turn", "refusal", "refusal"),
        ("end_turn", "length", "max_tokens"),
        ("stop_sequence", "max_tokens", "stop_sequence"),
    ],
)
def test_the_reason_that_says_more_is_kept(first: str, second: str, expected: str) -> None:
    blocks = CALL if first == "tool_use" else TEXT_BLOCK
    events = [*blocks, message_delta(first, output_tokens=5), message_delta(second)]
    repaired = repair_stream(stream_of(MESSAGE_START, *events, MESSAGE_STOP))
    assert bytes_of(repaired) == whole(*blocks, reason=expected)


@pytest.mark.parametrize(
    "reason",
    [
        "error",
        "abort",
        "ABORTED",
        "network-error",
        "insufficient_system_resource",
        "failed",
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "malformed_tool_use",
        "cancelled",
    ],
)
def test_a_reason_that_reports_a_failure_is_an_error_whatever_came_before(reason: str) -> None:
    for events in (TEXT_BLOCK, CALL, CUT, [], [*TEXT_BLOCK, message_delta("end_turn")]):
        repaired = repair_stream(
            stream_of(MESSAGE_START, *events, message_delta(reason), MESSAGE_STOP)
        )
        error = next(item.error for item in repaired if item.error is not None)
        assert repr(reason) in error.message
        assert error.retryable


@pytest.mark.parametrize(
    "events",
    [
        [start(0, THINKING), delta(0, thinking="Hm."), stop(0)],
        [start(0, {"type": "redacted_thinking", "data": "x"}), stop(0)],
        [start(0, THINKING), delta(0, thinking="Hm.")],
        [start(0, THINKING), delta(0, thinking="Hm."), stop(0), start(1, TEXT), stop(1)],
    ],
)
def test_thinking_alone_needs_a_stop_reason(events: list[Json]) -> None:
    for end in ([MESSAGE_STOP], [message_delta(None), MESSAGE_STOP], []):
        repaired = repair_stream(stream_of(MESSAGE_START, *events, *end))
        assert any(item.kind is EventKind.ERROR for item in repaired)
    closed = events if events[-1]["type"] == "content_block_stop" else [*events, stop(0)]
    for reason in ("end_turn", "refusal", "max_tokens"):
        assert bytes_of(repair_stream(whole(*events, reason=reason))) == whole(
            *closed, reason=reason
        )


def test_a_programmatic_call_does_not_decide_on_the_stop_reason() -> None:
    caller = {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"}
    call = [start(0, tool(1) | {"input": {"p": 1}, "caller": caller}), stop(0)]
    for reason in ("end_turn", "tool_use"):
        stream = whole(*call, reason=reason)
        repaired = repair_stream(stream)
        assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])
    direct = [start(1, tool(2) | {"caller": {"type": "direct"}}), stop(1)]
    repaired = repair_stream(whole(*call, *direct))
    assert bytes_of(repaired) == whole(*call, *direct, reason="tool_use")


def test_a_finding_on_the_stop_reason_has_the_number_of_its_event() -> None:
    repaired = repair_stream(whole(*CALL, {"type": "ping"}, reason="end_turn"))
    [finding] = [finding for item in repaired for finding in item.findings]
    assert str(finding.place) == str(EventPlace(6))


@pytest.mark.parametrize("value", [[], {}, 1, True, None, "", [[]], {"type": []}])
def test_a_type_or_field_of_any_json_type_stops_no_repair(value: Any) -> None:
    """`repaired` asserts that no rule raised."""
    odd_events = [
        start(0, {"type": value}),
        start(0, value),
        {"type": "content_block_start", "index": 0, "block": {"type": value}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": value}},
        {"type": "content_block_delta", "index": 0, "delta": value},
        {"type": "content_block_delta", "index": 0, "x": {"type": value}},
        {"type": "content_block_delta", "index": value, "delta": {"type": "text_delta"}},
        {"type": "message_delta", "delta": value, "usage": value},
        {"type": "message_start", "message": {"content": [value, {"type": value}]}},
        {"type": "message_stop", "delta": value, "message": value},
        {"data": value, "success": value},
    ]
    for disabled in (frozenset[str](), frozenset(rule.code for rule in catalogue())):
        for odd in odd_events:
            for before in ([], [MESSAGE_START], [MESSAGE_START, start(0, THINKING), stop(0)]):
                stream = stream_of(*before) + b"data: " + json.dumps(odd).encode() + b"\n\n"
                repair_stream(stream + stream_of(*TEXT_BLOCK), disabled=disabled)


@pytest.mark.parametrize(
    ("blocks", "renumbered"),
    [
        ([start(1, TEXT), delta(1, text="Hi"), stop(1)], [2, 3, 4]),
        ([*TEXT_BLOCK, start(2, TEXT), delta(2, text="Hi"), stop(2)], [5, 6, 7]),
        (
            # The second block waits for the first one.
            [
                start(1, tool(1)),
                start(2, tool(2)),
                delta(2, partial_json='{"p":2}'),
                delta(1, partial_json='{"p":1}'),
                stop(2),
                stop(1),
            ],
            [2, 3, 4, 5, 6, 7],
        ),
    ],
)
def test_an_event_that_is_held_back_is_reported_where_it_came(
    blocks: list[Json], renumbered: list[int]
) -> None:
    repaired = repair_stream(whole(*blocks, reason="tool_use"))
    places = [
        finding.place for one in repaired for finding in one.findings if finding.code == "S105"
    ]
    assert sorted(place.number for place in places if isinstance(place, EventPlace)) == renumbered
