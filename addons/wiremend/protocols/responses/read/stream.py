"""Reading a stream into the events of an answer.

Contents of messages, calls and reasoning items become parts. `OwnEvent`s repeat what only this
protocol has: how items are framed, and the progress of tools that the provider runs. Items of such
tools become parts when they are done.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.base.middle.answer import (
    AnswerEvent,
    End,
    Failure,
    OwnEvent,
    PartCitation,
    PartDelta,
    PartEnd,
    PartStart,
    PartState,
    Start,
    Stop,
    StopReason,
    UsageCounts,
    reason_to_write,
)
from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    CallKind,
    Citation,
    Media,
    MediaKind,
    Own,
    Part,
    Refusal,
    ServerResult,
    Text,
    Thinking,
)
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.state import Origin, State
from wiremend.protocols.base.provider_error import (
    ProviderError,
    error_from,
    own_error,
    read_error,
)
from wiremend.protocols.responses.grammar import (
    COMPLETE,
    CONTENT,
    CREATED,
    FAILED,
    ITEM_ADDED,
    ITEM_DONE,
    ITEM_EVENTS,
    KEEPALIVES,
    PART_TEXT,
    SUMMARY,
)
from wiremend.protocols.responses.read.content import citations_in, read_citation
from wiremend.protocols.responses.read.items import (
    read_server_call,
    read_thinking,
    read_typed_call,
)
from wiremend.protocols.responses.read.kinds import (
    CALL_KIND_BY_TYPE,
    PROTOCOL,
    SERVER_CALLS,
    TYPED_BY_CALL,
    opaque,
)
from wiremend.protocols.responses.usage import USAGE_FORMAT
from wiremend.text import json_value, sse
from wiremend.text.json_value import JsonObject, dicts_in, is_integer

_CUT = own_error("The stream ended before the answer was complete.")
_UNREADABLE = own_error("An event of the stream could not be read.")
_ANNOTATION = "response.output_text.annotation.added"
_CALL_TEXTS = {"function_call": "arguments", "custom_tool_call": "input"}
_CUT_BY: Mapping[str, StopReason] = {
    "max_output_tokens": StopReason.LIMIT,
    "content_filter": StopReason.REFUSED,
}


@dataclass(slots=True, eq=False)
class _Stream:
    """A part that is open."""

    number: int | None
    """Its number; None while its start is held back."""
    texts: list[str] = field(default_factory=list)
    citations: int = 0
    """How many sources were read."""
    breaks: int = 0
    """How many parts of the item it contains; blank lines join them."""


@dataclass(slots=True, eq=False)
class _Item:
    """An output item that is not done."""

    type: str
    index: int
    added: JsonObject
    """The item when it was added."""
    stream: _Stream | None = None
    """The part of a call or of reasoning."""
    parts: dict[int, _Stream | None] = field(default_factory=dict)
    """The parts of a message by their index; None if the part is done."""


class ResponsesReader:
    """Reads one repaired stream."""

    def __init__(self, context: AnswerContext, _: Losses) -> None:
        self._origin = context.origin
        self._tool_names = frozenset(context.tools) | _names_in(context.request.get("tools"))
        """The names of tools that the model may call."""
        self._items: dict[int, _Item] = {}
        self._message: _Item | None = None
        """The last message that has a part."""
        self._next_number = 0
        self._has_calls = False
        self._has_refusal = False
        self._is_cut = False
        """Whether a call ended inside its arguments."""
        self._is_ended = False

    def feed(self, event: sse.Event) -> list[AnswerEvent]:
        """Return what one event contains."""
        if self._is_ended or (event.data is None and not event.is_part):
            return []
        try:
            data = json_value.read(event.data or b"")
        except ValueError:
            data = None
        if not isinstance(data, dict):
            return self._fail(_UNREADABLE)
        return self.read(data)

    def read(self, data: JsonObject) -> list[AnswerEvent]:
        """Return what an event with this data contains."""
        return [] if self._is_ended else list(self._read(data, str(data.get("type"))))

    def takes_alike(self, number: int) -> bool:
        """Return False: the events of a text are counted, or compared with what follows."""
        return False

    def end(self) -> list[AnswerEvent]:
        """Return a failure if the stream had no terminal event."""
        return [] if self._is_ended else self._fail(_CUT)

    def _fail(self, error: ProviderError) -> list[AnswerEvent]:
        self._is_ended = True
        return [Failure(error.with_default_message(error.code or error.type or "an error"))]

    def _read(self, data: JsonObject, kind: str) -> Iterator[AnswerEvent]:
        if kind == CREATED:
            yield _start(_response(data))
        elif kind in COMPLETE:
            yield from self._complete(data)
        elif kind == FAILED:
            error = _response(data).get("error")
            yield from self._fail(error_from(error if isinstance(error, dict) else {}))
        elif kind == "error":
            yield from self._fail(read_error(data) or error_from(data))
        elif kind == ITEM_ADDED:
            yield from self._added(data)
        elif kind == ITEM_DONE:
            yield from self._done(data)
        elif kind in ITEM_EVENTS:
            yield from self._inside(data, kind)
        elif kind not in KEEPALIVES:
            yield OwnEvent(PROTOCOL, kind, data)

    # Items

    def _added(self, data: JsonObject) -> Iterator[AnswerEvent]:
        index, value = data.get("output_index"), data.get("item")
        if not is_integer(index) or not isinstance(value, dict):
            return
        item = self._items[index] = _Item(str(value.get("type")), index, value)
        yield OwnEvent(PROTOCOL, ITEM_ADDED, data)
        if item.type in CALL_KIND_BY_TYPE:
            yield from self._call_added(item, value)
        elif item.type == "reasoning":
            item.stream, start = self._started(Thinking(), {"output_index": index})
            yield start

    def _call_added(self, item: _Item, value: JsonObject) -> Iterator[AnswerEvent]:
        """Start a call. One of an unknown name is held back: some names are whole at the end."""
        self._has_calls = True
        item.stream = _Stream(None)
        item.stream.texts.append(str(value.get(_CALL_TEXTS[item.type]) or ""))
        if value.get("name") in self._tool_names:
            yield from self._call_started(item, item.stream, value)

    def _call_started(self, item: _Item, held: _Stream, value: JsonObject) -> Iterator[AnswerEvent]:
        """Start a call, with the text that was held back."""
        texts = (value.get(key) for key in ("call_id", "name", "namespace"))
        call_id, name, namespace = (text if isinstance(text, str) else "" for text in texts)
        call = Call(call_id, name, "", CALL_KIND_BY_TYPE[item.type], namespace)
        item.stream, start = self._started(call, {"output_index": item.index})
        yield start
        yield from _add(item.stream, "".join(held.texts))

    def _started(self, part: Part, own: JsonObject) -> tuple[_Stream, PartStart]:
        """Return a new open part and the event that starts it."""
        number = self._next_number
        self._next_number += 1
        return _Stream(number), PartStart(number, _with_own(part, own))

    def _whole(self, part: Part, text: str = "") -> Iterator[AnswerEvent]:
        """Yield the events of a part that is complete."""
        stream, start = self._started(part, {})
        yield start
        yield from _add(stream, text)
        yield from _end(stream)

    def _done(self, data: JsonObject) -> Iterator[AnswerEvent]:
        index, value = data.get("output_index"), data.get("item")
        item = self._items.pop(index, None) if is_integer(index) else None
        if item is None or not isinstance(value, dict):
            return
        yield from self._finish(item, value)
        yield OwnEvent(PROTOCOL, ITEM_DONE, {**data, "item": _without_texts(value)})

    def _finish(self, item: _Item, value: JsonObject) -> Iterator[AnswerEvent]:
        """Yield the rest of an item whose final value is known."""
        if item.type == "message":
            yield from self._finish_message(item, value)
        elif item.type in CALL_KIND_BY_TYPE and item.stream is not None:
            if item.stream.number is None:
                yield from self._call_started(item, item.stream, {**item.added, **value})
            yield from _rest(item.stream, value.get(_CALL_TEXTS[item.type]))
            yield from _end(item.stream)
            self._is_cut |= _is_cut(value, "".join(item.stream.texts))
        elif item.type == "reasoning" and item.stream is not None:
            thinking = read_thinking(value)
            yield from _rest(item.stream, thinking.text)
            state = _state(value, thinking.text, self._origin)
            if state is not None and item.stream.number is not None:
                yield PartState(item.stream.number, state)
            yield from _end(item.stream)
        elif item.type in TYPED_BY_CALL:
            call = read_typed_call(value, TYPED_BY_CALL[item.type])
            self._has_calls = True
            if call is not None:
                yield from self._whole(
                    Call(call.id, call.name, kind=CallKind.TYPED), call.arguments
                )
        elif item.type in SERVER_CALLS:
            yield from self._server_call(value, item.type)
        else:
            yield from self._whole(opaque(value, ()))

    def _server_call(self, value: JsonObject, kind: str) -> Iterator[AnswerEvent]:
        image = value.get("result")
        if kind == "image_generation_call" and isinstance(image, str) and image:
            source = Base64Source(f"image/{value.get('output_format') or 'png'}", image)
            yield from self._whole(Media(MediaKind.IMAGE, source))
            return
        call = read_server_call(value, kind)
        yield from self._whole(type(call)(call.id, call.name), call.arguments)
        yield from self._whole(_server_result(value, call.id, call.name))

    def _finish_message(self, item: _Item, value: JsonObject) -> Iterator[AnswerEvent]:
        indices = sorted(item.parts)  # not from 0 in some streams
        last = indices[-1] if indices else -1
        for place, part in enumerate(dicts_in(value.get("content"))):
            index = indices[place] if place < len(indices) else last + 1 + place - len(indices)
            yield from self._content_added(item, index, part)
            yield from self._content_done(item, index, part)
        for index in [index for index, stream in item.parts.items() if stream is not None]:
            yield from self._content_done(item, index, {})

    # Inside of items

    def _inside(self, data: JsonObject, kind: str) -> Iterator[AnswerEvent]:
        index = data.get("output_index")
        item = self._items.get(index) if is_integer(index) else None
        if item is None:
            return
        if item.type == "message":
            yield from self._in_message(item, data, kind)
        elif item.type == "reasoning" and item.stream is not None:
            yield from _in_reasoning(item.stream, data, kind)
        elif item.type in CALL_KIND_BY_TYPE and item.stream is not None:
            if kind.endswith(".delta"):
                yield from _add(item.stream, data.get("delta"))
            else:
                yield from _rest(item.stream, data.get(_CALL_TEXTS[item.type]))
        else:
            yield OwnEvent(PROTOCOL, kind, data)

    def _in_message(self, item: _Item, data: JsonObject, kind: str) -> Iterator[AnswerEvent]:
        index, part = data.get("content_index"), data.get("part")
        if not is_integer(index):
            return
        if kind == CONTENT.added:
            yield from self._content_added(item, index, part if isinstance(part, dict) else {})
            return
        stream = item.parts.get(index)
        if stream is None:
            return
        if kind == CONTENT.done:
            yield from self._content_done(item, index, part if isinstance(part, dict) else {})
        elif kind == _ANNOTATION:
            annotation = data.get("annotation")
            yield from _cite(stream, [read_citation(annotation)] if annotation else [])
        elif kind.endswith(".delta"):
            yield from _add(stream, data.get("delta"))
        else:
            yield from _rest(stream, data.get(ITEM_EVENTS[kind].text))

    def _content_added(self, item: _Item, index: int, part: JsonObject) -> Iterator[AnswerEvent]:
        """Start a part of a message, unless it was started before."""
        if index in item.parts:
            return
        is_refusal = part.get("type") == "refusal"
        self._has_refusal |= is_refusal
        start = Refusal() if is_refusal else Text(begins_message=self._message is not item)
        self._message = item
        own = {"output_index": item.index, "content_index": index}
        stream, event = self._started(start, own)
        item.parts[index] = stream
        yield event
        yield from _add(stream, part.get(PART_TEXT.get(str(part.get("type")), "")))

    def _content_done(self, item: _Item, index: int, part: JsonObject) -> Iterator[AnswerEvent]:
        """End a part of a message, unless it was ended before; `part` is empty if not known."""
        stream = item.parts[index]
        if stream is None:
            return
        key = PART_TEXT.get(str(part.get("type")), "")
        yield from _rest(stream, part.get(key))
        yield from _cite(stream, list(citations_in(part.get("annotations")))[stream.citations :])
        item.parts[index] = None
        rest = {name: value for name, value in part.items() if name != key}
        yield from _end(stream, Own(PROTOCOL, rest) if part else None)

    # The end

    def _complete(self, data: JsonObject) -> Iterator[AnswerEvent]:
        response = _response(data)
        if response.get("status") in ("failed", "cancelled"):
            error = response.get("error")
            yield from self._fail(error_from(error) if isinstance(error, dict) else _CUT)
            return
        self._is_ended = True
        output = response.get("output")
        finals = output if isinstance(output, list) else []
        open_items = sorted(self._items)
        for index in open_items:
            final = finals[index] if index < len(finals) else None
            yield from self._finish(self._items[index], final if isinstance(final, dict) else {})
        if isinstance(response.get("usage"), dict):
            own = Own(PROTOCOL, response["usage"])
            yield UsageCounts(USAGE_FORMAT.read({"response": response}), own)
        yield self._stop(response, open_items)
        yield End()

    def _stop(self, response: JsonObject, open_items: list[int]) -> Stop:
        """Return the stop. Its `own` contains the response, with the items that were not done."""
        details = response.get("incomplete_details")
        word = details.get("reason") if isinstance(details, dict) else None
        reason = StopReason.REFUSED if self._has_refusal else StopReason.END
        if self._is_cut:
            reason = StopReason.LIMIT
        if response.get("status") == "incomplete":
            reason = _CUT_BY.get(str(word), StopReason.LIMIT)
        output = response.get("output")
        if isinstance(output, list):
            kept = frozenset(open_items)
            output = [item if at in kept else None for at, item in enumerate(output)]
        is_counted = isinstance(response.get("usage"), dict)
        own = {key: value for key, value in response.items() if key != "usage" or not is_counted}
        return Stop(
            reason_to_write(reason, self._has_calls),
            str(word or response.get("status") or ""),
            own=Own(PROTOCOL, {**own, "output": output}),
        )


def _with_own(part: Part, own: JsonObject) -> Part:
    """Return a part with these members, unless it has some."""
    match part:
        case Text():
            return Text(begins_message=part.begins_message, own=Own(PROTOCOL, own))
        case Refusal():
            return Refusal(own=Own(PROTOCOL, own))
        case Thinking():
            return Thinking(own=Own(PROTOCOL, own))
        case Call() if own:
            return Call(part.id, part.name, "", part.kind, part.namespace, own=Own(PROTOCOL, own))
        case _:
            return part


def _response(data: Mapping[str, Any]) -> JsonObject:
    response = data.get("response")
    return response if isinstance(response, dict) else {}


def _start(response: JsonObject) -> Start:
    identity, model = response.get("id"), response.get("model")
    return Start(
        identity if isinstance(identity, str) else "",
        model if isinstance(model, str) else "",
        Own(PROTOCOL, response),
    )


def _add(stream: _Stream, text: Any) -> Iterator[AnswerEvent]:
    if isinstance(text, str) and text:
        stream.texts.append(text)
        if stream.number is not None:
            yield PartDelta(stream.number, text)


def _end(stream: _Stream, own: Own | None = None) -> Iterator[AnswerEvent]:
    if stream.number is not None:
        yield PartEnd(stream.number, own)


def _rest(stream: _Stream, whole: Any) -> Iterator[AnswerEvent]:
    """Yield what the whole text has behind the text that was read."""
    if not isinstance(whole, str) or not whole:
        return
    read = "".join(stream.texts)
    stream.texts = [read]
    if len(whole) > len(read) and whole.startswith(read):
        yield from _add(stream, whole[len(read) :])


def _cite(stream: _Stream, citations: list[Citation]) -> Iterator[AnswerEvent]:
    for citation in citations:
        stream.citations += 1
        if stream.number is not None:
            yield PartCitation(stream.number, citation)


def _in_reasoning(stream: _Stream, data: JsonObject, kind: str) -> Iterator[AnswerEvent]:
    """Yield the text of an event of a reasoning item; blank lines separate its parts."""
    if kind in (SUMMARY.added, CONTENT.added):
        stream.breaks += 1
        if stream.breaks > 1:
            yield from _add(stream, "\n\n")
    elif kind.endswith(".delta"):
        yield from _add(stream, data.get("delta"))


def _state(value: JsonObject, text: str, origin: Origin) -> State | None:
    """Return what the provider needs of its reasoning, except its text if the client has it.

    Providers that encrypt nothing need the text of their reasoning.
    """
    encrypted, content = value.get("encrypted_content"), value.get("content")
    payload: JsonObject = {}
    summary = value.get("summary")
    visible = [{"type": "summary_text", "text": text}] if text else []
    if summary != visible and isinstance(summary, list):
        payload["summary"] = summary
    if isinstance(content, list) and content:
        payload["content"] = content
    if isinstance(encrypted, str) and encrypted:
        payload["encrypted_content"] = encrypted
    elif "content" not in payload:
        return None
    return State(origin, payload)


def _is_cut(value: JsonObject, text: str) -> bool:
    """Return whether a call ended inside its arguments."""
    is_json = value.get("type") != "function_call" or not text or json_value.parses(text)
    return value.get("status") == "incomplete" or not is_json


def _server_result(value: JsonObject, call_id: str, name: str) -> ServerResult:
    action = value.get("action")
    found = action.get("sources") if isinstance(action, dict) else None
    sources = tuple(Citation(str(one["url"])) for one in dicts_in(found) if one.get("url"))
    texts = [value.get("output")]
    texts += [one.get("logs") for one in dicts_in(value.get("outputs"))]
    texts += [one.get("text") for one in dicts_in(value.get("results"))]
    text = "\n".join(one for one in texts if isinstance(one, str) and one)
    is_failed = bool(value.get("error")) or value.get("status") == "failed"
    return ServerResult(call_id, name, sources, text, "unavailable" if is_failed else "")


def _without_texts(item: JsonObject) -> JsonObject:
    """Return an item without the texts that parts contain."""
    left_out = {"message": "content", **_CALL_TEXTS}.get(str(item.get("type")))
    return {key: value for key, value in item.items() if key != left_out}


def _names_in(tools: Any) -> frozenset[str]:
    """Return the names in a list of tools of any protocol."""
    found: set[str] = set()
    for tool in dicts_in(tools):
        declared = [
            one
            for key in ("functionDeclarations", "function_declarations", "tools")
            for one in dicts_in(tool.get(key))
        ]
        for one in (tool, tool.get("function"), tool.get("custom"), *declared):
            name = one.get("name") if isinstance(one, dict) else None
            if isinstance(name, str):
                found.add(name)
    return frozenset(found)
