"""Tests of events that are too large for memory: they are passed on, and the end is judged."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from framings import FRAMINGS, bytes_of, codes_of
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.repairer import Decoder, EventKind, Repaired, StreamContext
from wiremend.protocols.gemini.data_lines import EventDecoder
from wiremend.repair.stream import StreamRepair
from wiremend.testing import answers
from wiremend.text import sse
from wiremend.text.json_array import ArrayDecoder

LIMIT = 2000
IMAGE = "iVBORw0KGgo" * 3000
EACH = pytest.mark.parametrize("name", FRAMINGS)


def event(value: Any, type: str = "") -> bytes:
    return sse.encode(json.dumps(value).encode(), type)


def typed(type: str, **fields: Any) -> bytes:
    return event({"type": type, **fields}, type)


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return event(
        {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [choice],
        }
    )


def response(status: str, output: list[Any]) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": status,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }


ITEM = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": IMAGE}
PART = {"inlineData": {"mimeType": "image/png", "data": IMAGE}}


def gemini(parts: list[Any], finish_reason: str = "") -> dict[str, Any]:
    content = {"parts": parts, "role": "model"}
    candidate: dict[str, Any] = {"content": content, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r"}


def array(*values: Any) -> list[bytes]:
    texts = [json.dumps(value).encode() for value in values]
    return [(b"[" if not number else b",\r\n") + text for number, text in enumerate(texts)] + [b"]"]


ANTHROPIC = answers.text_stream(answers.ANTHROPIC)
IN_A_BLOCK = ANTHROPIC.places["mid_content"]
STREAMS: dict[str, list[tuple[bytes, ...] | list[bytes]]] = {
    "anthropic": [
        [
            *ANTHROPIC.events[:IN_A_BLOCK],
            typed("content_block_delta", index=0, delta={"type": "text_delta", "text": IMAGE * 2}),
            *ANTHROPIC.events[IN_A_BLOCK:],
        ],
        [
            *ANTHROPIC.events[:1],
            typed(
                "content_block_start",
                index=0,
                content_block={
                    "type": "web_search_tool_result",
                    "tool_use_id": "s",
                    "content": [
                        {
                            "type": "web_search_result",
                            "url": "u",
                            "title": "t",
                            "encrypted_content": IMAGE,
                        }
                    ],
                },
            ),
            typed("content_block_stop", index=0),
            *(
                one.replace(b'"index":0', b'"index":1').replace(b'"index": 0', b'"index": 1')
                for one in ANTHROPIC.events[1:]
            ),
        ],
    ],
    "chat": [
        [
            chunk({"role": "assistant", "content": "Here:"}),
            chunk({"images": [{"type": "image_url", "image_url": {"url": IMAGE}}]}),
            chunk({}, "stop"),
            b"data: [DONE]\n\n",
        ],
        [
            chunk({"role": "assistant", "content": IMAGE}, "stop"),
            b"data: [DONE]\n\n",
        ],
    ],
    "responses": [
        [
            typed("response.created", sequence_number=0, response=response("in_progress", [])),
            typed(
                "response.output_item.added",
                sequence_number=1,
                output_index=0,
                item={**ITEM, "status": "in_progress", "result": None},
            ),
            typed("response.output_item.done", sequence_number=2, output_index=0, item=ITEM),
            typed("response.completed", sequence_number=3, response=response("completed", [ITEM])),
        ],
        [
            typed("response.created", sequence_number=0, response=response("in_progress", [])),
            typed(
                "response.output_item.added",
                sequence_number=1,
                output_index=0,
                item={**ITEM, "status": "in_progress", "result": None},
            ),
            typed(
                "response.image_generation_call.partial_image",
                sequence_number=2,
                output_index=0,
                item_id="ig_1",
                partial_image_index=0,
                partial_image_b64=IMAGE,
            ),
            typed("response.output_item.done", sequence_number=3, output_index=0, item=ITEM),
            typed("response.completed", sequence_number=4, response=response("completed", [])),
        ],
    ],
    "gemini": [
        [event(gemini([PART], "STOP"))],
        [event(gemini([{"text": "Here:"}])), event(gemini([PART])), event(gemini([], "STOP"))],
    ],
    "gemini-array": [
        array(gemini([PART], "STOP")),
        array(gemini([{"text": "Here:"}]), gemini([PART]), gemini([{"text": "."}], "STOP")),
    ],
}
CASES = [(name, number) for name, streams in STREAMS.items() for number in range(len(streams))]


def repair_of(name: str, disabled: frozenset[str] = frozenset()) -> StreamRepair:
    framing = FRAMINGS[name]
    decoder: Decoder = sse.Decoder(LIMIT)
    if framing.array:
        decoder = ArrayDecoder(LIMIT)
    elif name == "gemini":
        decoder = EventDecoder(LIMIT)
    context = StreamContext(model="m", array=framing.array, disabled=disabled)
    repairer = framing.protocol.make_repairer(context)
    return StreamRepair(repairer, context, protocol=framing.protocol, decoder=decoder)


def fed(repair: StreamRepair, data: bytes, size: int) -> Iterable[Repaired]:
    return [item for at in range(0, len(data), size) for item in repair.feed(data[at : at + size])]


@pytest.mark.parametrize(("name", "number"), CASES)
@pytest.mark.parametrize("size", [997, 1500])
def test_a_stream_with_a_large_event_is_passed_on(name: str, number: int, size: int) -> None:
    data = b"".join(STREAMS[name][number])
    repair = repair_of(name)
    repaired = [*fed(repair, data, size), *repair.end()]
    assert bytes_of(repaired) == data
    assert set(codes_of(repaired)) <= {"S004", "S308"}
    assert "S004" in codes_of(repaired)
    assert repaired[-1].kind is EventKind.TERMINAL
    assert max(len(item.data) for item in repaired) < 3 * LIMIT


@pytest.mark.parametrize(("name", "number"), CASES)
def test_the_end_behind_a_large_event_is_judged(name: str, number: int) -> None:
    events = list(STREAMS[name][number])
    large = max(range(len(events)), key=lambda at: len(events[at]))
    data = b"".join(events[:large]) + events[large][: LIMIT * 2]
    repair = repair_of(name)
    repaired = [*fed(repair, data, 900), *repair.end()]
    assert repaired[-1].kind is EventKind.ERROR
    assert bytes_of(repaired).startswith(data)
    if b"finish" in events[large] or large == len(events) - 1:
        return
    repair = repair_of(name)
    repaired = [*fed(repair, b"".join(events[: large + 1]), 900), *repair.end()]
    is_complete = name == "chat" and number == 1
    assert (repaired[-1].kind is EventKind.ERROR) is not is_complete


def test_the_events_behind_a_large_one_are_repaired() -> None:
    events = STREAMS["chat"][0]
    broken = [*events[:2], b": junk\n\ndata: \n\n", *events[2:3]]  # without the end marker
    repair = repair_of("chat")
    repaired = [*fed(repair, b"".join(broken), 900), *repair.end()]
    assert bytes_of(repaired).endswith(events[2] + events[3])
    assert "S212" in codes_of(repaired)


def test_a_large_event_without_its_blank_line_is_completed() -> None:
    [data] = STREAMS["gemini"][0]
    repair = repair_of("gemini")
    repaired = [*fed(repair, data.rstrip(b"\n"), 900), *repair.end()]
    assert repaired[-1].kind is EventKind.TERMINAL
    assert bytes_of(repaired).strip() == data.strip()


@EACH
def test_nothing_is_inserted_into_a_large_event(name: str) -> None:
    events = STREAMS[name][0]
    large = max(range(len(events)), key=lambda at: len(events[at]))
    repair = repair_of(name)
    fed(repair, b"".join(events[:large]) + events[large][: LIMIT * 2], 900)
    assert repair.is_inside_event
    end = repair.fail(make_error(status=502, message="lost"))
    assert end == b"" if FRAMINGS[name].array else end.startswith(b"\n\n")


@EACH
def test_the_finding_can_be_disabled(name: str) -> None:
    data = b"".join(STREAMS[name][0])
    repair = repair_of(name, frozenset({"S004"}))
    repaired = [*fed(repair, data, 900), *repair.end()]
    assert bytes_of(repaired) == data
    assert codes_of(repaired) == []
