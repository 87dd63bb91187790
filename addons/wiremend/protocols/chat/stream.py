"""Mends a Chat Completions chunk stream, chunk by chunk.

What the rules are called and why they exist stands in chat_completions_rules.py.
"""

from dataclasses import dataclass
from typing import Any

from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.base.openai_errors import error_type
from wiremend.protocols.base.provider_error import (
    ProviderError,
    error_from,
    error_of_text,
    make_error,
)
from wiremend.protocols.base.repairer import Kind, Mended, StreamContext
from wiremend.protocols.chat import rules
from wiremend.protocols.chat.errors import error_event, error_in
from wiremend.protocols.chat.grammar import (
    CHUNK,
    CHUNK_KEYS,
    CONTENT_KEYS,
    DONE,
    WHOLE_REASONS,
    finish_reason_of,
    is_filter_result,
)
from wiremend.protocols.chat.rules import RULES
from wiremend.protocols.chat.tool_calls import ToolCalls, Unmendable
from wiremend.rules.rule import EventPlace, PlacedNotes, Rule, start_of
from wiremend.text import json_value, sse

__all__ = ["RULES", "ChatMender"]

Data = dict[str, Any]


@dataclass(slots=True, eq=False)
class _Choice:
    """What is known of one choice."""

    number: int
    calls: ToolCalls
    finish_reason: str | None = None
    calls_at_finish: int = 0
    has_content: bool = False

    @property
    def has_late_calls(self) -> bool:
        """Calls came after the finish reason that did not know of them."""
        return self.finish_reason == "stop" and self.calls.shown > self.calls_at_finish

    @property
    def is_complete(self) -> bool:
        """It has its finish reason, and no call that came after it is cut."""
        if self.finish_reason not in WHOLE_REASONS:
            return bool(self.finish_reason)
        return self.calls.are_whole


class ChatMender:
    """One attempt's stream; see `wiremend.protocols.base.repairer.Mender`."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._events = 0
        self._notes = PlacedNotes(context.disabled)
        self._changed = False
        self._choices: dict[int, _Choice] = {}
        self._last: Data = {}
        self._has_unread = False
        """Text came that is no JSON: it may have told of a failure."""
        self._verdict: Kind | None = None

    def __repr__(self) -> str:
        return f"ChatMender(event={self._events}, choices={list(self._choices)})"

    @property
    def complete(self) -> bool:
        """Every choice has its finish reason."""
        return bool(self._choices) and all(one.is_complete for one in self._choices.values())

    def decoder(self) -> sse.Decoder:
        """Server-sent events."""
        return sse.Decoder()

    def feed(self, event: sse.Event) -> Mended:
        """What one event becomes."""
        self._events += 1
        self._notes.enter(EventPlace(self._events))
        if event.data is None:
            is_late = self._verdict and self._notes.is_on(rules.AFTER_THE_END)
            return Mended(b"" if is_late else event.raw, Kind.IDLE)
        if self._verdict is not None:
            return self._dropped(rules.AFTER_THE_END, event, start_of(event.data))
        try:
            if event.data.strip() == DONE:
                return self._done(event)
            return self._feed_data(event, event.data)
        except Unmendable as unmendable:
            return self._failed(str(unmendable))

    def end(self) -> Mended:
        """The missing `[DONE]` where the answer is complete, else the protocol's error."""
        self._notes.enter(EventPlace(self._events))
        if self._verdict is Kind.TERMINAL:
            return Mended(b"", Kind.TERMINAL)
        if self.complete:
            self._verdict = Kind.TERMINAL
            added: list[bytes] = []
            for choice in self._choices.values():
                if choice.has_late_calls:
                    added += self._correct_reason(choice)
            if self._notes.note(rules.DONE_MISSING, "the end after the finish reason", "added"):
                added.append(sse.encode(DONE))
            return Mended(b"".join(added), Kind.TERMINAL, self._notes.findings)
        missing = "before its finish reason" if self._choices else "before its first chunk"
        return self._failed(f"The stream ended {missing}.")

    def fail(self, error: ProviderError) -> bytes:
        """The chunk that ends the stream in this error."""
        self._verdict = Kind.ERROR
        if not error.message.strip():
            said = f"The provider reported {error_type(error)} without a message."
            error = error.with_message(said)
        return error_event(error)

    # Reading an event

    def _feed_data(self, event: sse.Event, raw: bytes) -> Mended:
        try:
            chunk = json_value.read(raw)
        except ValueError:
            if event.type == "error":
                said = raw.decode("utf-8", "replace").strip()
                return self._reported(event, None, error_of_text(said))
            if raw.lstrip()[:1] not in (b"{", b"[", b'"'):
                self._has_unread |= bool(raw.strip())
                return self._foreign(event, raw)
            if not self._notes.note(rules.BROKEN_EVENT, start_of(raw), "ended in an error"):
                return Mended(event.raw, Kind.CONTENT)
            return self._failed("The provider sent a chunk that is not valid JSON.")
        is_chunk = isinstance(chunk, dict) and not chunk.keys().isdisjoint(CHUNK_KEYS)
        error = error_in(chunk)
        if error is None and event.type == "error" and not is_chunk:
            error = error_from(chunk if isinstance(chunk, dict) else {"message": chunk})
        if error is not None:
            return self._reported(event, chunk, error)
        return self._chunk(event, chunk) if is_chunk else self._foreign(event, raw)

    def _reported(self, event: sse.Event, chunk: Any, error: ProviderError) -> Mended:
        self._verdict = Kind.ERROR
        is_native = isinstance(chunk, dict) and _is_native_error(chunk)
        ending = event.raw if is_native else self.fail(error)
        return Mended(ending, Kind.ERROR, self._notes.findings, error)

    def _foreign(self, event: sse.Event, raw: bytes) -> Mended:
        return self._dropped(rules.FOREIGN_FRAME, event, start_of(raw) or "an empty frame")

    def _dropped(self, rule: Rule, event: sse.Event, found: str) -> Mended:
        kept = b"" if self._notes.note(rule, found, "dropped") else event.raw
        return Mended(kept, Kind.IDLE, self._notes.findings)

    def _chunk(self, event: sse.Event, chunk: Data) -> Mended:
        self._changed = False
        before: list[bytes] = []
        self._complete_chunk(chunk)
        for key in ("id", "object", "created", "model"):
            if chunk.get(key):  # Azure's first chunk has them, but empty
                self._last[key] = chunk[key]
        kind = Kind.IDLE
        for choice in _dicts(chunk.get("choices")):
            kind = _later(kind, self._choice(choice, before))
        if chunk.get("usage") and any(one.has_content for one in self._choices.values()):
            kind = Kind.CONTENT
        raw = self._written(event, chunk)
        return Mended(b"".join([*before, raw]), kind, self._notes.findings)

    def _written(self, event: sse.Event, chunk: Data) -> bytes:
        assert event.data is not None
        data = json_value.write(chunk) if self._changed else event.data
        data = with_model(data, ("model",), self._context.shown_model)
        return sse.with_data(event, data)

    def _complete_chunk(self, chunk: Data) -> None:
        filled: Data = {}
        choices = chunk.get("choices")
        if not isinstance(choices, list) or len(choices) != len(_dicts(choices)):
            filled["choices"] = _dicts(choices)
        if chunk.get("object") != CHUNK and not is_filter_result(chunk):
            filled["object"] = CHUNK
        created = chunk.get("created")
        if created is not None and (isinstance(created, bool) or not isinstance(created, int)):
            filled["created"] = _integer(created)
        is_null = "error" in chunk and not chunk["error"]
        if is_null and self._notes.note(rules.ERROR_NULL, repr(chunk["error"]), "removed"):
            del chunk["error"]
            self._changed = True
        if filled and self._notes.note(
            rules.CHUNK_INCOMPLETE, f"no {', '.join(filled)}", "filled in"
        ):
            chunk |= filled
            self._changed = True

    # A choice

    def _choice(self, data: Data, before: list[bytes]) -> Kind:
        number = data.get("index")
        if not isinstance(number, int) or isinstance(number, bool):
            number = 0
            if self._notes.note(rules.CHUNK_INCOMPLETE, "a choice without an index", "0"):
                data["index"] = 0
                self._changed = True
        choice = self._choices.get(number)
        if choice is None:
            calls = ToolCalls(self._notes, self._context.tool_names)
            choice = self._choices[number] = _Choice(number, calls)
        delta = self._delta_of(data)
        self._mend_role(delta)
        kind = Kind.CONTENT if any(delta.get(key) for key in CONTENT_KEYS) else Kind.PREAMBLE
        if isinstance(delta.get("tool_calls"), list) and delta["tool_calls"]:
            kind = Kind.CONTENT
            self._mend_calls(choice, delta)
        unknown = set(delta) - {"role", "tool_calls", *CONTENT_KEYS}
        if any(delta[key] not in (None, "", [], {}) for key in unknown):
            kind = Kind.CONTENT
        choice.calls.has_others |= isinstance(delta.get("function_call"), dict)
        choice.has_content |= kind is Kind.CONTENT
        if data.get("finish_reason") is not None and self._mend_finish(choice, data, before):
            kind = Kind.CONTENT
        return kind

    def _delta_of(self, data: Data) -> Data:
        delta = data.get("delta")
        if isinstance(delta, dict):
            return delta
        message = data.get("message")
        has_message = isinstance(message, dict)
        found = "a message in place of a delta" if has_message else "a choice without a delta"
        delta = message if isinstance(message, dict) else {}
        if self._notes.note(rules.CHUNK_INCOMPLETE, found, "filled in"):
            data["delta"] = delta
            if has_message:
                del data["message"]
            self._changed = True
        return delta

    def _mend_calls(self, choice: _Choice, delta: Data) -> None:
        shown, changed = choice.calls.mend(delta["tool_calls"], self._stream_id())
        if not changed:
            return
        self._changed = True
        if shown:
            delta["tool_calls"] = shown
        else:
            del delta["tool_calls"]

    def _stream_id(self) -> str:
        return f"{self._last.get('id')} {self._last.get('created')}"

    def _mend_role(self, delta: Data) -> None:
        role = delta.get("role")
        if role is None or role == "assistant":
            return
        if self._notes.note(rules.ROLE_EMPTY, repr(role), "assistant"):
            delta["role"] = "assistant"
            self._changed = True

    def _mend_finish(self, choice: _Choice, data: Data, before: list[bytes]) -> bool:
        """Put a finish reason right; False when the chunk does not finish its choice."""
        reason = data["finish_reason"]
        if not isinstance(reason, str) or not reason:
            if self._notes.note(rules.FINISH_REASON_EMPTY, repr(reason), "null"):
                data["finish_reason"] = None
                self._changed = True
            return False
        if choice.finish_reason is not None and not choice.has_late_calls:
            if self._notes.note(rules.FINISH_REASON_REPEATED, repr(reason), "null"):
                data["finish_reason"] = None
                self._changed = True
            return True
        known = finish_reason_of(reason)
        if known != reason and self._notes.note(
            rules.FINISH_REASON_FOREIGN, repr(reason), repr(known)
        ):
            reason = data["finish_reason"] = known
            self._changed = True
        choice.finish_reason = reason
        choice.calls_at_finish = choice.calls.shown
        if reason in WHOLE_REASONS:
            self._settle(choice, data, before)
        better = None
        if reason == "stop" and choice.calls:
            better = "tool_calls"
        elif reason == "tool_calls" and not (choice.calls or choice.calls.has_others):
            better = "stop"
        if better and self._notes.note(rules.FINISH_REASON_CONTRADICTS, repr(reason), repr(better)):
            choice.finish_reason = data["finish_reason"] = better
            self._changed = True
        return True

    def _settle(self, choice: _Choice, data: Data, before: list[bytes]) -> None:
        """Give the calls what they lack, in the finishing chunk itself or in chunks before it."""
        fragments = data["delta"].get("tool_calls") if isinstance(data.get("delta"), dict) else None
        if isinstance(fragments, list):
            self._changed |= choice.calls.fill_empty(fragments)
        lacking = self._settled(choice)
        if lacking and fragments:  # their numbers come before those of the calls that waited
            before.append(self._extra_chunk(choice, data["delta"], None))
            data["delta"] = {}
            self._changed = True
        before += lacking

    def _settled(self, choice: _Choice) -> list[bytes]:
        lacking = choice.calls.settle(self._stream_id())
        return [self._extra_chunk(choice, {"tool_calls": [one]}, None) for one in lacking]

    def _extra_chunk(self, choice: _Choice, delta: Data, reason: str | None) -> bytes:
        data = {"index": choice.number, "delta": delta, "finish_reason": reason}
        chunk = json_value.write({"object": CHUNK, **self._last, "choices": [data]})
        return sse.encode(with_model(chunk, ("model",), self._context.shown_model))

    # The end

    def _done(self, event: sse.Event) -> Mended:
        if not self._choices:
            return self._failed("The provider sent no content.")
        added: list[bytes] = []
        for choice in self._choices.values():
            if choice.finish_reason is None:
                if not (choice.has_content or choice.calls.has_others):
                    return self._failed("The provider sent no content.")
                if self._has_unread:
                    return self._failed("The provider sent text that is no chunk, and then ended.")
                added += self._finish_at_last(choice)
            elif choice.finish_reason in WHOLE_REASONS:
                added += self._settled(choice)
                if choice.has_late_calls:
                    added += self._correct_reason(choice)
        self._verdict = Kind.TERMINAL
        done = event.raw
        if event.data != DONE and self._notes.note(rules.DONE_MISSING, repr(event.data), "[DONE]"):
            done = sse.with_data(event, DONE)
        return Mended(b"".join([*added, done]), Kind.TERMINAL, self._notes.findings)

    def _finish_at_last(self, choice: _Choice) -> list[bytes]:
        reason = "tool_calls" if choice.calls or choice.calls.has_others else "stop"
        if not self._notes.note(rules.FINISH_REASON_MISSING, "[DONE] without one", repr(reason)):
            return []
        choice.finish_reason = reason
        return [*self._settled(choice), self._extra_chunk(choice, {}, reason)]

    def _correct_reason(self, choice: _Choice) -> list[bytes]:
        """A reason that was right when it came, before a late call."""
        if not self._notes.note(
            rules.FINISH_REASON_CONTRADICTS, "'stop', then a call", "'tool_calls'"
        ):
            return []
        choice.finish_reason = "tool_calls"
        return [self._extra_chunk(choice, {}, "tool_calls")]

    def _failed(self, message: str) -> Mended:
        error = make_error(status=502, type="server_error", message=message)
        return Mended(self.fail(error), Kind.ERROR, self._notes.findings, error)


def _is_native_error(chunk: Data) -> bool:
    """An SDK that takes every object with `choices` for a chunk would not see the error."""
    error = chunk.get("error")
    has_message = isinstance(error, dict) and bool(str(error.get("message") or "").strip())
    return has_message and "choices" not in chunk


def _later(kind: Kind, other: Kind) -> Kind:
    order = (Kind.IDLE, Kind.PREAMBLE, Kind.CONTENT)
    return max(kind, other, key=order.index)


def _integer(value: Any) -> int:
    try:
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return 0
    return number if -(2**63) <= number < 2**63 else 0


def _dicts(value: Any) -> list[Data]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
