"""The outer loop of every protocol's repairer.

It does what is the same in all event streams: it reads an event's data, recognises errors, the
`[DONE]` marker, keep-alives, text that is not JSON and events after the end, and it ends the
stream. A protocol supplies its grammar: `error_in`, `dispatch`, `complete`, `close` and
`error_event`, and overrides the other methods where its stream differs.

A rule that is disabled leaves its event as it came.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from wiremend.protocols.base.draft import ContentLost, Draft
from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.base.provider_error import ProviderError, error_of_text, make_error
from wiremend.protocols.base.repairer import Decoder, EventKind, Repaired, StreamContext
from wiremend.rules.rule import EventPlace, Rule, start_of
from wiremend.text import json_value, sse
from wiremend.text.json_edits import Path

DONE = b"[DONE]"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRules:
    """A protocol's rules for what this loop finds."""

    after_the_end: Rule
    foreign_frame: Rule
    broken_event: Rule
    done_marker: Rule
    empty_frame: Rule
    empty: tuple[bytes, ...] = ()
    """The data, without white space around it, that makes a frame empty."""
    keepalive_frame: Rule | None = None
    keepalives: frozenset[str] = frozenset()
    """The event types that gateways send as keep-alives."""
    event_line: Rule | None = None
    """Set where events have a type, which the `event:` line repeats."""
    type_missing: Rule | None = None
    notes_once: bool = False
    """Record late events and event lines only once in a stream."""


class EventRepairer(ABC):
    """One attempt's stream; implements `wiremend.protocols.base.repairer.Repairer`."""

    frames: ClassVar[FrameRules]
    error_type: ClassVar[str]
    """The type of the errors that end a stream whose content is lost."""
    event_name: ClassVar[str] = "an event"
    has_error_line: ClassVar[bool] = True
    """Data that is not JSON is an error's message in an `event: error`."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._draft = Draft(context.disabled)
        self._events = 0
        self._has_unread = False
        """Text came that is not JSON. It may have reported a failure."""
        self._ended: EventKind | None = None
        """TERMINAL or ERROR once the stream is over for the client."""
        self._error: ProviderError | None = None

    # What a protocol supplies

    @abstractmethod
    def error_in(self, event: sse.Event, value: Any, kind: str) -> ProviderError | None:
        """The error that an event of this type reports; None if it reports none."""

    @abstractmethod
    def dispatch(self, event: sse.Event, value: Any, kind: str) -> EventKind:
        """Write what an event that is not an error becomes, and return what it means.

        TERMINAL ends the stream. `kind` is empty where the event has no type. Raises ContentLost.
        """

    @property
    @abstractmethod
    def complete(self) -> bool:
        """The answer is whole: its stop reason came, and only the stream's end may be missing."""

    @abstractmethod
    def close(self) -> bool:
        """Upstream ended: write what is missing; return whether the stream is complete then.

        Raises ContentLost.
        """

    @abstractmethod
    def error_event(self, error: ProviderError) -> bytes:
        """The event that ends the stream in this error."""

    @property
    @abstractmethod
    def message_at_end(self) -> str:
        """The message of the error that ends a stream which upstream left incomplete."""

    def report_error(self, event: sse.Event, value: Any, kind: str, error: ProviderError) -> None:
        """Write the end of a stream whose provider reported an error in this event."""
        self._draft.out.append(self.error_event(error))

    def model_path(self, value: Any) -> Path | None:
        """The path of the model's name in an event's data; None where events have none."""
        return None

    def names_an_event(self, line: str) -> bool:
        """Whether an `event:` line can stand for a missing type."""
        return False

    def is_cut(self, event: sse.Event, text: bytes) -> bool:
        """Whether data that is not JSON is a broken event of this protocol."""
        return text[:1] in (b"{", b"[", b'"')

    def quote(self, data: bytes) -> str:
        """Data as findings show it."""
        return start_of(data) or "an empty frame"

    def framed(self, event: sse.Event) -> sse.Event:
        """An event in the framing that the client can read."""
        return event

    def pass_without_data(self, event: sse.Event) -> None:
        """Write an event without data."""
        self.put(event.raw)

    def pass_event(self, event: sse.Event) -> None:
        """Write an event as it came."""
        self.put(event.raw)

    def put(self, raw: bytes) -> None:
        """Write these bytes."""
        self._draft.out.append(raw)

    def read_done(self, event: sse.Event) -> EventKind:
        """What a `[DONE]` marker means."""
        return self.drop(self.frames.done_marker, event, "[DONE]")

    # The repairer's interface

    def decoder(self) -> Decoder:
        """A fresh decoder for the stream's framing."""
        return sse.Decoder()

    def feed(self, event: sse.Event) -> Repaired:
        """What one event becomes."""
        self._events += 1
        self._draft.enter(EventPlace(self._events))
        try:
            kind = self._read(event) if self._ended is None else self._drop_late(event)
        except ContentLost as lost:
            return self._end_in(self._error_of(lost))
        if kind is EventKind.TERMINAL:
            self._ended = kind
        return self._mended(kind)

    def end(self) -> Repaired:
        """Upstream closed after a whole event: TERMINAL with what was missing, or ERROR."""
        self._draft.enter(EventPlace(self._events))
        if self._ended is not None:
            return self._mended(self._ended)
        try:
            is_complete = self.close()
        except ContentLost as lost:
            return self._end_in(self._error_of(lost))
        if not is_complete:
            return self._end_in(self._error_of(ContentLost(self.message_at_end)))
        self._ended = EventKind.TERMINAL
        return self._mended(EventKind.TERMINAL)

    def fail(self, error: ProviderError) -> bytes:
        """The bytes that end the stream in this error; empty if it is complete already."""
        if self._ended is EventKind.TERMINAL:
            return b""
        self._draft.enter(EventPlace(self._events))
        return self._end_in(error).data

    # Reading an event

    def _read(self, event: sse.Event) -> EventKind:
        if event.data is None:
            self.pass_without_data(event)
            return EventKind.IDLE
        event = self.framed(event)
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
        kind = self._type_in(value)
        error = self.error_in(event, value, kind)
        if error is None and not kind and self._takes_type_from_line(event, value):
            kind = event.type
            error = self.error_in(event, value, kind)
        if error is not None:
            return self._report(event, value, kind, error)
        if kind in self.frames.keepalives:
            return self._replace_keepalive(event)
        return self.dispatch(event, value, kind)

    def read_text(self, event: sse.Event, text: bytes) -> EventKind:
        """What data that is not JSON means."""
        if self.has_error_line and event.type == "error":
            message = text.decode("utf-8", "replace").strip()
            return self._report(event, None, "", error_of_text(message))
        if self.is_cut(event, text):
            message = f"The provider sent {self.event_name} that is not valid JSON."
            self._draft.lose(self.frames.broken_event, self.quote(event.data or b""), message)
            self.pass_event(event)
            return EventKind.CONTENT
        self._has_unread |= text not in (b"", DONE)
        return self.foreign(event)

    def foreign(self, event: sse.Event, found: str = "") -> EventKind:
        """Drop an event that does not belong to the protocol."""
        found = found or self.quote(event.data or b"")
        return self.drop(self.frames.foreign_frame, event, found)

    def drop(self, rule: Rule, event: sse.Event, found: str) -> EventKind:
        """Drop an event, unless the rule is disabled."""
        if not self._draft.note(rule, found, "dropped"):
            self.pass_event(event)
        return EventKind.IDLE

    def _drop_late(self, event: sse.Event) -> EventKind:
        """Drop what follows the end. What has no data is dropped without a finding."""
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
        """The type in an event's data; empty without one that a client could read."""
        kind = value.get("type") if self.frames.event_line and isinstance(value, dict) else None
        return kind if isinstance(kind, str) and kind.isprintable() else ""

    def _takes_type_from_line(self, event: sse.Event, value: Any) -> bool:
        """Put the event line's type into data that has none, if it can stand for it."""
        rule = self.frames.type_missing
        if rule is None or not isinstance(value, dict) or not self.names_an_event(event.type):
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
        """The bytes of an event with this data: its own bytes where nothing differs.

        `kind` is the type that its `event:` line must have.
        """
        once = "" if self.frames.notes_once else None
        line = None
        if self.frames.event_line is not None and event.type != kind:
            found = f"event line {event.type!r}" if event.type else "no event line"
            if self._draft.note(self.frames.event_line, found, kind, once=once):
                line = kind
        return sse.with_data(event, self.text_of(event, value, changed=changed), line)

    def text_of(self, event: sse.Event, value: Any, *, changed: bool) -> bytes:
        """An event's data as JSON text, with the model's name as the client knows it.

        Only the name is replaced in data that is not `changed`.
        """
        text = json_value.write(value) if changed or event.data is None else event.data
        path = self.model_path(value)
        return text if path is None else with_model(text, path, self._context.shown_model)

    def _mended(self, kind: EventKind) -> Repaired:
        error = self._error if kind is EventKind.ERROR else None
        return Repaired(b"".join(self._draft.out), kind, self._draft.findings, error)

    def _end_in(self, error: ProviderError) -> Repaired:
        self._draft.out.append(self.error_event(error))
        self._ended, self._error = EventKind.ERROR, error
        return self._mended(EventKind.ERROR)

    def _error_of(self, lost: ContentLost) -> ProviderError:
        return make_error(status=lost.status, type=self.error_type, message=lost.message)
