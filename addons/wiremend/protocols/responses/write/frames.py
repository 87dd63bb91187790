"""The events that frame a response, its items and their parts; their numbers and indices."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.usage import Usage
from wiremend.protocols.responses.errors import error_event, response_object
from wiremend.protocols.responses.grammar import (
    COMPLETED,
    CONTENT,
    CREATED,
    INCOMPLETE,
    ITEM_ADDED,
    ITEM_DONE,
    PART_TEXT,
    REFUSAL_DELTA,
    REFUSAL_DONE,
    SUMMARY,
    SUMMARY_DELTA,
    SUMMARY_DONE,
    TEXT_DELTA,
    TEXT_DONE,
    PartFamily,
)
from wiremend.text import json_value, sse
from wiremend.text.json_value import JsonObject

_ECHOED = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
)
"""The members of a request that its response repeats."""


@dataclass(frozen=True, slots=True)
class _PartEvents:
    """The events of the parts of one type."""

    family: PartFamily
    delta: str
    done: str
    more: Mapping[str, Any]
    """Members of the part and of the events with its text that always have the same value."""


_TEXT: Mapping[str, Any] = {"logprobs": []}
_PARTS: Mapping[str, _PartEvents] = {
    "output_text": _PartEvents(CONTENT, TEXT_DELTA, TEXT_DONE, _TEXT),
    "refusal": _PartEvents(CONTENT, REFUSAL_DELTA, REFUSAL_DONE, {}),
    "summary_text": _PartEvents(SUMMARY, SUMMARY_DELTA, SUMMARY_DONE, {}),
    "reasoning_text": _PartEvents(
        CONTENT, "response.reasoning_text.delta", "response.reasoning_text.done", {}
    ),
}


class Frames:
    """Writes the events of one stream. Indices and sequence numbers are consecutive."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._number = -1
        self._ids: list[str] = []
        """The ids of the items, by their index."""
        self._done: dict[int, JsonObject] = {}
        """The items that are done, by their index."""

    @property
    def count(self) -> int:
        """The number of items so far, which is the index of the next one."""
        return len(self._ids)

    @property
    def next_number(self) -> int:
        """The sequence number of the next event."""
        return self._number + 1

    @property
    def output(self) -> list[JsonObject]:
        """The items that are done, in the order of their indices."""
        return [self._done[index] for index in sorted(self._done)]

    def taken(self) -> bytes:
        """Return the bytes since the last call."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def event(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Write an event; its type and its sequence number replace those in `fields`."""
        self._number += 1
        data = {**fields, "type": kind, "sequence_number": self._number}
        self._out += sse.encode(json_value.write(data), kind)

    def raw(self, data: bytes) -> None:
        """Write an event that is encoded."""
        self._out += data

    def add_item(self, item: JsonObject) -> int:
        """Write the start of an item; return its index."""
        index = len(self._ids)
        self._ids.append(str(item.get("id") or ""))
        self.event(ITEM_ADDED, {"output_index": index, "item": item})
        return index

    def inside(self, index: int, kind: str, fields: Mapping[str, Any]) -> None:
        """Write an event of an item."""
        self.event(kind, {"item_id": self._ids[index], "output_index": index, **fields})

    def end_item(self, index: int, item: JsonObject) -> None:
        """Write the end of an item."""
        self._done[index] = item
        self.event(ITEM_DONE, {"output_index": index, "item": item})


class FramedPart:
    """A part of a message or of reasoning that receives text."""

    def __init__(self, frames: Frames, item: int, number: int, type: str) -> None:
        self._frames = frames
        self._item = item
        self._events = _PARTS[type]
        self._place = {self._events.family.index: number}
        self._type = type
        self._texts: list[str] = []
        self.length = 0
        """The number of characters so far."""
        empty: JsonObject = {"type": type, PART_TEXT[type]: "", **self._defaults()}
        self._inside(self._events.family.added, {"part": empty})

    def _defaults(self) -> JsonObject:
        return {"annotations": [], "logprobs": []} if self._type == "output_text" else {}

    def _inside(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._frames.inside(self._item, kind, {**self._place, **fields})

    def add(self, text: str) -> None:
        """Write more text."""
        if not text:
            return
        self._texts.append(text)
        self.length += len(text)
        self._inside(self._events.delta, {"delta": text, **self._events.more})

    def annotate(self, number: int, annotation: Mapping[str, Any]) -> None:
        """Write a source of the text."""
        fields = {"annotation_index": number, "annotation": annotation}
        self._inside("response.output_text.annotation.added", fields)

    def end(self, fields: Mapping[str, Any] | None = None) -> JsonObject:
        """Write the end; return the part with its whole text and these members."""
        text = "".join(self._texts)
        key = PART_TEXT[self._type]
        part = {"type": self._type, key: text, **(self._defaults() if fields is None else fields)}
        self._inside(self._events.done, {key: text, **self._events.more})
        self._inside(self._events.family.done, {"part": part})
        return part


class ResponseFrames:
    """Writes the lifecycle events of a response to a call of another protocol."""

    def __init__(self, context: AnswerContext, frames: Frames) -> None:
        self._context = context
        self._frames = frames
        request = context.request
        echoed = {key: request[key] for key in _ECHOED if request.get(key) is not None}
        self._fields = response_object(
            {
                "id": f"resp_{context.answer_id}",
                "created_at": context.created,
                "model": context.model,
                "error": None,
                "incomplete_details": None,
                "instructions": None,
                "metadata": {},
                "temperature": None,
                "top_p": None,
                "text": {"format": {"type": "text"}},
                "usage": None,
                **echoed,
            }
        )
        self._is_begun = False

    def begin(self) -> None:
        """Write the start, unless it was written before."""
        if not self._is_begun:
            self._is_begun = True
            self._frames.event(CREATED, {"response": self._fields})
            self._frames.event("response.in_progress", {"response": self._fields})

    def complete(self, usage: Usage, cut_by: str = "") -> None:
        """Write the terminal event. `cut_by` is the reason why the response is incomplete."""
        status = "incomplete" if cut_by else "completed"
        response = {
            **self._fields,
            "status": status,
            "output": self._frames.output,
            "usage": written_usage(usage, self._context.input_tokens),
        }
        if cut_by:
            response["incomplete_details"] = {"reason": cut_by}
        self._frames.event(INCOMPLETE if cut_by else COMPLETED, {"response": response})

    def fail(self, error: ProviderError) -> None:
        """Write the terminal event of a response that failed."""
        is_before_output = not self._frames.count
        self.begin()
        fields = {**self._fields, "output": self._frames.output}
        number = self._frames.next_number
        self._frames.raw(error_event(error, fields, number, before_output=is_before_output))


def without_halves(text: str) -> str:
    """Return text in which pairs of surrogates are characters, and lone ones are replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def written_usage(usage: Usage, estimate: int | None = None) -> JsonObject:
    """Return the counts, all of which clients require; `estimate` is that of the prompt."""
    read = usage.input_tokens if usage.input_tokens is not None else estimate or 0
    written = usage.output_tokens or 0
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": read + written,
    }
