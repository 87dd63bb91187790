"""A message as a stream, and a stream as a message."""

from collections.abc import Mapping, Sequence
from typing import Any

from wiremend.text import json_value, sse
from wiremend.text.json_value import dicts_in

_TEXT_BY_DELTA = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "input",
}

_DIVIDED = {"text": ("text",), "thinking": ("thinking", "signature")}


def unfold(message: Mapping[str, Any]) -> list[bytes]:
    """Return the events of a stream with this message, for the repairer."""
    fields: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, **fields}},
    ]
    for index, block in enumerate(dicts_in(message.get("content"))):
        place = {"index": index}
        start, deltas = divided(block)
        events += [
            {"type": "content_block_start", **place, "content_block": start},
            *({"type": "content_block_delta", **place, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", **place},
        ]
    delta = {name: message.get(name) for name in ("stop_reason", "stop_sequence")}
    events += [
        {"type": "message_delta", "delta": delta, "usage": message.get("usage") or {}},
        {"type": "message_stop"},
    ]
    return [sse.encode(json_value.write(event), event["type"]) for event in events]


def divided(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the start of a block, without what its deltas contain, and these deltas."""
    start, deltas = dict(block), []
    for kind, name in _TEXT_BY_DELTA.items():
        value = start.get(name)
        if name == "input" and isinstance(value, dict):
            start[name] = {}
            text = json_value.write(value).decode()
            deltas.append({"type": kind, "partial_json": text})
        elif isinstance(value, str) and value and name in _DIVIDED.get(str(start.get("type")), ()):
            start[name] = ""
            deltas.append({"type": kind, name: value})
    citations = start.get("citations")
    if start.get("type") == "text" and isinstance(citations, list) and citations:
        start["citations"] = []
        deltas += [{"type": "citations_delta", "citation": one} for one in citations]
    return start, deltas


def fold(events: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the message in the events of a valid stream; None if there is none."""
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        kind = event.get("type")
        if kind == "message_start":
            message = dict(event["message"])
            blocks = dict(enumerate(message.get("content") or ()))
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta":
            _add_delta(blocks[event["index"]], event["delta"])
        elif kind == "message_delta":
            message |= event["delta"]
            message["usage"] = {**(message.get("usage") or {}), **(event.get("usage") or {})}
    if not message:
        return None
    for block in blocks.values():
        if isinstance(block.get("input"), str):
            block["input"] = _input(block["input"])
    message["content"] = [block for _, block in sorted(blocks.items())]
    return message


def _input(text: str) -> Any:
    """Return the input of a tool; an empty one if a limit ended its JSON."""
    try:
        return json_value.read(text or "{}")
    except ValueError:
        return {}


def _add_delta(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    kind = delta["type"]
    if kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    elif kind in _TEXT_BY_DELTA:
        name = _TEXT_BY_DELTA[kind]
        before = block.get(name)
        added = delta["partial_json" if name == "input" else name]
        block[name] = (before if isinstance(before, str) else "") + added
