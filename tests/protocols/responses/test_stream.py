"""Responses streams, one case at a time; the corpus and the two laws are run elsewhere."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from corpus_streams import folder_of
from rule_codes import codes_between
from strategies.responses import as_event
from wiremend.clients import traits_of_client
from wiremend.protocols.base.client_traits import ClientTraits, Deviation
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import error_of_text, make_error
from wiremend.protocols.base.repairer import EventKind, Repaired, StreamContext
from wiremend.protocols.responses.grammar import Grammar
from wiremend.protocols.responses.request import read_request
from wiremend.protocols.responses.stream import ResponsesRepairer
from wiremend.repair.stream import StreamRepair
from wiremend.text import sse

CORPUS = folder_of(WireProtocol.RESPONSES)
ALL_CODES = codes_between("S301", "S349")


def for_client(family: str) -> StreamContext:
    return StreamContext(client=traits_of_client(family))


def repair_stream(chunks: list[bytes], context: StreamContext | None = None) -> list[Repaired]:
    repair = StreamRepair(ResponsesRepairer(context or StreamContext()))
    repaired = [item for chunk in chunks for item in repair.feed(chunk)]
    return repaired + repair.end()


def bytes_of(repaired: list[Repaired]) -> bytes:
    return b"".join(item.data for item in repaired)


def codes_of(repaired: list[Repaired]) -> list[str]:
    return [finding.code for item in repaired for finding in item.findings]


def violations(stream: bytes) -> list[str]:
    grammar, decoder = Grammar(), sse.Decoder()
    events = decoder.feed(stream) + decoder.end()
    return [problem for event in events for problem in grammar.feed(event)] + grammar.end()


# One case at a time


def stream_of(*steps: dict[str, Any]) -> bytes:
    return b"".join(
        as_event({"type": step["type"], "sequence_number": number, **step})
        for number, step in enumerate(steps)
    )


def response(status: str = "in_progress", **fields: Any) -> dict[str, Any]:
    base = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5"}
    return {**base, "status": status, "output": [], **fields}


CREATED = {"type": "response.created", "response": response()}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "name": "read",
    "call_id": "call_1",
    "arguments": "{}",
}
ADDED = {"type": "response.output_item.added", "output_index": 0, "item": CALL | {"arguments": ""}}
DONE = {"type": "response.output_item.done", "output_index": 0, "item": CALL}
USAGE = {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


def last_data(stream: bytes) -> dict[str, Any]:
    data = [event.data for event in sse.Decoder().feed(stream) if event.data]
    last: dict[str, Any] = json.loads(data[-1])
    return last


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (b": comment\n\n", EventKind.IDLE),
        (b"\n", EventKind.IDLE),
        (b"data:\n\n", EventKind.IDLE),
        (b"data: {}\n\n", EventKind.IDLE),
        (b'data: {"type":"keepalive","sequence_number":1}\n\n', EventKind.IDLE),
        (as_event({"type": "response.metadata"}), EventKind.PREAMBLE),
        (as_event({"type": "codex.rate_limits"}), EventKind.PREAMBLE),
        (stream_of(CREATED), EventKind.PREAMBLE),
        (
            as_event({"type": "response.queued", "response": response("queued")}),
            EventKind.PREAMBLE,
        ),
        (as_event({"type": "response.in_progress", "response": response()}), EventKind.PREAMBLE),
        (as_event(ADDED), EventKind.CONTENT),
        (as_event({"type": "unknown.event"}), EventKind.CONTENT),
        (
            as_event({"type": "response.completed", "response": response("completed")}),
            EventKind.TERMINAL,
        ),
        (
            as_event({"type": "response.incomplete", "response": response("incomplete")}),
            EventKind.TERMINAL,
        ),
        (b'data: {"error":{"code":"","message":"","type":"server_error"}}\n\n', EventKind.ERROR),
        (b'event: error\ndata: {"type":"error","message":"No."}\n\n', EventKind.ERROR),
    ],
)
def test_the_kind_of_an_event(event: bytes, kind: EventKind) -> None:
    repaired = repair_stream([event])[0]
    assert repaired.kind is kind


def test_text_about_errors_is_not_an_error() -> None:
    part = {"item_id": "m", "output_index": 0, "content_index": 0}
    error = '{"error":{"message":"boom","type":"server_error"}}'
    item = {"id": "m", "type": "message", "role": "assistant", "content": []}
    empty = {"type": "output_text", "text": "", "annotations": []}
    stream = stream_of(
        CREATED,
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **part, "part": empty},
        {"type": "response.output_text.delta", **part, "delta": error},
        {"type": "response.an_unknown_event", "error": {"message": "boom"}},
    )
    repaired = repair_stream([stream])[:-1]
    assert bytes_of(repaired) == stream
    assert {item.kind for item in repaired[1:]} == {EventKind.CONTENT}


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        ({"error": {"code": "", "message": "", "type": "server_error"}}, 500, ""),
        (
            {"type": "error", "code": "insufficient_quota", "message": "x"},
            429,
            "insufficient_quota",
        ),
        (
            {"type": "error", "error": {"code": "server_is_overloaded", "message": "x"}},
            503,
            "server_is_overloaded",
        ),
        (
            {
                "type": "response.failed",
                "response": response(
                    "failed", error={"code": "context_length_exceeded", "message": "Too long."}
                ),
            },
            400,
            "context_length_exceeded",
        ),
        ({"code": 429, "msg": "slow"}, 429, ""),
    ],
)
def test_an_error_is_read_with_its_status_and_code(
    event: dict[str, Any], status: int, code: str
) -> None:
    error = repair_stream([as_event(event)])[0].error
    assert error is not None
    assert (error.status, error.code) == (status, code)


def test_an_error_event_is_unchanged_except_for_codex_which_ignores_it() -> None:
    stream = stream_of(CREATED, {"type": "error", "code": "server_error", "message": "Sorry."})
    assert bytes_of(repair_stream([stream], for_client("opencode"))) == stream
    last = last_data(bytes_of(repair_stream([stream], for_client("codex"))))
    assert last["type"] == "response.failed"
    assert last["response"]["error"] == {"code": "server_error", "message": "Sorry."}


@pytest.mark.parametrize("code", ["insufficient_quota", "context_length_exceeded"])
def test_codes_that_clients_act_on_are_kept(code: str) -> None:
    error = {"type": "error", "code": code, "message": "No."}
    last = last_data(bytes_of(repair_stream([stream_of(CREATED, error)], for_client("codex"))))
    assert last["response"]["error"] == {"code": code, "message": "No."}


def test_the_retry_delay_for_codex() -> None:
    repairer = ResponsesRepairer(for_client("codex"))
    error = make_error(status=429, message="Too fast.")
    last = last_data(repairer.fail(error_of_text("Too fast. Try again in 3s", status=429)))
    assert last["response"]["error"]["message"] == "Too fast. Try again in 3s"
    wait = last_data(ResponsesRepairer(StreamContext()).fail(error))["response"]["error"]
    assert wait == {"code": "rate_limit_exceeded", "message": "Too fast."}
    overloaded = make_error(code="slow_down", message="Busy.")
    before = last_data(ResponsesRepairer(StreamContext()).fail(overloaded))["response"]["error"]
    assert before == {
        "code": "rate_limit_exceeded",
        "message": "Busy. Please try again in 2s.",
    }


def test_the_code_of_an_overloaded_server_is_kept_after_output() -> None:
    repairer = ResponsesRepairer(StreamContext())
    for event in sse.Decoder().feed(stream_of(CREATED, ADDED)):
        repairer.feed(event)
    last = last_data(repairer.fail(make_error(code="slow_down", message="Busy.")))
    assert last["response"]["error"] == {"code": "slow_down", "message": "Busy."}


def test_an_error_before_any_event_is_preceded_by_response_created() -> None:
    ending = ResponsesRepairer(StreamContext(model="gpt-5")).fail(make_error(message="gone"))
    assert violations(ending) == []
    assert ending.startswith(b"event: response.created\n")


def test_a_failure_after_the_terminal_event_writes_nothing() -> None:
    repairer = ResponsesRepairer(StreamContext())
    for event in sse.Decoder().feed(
        stream_of(CREATED, {"type": "response.completed", "response": response("completed")})
    ):
        repairer.feed(event)
    assert repairer.fail(make_error(message="gone")) == b""
    assert repairer.end().kind is EventKind.TERMINAL


def test_another_error_can_be_written_after_the_end() -> None:
    repairer = ResponsesRepairer(StreamContext())
    for event in sse.Decoder().feed(stream_of(CREATED, ADDED)):
        repairer.feed(event)
    verdict = repairer.end()
    assert verdict.kind is EventKind.ERROR
    assert verdict.error is not None
    assert verdict.error.status == 502
    ending = repairer.fail(make_error(message="reset by peer"))
    assert last_data(ending)["response"]["error"]["message"] == "reset by peer"


def test_an_empty_stream_is_an_error() -> None:
    (verdict,) = repair_stream([])
    assert verdict.error is not None
    assert verdict.error.status == 502
    assert "before its first event" in verdict.error.message


def test_blank_lines_and_comments_after_the_end_are_dropped_without_findings() -> None:
    whole = stream_of(CREATED, {"type": "response.completed", "response": response("completed")})
    repaired = repair_stream([whole + b"\n: bye\n\n"])
    assert bytes_of(repaired) == whole
    assert codes_of(repaired) == []


def test_blank_lines_after_a_held_terminal_event_are_dropped() -> None:
    end = response("completed", output=[])
    cut = stream_of(CREATED, ADDED, {"type": "response.completed", "response": end})
    assert codes_of(repair_stream([cut])) != []
    assert bytes_of(repair_stream([cut + b"\n"])) == bytes_of(repair_stream([cut]))


def test_only_the_model_name_changes() -> None:
    stream = stream_of(
        CREATED,
        {"type": "response.in_progress", "response": response()},
        ADDED,
        DONE,
        {"type": "response.completed", "response": response("completed", output=[CALL])},
    )
    repaired = repair_stream([stream], StreamContext(shown_model="gpt-4"))
    assert bytes_of(repaired) == stream.replace(b'"model": "gpt-5"', b'"model": "gpt-4"')
    assert b"gpt-5" not in bytes_of(repaired)
    assert codes_of(repaired) == []
    untouched = [event for event in stream.split(b"\n\n") if b"output_item" in event]
    assert all(event in bytes_of(repaired) for event in untouched)
    assert bytes_of(repair_stream([stream], StreamContext(shown_model="gpt-5"))) == stream


def test_a_call_without_a_name_gets_the_only_offered_one() -> None:
    nameless = {key: CALL[key] for key in CALL if key != "name"}
    stream = stream_of(
        CREATED,
        ADDED | {"item": nameless | {"arguments": ""}},
        DONE | {"item": nameless},
        {"type": "response.completed", "response": response("completed", output=[])},
    )
    repaired = bytes_of(repair_stream([stream], StreamContext(tool_names=("read",))))
    assert last_data(repaired)["response"]["output"] == [nameless | {"name": "read"}]
    assert repair_stream([stream], StreamContext(tool_names=("a", "b")))[-1].kind is EventKind.ERROR


def test_a_withheld_event_still_allows_a_retry() -> None:
    stream = stream_of(CREATED, ADDED | {"item": CALL | {"name": ""}})
    repaired = repair_stream([stream])[1]
    assert (repaired.data, repaired.kind) == (b"", EventKind.PREAMBLE)


@pytest.mark.parametrize(
    ("client", "usage", "shown"),
    [
        ("", None, None),
        ("codex", None, None),
        ("opencode", None, 0),
        ("", {"total_tokens": 3, "output_tokens": 2}, 3),
        ("codex", {}, None),
        ("opencode", {}, 0),
        ("", USAGE, 3),
    ],
)
def test_usage_is_readable_for_the_client(client: str, usage: Any, shown: int | None) -> None:
    end = {"type": "response.completed", "response": response("completed", usage=usage)}
    repaired = bytes_of(repair_stream([stream_of(CREATED, end)], for_client(client)))
    repaired_usage = last_data(repaired)["response"]["usage"]
    assert (repaired_usage and repaired_usage["total_tokens"]) == shown


@pytest.mark.parametrize(("client", "shown"), [("", 0), ("codex", None)])
def test_the_usage_of_an_added_terminal_event(client: str, shown: int | None) -> None:
    repaired = bytes_of(repair_stream([stream_of(CREATED, ADDED, DONE)], for_client(client)))
    last = last_data(repaired)
    assert last["type"] == "response.completed"
    assert (last["response"]["usage"] and last["response"]["usage"]["total_tokens"]) == shown


@pytest.mark.parametrize(
    ("item", "is_whole"),
    [
        (CALL, True),
        (CALL | {"status": "incomplete"}, False),
        ({"id": "r", "type": "reasoning", "summary": []}, False),
        (
            {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
            | {"content": [], "phase": "commentary"},
            False,
        ),
        (
            {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
            | {"content": [{"type": "output_text", "text": "Hi", "annotations": []}]},
            True,
        ),
        (
            {"id": "m", "type": "message", "role": "assistant", "status": "completed"}
            | {"content": []},
            False,
        ),
        ({"id": "w", "type": "web_search_call", "status": "completed"}, False),
    ],
)
def test_a_stream_is_completed_only_after_a_possible_last_item(
    item: dict[str, Any], is_whole: bool
) -> None:
    stream = stream_of(CREATED, ADDED | {"item": item}, DONE | {"item": item})
    assert (repair_stream([stream])[-1].kind is EventKind.TERMINAL) == is_whole


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"[DONE]", EventKind.TERMINAL),
        (b" ", EventKind.TERMINAL),
        (b"upstream timed out", EventKind.ERROR),
    ],
)
def test_a_stream_with_text_that_may_report_a_failure_is_not_completed(
    data: bytes, kind: EventKind
) -> None:
    whole = stream_of(CREATED, ADDED | {"item": CALL}, DONE | {"item": CALL})
    assert repair_stream([whole + b"data: " + data + b"\n\n"])[-1].kind is kind


def test_a_message_with_the_status_incomplete_does_not_complete_a_stream() -> None:
    part = {"type": "output_text", "text": "Hi", "annotations": []}
    at = {"item_id": "m", "output_index": 0, "content_index": 0}
    message = {"id": "m", "type": "message", "role": "assistant", "content": []}
    cut = message | {"status": "incomplete", "content": [part]}
    stream = stream_of(
        CREATED,
        ADDED | {"item": message},
        {"type": "response.content_part.added", **at, "part": part | {"text": ""}},
        {"type": "response.output_text.delta", **at, "delta": "Hi"},
        {"type": "response.content_part.done", **at, "part": part},
        DONE | {"item": cut},
    )
    repaired = repair_stream([stream])
    assert repaired[-1].kind is EventKind.ERROR
    assert bytes_of(repaired).startswith(stream)


def test_an_unknown_event_may_precede_response_created() -> None:
    stream = (CORPUS / "clean" / "text.sse").read_bytes()
    early = as_event({"type": "response.unknown_event", "sequence_number": 0})
    numbered = re.sub(
        rb'"sequence_number":(\d+)',
        lambda match: b'"sequence_number":%d' % (int(match[1]) + 1),
        stream,
    )
    assert numbered != stream
    repaired = repair_stream([early + numbered])
    assert (bytes_of(repaired), codes_of(repaired)) == (early + numbered, [])
    assert violations(early + numbered) == []


def test_lone_surrogates_and_invalid_utf_8_are_unchanged() -> None:
    events = stream_of(CREATED) + (
        b"event: response.a_thing\n"
        b'data: {"type":"response.a_thing","sequence_number":1,"a":"\\ud83d","b":"\xff"}\n\n'
    )
    assert bytes_of(repair_stream([events])[:-1]) == events


def test_a_changed_event_keeps_values_that_orjson_cannot_write() -> None:
    event = b'event: response.a_thing\ndata: {"type":"response.a_thing","a":"\\ud83d"}\n\n'
    repaired = bytes_of(repair_stream([stream_of(CREATED) + event])[:-1])
    assert repaired.endswith(
        b'data: {"type":"response.a_thing","a":"\\ud83d","sequence_number":1}\n\n'
    )


def test_a_repair_of_the_event_line_keeps_the_other_lines() -> None:
    data = b'{"type":"response.a_thing","sequence_number":1}'
    event = b"id: 7\r\nevent: message\r\n: note\r\ndata:" + data + b"\r\n\r\n"
    repaired = repair_stream([stream_of(CREATED), event])
    assert repaired[1].data == (
        b"id: 7\r\nevent: response.a_thing\r\n: note\r\ndata:" + data + b"\r\n\r\n"
    )


def test_ids_that_change_with_every_event_are_unchanged() -> None:
    part = {"output_index": 0, "content_index": 0}
    item = {"id": "a", "type": "message", "role": "assistant", "content": []}
    text = {"type": "output_text", "text": "Hi", "annotations": []}
    done = item | {"id": "f", "status": "completed", "content": [text]}
    stream = stream_of(
        CREATED,
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **part, "item_id": "b"}
        | {"part": text | {"text": ""}},
        {"type": "response.output_text.delta", **part, "item_id": "c", "delta": "Hi"},
        {"type": "response.output_text.done", **part, "item_id": "d", "text": "Hi"},
        {"type": "response.content_part.done", **part, "item_id": "e", "part": text},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {
            "type": "response.completed",
            "response": response("completed", output=[done | {"id": "g"}]),
        },
    )
    repaired = repair_stream([stream])
    assert (bytes_of(repaired), codes_of(repaired)) == (stream, [])


def test_deltas_of_another_type_of_call_are_dropped() -> None:
    call = CALL | {"type": "custom_tool_call", "input": "ls"}
    fragment = {"type": "response.function_call_arguments.delta", "item_id": "fc_1"}
    end = {"type": "response.completed", "response": response("completed", output=[call])}
    stream = stream_of(
        CREATED,
        ADDED | {"item": call | {"input": ""}},
        fragment | {"output_index": 0, "delta": "ls"},
        DONE | {"item": call},
        end,
    )
    repaired = repair_stream([stream])
    assert codes_of(repaired) == ["S304"]
    assert b"arguments.delta" not in bytes_of(repaired)
    assert last_data(bytes_of(repaired))["response"]["output"] == [call]


def test_errors_are_found_with_every_rule_switched_off() -> None:
    off = StreamContext(disabled=ALL_CODES)
    for name in ("wrapped-error-first", "cut-inside-text"):
        stream = (CORPUS / "broken" / f"{name}.sse").read_bytes()
        assert EventKind.ERROR in [item.kind for item in repair_stream([stream], off)]
    for name in (
        "sequence-numbers-missing",
        "item-added-twice",
        "keepalive-frame",
        "arguments-truncated",
    ):
        stream = (CORPUS / "broken" / f"{name}.sse").read_bytes()
        assert bytes_of(repair_stream([stream], off)) == stream


def test_a_long_text_is_repaired_in_linear_time() -> None:
    part = {"item_id": "m", "output_index": 0, "content_index": 0}
    deltas = [{"type": "response.output_text.delta", **part, "delta": "x" * 50}] * 5000
    stream = stream_of(CREATED, *deltas)
    repaired = repair_stream([stream])
    assert bytes_of(repaired).count(b"response.output_text.delta") == 2 * 5000


def test_the_repr_of_a_repairer() -> None:
    repairer = ResponsesRepairer(StreamContext())
    repairer.feed(sse.Event(b"\n"))
    assert repr(repairer) == "ResponsesRepairer(open, event=1, items=0)"


# Cut streams

TOOLS = [{"type": "function", "name": "read", "parameters": {}}]
MESSAGE = {"id": "m", "type": "message", "status": "completed", "role": "assistant"} | {
    "content": [{"type": "output_text", "text": "Hi", "annotations": []}]
}
IMAGE = {"id": "ig", "type": "image_generation_call", "status": "completed", "result": "aGk="}
OPENAI = {"store": False, "parallel_tool_calls": True, "tools": []}


def item_events(item: dict[str, Any], index: int = 0) -> list[dict[str, Any]]:
    at = {"output_index": index}
    return [
        {"type": "response.output_item.added", **at, "item": item | {"status": "in_progress"}},
        {"type": "response.output_item.done", **at, "item": item},
    ]


@pytest.mark.parametrize(
    ("fields", "item", "is_whole"),
    [
        ({}, MESSAGE, True),
        ({"tools": TOOLS}, MESSAGE, False),
        ({"tools": TOOLS}, MESSAGE | {"phase": "final_answer"}, True),
        ({"tools": TOOLS, "parallel_tool_calls": False}, MESSAGE, False),
        (OPENAI, MESSAGE, False),
        (OPENAI, MESSAGE | {"phase": "final_answer"}, True),
        ({}, CALL, True),
        ({"tools": TOOLS}, CALL, False),
        ({"tools": TOOLS, "parallel_tool_calls": True}, CALL, False),
        ({"tools": TOOLS, "parallel_tool_calls": False}, CALL, True),
        (OPENAI, CALL, False),
        ({}, IMAGE, False),
        ({"tools": TOOLS, "parallel_tool_calls": False}, IMAGE, False),
    ],
)
def test_a_cut_stream_is_complete_only_if_nothing_can_follow(
    fields: dict[str, Any], item: dict[str, Any], is_whole: bool
) -> None:
    created = {"type": "response.created", "response": response(**fields)}
    stream = stream_of(created, *item_events(item))
    assert (repair_stream([stream])[-1].kind is EventKind.TERMINAL) == is_whole
    done = repair_stream([stream + b"data: [DONE]\n\n"])
    assert done[-1].kind is EventKind.TERMINAL


def test_an_answer_that_a_compaction_may_follow_is_not_complete() -> None:
    final = MESSAGE | {"phase": "final_answer"}
    stream = stream_of(CREATED, *item_events(final))
    assert repair_stream([stream])[-1].kind is EventKind.TERMINAL
    assert repair_stream([stream], StreamContext(compacts=True))[-1].kind is EventKind.ERROR
    facts = read_request("/v1/responses", {"context_management": [{"type": "compaction"}]})
    assert facts.compacts
    assert not read_request("/v1/responses", {"model": "m"}).compacts


@pytest.mark.parametrize(
    ("fragment", "is_whole"),
    [
        (b"e", False),
        (b"event: response.", False),
        (b"event: response.output_item.added\n", False),
        (b'event: response.output_item.added\ndata: {"type":"resp', False),
        (b'data: {"type":"response.output_item.added","output_index":1,', False),
        (b'data: {"type":"response.output_text.delta","delta":"data: {', False),
        (b": comm", True),
        (b"event: response.completed\n", True),
        (b'event: response.completed\ndata: {"type":"response.completed","resp', True),
        (b'data: {"type":"response.completed","response":{"status":"completed","o', True),
        (b'data: {"type":"response.completed","response":{"status":"incomplete","o', False),
        (b'data: {"type":"response.failed","response":{"status":"failed","o', False),
    ],
)
@pytest.mark.parametrize("item", [MESSAGE, CALL], ids=["message", "call"])
def test_a_fragment_shows_whether_more_was_coming(
    item: dict[str, Any], fragment: bytes, is_whole: bool
) -> None:
    stream = stream_of(CREATED, *item_events(item)) + fragment
    assert (repair_stream([stream])[-1].kind is EventKind.TERMINAL) == is_whole
    assert (repair_stream([stream[:99], stream[99:]])[-1].kind is EventKind.TERMINAL) == is_whole


def test_a_terminal_event_that_is_cut_behind_its_status_completes_any_answer() -> None:
    created = {"type": "response.created", "response": response(tools=TOOLS)}
    stream = stream_of(created, *item_events(CALL))
    end = b'data: {"type":"response.completed","response":{"id":"resp_1","status":"%s","out'
    assert repair_stream([stream + end % b"completed"])[-1].kind is EventKind.TERMINAL
    assert repair_stream([stream + end % b"incomplete"])[-1].kind is EventKind.ERROR


@pytest.mark.parametrize("name", ["parallel-function-calls", "overlapping-function-calls"])
def test_no_part_of_parallel_calls_is_a_complete_answer(name: str) -> None:
    stream = (CORPUS / "clean" / f"{name}.sse").read_bytes()
    start = stream.rindex(b"event: response.output_item.done")
    for at in range(stream.index(b"event: response.output_item.added"), start + 40, 7):
        assert repair_stream([stream[:at]])[-1].kind is EventKind.ERROR, at


# What is held back


def feed_all(repair: StreamRepair, *steps: dict[str, Any]) -> list[Repaired]:
    return repair.feed(stream_of(*steps))


CUT_CALL = CALL | {"arguments": '{"pa'}


def test_a_call_without_arguments_is_held_until_the_next_event_or_released() -> None:
    repair = StreamRepair(ResponsesRepairer(StreamContext()))
    shown = feed_all(repair, CREATED, *item_events(CALL | {"arguments": ""}))
    assert b"output_item.done" not in bytes_of(shown)
    assert shown[-1].kind is EventKind.PREAMBLE
    assert repair.holds_back
    released = repair.release()
    assert last_data(bytes_of(released))["item"] == CALL
    assert not repair.holds_back


def test_the_end_of_a_cut_call_waits_for_the_terminal_event_for_any_time() -> None:
    repair = StreamRepair(ResponsesRepairer(StreamContext()))
    assert b"output_item.done" not in bytes_of(feed_all(repair, CREATED, *item_events(CUT_CALL)))
    assert not repair.holds_back
    assert repair.release() == []
    end = response("incomplete", incomplete_details={"reason": "max_output_tokens"})
    rest = repair.feed(as_event({"type": "response.incomplete", "response": end}))
    assert rest[-1].kind is EventKind.TERMINAL
    assert b'"status":"completed"' not in bytes_of(rest)


def test_a_failure_behind_a_cut_call_is_reported() -> None:
    failed = response("failed", error={"code": "server_error", "message": "Sorry."})
    stream = stream_of(
        CREATED, *item_events(CUT_CALL), {"type": "response.failed", "response": failed}
    )
    repaired = repair_stream([stream])
    assert repaired[-1].error is not None
    assert repaired[-1].error.message == "Sorry."
    assert b"output_item.done" not in bytes_of(repaired)


def test_an_early_terminal_event_is_released_if_nothing_follows() -> None:
    repair = StreamRepair(ResponsesRepairer(StreamContext()))
    completed = {"type": "response.completed", "response": response("completed")}
    shown = feed_all(repair, CREATED, item_events(MESSAGE | {"content": []})[0], completed)
    assert b"response.completed" not in bytes_of(shown)
    assert repair.holds_back
    released = repair.release()
    assert [one.kind for one in released] == [EventKind.TERMINAL]
    assert last_data(bytes_of(released))["type"] == "response.completed"
    assert repair.end()[-1].kind is EventKind.TERMINAL


@pytest.mark.parametrize(
    ("pieces", "name"),
    [
        (["get_", "weather"], "get_weather"),
        (["get", "_wea", "ther"], "get_weather"),
        (["get_", "get_weather"], "get_weather"),
        (["get_weather"], "get_weather"),
        (["get_", "time"], "get_time"),
        (["unknown"], "unknown"),
    ],
)
def test_a_name_in_pieces_is_joined(pieces: list[str], name: str) -> None:
    first, *more = pieces
    call = CALL | {"arguments": ""}
    starts = [ADDED | {"item": call | {"name": first}}]
    starts += [ADDED | {"item": {"type": "function_call", "name": piece}} for piece in more]
    stream = stream_of(
        CREATED,
        *starts,
        DONE | {"item": CALL | {"name": name}},
        {"type": "response.completed", "response": response("completed", output=[])},
    )
    context = StreamContext(tool_names=("get_weather", "get_time"))
    out = bytes_of(repair_stream([stream], context))
    added = [data for data in datas(out) if data["type"] == "response.output_item.added"]
    assert [data["item"]["name"] for data in added] == [name]
    assert last_data(out)["response"]["output"] == [CALL | {"name": name}]


def datas(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in sse.Decoder().feed(stream) if event.data]


def test_numbers_that_several_events_share_are_no_evidence_of_repetitions() -> None:
    part = {"item_id": "m", "output_index": 0, "content_index": 0}
    delta = as_event({"type": "response.output_text.delta", **part, "delta": "x"})
    zero = [step | {"sequence_number": 0} for step in (CREATED, item_events(MESSAGE)[0])]
    stream = b"".join(as_event(step) for step in zero)
    numbered = delta.replace(b"{", b'{"sequence_number":0,', 1)
    out = bytes_of(repair_stream([stream + numbered * 3]))
    assert out.count(b'"x"') == 3


def test_only_the_last_events_are_remembered() -> None:
    part = {"item_id": "m", "output_index": 0, "content_index": 0}
    deltas = [{"type": "response.output_text.delta", **part, "delta": f"{n} "} for n in range(2000)]
    stream = stream_of(CREATED, item_events(MESSAGE)[0], *deltas)
    events = stream.split(b"\n\n")
    repeated = b"\n\n".join([*events[:-1], events[-2], events[9]]) + b"\n\n"
    codes = codes_of(repair_stream([repeated]))
    assert codes.count("S327") == 1
    assert "S301" in codes


HOST_DEVIATIONS = {
    Deviation.UNNUMBERED: "codex-sequence-numbers-missing",
    Deviation.NO_EVENT_LINE: "codex-event-lines-missing",
    Deviation.CHANGING_ID: "codex-response-id-changes",
    Deviation.PART_INDEX: "codex-content-index-from-1",
    Deviation.NO_ITEM_ID: "codex-items-without-ids",
    Deviation.KEEPALIVE: "codex-keepalive",
    Deviation.NO_OUTPUT: "codex-output-empty",
    Deviation.TOOL_LIST_OPEN: "codex-mcp-list-tools-never-done",
}


@pytest.mark.parametrize(("deviation", "name"), HOST_DEVIATIONS.items(), ids=HOST_DEVIATIONS)
def test_the_deviations_of_a_host_are_kept_for_clients_that_do_not_fail_on_them(
    deviation: Deviation, name: str
) -> None:
    stream = (CORPUS / "clean" / f"{name}.sse").read_bytes()
    usual = StreamContext(host_deviations=frozenset({deviation}))
    grammar = Grammar(usual)
    found = [problem for event in sse.Decoder().feed(stream) for problem in grammar.feed(event)]
    assert found + grammar.end() == []
    assert bytes_of(repair_stream([stream], usual)) == stream
    failing = replace(usual, client=ClientTraits(refuses=frozenset({deviation})))
    assert bytes_of(repair_stream([stream], failing)) != stream
