"""A response as a stream, and a stream as a response."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wiremend.text import json_value, sse
from wiremend.text.json_value import dicts_in

_TERMINAL_BY_STATUS = {"incomplete": "response.incomplete", "failed": "response.failed"}
_TEXT_BY_PART = {"output_text": "text", "refusal": "refusal"}


def unfold(response: Mapping[str, Any]) -> list[bytes]:
    """Return the events of a stream with this response, for the repairer to complete."""
    begun: dict[str, Any] = {
        "status": "in_progress",
        "output": [],
        "usage": None,
        "incomplete_details": None,
    }
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response, **begun}},
    ]
    for index, item in enumerate(dicts_in(response.get("output"))):
        events += _item_events(item, index)
    kind = _TERMINAL_BY_STATUS.get(str(response.get("status")), "response.completed")
    events.append({"type": kind, "response": response})
    return [
        sse.encode(json_value.write({**event, "sequence_number": number}), event["type"])
        for number, event in enumerate(events)
    ]


def _item_events(item: Mapping[str, Any], index: int) -> Iterator[dict[str, Any]]:
    start: dict[str, Any] = {**item}
    inner: list[dict[str, Any]] = []
    place = {"output_index": index, "item_id": item.get("id")}
    if item.get("type") == "function_call" and isinstance(item.get("arguments"), str):
        start |= {"arguments": "", "status": "in_progress"}
        name, arguments = "response.function_call_arguments", item["arguments"]
        inner.append({"type": f"{name}.delta", **place, "delta": arguments})
        inner.append({"type": f"{name}.done", **place, "arguments": arguments})
    elif item.get("type") == "message":
        start |= {"content": [], "status": "in_progress"}
        for number, part in enumerate(dicts_in(item.get("content"))):
            inner += _part_events(part, {**place, "content_index": number})
    yield {"type": "response.output_item.added", "output_index": index, "item": start}
    yield from inner
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part_events(part: Mapping[str, Any], place: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    kind = str(part.get("type"))
    name = _TEXT_BY_PART.get(kind)
    text = part.get(name) if name is not None else None
    start = dict(part) if name is None else {**part, name: ""}
    yield {"type": "response.content_part.added", **place, "part": start}
    if name is not None and isinstance(text, str):
        more: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        yield {"type": f"response.{kind}.delta", **place, "delta": text, **more}
        yield {"type": f"response.{kind}.done", **place, name: text, **more}
    yield {"type": "response.content_part.done", **place, "part": dict(part)}


def fold(events: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the response in the terminal event of a valid stream; None if there is none."""
    last = events[-1].get("response") if events else None
    return dict(last) if isinstance(last, dict) else None
