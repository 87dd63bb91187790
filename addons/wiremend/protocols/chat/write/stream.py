"""Events of the middle form as a Chat Completions event stream."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wiremend.protocols.base.middle.answer import (
    OwnEvent,
    PartCitation,
    PartDelta,
    PartEnd,
    PartStart,
    PartState,
    Start,
    StopReason,
    UsageCounts,
    reason_to_write,
)
from wiremend.protocols.base.middle.call_ids import client_id
from wiremend.protocols.base.middle.content import (
    Call,
    CallKind,
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    ServerCall,
    ServerResult,
    Text,
    Thinking,
    own_fields,
)
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.state import State, seal
from wiremend.protocols.base.middle.wording import arguments_object
from wiremend.protocols.base.middle.writer import AnswerWriter
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.usage import NO_USAGE, Usage
from wiremend.protocols.chat.errors import error_event
from wiremend.protocols.chat.grammar import CHUNK, DONE
from wiremend.protocols.chat.read.messages import (
    BETWEEN,
    DETAILS,
    LEGACY_CALL,
    SEALED_DETAIL,
)
from wiremend.protocols.chat.write.own_messages import url_of
from wiremend.text import json_value, sse

_C = WireProtocol.CHAT_COMPLETIONS
_WORDS: Mapping[StopReason, str] = {
    StopReason.END: "stop",
    StopReason.CALLS: "tool_calls",
    StopReason.LIMIT: "length",
    StopReason.WINDOW: "length",
    StopReason.STOP_STRING: "stop",
    StopReason.REFUSED: "content_filter",
    StopReason.PAUSED: "stop",
}
NO_NAME = "unknown"
"""The name of a call whose name the provider left out; clients fail without one."""
REASONING = "reasoning_content"
"""The member of a delta in which most clients read reasoning."""


class _OpenPart:
    """A part that is being written."""

    def __init__(self, part: Part, index: int = -1) -> None:
        self.part = part
        self.index = index
        """The index of a call."""
        self.unwrapped = ""
        """The member of the arguments that is written, once they are complete."""
        self.pieces: list[str] = []
        """The arguments that are not written yet; or the text of reasoning behind the first."""
        self.is_empty = True
        self.is_apart = False
        """Whether a blank line is written before its text."""
        self.is_first = True
        """Whether no reasoning came before this part."""
        self.state: State | None = None


class ChatWriter(AnswerWriter):
    """Writes one stream for a client. Parts may overlap; each call has its own index."""

    def __init__(self, context: AnswerContext, losses: Losses) -> None:
        super().__init__(context, losses, may_overlap=True)
        self._is_own = context.origin.protocol is _C
        self._base: dict[str, Any] = {}
        self._parts: dict[int, _OpenPart] = {}
        self._calls = 0
        self._details = 0
        self._characters = 0
        """The length of the content so far, for the places of citations."""
        self._last_kind: type[Part] | None = None
        self._written_kinds: set[type[Part]] = set()
        self._thinkings = 0
        self._own_usage: Mapping[str, Any] = {}

    def _keep_state(self, event: PartState) -> None:
        if event.number in self._parts:
            self._parts[event.number].state = event.state

    def _count(self, event: UsageCounts) -> None:
        super()._count(event)
        self._own_usage = own_fields(event.own, _C) or self._own_usage

    def _write_error(self, error: ProviderError) -> None:
        self._out += error_event(error)

    def _chunk(self, delta: Mapping[str, Any], reason: str | None = None, **more: Any) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, **more}
        self._out += sse.encode(json_value.write({**self._base, "choices": [choice]}))

    def _begin_answer(self, event: Start) -> None:
        context = self._context
        self._base = {
            "id": event.id if self._is_own else f"chatcmpl-{context.answer_id}",
            "object": CHUNK,
            "created": context.created,
            "model": event.model if self._is_own else context.model,
            **own_fields(event.own, _C),
        }
        if self._base["object"] == "":
            self._base["object"] = CHUNK
        self._chunk({"role": "assistant", "content": None})

    def _write_own(self, event: OwnEvent) -> None:
        """Write what a chunk contains besides the answer."""
        if event.protocol is not _C:
            return
        self._base |= event.data.get("chunk", {})
        if not self._base["object"]:
            self._base["object"] = CHUNK
        choice = dict(event.data.get("choice", {}))
        delta = choice.pop("delta", {})
        choices = [{"index": 0, "delta": delta, "finish_reason": None, **choice}]
        self._out += sse.encode(json_value.write({**self._base, "choices": choices}))

    # Parts

    def _begin(self, event: PartStart) -> None:
        number, part = event.number, event.part
        opened = self._parts[number] = _OpenPart(part)
        match part:
            case Text() | Refusal() | Thinking():
                opened.is_apart = self._is_apart(part)
                opened.is_first = self._thinkings == 0
                self._thinkings += isinstance(part, Thinking)
                opened.state = part.state if isinstance(part, Text | Thinking) else None
            case Call():
                self._begin_call(opened, part, number)
            case Media(kind=MediaKind.IMAGE):
                url = {"url": url_of(part.source)}
                image = {"type": "image_url", "image_url": url, **own_fields(part.own, _C)}
                self._chunk({"images": [image]})
            case Opaque(text=text) if text:
                self._chunk({"content": text})
            case ServerCall() | ServerResult():
                self._losses.add_in_answer(LossKind.ANSWER_CONTENT, f"{part.name} of the provider")
            case _:
                kind = part.kind if isinstance(part, Opaque | Media) else "part"
                self._losses.add_in_answer(LossKind.ANSWER_CONTENT, kind)
        self._last_kind = type(part)

    def _is_apart(self, part: Part) -> bool:
        """Return whether a blank line divides the text of a part from earlier text.

        Adjacent texts are one, unless they are of two messages: Anthropic divides a text where its
        sources change.
        """
        kind = type(part)
        is_divided = kind is Thinking or self._last_kind is not kind
        is_divided |= isinstance(part, Text) and part.begins_message
        return is_divided and kind in self._written_kinds and not self._is_own

    def _text_chunk(self, part: Part, text: str) -> None:
        match part:
            case Text():
                self._characters += len(text)
                self._chunk({"content": text})
            case Refusal():
                self._chunk({"refusal": text})
            case Thinking():
                self._chunk({own_fields(part.own, _C).get("field") or REASONING: text})

    def _begin_call(self, opened: _OpenPart, call: Call, number: int) -> None:
        if LEGACY_CALL in own_fields(call.own, _C):
            self._chunk({LEGACY_CALL: {"name": call.name, "arguments": ""}})
            return
        opened.index = self._calls
        self._calls += 1
        sent = self._context.tools.get(call.name)
        name, kind = (sent.name, sent.kind) if sent is not None else (call.name, call.kind)
        if sent is not None:
            opened.unwrapped = sent.argument
        is_custom = kind is CallKind.CUSTOM
        key = "custom" if is_custom else "function"
        call_id = call.id
        if not self._is_own or not call_id:
            call_id = client_id("call", self._context.answer_id, number, call.id)
        own = dict(own_fields(call.own, _C))
        inner = {
            "name": name or NO_NAME,
            "input" if is_custom else "arguments": "",
            **own.pop(key, {}),
        }
        written = {"index": opened.index, "id": call_id, "type": key, key: inner, **own}
        if call.state is not None:
            written |= without_nothing(extra_content=self._extra_content(call.state))
        self._chunk({"tool_calls": [written]})

    def _extra_content(self, state: State) -> Any:
        if self._is_own and isinstance(state.payload, dict):
            return state.payload.get("extra_content")
        sealed = self._sealed(state)
        return {"google": {"thought_signature": sealed}} if sealed else None

    def _add(self, event: PartDelta) -> None:
        opened, text = self._parts.get(event.number), event.text
        if opened is None or not text:
            return
        match opened.part:
            case Call() as call if opened.unwrapped:
                opened.pieces.append(text)
            case Call() as call:
                opened.is_empty = False
                self._call_chunk(opened, call, text)
            case part:
                if opened.is_empty and opened.is_apart:
                    self._text_chunk(part, BETWEEN)
                opened.is_empty = False
                self._written_kinds.add(type(part))
                if isinstance(part, Thinking) and not opened.is_first:
                    opened.pieces.append(text)
                self._text_chunk(part, text)

    def _writes_alike(self, number: int) -> bool:
        opened = self._parts.get(number)
        return (
            opened is not None and not opened.is_empty and isinstance(opened.part, Text | Refusal)
        )

    def frame_of_text(self, number: int) -> tuple[bytes, bytes] | None:
        """Return the bytes around the text of a delta; None if they may change."""
        characters = self._characters
        frame = super().frame_of_text(number)
        self._characters = characters
        return frame

    def skip_text(self, number: int, text: str) -> None:
        """Count the text of deltas that are not fed."""
        super().skip_text(number, text)
        if isinstance(self._parts[number].part, Text):
            self._characters += len(text)

    def _call_chunk(self, opened: _OpenPart, call: Call, text: str) -> None:
        if opened.index < 0:
            self._chunk({LEGACY_CALL: {"arguments": text}})
            return
        is_custom = bool(opened.unwrapped) or call.kind is CallKind.CUSTOM
        inner = {"custom": {"input": text}} if is_custom else {"function": {"arguments": text}}
        self._chunk({"tool_calls": [{"index": opened.index, **inner}]})

    def _cite(self, event: PartCitation) -> None:
        citation = event.citation
        annotation = own_fields(citation.own, _C)
        if not annotation and citation.url:
            place = {"start_index": self._characters, "end_index": self._characters}
            cited = {"url": citation.url, "title": citation.title, **place}
            annotation = {"type": "url_citation", "url_citation": cited}
        if annotation:
            self._chunk({"annotations": [annotation]})

    def _close(self, event: PartEnd) -> None:
        self._close_part(event.number)

    def _close_part(self, number: int) -> None:
        opened = self._parts.pop(number, None)
        match opened.part if opened is not None else None:
            case Call() as call:
                assert opened is not None
                self._close_call(opened, call)
            case Thinking():
                assert opened is not None
                if opened.state is not None:
                    state = opened.state
                    if not opened.is_first:  # the client joins it with the text before it
                        state = replace(state, text="".join(opened.pieces))
                    self._write_state(state)
            case Text():
                assert opened is not None
                if opened.state is not None:
                    self._write_state(opened.state)

    def _close_call(self, opened: _OpenPart, call: Call) -> None:
        if opened.unwrapped:
            text = "".join(opened.pieces)
            arguments = arguments_object(text)
            value = arguments.get(opened.unwrapped) if arguments is not None else None
            self._call_chunk(opened, call, value if isinstance(value, str) else text)
        elif opened.is_empty and not self._is_own and call.kind is not CallKind.CUSTOM:
            self._call_chunk(opened, call, "{}")
        if opened.state is not None:  # it came behind the start of the call
            extra = self._extra_content(opened.state)
            if extra is not None:
                self._chunk({"tool_calls": [{"index": opened.index, "extra_content": extra}]})

    def _write_state(self, state: State) -> None:
        if self._is_own:
            payload = state.payload if isinstance(state.payload, dict) else {}
            if payload.get("details"):
                self._chunk({DETAILS: payload["details"]})
            return
        sealed = self._sealed(state)
        if sealed is not None:
            detail = {"type": SEALED_DETAIL, "data": sealed, "index": self._details}
            self._details += 1
            self._chunk({DETAILS: [detail]})

    def _sealed(self, state: State) -> str | None:
        sealed = seal(state)
        if sealed is None:
            self._losses.add_in_answer(LossKind.ANSWER_STATE, "state of the provider", "too large")
        return sealed

    # The end

    def _finish(self) -> None:
        for number in list(self._parts):
            self._close_part(number)
        stop = self._stop
        if stop.reason is StopReason.PAUSED and not self._is_own:
            found = stop.word or "a paused turn"
            self._losses.add_in_answer(LossKind.ANSWER_STOP, found, "written as `stop`")
        word = _WORDS[reason_to_write(stop.reason, self._calls > 0)]
        if self._is_own and stop.word:
            word = stop.word
        self._chunk({}, word, **own_fields(stop.own, _C))
        if self._wants_usage() and not (self._is_own and self._usage == NO_USAGE):
            counted = self._usage if self._is_own else self._counted()
            usage = {**_written_usage(counted), **self._own_usage}
            self._out += sse.encode(json_value.write({**self._base, "choices": [], "usage": usage}))
        self._out += sse.encode(DONE)

    def _wants_usage(self) -> bool:
        """Return whether the client asked for counts; an answer that is not streamed has them."""
        request = self._context.request
        options = request.get("stream_options")
        is_asked = isinstance(options, dict) and options.get("include_usage") is True
        return is_asked or self._is_own or request.get("stream") is not True


def _written_usage(usage: Usage) -> dict[str, Any]:
    prompt, completion = usage.input_tokens or 0, usage.output_tokens or 0
    fields: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    details = {key: value for key, value in details.items() if value is not None}
    fields |= without_nothing(prompt_tokens_details=details)
    if usage.reasoning_tokens is not None:
        fields["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return fields
