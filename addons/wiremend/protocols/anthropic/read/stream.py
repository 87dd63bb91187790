"""A Messages event stream as events of the middle form."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.anthropic.grammar import FOREIGN_REASONS, STREAM_EVENTS
from wiremend.protocols.anthropic.read.blocks import read_block, read_citation
from wiremend.protocols.anthropic.signed_text import DIGEST, TextDigest
from wiremend.protocols.anthropic.usage import USAGE_FORMAT
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
from wiremend.protocols.base.middle.content import Call, Own, Part, ServerCall, Thinking
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.middle.state import State
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import error_from, own_error
from wiremend.text import json_value, sse

_A = WireProtocol.ANTHROPIC_MESSAGES
CUT = own_error("The stream ended before the answer was complete.")
UNREADABLE = own_error("An event of the stream could not be read.")
STOP_REASONS: Mapping[str, StopReason] = {
    "end_turn": StopReason.END,
    "tool_use": StopReason.CALLS,
    "max_tokens": StopReason.LIMIT,
    "model_context_window_exceeded": StopReason.WINDOW,
    "stop_sequence": StopReason.STOP_STRING,
    "refusal": StopReason.REFUSED,
    "pause_turn": StopReason.PAUSED,
}
_DELTA_TEXTS: Mapping[str, str] = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "input_json_delta": "partial_json",
}


class AnthropicReader:
    """Reads one repaired stream."""

    def __init__(self, context: AnswerContext, _: Losses) -> None:
        self._origin = context.origin
        self._open: tuple[int, Part] | None = None
        self._digest = TextDigest()
        self._next_number = 0
        self._is_ended = False

    def feed(self, event: sse.Event) -> list[AnswerEvent]:
        """Return what one event contains."""
        if event.data is None or self._is_ended:
            return []
        try:
            data = json_value.read(event.data)
        except ValueError:
            return self._end(Failure(UNREADABLE))
        if event.is_part or not isinstance(data, dict):
            return self._end(Failure(UNREADABLE))
        return self.read(data)

    def takes_alike(self, number: int) -> bool:
        """Return whether more text of a part is read without any change of state."""
        if self._is_ended or self._open is None:
            return False
        return self._open[0] == number and not isinstance(self._open[1], Thinking)

    def end(self) -> list[AnswerEvent]:
        """Return a failure if the stream had no terminal event."""
        return [] if self._is_ended else self._end(Failure(CUT))

    def read(self, data: dict[str, Any]) -> list[AnswerEvent]:
        """Return what an event with this data contains."""
        if self._is_ended:
            return []
        match data.get("type"):
            case "message_start":
                return self._message_start(data)
            case "content_block_start":
                return self._block_start(data.get("content_block"))
            case "content_block_delta":
                return self._delta(data.get("delta"))
            case "content_block_stop":
                return self._close()
            case "message_delta":
                return [*self._close(), *_message_delta(data)]
            case "message_stop":
                return self._end(End())
            case "error":
                error = data.get("error")
                return self._end(Failure(error_from(error if isinstance(error, dict) else {})))
            case "ping":
                return []
            case kind if kind not in STREAM_EVENTS:
                return [OwnEvent(_A, str(kind), data)]
            case _:
                return []

    def _message_start(self, data: Mapping[str, Any]) -> list[AnswerEvent]:
        message = data.get("message")
        members = Members(message if isinstance(message, dict) else {})
        for key in ("type", "role", "stop_sequence"):
            members.drop(key)
        message_id, model = members.text("id"), members.text("model")
        usage = members.object("usage")
        content = members.drop("content")
        reason = members.text("stop_reason")
        if not reason:
            members.drop("stop_reason")
        events: list[AnswerEvent] = [Start(message_id, model, members.own(_A))]
        if usage:
            events.append(_usage_counts(usage))
        for block in content if isinstance(content, list) else ():
            events += [*self._block_start(block), *self._close()]
        if reason:
            events.append(Stop(reason_of(reason), reason))
        return events

    def _block_start(self, block: Any) -> list[AnswerEvent]:
        if not isinstance(block, dict):
            return []
        events = self._close()
        number = self._next_number
        self._next_number += 1
        part = read_block(block)
        self._digest = TextDigest()
        if isinstance(part, Thinking) and part.state is not None:
            state = State(self._origin, part.state.payload)
            part = Thinking(part.text, state, own=part.own)
        arguments = ""
        if isinstance(part, Call | ServerCall) and part.arguments:
            arguments = "" if part.arguments == "{}" else part.arguments
            part = _without_arguments(part)
        self._open = number, part
        events.append(PartStart(number, part))
        if arguments:
            events.append(PartDelta(number, arguments))
        return events

    def _delta(self, delta: Any) -> list[AnswerEvent]:
        if self._open is None or not isinstance(delta, dict):
            return []
        number, _ = self._open
        kind = delta.get("type")
        if isinstance(kind, str) and kind in _DELTA_TEXTS:
            text = delta.get(_DELTA_TEXTS[kind])
            if not isinstance(text, str) or not text:
                return []
            if kind == "thinking_delta":
                self._digest.add(text)
            return [PartDelta(number, text)]
        if kind == "signature_delta":
            payload = {"signature": delta.get("signature"), DIGEST: self._digest.value}
            return [PartState(number, State(self._origin, payload))]
        if kind == "citations_delta" and isinstance(delta.get("citation"), dict):
            return [PartCitation(number, read_citation(delta["citation"]))]
        return []

    def _close(self) -> list[AnswerEvent]:
        if self._open is None:
            return []
        number, _ = self._open
        self._open = None
        return [PartEnd(number)]

    def _end(self, event: End | Failure) -> list[AnswerEvent]:
        self._is_ended = True
        return [*self._close(), event] if isinstance(event, End) else [event]


def reason_of(word: str) -> StopReason:
    """Return the meaning of a stop reason; an unknown one is an ordinary end."""
    return STOP_REASONS.get(FOREIGN_REASONS.get(word, word), StopReason.END)


def _without_arguments(part: Call | ServerCall) -> Call | ServerCall:
    if isinstance(part, Call):
        return Call(part.id, part.name, own=part.own)
    return ServerCall(part.id, part.name, own=part.own)


def _message_delta(data: Mapping[str, Any]) -> list[AnswerEvent]:
    delta, usage = data.get("delta"), data.get("usage")
    members = Members(delta if isinstance(delta, dict) else {})
    word, stop_string = members.text("stop_reason"), members.text("stop_sequence")
    if members.peek("stop_sequence") is None:
        members.drop("stop_sequence")
    events: list[AnswerEvent] = []
    if word:
        events.append(Stop(reason_of(word), word, stop_string or None, members.own(_A)))
    if isinstance(usage, dict):
        events.append(_usage_counts(usage))
    return events


def _usage_counts(usage: Mapping[str, Any]) -> UsageCounts:
    return UsageCounts(USAGE_FORMAT.read({"usage": usage}), Own(_A, usage))
