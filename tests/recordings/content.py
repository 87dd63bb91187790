"""What an answer consists of, read with a JSON parser alone: a judge of cut answers.

It shares nothing with the code that repairs streams.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson
from wiremend.protocols.base.names import WireProtocol
from wiremend.text.json_value import dicts_in
from wiremend.text.sse import Event

type Piece = tuple[str, bytes]
"""A kind and its content: STOP for a stop reason, anything else for what a client shows or runs."""

STOP = "stop"
_STREAMED_ITEMS = ("message", "function_call", "custom_tool_call")
"""Items of the Responses API whose content came in events of its own before they are done."""
_REPEATING_EVENTS = (
    "response.completed",
    "response.content_part.done",
    "response.reasoning_summary_part.done",
    "keepalive",
    "ping",
)
"""Events of the Responses API that contain nothing but what earlier events contained."""
_EMPTY: tuple[Any, ...] = (None, "", [], {})


def pieces_of(protocol: WireProtocol, events: Iterable[Event]) -> list[Piece]:
    """The pieces of the events' content, in order. What is not JSON has none."""
    return [piece for event in events for piece in _pieces(protocol, event)]


def is_all_there(said: list[Piece], whole: list[Piece]) -> bool:
    """Whether a beginning of an answer lacks nothing but repetitions of its stop reason."""
    return said == whole[: len(said)] and all(
        piece[0] == STOP and piece in said for piece in whole[len(said) :]
    )


def is_json(data: bytes) -> bool:
    """Whether the bytes are one whole JSON value."""
    return _parsed(data) is not None


def is_same_json(one: bytes, other: bytes) -> bool:
    """Whether both are JSON, of the same value."""
    value = _parsed(one)
    return value is not None and value == _parsed(other)


def _parsed(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _pieces(protocol: WireProtocol, event: Event) -> Iterator[Piece]:
    value = _parsed(event.data) if event.data else None
    if not isinstance(value, dict):
        return
    if value.get("error"):
        yield "error", orjson.dumps(value["error"])
    else:
        yield from _READERS[protocol](value)


def _anthropic(event: Mapping[str, Any]) -> Iterator[Piece]:
    match event.get("type"):
        case "ping" | "message_stop":
            return
        case "message_delta":
            reason = (event.get("delta") or {}).get("stop_reason")
            if reason:
                yield STOP, orjson.dumps(reason)
        case kind:
            yield str(kind), orjson.dumps(event)


def _chat(chunk: Mapping[str, Any]) -> Iterator[Piece]:
    for choice in dicts_in(chunk.get("choices")):
        delta = choice.get("delta") or {}
        said = {key: value for key, value in delta.items() if value not in _EMPTY}
        said.pop("role", None)
        if said:
            yield "delta", orjson.dumps([choice.get("index"), said])
        if choice.get("finish_reason"):
            yield STOP, orjson.dumps([choice.get("index"), choice["finish_reason"]])


def _responses(event: Mapping[str, Any]) -> Iterator[Piece]:
    kind = str(event.get("type"))
    item = event.get("item") or {}
    repeats_item = kind == "response.output_item.done" and item.get("type") in _STREAMED_ITEMS
    if kind not in _REPEATING_EVENTS and not repeats_item:
        yield kind, orjson.dumps(event)


def _gemini(chunk: Mapping[str, Any]) -> Iterator[Piece]:
    chunk = chunk.get("response") or chunk
    feedback = chunk.get("promptFeedback") or {}
    if feedback.get("blockReason"):
        yield STOP, orjson.dumps(feedback["blockReason"])
    for candidate in dicts_in(chunk.get("candidates")):
        for part in dicts_in((candidate.get("content") or {}).get("parts")):
            if part not in ({"text": ""}, {}):
                yield "part", orjson.dumps(part)
        if candidate.get("finishReason"):
            yield STOP, orjson.dumps([candidate.get("index"), candidate["finishReason"]])


_READERS: Mapping[WireProtocol, Callable[[Mapping[str, Any]], Iterator[Piece]]] = {
    WireProtocol.ANTHROPIC_MESSAGES: _anthropic,
    WireProtocol.CHAT_COMPLETIONS: _chat,
    WireProtocol.RESPONSES: _responses,
    WireProtocol.GEMINI: _gemini,
}
