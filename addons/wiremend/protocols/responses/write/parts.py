"""Writing the parts of an answer as output items.

Each class writes one kind of part: its text as it arrives, its state and sources, and its end.
"""

from typing import override

from wiremend.protocols.base.middle.call_ids import client_id
from wiremend.protocols.base.middle.content import (
    Call,
    CallKind,
    Citation,
    Part,
    Refusal,
    ServerCall,
)
from wiremend.protocols.base.middle.interface import AnswerContext, SentTool
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.state import State, seal
from wiremend.protocols.base.middle.wording import arguments_object
from wiremend.protocols.responses.read.kinds import TYPED_TOOLS
from wiremend.protocols.responses.write.frames import FramedPart, Frames
from wiremend.text import json_value
from wiremend.text.json_value import JsonObject

_FUNCTION = "response.function_call_arguments"
_CUSTOM = "response.custom_tool_call_input"


class PartWriter:
    """Writes one part. This one writes nothing, for parts that cannot be carried."""

    def add(self, text: str) -> None:
        """Take more text."""

    def cite(self, citation: Citation) -> None:
        """Take a source."""

    def keep(self, state: State) -> None:
        """Take the state; the last one counts."""

    def end(self) -> None:
        """Take the end of the part."""


class AnswerItems:
    """What the writers of parts share: the events, ids, and what was lost."""

    def __init__(self, context: AnswerContext, frames: Frames, losses: Losses) -> None:
        self.context = context
        self.frames = frames
        self.losses = losses

    def next_id(self, prefix: str) -> str:
        """Return the id of the next item."""
        return f"{prefix}_{self.context.answer_id}_{self.frames.count}"

    def sealed(self, state: State | None) -> str | None:
        """Return the envelope of a state; None if there is no state, or it is too large."""
        envelope = seal(state) if state is not None else None
        if state is not None and envelope is None:
            self.losses.add_in_answer(LossKind.ANSWER_STATE, "state of the provider", "too large")
        return envelope


class MessageWriter:
    """Writes one message. The texts and refusals that follow each other are its content."""

    def __init__(self, items: AnswerItems) -> None:
        self._items = items
        self._index: int | None = None
        self._item: JsonObject = {}
        self._content: list[JsonObject] = []

    def part(self, part: Part) -> PartWriter:
        """Return the writer of a text or a refusal of this message."""
        return _TextWriter(self._items, self, "refusal" if isinstance(part, Refusal) else "")

    def begin_part(self, type: str) -> FramedPart:
        """Write the start of the next part, and that of the message before the first one."""
        frames = self._items.frames
        if self._index is None:
            self._item = {
                "id": self._items.next_id("msg"),
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
            self._index = frames.add_item(self._item)
        return FramedPart(frames, self._index, len(self._content), type)

    def end_part(self, part: JsonObject) -> None:
        """Take a part that is complete."""
        self._content.append(part)

    def end(self, status: str) -> None:
        """Write the end of the message, if it has any content."""
        if self._index is not None:
            item = {**self._item, "status": status, "content": self._content}
            self._items.frames.end_item(self._index, item)


class _TextWriter(PartWriter):
    """Writes a text or a refusal. A part without text is not written."""

    def __init__(self, items: AnswerItems, message: MessageWriter, type: str) -> None:
        self._items = items
        self._message = message
        self._type = type or "output_text"
        self._part: FramedPart | None = None
        self._citations: list[Citation] = []

    @override
    def add(self, text: str) -> None:
        if self._part is None and text:
            self._part = self._message.begin_part(self._type)
        if self._part is not None:
            self._part.add(text)

    @override
    def cite(self, citation: Citation) -> None:
        self._citations.append(citation)

    @override
    def end(self) -> None:
        part = self._part
        if part is None:
            return
        annotations = [found for one in self._citations if (found := self._annotation(one, part))]
        for number, annotation in enumerate(annotations):
            part.annotate(number, annotation)
        is_text = self._type == "output_text"
        fields = {"annotations": annotations, "logprobs": []} if is_text else {}
        self._message.end_part(part.end(fields))

    def _annotation(self, citation: Citation, part: FramedPart) -> JsonObject | None:
        """Return a source of the whole text; None if it has no address."""
        if not citation.url:
            self._items.losses.add_in_answer(LossKind.ANSWER_CONTENT, "source without an address")
            return None
        return {
            "type": "url_citation",
            "start_index": 0,
            "end_index": part.length,
            "url": citation.url,
            "title": citation.title,
        }


class ThinkingWriter(PartWriter):
    """Writes reasoning: its text as a summary, its state as encrypted content."""

    def __init__(self, items: AnswerItems, state: State | None) -> None:
        self._items = items
        self._state = state
        self._index: int | None = None
        self._item: JsonObject = {}
        self._part: FramedPart | None = None

    @override
    def add(self, text: str) -> None:
        if self._part is None and text:
            self._part = FramedPart(self._items.frames, self._begin(), 0, "summary_text")
        if self._part is not None:
            self._part.add(text)

    @override
    def keep(self, state: State) -> None:
        self._state = state

    def _begin(self) -> int:
        self._item = {"id": self._items.next_id("rs"), "type": "reasoning", "summary": []}
        self._index = self._items.frames.add_item(self._item)
        return self._index

    @override
    def end(self) -> None:
        encrypted = self._items.sealed(self._state)
        if self._index is None and encrypted is None:
            return
        index = self._begin() if self._index is None else self._index
        summary = [self._part.end()] if self._part is not None else []
        item = {**self._item, "summary": summary}
        if encrypted is not None:
            item["encrypted_content"] = encrypted
        self._items.frames.end_item(index, item)


class CallWriter(PartWriter):
    """Writes a call of a function, or of a custom tool that the provider knows as such."""

    def __init__(self, items: AnswerItems, call: Call, sent: SentTool, number: int) -> None:
        self._items = items
        self._texts: list[str] = []
        self.is_custom = sent.kind is CallKind.CUSTOM
        self._key = "input" if self.is_custom else "arguments"
        self._events = _CUSTOM if self.is_custom else _FUNCTION
        prefix = "ctc" if self.is_custom else "fc"
        kind = "custom_tool_call" if self.is_custom else "function_call"
        self._item = call_item(items, call, sent, number, kind, prefix)
        self._index = items.frames.add_item({**self._item, self._key: ""})
        self.name = sent.name

    @override
    def add(self, text: str) -> None:
        self._texts.append(text)
        if text:
            self._items.frames.inside(self._index, f"{self._events}.delta", {"delta": text})

    @property
    def text(self) -> str:
        """The whole arguments; an empty text is an empty object."""
        text = "".join(self._texts)
        return text if text.strip() or self.is_custom else "{}"

    @property
    def is_complete(self) -> bool:
        """Whether the arguments are JSON, as they must be, or the input of a custom tool."""
        return self.is_custom or json_value.parses(self.text)

    def end_with(self, status: str) -> None:
        """Write the end of the item."""
        text, frames = self.text, self._items.frames
        if not self._texts and text:
            frames.inside(self._index, f"{self._events}.delta", {"delta": text})
        frames.inside(self._index, f"{self._events}.done", {self._key: text})
        frames.end_item(self._index, {**self._item, "status": status, self._key: text})


def call_item(
    items: AnswerItems, call: Call, sent: SentTool, number: int, kind: str, prefix: str
) -> JsonObject:
    """Return the item of a call without its arguments."""
    item: JsonObject = {
        "id": items.next_id(prefix),
        "type": kind,
        "status": "in_progress",
        "call_id": client_id("call", items.context.answer_id, number, call.id),
    }
    if sent.kind is not CallKind.TYPED:
        item["name"] = sent.name
    if sent.namespace and sent.kind is not CallKind.TYPED:
        item["namespace"] = sent.namespace
    return item


class CollectedCall(PartWriter):
    """Writes a call at its end, since the client's form of the arguments is not the provider's.

    A custom tool was sent as a function with one argument, which is unwrapped. A tool that OpenAI
    defines was sent as a function with the members of its action.
    """

    def __init__(self, items: AnswerItems, call: Call, sent: SentTool, number: int) -> None:
        self._items = items
        self._call = call
        self._sent = sent
        self._number = number
        self._texts: list[str] = []
        self.name = sent.name

    @override
    def add(self, text: str) -> None:
        self._texts.append(text)

    @property
    def is_complete(self) -> bool:
        """Whether the arguments are an object."""
        return arguments_object("".join(self._texts)) is not None

    def end_with(self, status: str) -> None:
        """Write the item."""
        if self._sent.kind is CallKind.TYPED:
            self._write_typed(status)
        else:
            self._write_custom(status)

    def _write_custom(self, status: str) -> None:
        text = "".join(self._texts)
        arguments = arguments_object(text) or {}
        unwrapped = arguments.get(self._sent.argument)
        if not isinstance(unwrapped, str):
            found = f"arguments of {self.name!r} without a text"
            self._items.losses.add_in_answer(LossKind.ANSWER_CALL, found, "passed as they are")
            unwrapped = text
        writer = CallWriter(self._items, self._call, self._sent, self._number)
        writer.add(unwrapped)
        writer.end_with(status)

    def _write_typed(self, status: str) -> None:
        tool, items = TYPED_TOOLS[self._sent.name], self._items
        arguments = arguments_object("".join(self._texts)) or {}
        item = call_item(items, self._call, self._sent, self._number, tool.call, tool.item_id)
        item |= {**tool.always, tool.member: arguments}
        index = items.frames.add_item(item)
        items.frames.end_item(index, {**item, "status": status})


class SearchWriter(PartWriter):
    """Writes a web search that the provider ran."""

    def __init__(self, items: AnswerItems, call: ServerCall) -> None:
        self._items = items
        self._texts = [call.arguments]

    @override
    def add(self, text: str) -> None:
        self._texts.append(text)

    @override
    def end(self) -> None:
        query = (arguments_object("".join(self._texts)) or {}).get("query")
        action = {"type": "search", "query": query if isinstance(query, str) else ""}
        item: JsonObject = {"id": self._items.next_id("ws"), "type": "web_search_call"}
        frames = self._items.frames
        index = frames.add_item({**item, "status": "in_progress", "action": action})
        for stage in ("in_progress", "searching", "completed"):
            frames.inside(index, f"response.web_search_call.{stage}", {})
        frames.end_item(index, {**item, "status": "completed", "action": action})


class ImageWriter(PartWriter):
    """Writes an image of the answer, as if the provider's tool had made it."""

    def __init__(self, items: AnswerItems, data: str) -> None:
        item: JsonObject = {"id": items.next_id("ig"), "type": "image_generation_call"}
        index = items.frames.add_item({**item, "status": "in_progress", "result": None})
        items.frames.end_item(index, {**item, "status": "completed", "result": data})
