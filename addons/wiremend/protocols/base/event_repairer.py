"""The outer loop of every protocol's repairer.

The loop parses the data of an event, handles errors, the `[DONE]` marker, keep-alives, text that
is not JSON and events after the end, and ends the stream. A protocol implements the abstract
methods, and overrides others where its streams differ.

A disabled rule leaves its event unchanged.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.base.provider_error import ProviderError, error_of_text, own_error
from wiremend.protocols.base.repairer import Decoder, EventKind, Repaired, Repeatable, StreamContext
from wiremend.rules.rule import Rule, start_of
from wiremend.text import json_value, sse
from wiremend.text.json_edits import Path

DONE = b"[DONE]"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRules:
    """The rules of a protocol that this loop applies."""

    after_the_end: Rule
    foreign_frame: Rule
    broken_event: Rule
    done_marker: Rule
    empty_frame: Rule
    empty: tuple[bytes, ...] = ()
    """Data that makes a frame empty, without surrounding white space."""
    keepalive_frame: Rule | None = None
    keepalives: frozenset[str] = frozenset()
    """The event types that gateways send as keep-alives."""
    event_line: Rule | None = None
    """Set if events have a type that the `event:` line repeats."""
    type_missing: Rule | None = None
    notes_once: bool = False
    """Record late events and event lines only once in a stream."""


class EventRepairer(ABC):
    """Repairs the stream of one attempt; implements `wiremend.protocols.base.repairer.Repairer`."""

    frames: ClassVar[FrameRules]
    error_type: ClassVar[str]
    """The error type for a stream whose content is lost."""
    event_name: ClassVar[str] = "an event"
    has_error_line: ClassVar[bool] = True
    """Data that is not JSON is an error's message in an `event: error`."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._draft = Draft(context.disabled)
        self._events = 0
        self._has_unread = False
        """Text that is not JSON was dropped; it may have reported a failure."""
        self._last: Any = None
        """The data of the last event."""
        self._ended: EventKind | None = None
        """TERMINAL or ERROR once the stream has ended for the client."""
        self._error: ProviderError | None = None
        self.delta: Repeatable | None = None
        """The delta that was fed last, if it may be repeated."""

    # What a protocol supplies

    @abstractmethod
    def error_in(self, event: sse.Event, value: Any, kind: str) -> ProviderError | None:
        """Return the error that an event of this type reports, or None."""

    @abstractmethod
    def dispatch(self, event: sse.Event, value: Any, kind: str) -> EventKind:
        """Repair and write an event that is not an error; return its kind.

        TERMINAL ends the stream. `kind` is empty if the event has no type. Raises ContentLost.
        """

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether the response is complete, except perhaps for the terminal event."""

    @abstractmethod
    def close(self) -> bool:
        """Complete a stream that upstream ended; return whether it is complete now.

        Raises ContentLost.
        """

    @abstractmethod
    def error_event(self, error: ProviderError) -> bytes:
        """Return the event that ends the stream in this error."""

    @property
    @abstractmethod
    def message_at_end(self) -> str:
        """The error message for a stream that upstream left incomplete."""

    def report_error(self, event: sse.Event, value: Any, kind: str, error: ProviderError) -> None:
        """Write the error that the provider reported in this event."""
        self._draft.out.append(self.error_event(error))

    def model_path(self, value: Any) -> Path | None:
        """Return the path of the model name in the data of an event; None if it has none."""
        return None

    def is_event_type(self, line: str) -> bool:
        """Return whether an `event:` line may replace a missing type."""
        return False

    def is_cut(self, event: sse.Event, text: bytes) -> bool:
        """Return whether data that is not JSON is a truncated event of this protocol."""
        return text[:1] in (b"{", b"[", b'"')

    def quote(self, data: bytes) -> str:
        """Return the excerpt of the data that findings contain."""
        return start_of(data) or "an empty frame"

    def reframe(self, event: sse.Event) -> sse.Event:
        """Return the event in the framing that the client can read."""
        return event

    def pass_without_data(self, event: sse.Event) -> None:
        """Write an event without data."""
        self.put(event.raw)

    def pass_event(self, event: sse.Event) -> None:
        """Write an event unchanged."""
        self.put(event.raw)

    def put(self, raw: bytes) -> None:
        """Write these bytes."""
        self._draft.out.append(raw)

    def unwrap(self, event: sse.Event, value: Any) -> Any:
        """Return the parsed data of an event, without an envelope around it."""
        return value

    @property
    def may_break_off(self) -> bool:
        """Whether the response may be complete if the connection breaks here; `close` decides."""
        return True

    @property
    def holds_back(self) -> bool:
        """Whether bytes are held back until the next event."""
        return False

    def flush(self) -> None:  # noqa: B027 - most protocols hold nothing back
        """Write what is held back. Raises ContentLost."""

    def read_done(self, event: sse.Event) -> EventKind:
        """Repair a `[DONE]` marker; return its kind."""
        return self.drop(self.frames.done_marker, event, "[DONE]")

    def pass_valid(self, event: sse.Event, value: dict[str, Any]) -> EventKind | None:
        """Take a usual event to which no rule applies, and return its kind; else return None.

        The event is forwarded unchanged and at once; it does not end the stream. `value` is its
        data. With None, nothing changed: the event is repaired. `delta` is set if it may be
        repeated.
        """
        return None

    def known_type(self, value: Any) -> str:
        """Return the type in data that needs no `unwrap` and reports no error; empty for others."""
        return ""

    # The repairer's interface

    def decoder(self) -> Decoder:
        """Create a decoder for the framing of the stream."""
        return sse.Decoder()

    def feed(self, event: sse.Event) -> Repaired:
        """Repair one event."""
        self._events += 1
        self._last = self.delta = value = None
        data = event.data
        if self._ended is None and data is not None and data.startswith(b"{"):
            try:
                value = json_value.read(data)
            except ValueError:
                kind = None
            else:
                kind = self.pass_valid(event, value)
            if kind is not None:
                return Repaired(event.raw, kind, [], None, None, value)
        self._draft.enter(self._events)
        try:
            kind = self._read(event, value) if self._ended is None else self._drop_late(event)
        except ContentLost as lost:
            return self._end_in(self._error_of(lost))
        if kind is EventKind.TERMINAL:
            self._ended = kind
        repaired = self._result(kind)
        if repaired.data is event.raw:
            repaired.value = self._last
        return repaired

    def skip(self, events: int) -> None:
        """Count deltas that are not fed."""
        self._events += events

    def release(self) -> Repaired:
        """Write what is held back although no further event came."""
        self._draft.enter(self._events)
        if self._ended is None:
            try:
                self.flush()
            except ContentLost as lost:
                return self._end_in(self._error_of(lost))
        return self._result(EventKind.CONTENT)

    def note_fragment(self, fragment: bytes) -> None:  # noqa: B027 - see its docstring
        """Take the bytes of an event that the end of the stream cut; most protocols need none."""

    def end(self) -> Repaired:
        """End the stream after upstream closed: TERMINAL, or ERROR if it is incomplete."""
        self._draft.enter(self._events)
        if self._ended is not None:
            return self._result(self._ended)
        try:
            is_complete = self.close()
        except ContentLost as lost:
            return self._end_in(self._error_of(lost))
        if not is_complete:
            return self._end_in(self._error_of(ContentLost(self.message_at_end)))
        self._ended = EventKind.TERMINAL
        return self._result(EventKind.TERMINAL)

    def fail(self, error: ProviderError) -> bytes:
        """Return the bytes that end the stream in this error; empty if it is complete."""
        if self._ended is EventKind.TERMINAL:
            return b""
        self._draft.enter(self._events)
        return self._end_in(error).data

    # Reading an event

    def _read(self, event: sse.Event, value: Any = None) -> EventKind:
        """Repair an event. `value` is its data; None if that is not known."""
        if event.data is None:
            self.pass_without_data(event)
            return EventKind.IDLE
        received, event = event, self.reframe(event)
        if value is not None and event.data is received.data and (kind := self.known_type(value)):
            self._last = value
            return self.dispatch(event, value, kind)
        data = event.data or b""
        text = data.strip()
        if text in self.frames.empty:
            return self.drop(self.frames.empty_frame, event, "no data")
        if text == DONE:
            return self.read_done(event)
        try:
            value = json_value.read(data)
        except ValueError:
            return self.read_text(event, text)
        value = self.unwrap(event, value)
        kind = self._type_in(value)
        error = self.error_in(event, value, kind)
        if error is None and not kind and self._take_type_from_line(event, value):
            kind = event.type
            error = self.error_in(event, value, kind)
        if error is not None:
            return self._report(event, value, kind, error)
        if kind in self.frames.keepalives:
            return self._replace_keepalive(event)
        self._last = value
        return self.dispatch(event, value, kind)

    def read_text(self, event: sse.Event, text: bytes) -> EventKind:
        """Handle data that is not JSON; return the kind of the event."""
        if self.has_error_line and event.type == "error":
            message = text.decode("utf-8", "replace").strip()
            return self._report(event, None, "", error_of_text(message))
        if self.is_cut(event, text):
            message = f"The provider sent {self.event_name} that is not valid JSON."
            self._draft.lose(self.frames.broken_event, self.quote(event.data or b""), message)
            self.pass_event(event)
            return EventKind.CONTENT
        self._has_unread |= text not in (b"", DONE)
        return self.drop_foreign(event)

    def drop_foreign(self, event: sse.Event, found: str = "") -> EventKind:
        """Drop an event that does not belong to the protocol."""
        found = found or self.quote(event.data or b"")
        return self.drop(self.frames.foreign_frame, event, found)

    def drop(self, rule: Rule, event: sse.Event, found: str) -> EventKind:
        """Drop an event, unless the rule is disabled."""
        if not self._draft.note(rule, found, "dropped"):
            self.pass_event(event)
        return EventKind.IDLE

    def _drop_late(self, event: sse.Event) -> EventKind:
        """Drop an event after the end; without a finding if it has no data."""
        rule = self.frames.after_the_end
        once = "" if self.frames.notes_once else None
        if event.data is None:
            is_on = self._draft.is_on(rule)
        else:
            is_on = self._draft.note(rule, self.quote(event.data), "dropped", once=once)
        if not is_on:
            self._draft.out.append(event.raw)
        return EventKind.IDLE

    def _replace_keepalive(self, event: sse.Event) -> EventKind:
        rule = self.frames.keepalive_frame
        if rule is not None and self._draft.note(
            rule, self.quote(event.data or b""), "a blank line"
        ):
            self.put(b"\n")
        else:
            self.pass_event(event)
        return EventKind.IDLE

    def _type_in(self, value: Any) -> str:
        """Return the type in the data of an event; empty if it has none that clients can read."""
        kind = value.get("type") if self.frames.event_line and isinstance(value, dict) else None
        return kind if isinstance(kind, str) and kind.isprintable() else ""

    def _take_type_from_line(self, event: sse.Event, value: Any) -> bool:
        """Copy the type of the `event:` line into data without one; return whether it did."""
        rule = self.frames.type_missing
        if rule is None or not isinstance(value, dict) or not self.is_event_type(event.type):
            return False
        self._draft.change(rule, "data without a type", event.type)
        value["type"] = event.type
        return True

    def _report(self, event: sse.Event, value: Any, kind: str, error: ProviderError) -> EventKind:
        self.report_error(event, value, kind, error)
        self._ended, self._error = EventKind.ERROR, error
        return EventKind.ERROR

    # Writing

    def send(self, event: sse.Event, value: Any, kind: str, *, changed: bool) -> bytes:
        """Return the bytes of an event with this data: its own bytes if nothing differs.

        `kind` is the required type on its `event:` line.
        """
        once = "" if self.frames.notes_once else None
        line = None
        if self.frames.event_line is not None and event.type != kind:
            found = f"event line {event.type!r}" if event.type else "no event line"
            if self._draft.note(self.frames.event_line, found, kind, once=once):
                line = kind
        return sse.with_data(event, self.text_of(event, value, changed=changed), line)

    def text_of(self, event: sse.Event, value: Any, *, changed: bool) -> bytes:
        """Return the data of an event as JSON text with the model name for the client.

        Unless `changed`, only the model name is replaced.
        """
        text = json_value.write(value) if changed or event.data is None else event.data
        path = self.model_path(value)
        return text if path is None else with_model(text, path, self._context.shown_model)

    def _result(self, kind: EventKind) -> Repaired:
        error = self._error if kind is EventKind.ERROR else None
        out = self._draft.out
        data = out[0] if len(out) == 1 else b"".join(out)
        return Repaired(data, kind, self._draft.findings, error)

    def _end_in(self, error: ProviderError) -> Repaired:
        self._draft.out.append(self.error_event(error))
        self._ended, self._error = EventKind.ERROR, error
        return self._result(EventKind.ERROR)

    def _error_of(self, lost: ContentLost) -> ProviderError:
        return own_error(lost.message, status=lost.status, type=self.error_type)
