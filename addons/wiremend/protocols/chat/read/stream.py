"""A Chat Completions event stream as events of the middle form.

Only the first choice is read: a request for several is not translated.
"""

from collections.abc import Generator, Iterator, Mapping
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
)
from wiremend.protocols.base.middle.content import (
    Call,
    CallKind,
    Citation,
    Media,
    MediaKind,
    Own,
    Part,
    Refusal,
    Text,
    Thinking,
)
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.middle.state import State
from wiremend.protocols.base.middle.wording import source_of_url
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import own_error
from wiremend.protocols.chat.errors import error_in
from wiremend.protocols.chat.grammar import DONE, FOREIGN_REASONS
from wiremend.protocols.chat.read.messages import DETAILS, LEGACY_CALL, REASONING_KEYS
from wiremend.protocols.chat.read.reasoning_details import ReasoningDetails, text_of
from wiremend.protocols.chat.usage import USAGE_FORMAT
from wiremend.text import json_value, sse
from wiremend.text.json_value import dicts_in

_C = WireProtocol.CHAT_COMPLETIONS
CUT = own_error("The stream ended before the answer was complete.")
UNREADABLE = own_error("An event of the stream could not be read.")
STOP_REASONS: Mapping[str, StopReason] = {
    "stop": StopReason.END,
    "tool_calls": StopReason.CALLS,
    "function_call": StopReason.CALLS,
    "length": StopReason.LIMIT,
    "content_filter": StopReason.REFUSED,
}
_REASONING = frozenset({*REASONING_KEYS, DETAILS})
_OTHERS = frozenset({"images", "annotations", "tool_calls", LEGACY_CALL})
"""The members that few deltas have."""
_LEGACY = -1
"""The key of the only call in `function_call`, which has no index."""


class ChatReader:
    """Reads one repaired stream."""

    def __init__(self, context: AnswerContext, losses: Losses) -> None:
        self._origin = context.origin
        self._losses = losses
        self._base: dict[str, Any] = {}
        """The members that every chunk repeats, as they were last."""
        self._is_started = False
        self._is_ended = False
        self._next_number = 0
        self._open: tuple[int, type[Part]] | None = None
        """The open part that is not a call: its number, and its kind."""
        self._reasoning_key = ""
        self._details = ReasoningDetails()
        self._calls: dict[int, _OpenCall] = {}
        """The calls that are not ended, by their index."""
        self._grown: dict[int, _OpenCall] = {}
        """The calls with more arguments since complete ones were last looked for."""
        self._seen_calls: set[int] = set()
        self._word = ""
        """The last finish reason."""

    def feed(self, event: sse.Event) -> list[AnswerEvent]:
        """Return what one event contains."""
        if event.data is None or self._is_ended:
            return []
        if event.data.strip() == DONE:
            return self._finish()
        try:
            chunk = json_value.read(event.data)
        except ValueError:
            chunk = None
        if event.is_part or not isinstance(chunk, dict):
            return self._fail(Failure(UNREADABLE))
        return self.read(chunk)

    def read(self, data: dict[str, Any]) -> list[AnswerEvent]:
        """Return what a chunk contains."""
        if self._is_ended:
            return []
        if data.get("error"):
            return self._fail(Failure(error_in(data) or CUT))
        return list(self._chunk(data))

    def takes_alike(self, number: int) -> bool:
        """Return whether more text of a part is read without any change of state."""
        return not self._is_ended and self._open is not None and self._open[0] == number

    def end(self) -> list[AnswerEvent]:
        """Return the end of a stream without `[DONE]`: a failure unless it has a finish reason."""
        if self._is_ended:
            return []
        return self._finish() if self._word else self._fail(Failure(CUT))

    def _fail(self, failure: Failure) -> list[AnswerEvent]:
        self._is_ended = True
        return [failure]

    def _finish(self) -> list[AnswerEvent]:
        self._is_ended = True
        events: list[AnswerEvent] = [] if self._is_started else [Start()]
        events += [*self._close(), *self._close_calls()]
        word = FOREIGN_REASONS.get(self._word, self._word)
        reason = STOP_REASONS.get(word, StopReason.END)
        return [*events, Stop(reason, self._word), End()]

    def _chunk(self, chunk: dict[str, Any]) -> Iterator[AnswerEvent]:
        rest = {
            key: value
            for key, value in chunk.items()
            if key not in ("choices", "usage") and self._base.get(key, _NOTHING) != value
        }
        self._base |= rest
        choices = dicts_in(chunk.get("choices"))
        if not self._is_started:
            if choices or self._base.get("id"):  # Azure: neither in the result of a filter
                self._is_started = True
                yield self._start()
            rest = {}
        choice_rest: dict[str, Any] = {}
        for choice in choices:
            if choice.get("index") in (None, 0):
                choice_rest |= yield from self._choice(choice)
            else:
                self._losses.add_in_answer(LossKind.ANSWER_CONTENT, "a second choice")
        if rest or choice_rest:
            yield OwnEvent(_C, "chunk", {"chunk": rest, "choice": choice_rest})
        usage = chunk.get("usage")
        for choice in choices:
            usage = usage or choice.get("usage")
        if isinstance(usage, dict):
            yield UsageCounts(USAGE_FORMAT.read({"usage": usage}), Own(_C, usage))

    def _start(self) -> Start:
        own = dict(self._base)
        answer_id, model = str(own.pop("id", "") or ""), str(own.pop("model", "") or "")
        return Start(answer_id, model, Own(_C, own) if own else None)

    def _choice(self, choice: dict[str, Any]) -> Generator[AnswerEvent, None, dict[str, Any]]:
        """Yield the events of a choice, and return what is left of it."""
        members = Members(choice)
        members.drop("index")
        delta = members.object("delta") or {}
        inner = Members(delta)
        if inner.peek("role") in ("assistant", None):
            inner.drop("role")
        if not _REASONING.isdisjoint(delta):
            yield from self._reasoning(inner)
        yield from self._content(inner)
        if not _OTHERS.isdisjoint(delta):
            yield from self._images(inner)
            yield from self._annotations(inner)
            for call in dicts_in(inner.list("tool_calls")):
                yield from self._call(call)
            legacy = inner.object(LEGACY_CALL)
            if legacy is not None:
                yield from self._legacy_call(legacy)
        reason = members.text("finish_reason")
        if reason:
            self._word = reason
        rest = _known(members)
        if delta_rest := _known(inner):
            rest["delta"] = delta_rest
        return rest

    # Text and reasoning

    def _part(self, kind: type[Part], part: Part) -> Iterator[AnswerEvent]:
        """Open a part unless one of its kind is open; end the open one of another kind."""
        if self._open is not None and self._open[1] is kind:
            return
        yield from self._close()
        yield from self._close_complete_calls()
        number = self._number()
        self._open = number, kind
        yield PartStart(number, part)

    def _number(self) -> int:
        self._next_number += 1
        return self._next_number - 1

    def _add(self, text: str) -> Iterator[AnswerEvent]:
        if self._open is not None and text:
            yield PartDelta(self._open[0], text)

    def _close(self) -> Iterator[AnswerEvent]:
        if self._open is None:
            return
        number, kind = self._open
        self._open = None
        if kind is Thinking:
            payload: dict[str, Any] = {"field": self._reasoning_key}
            if details := self._details.taken():
                payload["details"] = details
            yield PartState(number, State(self._origin, payload))
        yield PartEnd(number)

    def _reasoning(self, delta: Members) -> Iterator[AnswerEvent]:
        texts = {key: delta.text(key) for key in REASONING_KEYS}
        key = next((key for key, text in texts.items() if text), "")
        details = delta.list(DETAILS)
        if key or details:
            yield from self._part(Thinking, Thinking(own=Own(_C, {"field": key})))
            self._reasoning_key = key or self._reasoning_key
        if key:
            yield from self._add(texts[key])
        if details:
            self._details.add(details)
            if not key:
                yield from self._add(text_of(details))

    def _content(self, delta: Members) -> Iterator[AnswerEvent]:
        content = delta.peek("content")
        if isinstance(content, list):  # Mistral
            delta.drop("content")
            for part in dicts_in(content):
                yield from self._content_part(part)
        text = delta.text("content")
        if text:
            yield from self._part(Text, Text())
            yield from self._add(text)
        refusal = delta.text("refusal")
        if refusal:
            yield from self._part(Refusal, Refusal())
            yield from self._add(refusal)

    def _content_part(self, part: Mapping[str, Any]) -> Iterator[AnswerEvent]:
        if part.get("type") == "thinking":
            texts = [one.get("text") for one in dicts_in(part.get("thinking"))]
            yield from self._part(Thinking, Thinking())
            yield from self._add("".join(text for text in texts if isinstance(text, str)))
        elif isinstance(part.get("text"), str) and part["text"]:
            yield from self._part(Text, Text())
            yield from self._add(part["text"])

    def _images(self, delta: Members) -> Iterator[AnswerEvent]:
        """OpenRouter: images that the model made."""
        for image in dicts_in(delta.list("images")):
            members = Members(image)
            inner = members.object("image_url") or {}
            url = inner.get("url")
            yield from self._close()
            number = self._number()
            source = source_of_url(url if isinstance(url, str) else "")
            yield PartStart(number, Media(MediaKind.IMAGE, source, own=members.own(_C)))
            yield PartEnd(number)

    def _annotations(self, delta: Members) -> Iterator[AnswerEvent]:
        for annotation in dicts_in(delta.list("annotations")):
            inner = annotation.get("url_citation")
            fields = inner if isinstance(inner, dict) else {}
            url, title = str(fields.get("url") or ""), str(fields.get("title") or "")
            yield from self._part(Text, Text())
            assert self._open is not None
            yield PartCitation(self._open[0], Citation(url, title, own=Own(_C, annotation)))

    # Calls

    def _call(self, fragment: Mapping[str, Any]) -> Iterator[AnswerEvent]:
        members = Members(fragment)
        index = members.integer("index")
        call_id = members.text("id")
        kind = members.text("type")
        is_custom = kind == "custom" or "custom" in members
        key = "custom" if is_custom else "function"
        inner = Members(members.object(key) or {})
        name = inner.text("name")
        text = inner.peek("input" if is_custom else "arguments")
        if index is None:
            index = len(self._seen_calls) if call_id else max(self._seen_calls, default=0)
        if index not in self._seen_calls:
            self._seen_calls.add(index)
            call_kind = CallKind.CUSTOM if is_custom else CallKind.FUNCTION
            extra = members.object("extra_content")  # Google
            state = State(self._origin, {"extra_content": extra}) if extra else None
            own = members.own(_C)
            call = Call(call_id, name, kind=call_kind, state=state, own=own)
            yield from self._open_call(index, call)
        yield from self._arguments(index, text)

    def _legacy_call(self, call: Mapping[str, Any]) -> Iterator[AnswerEvent]:
        members = Members(call)
        name = members.text("name")
        if _LEGACY not in self._seen_calls:
            self._seen_calls.add(_LEGACY)
            own = Own(_C, {LEGACY_CALL: True})
            yield from self._open_call(_LEGACY, Call("", name, own=own))
        yield from self._arguments(_LEGACY, members.peek("arguments"))

    def _open_call(self, index: int, call: Call) -> Iterator[AnswerEvent]:
        yield from self._close()
        yield from self._close_complete_calls()
        number = self._number()
        self._calls[index] = _OpenCall(number)
        yield PartStart(number, call)

    def _arguments(self, index: int, text: Any) -> Iterator[AnswerEvent]:
        call = self._calls.get(index)
        if text is None or text == "" or call is None:
            return
        if not isinstance(text, str):
            text = json_value.write(text).decode()
        call.pieces.append(text)
        self._grown[index] = call
        yield PartDelta(call.number, text)

    def _close_complete_calls(self) -> Iterator[AnswerEvent]:
        """End the calls whose arguments are complete, before another part begins.

        Providers rarely interleave calls; so the next one need not wait for the end of the answer.
        """
        for index, call in sorted(self._grown.items(), key=lambda item: item[1].number):
            if call.is_complete():
                del self._calls[index]
                yield PartEnd(call.number)
        self._grown.clear()

    def _close_calls(self) -> Iterator[AnswerEvent]:
        for call in self._calls.values():
            yield PartEnd(call.number)
        self._calls.clear()
        self._grown.clear()


class _OpenCall:
    """A call whose arguments may continue."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pieces: list[str] = []
        self._checked = 0
        """The number of pieces when the arguments were last found incomplete."""

    def is_complete(self) -> bool:
        """Return whether the arguments are a JSON object, to which only white space can be added.

        They are parsed only if they end like one and have doubled since they were last parsed.
        """
        if not self.pieces or len(self.pieces) < 2 * self._checked:
            return False
        if not self.pieces[-1].rstrip().endswith("}"):
            return False
        self._checked = len(self.pieces)
        return json_value.parses("".join(self.pieces))


_NOTHING = object()


def _known(members: Members) -> dict[str, Any]:
    """Return the members that are left and are not null or empty text."""
    own = members.own(_C)
    fields = own.fields if own is not None else {}
    return {key: value for key, value in fields.items() if value is not None and value != ""}
