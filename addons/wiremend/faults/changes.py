"""One class for each way to break the answer of a provider.

A change receives the provider's answer in parts and returns what is sent instead, in order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Protocol as Interface

from wiremend.engine.actions import Fields, Head
from wiremend.faults.event_edits import BodyEdit, CutToolJson, EventEdit, WrongIndex, rename_event
from wiremend.faults.fault import FaultKind, Moment, ProviderFault
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import make_error
from wiremend.text import sse
from wiremend.text.body_form import BodyForm, form_of
from wiremend.text.content_coding import Decoder, UndecodableBody, decoder_for

FOREVER = float("inf")
BODY_LIMIT_BYTES = 16 * 1024 * 1024
"""A JSON body that is longer is sent unchanged."""
TRAILERS: Fields = ((b"x-injected-trailer", b"wiremend"),)

_TYPE = b"content-type"
_LENGTH = b"content-length"
_CODING = b"content-encoding"
_JSON = b"application/json"


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """The head of the response."""

    head: Head


@dataclass(frozen=True, slots=True)
class AnswerData:
    """Bytes of the body."""

    data: bytes


@dataclass(frozen=True, slots=True)
class AnswerTrailers:
    """Fields after the body."""

    fields: Fields


@dataclass(frozen=True, slots=True)
class AnswerEnd:
    """The proper end of the body."""


@dataclass(frozen=True, slots=True)
class AnswerReset:
    """The connection is reset."""

    reason: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is sent for so many seconds; `FOREVER`: nothing more at all."""

    seconds: float


type Sent = AnswerHead | AnswerData | AnswerTrailers | AnswerEnd | AnswerReset
type Item = Sent | Pause

RESET = AnswerReset("connection reset by peer (injected fault)")


class Change(Interface):
    """Breaks one answer. A change without an effect returns what it receives."""

    is_applied: bool
    """Whether anything was changed so far."""
    missing: str
    """Why the answer could not be changed, if it was not."""

    def head(self, head: Head) -> list[Item]:
        """The head of the provider's answer arrived."""
        ...

    def body(self, data: bytes) -> list[Item]:
        """Bytes of the body arrived, with their content coding."""
        ...

    def end(self) -> list[Item]:
        """The body ended properly."""
        ...


class _Unchanged:
    """The base of changes: sends what it receives."""

    is_applied = False
    missing = "the answer ended before it"

    def head(self, head: Head) -> list[Item]:
        """The head of the provider's answer arrived."""
        return [AnswerHead(head)]

    def body(self, data: bytes) -> list[Item]:
        """Bytes of the body arrived."""
        return [AnswerData(data)]

    def end(self) -> list[Item]:
        """The body ended properly."""
        return [AnswerEnd()]


def local_answer(
    fault: ProviderFault, protocol: Protocol, *, streams: bool, in_array: bool
) -> list[Item] | None:
    """Return the whole answer of a fault that needs nothing of the provider's own; else None.

    `streams`: the client asked for events; `in_array`: Gemini's stream is one JSON array.
    """
    error = make_error(status=fault.status, message=fault.message)
    head = AnswerHead(_events_head() if streams and not in_array else _head(200, _JSON))
    match fault.kind:
        case FaultKind.HTTP_ERROR:
            wait = () if fault.retry_after is None else ((b"retry-after", _text(fault)),)
            return _whole(fault.status, protocol.error_body(error), _JSON, wait)
        case FaultKind.HTML_PAGE:
            return _whole(fault.status, _page(fault.status), b"text/html; charset=UTF-8")
        case FaultKind.WRAPPED_ERROR if not streams:
            return _whole(200, protocol.error_body(error), _JSON)
        case FaultKind.WRAPPED_ERROR if fault.after_events == 0 or in_array:
            data = protocol.error_body(error)
            return [head, AnswerData(b"[" + data + b"]" if in_array else sse.encode(data)), _END]
    if fault.kind in (FaultKind.RESET, FaultKind.STALL) and not fault.seconds:
        last = RESET if fault.kind is FaultKind.RESET else Pause(FOREVER)
        starts: dict[Moment, list[Item]] = {Moment.BEFORE_HEAD: [], Moment.AFTER_HEAD: [head]}
        if fault.at in starts:
            return [*starts[fault.at], last]
    return None


def change_for(fault: ProviderFault, protocol: Protocol) -> Change:
    """Return the change for a fault without a `local_answer`."""
    match fault.kind:
        case FaultKind.RESET:
            return CutShort(fault, [RESET])
        case FaultKind.STALL if fault.at is Moment.IN_EVENT:
            return CutShort(fault, [Pause(fault.seconds or FOREVER)], continues=fault.seconds > 0)
        case FaultKind.STALL:
            return Delay(fault)
        case FaultKind.WRAPPED_ERROR:
            error = make_error(status=fault.status, message=fault.message)
            event = AnswerData(sse.encode(protocol.error_body(error)))
            return CutShort(fault, [event, _END], in_event=False)
        case FaultKind.SLOW_DRIP:
            return SlowDrip(fault)
        case FaultKind.TRAILERS:
            return WithTrailers()
        case FaultKind.BAD_LABEL:
            return BadLabel(fault)
        case FaultKind.CUT_TOOL_JSON:
            cut = CutToolJson(protocol.name)
            return EditedEvents(cut.event, cut.body, cut.missing)
        case _:
            wrong = WrongIndex(protocol.name)
            return EditedEvents(wrong.event, wrong.body, wrong.missing)


_END = AnswerEnd()


class Delay(_Unchanged):
    """Pauses once, before or after the head."""

    def __init__(self, fault: ProviderFault) -> None:
        self._fault = fault

    def head(self, head: Head) -> list[Item]:
        """Return the head with a pause before or after it."""
        self.is_applied = True
        items: list[Item] = [Pause(self._fault.seconds), AnswerHead(head)]
        return items if self._fault.at is Moment.BEFORE_HEAD else items[::-1]


class SlowDrip(_Unchanged):
    """Sends the body in small pieces, with a pause before each."""

    missing = "the body is empty"

    def __init__(self, fault: ProviderFault) -> None:
        self._fault = fault

    def body(self, data: bytes) -> list[Item]:
        """Return the same bytes in pieces."""
        self.is_applied = True
        size = self._fault.piece_bytes
        pieces = [data[start : start + size] for start in range(0, len(data), size)]
        pause = Pause(self._fault.seconds)
        return list(chain.from_iterable((pause, AnswerData(piece)) for piece in pieces))


class WithTrailers(_Unchanged):
    """Adds trailers, which need a body in chunks."""

    def head(self, head: Head) -> list[Item]:
        """Return the head without the length of the body."""
        self.is_applied = True
        return [AnswerHead(head.without([_LENGTH]))]

    def end(self) -> list[Item]:
        """Return the trailers and the end."""
        return [AnswerTrailers(TRAILERS), _END]


class _Decoded(_Unchanged):
    """A change that needs to read the body: removes its content coding."""

    def __init__(self) -> None:
        self._decoder: Decoder | None = None
        self._is_unreadable = False

    def head(self, head: Head) -> list[Item]:
        """Return the head for a body without coding, whose length is not known."""
        try:
            self._decoder = decoder_for(head.get(_CODING))
        except UndecodableBody as reason:
            self._is_unreadable, self.missing = True, str(reason)
            return [AnswerHead(head)]
        return [AnswerHead(self.changed_head(head.without([_LENGTH, _CODING])))]

    def changed_head(self, head: Head) -> Head:
        """Return the head to send."""
        return head

    def body(self, data: bytes) -> list[Item]:
        """Decode the bytes; a body that cannot be decoded ends in a reset."""
        if self._is_unreadable:
            return [AnswerData(data)]
        try:
            plain = self._decoder.decode(data) if self._decoder is not None else data
        except UndecodableBody as reason:
            return [AnswerReset(f"the body cannot be decoded: {reason}")]
        return self.plain(plain) if plain else []

    def plain(self, data: bytes) -> list[Item]:
        """Bytes of the body arrived, without coding."""
        raise NotImplementedError


class CutShort(_Decoded):
    """Sends some whole events and a part of the next one, then something else.

    A body without events is sent up to the middle of its first part.
    """

    def __init__(
        self,
        fault: ProviderFault,
        last: list[Item],
        *,
        in_event: bool = True,
        continues: bool = False,
    ) -> None:
        super().__init__()
        self._left = fault.after_events
        self._last = last
        self._in_event = in_event
        self._continues = continues
        self._events = sse.Decoder()
        self._is_first = True
        self._has_events = True

    def plain(self, data: bytes) -> list[Item]:
        """Return what precedes the fault, and the fault when it is reached."""
        if self.is_applied:
            return [AnswerData(data)] if self._continues else []
        if self._is_first:
            self._is_first = False
            self._has_events = form_of(data) in (BodyForm.EVENTS, BodyForm.UNKNOWN)
        if not self._has_events:
            return self._cut(data, b"")
        items: list[Item] = []
        events = self._events.feed(data)
        for index, event in enumerate(events):
            if self._left <= 0 and event.data is not None:
                rest = b"".join(later.raw for later in events[index + 1 :]) + self._pending()
                return [*items, *self._cut(event.raw, rest)]
            self._left -= event.data is not None
            items.append(AnswerData(event.raw))
        return items

    def _pending(self) -> bytes:
        return b"".join(event.raw for event in self._events.end())

    def _cut(self, raw: bytes, rest: bytes) -> list[Item]:
        self.is_applied = True
        half = raw[: len(raw) // 2] if self._in_event else b""
        items: list[Item] = [AnswerData(half)] if half else []
        items += self._last
        if self._continues:
            items.append(AnswerData(raw[len(half) :] + rest))
        return items

    def end(self) -> list[Item]:
        """Return the end; the rest of the events if the fault was not reached."""
        if self.is_applied:
            return [_END] if self._continues else []
        rest = self._pending()
        return [*([AnswerData(rest)] if rest else []), _END]


class EditedEvents(_Decoded):
    """Edits each event, or a JSON body as a whole."""

    def __init__(self, event: EventEdit, body: BodyEdit, missing: str) -> None:
        super().__init__()
        self.missing = missing
        self._edit_event = event
        self._edit_body = body
        self._events: sse.Decoder | None = None
        self._whole = bytearray()
        self._is_passing = False
        """Whether the body is neither events nor JSON, or is too long."""

    def plain(self, data: bytes) -> list[Item]:
        """Return the events that are complete; a JSON body is collected."""
        if self._is_passing:
            return [AnswerData(data)]
        if self._events is None:
            self._whole += data
            form = form_of(bytes(self._whole[:64]))
            if form is BodyForm.EVENTS:
                self._events, data = sse.Decoder(), bytes(self._whole)
                self._whole.clear()
            elif form is BodyForm.OTHER or len(self._whole) > BODY_LIMIT_BYTES:
                self._is_passing, data = True, bytes(self._whole)
                self._whole.clear()
                return [AnswerData(data)]
            else:
                return []
        return self._edited(self._events.feed(data))

    def _edited(self, events: list[sse.Event]) -> list[Item]:
        items: list[Item] = []
        for event in events:
            raw = self._edit_event(event) if event.data is not None else event.raw
            self.is_applied |= raw != event.raw
            if raw:
                items.append(AnswerData(raw))
        return items

    def end(self) -> list[Item]:
        """Return the rest of the events, or the edited body, and the end."""
        if self._events is not None:
            return [*self._edited(self._events.end()), _END]
        body = bytes(self._whole)
        if not body:
            return [_END]
        edited = self._edit_body(body)
        self.is_applied |= edited != body
        return [AnswerData(edited), _END]


class BadLabel(EditedEvents):
    """Changes the content type, the names of events, or both."""

    def __init__(self, fault: ProviderFault) -> None:
        edit: Callable[[sse.Event], bytes] = _raw_of
        if fault.event_names != "keep":
            edit = lambda event: rename_event(event, drop=fault.event_names == "drop")  # noqa: E731
        super().__init__(edit, bytes, "the answer has no named event")
        self._label = fault.content_type
        if fault.event_names == "keep" and self._label is None:
            self._label = "text/plain; charset=utf-8"

    def changed_head(self, head: Head) -> Head:
        """Return the head with another content type, or without one."""
        if self._label is None:
            return head
        self.is_applied = True
        fields = head.without([_TYPE]).fields
        if self._label:
            fields = (*fields, (_TYPE, self._label.encode("latin-1", "replace")))
        return Head(head.status, fields)


def _raw_of(event: sse.Event) -> bytes:
    return event.raw


def _whole(status: int, body: bytes, label: bytes, more: Fields = ()) -> list[Item]:
    length = (_LENGTH, b"%d" % len(body))
    head = _head(status, label)
    return [
        AnswerHead(Head(head.status, (*head.fields, length, *more))),
        AnswerData(body),
        _END,
    ]


def _head(status: int, label: bytes) -> Head:
    return Head(status, ((_TYPE, label),))


def _events_head() -> Head:
    return _head(200, b"text/event-stream; charset=utf-8")


def _text(fault: ProviderFault) -> bytes:
    return b"%g" % (fault.retry_after or 0.0)


def _page(status: int) -> bytes:
    title = f"api | {status}: A timeout occurred (injected fault)"
    return (
        f"<!DOCTYPE html>\n<html><head><title>{title}</title></head>"
        f"<body><h1>Error {status}</h1></body></html>\n"
    ).encode()
