"""Writing the events of an answer that was read from this protocol, so that they are restored."""

from typing import Any

from wiremend.protocols.base.middle.answer import (
    AnswerEvent,
    End,
    Failure,
    OwnEvent,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    Stop,
    UsageCounts,
)
from wiremend.protocols.base.middle.content import Call, Part, Refusal, Text, own_fields
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.responses.errors import error_event
from wiremend.protocols.responses.grammar import (
    COMPLETED,
    CREATED,
    INCOMPLETE,
    ITEM_ADDED,
    ITEM_DONE,
    UNNUMBERED,
)
from wiremend.protocols.responses.read.kinds import CALL_KIND_BY_TYPE, PROTOCOL
from wiremend.protocols.responses.write.frames import FramedPart, Frames
from wiremend.text import json_value, sse
from wiremend.text.json_value import JsonObject, dicts_in

_CALLS = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}


class RestoringWriter:
    """Writes one stream. Messages and calls are written from their parts, all else as it was."""

    failure: ProviderError | None = None
    """Always: what was read from a complete stream can be written."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._response: JsonObject = {}
        self._parts: dict[int, tuple[int, FramedPart]] = {}
        """The open parts of messages, each with the index of its item."""
        self._calls: dict[int, int] = {}
        """The indices of the items of open calls."""
        self._contents: dict[int, list[JsonObject]] = {}
        """The content of messages, by the index of the item."""
        self._texts: dict[int, list[str]] = {}
        """The arguments of calls, by the index of the item."""
        self._types: dict[int, str] = {}
        self._done: dict[int, JsonObject] = {}
        """The items that are done."""
        self._usage: Any = None
        self._stop: JsonObject = {}

    def feed(self, event: AnswerEvent) -> bytes:
        """Return the bytes of the events that this event becomes."""
        match event:
            case Start():
                self._response = dict(own_fields(event.own, PROTOCOL))
                self._frames.event(CREATED, {"response": self._response})
            case OwnEvent():
                self._own_event(event)
            case PartStart():
                self._begin(event.number, event.part)
            case PartDelta():
                self._add(event)
            case PartEnd():
                self._end(event)
            case UsageCounts():
                self._usage = dict(own_fields(event.own, PROTOCOL))
            case Stop():
                self._stop = dict(own_fields(event.own, PROTOCOL))
            case End():
                self._finish()
            case Failure():
                number = self._frames.next_number
                self._frames.raw(error_event(event.error, self._response, number))
            case _:
                pass  # state and sources are in the items
        return self._frames.taken()

    def frame_of_text(self, number: int) -> None:
        """Return None: the events of a text are numbered."""

    def skip_text(self, number: int, text: str) -> None:
        """Do nothing: there is no frame."""

    def _own_event(self, event: OwnEvent) -> None:
        if event.type == ITEM_ADDED:
            item = event.data["item"]
            self._types[self._frames.add_item(item)] = str(item.get("type"))
        elif event.type == ITEM_DONE:
            self._item_done(event.data["output_index"], event.data["item"])
        elif event.type in UNNUMBERED or "sequence_number" not in event.data:
            self._frames.raw(sse.encode(json_value.write(dict(event.data)), event.type))
        else:
            self._frames.event(event.type, event.data)

    # Messages and calls

    def _begin(self, number: int, part: Part) -> None:
        own = own_fields(part.own, PROTOCOL)
        index = own.get("output_index")
        if index is None:
            return
        if isinstance(part, Call):
            self._calls[number] = index
            self._texts[index] = []
        elif isinstance(part, Text | Refusal):
            kind = "refusal" if isinstance(part, Refusal) else "output_text"
            framed = FramedPart(self._frames, index, own["content_index"], kind)
            self._parts[number] = index, framed

    def _add(self, event: PartDelta) -> None:
        if event.number in self._parts:
            self._parts[event.number][1].add(event.text)
        elif event.number in self._calls:
            index = self._calls[event.number]
            name, _ = _CALLS[self._types[index]]
            self._texts[index].append(event.text)
            self._frames.inside(index, f"{name}.delta", {"delta": event.text})

    def _end(self, event: PartEnd) -> None:
        own = own_fields(event.own, PROTOCOL) if event.own is not None else None
        if event.number in self._parts:
            index, framed = self._parts.pop(event.number)
            self._contents.setdefault(index, []).append(framed.end(own))
        elif event.number in self._calls:
            index = self._calls.pop(event.number)
            name, key = _CALLS[self._types[index]]
            self._frames.inside(index, f"{name}.done", {key: "".join(self._texts[index])})

    def _item_done(self, index: int, item: JsonObject) -> None:
        kind = self._types[index]
        item = dict(item)
        if kind == "message":
            item["content"] = self._contents.get(index, [])
        elif kind in CALL_KIND_BY_TYPE:
            item[_CALLS[kind][1]] = "".join(self._texts.get(index, []))
        elif kind == "reasoning":
            self._reasoning(index, item)
        self._done[index] = item
        self._frames.end_item(index, item)

    def _reasoning(self, index: int, item: JsonObject) -> None:
        for key, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
            for number, part in enumerate(dicts_in(item.get(key))):
                if part.get("type") != kind:
                    continue
                framed = FramedPart(self._frames, index, number, kind)
                framed.add(str(part.get("text") or ""))
                framed.end()

    # The end

    def _finish(self) -> None:
        output = self._stop.get("output")
        if isinstance(output, list):
            output = [
                self._done[at] if item is None and at in self._done else item
                for at, item in enumerate(output)
            ]
        response = {**self._stop, "output": output}
        if self._usage is not None:
            response["usage"] = self._usage
        is_cut = response.get("status") == "incomplete"
        self._frames.event(INCOMPLETE if is_cut else COMPLETED, {"response": response})
