"""Incremental, lossless decoder of a streamed JSON array: Gemini's stream without `alt=sse`.

Two more decoders read one framing as if it were the other; they are not lossless.

Like `wiremend.text.sse` it is lossless: the `raw` bytes of all events, joined, are the input.
The `raw` of an element begins with the bracket, comma and white space before it; its `data` is the
element alone. The closing bracket is an event without data, as are any bytes after it.
Elements are delimited. Neither they nor the punctuation between them are validated.
"""

import re

from wiremend.text import sse
from wiremend.text.sse import EVENT_LIMIT_BYTES, Event

_BEFORE_ARRAY = re.compile(rb"[ \t\r\n,]*+\[?+")
_BETWEEN = re.compile(rb"[ \t\r\n,]*+")
_NEXT_MARK = re.compile(rb'["{}\[\]]')
_STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_SCALAR_END = re.compile(rb"[ \t\r\n,\]]")
_QUOTE, _OPENING, _ARRAY_END = ord('"'), frozenset(b"{["), ord("]")


def with_data(event: Event, data: bytes) -> bytes:
    """Return the event's bytes with its element replaced; the bytes before it are kept."""
    return event.raw[: len(event.raw) - len(event.data or b"")] + data


class ArrayDecoder:
    """Decodes an array in chunks of any size into its elements, each as soon as it is complete."""

    def __init__(self, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._position = 0  # everything before it has been scanned
        self._is_open = False
        self._is_closed = False
        self._begin_element()

    def _begin_element(self) -> None:
        self._start: int | None = None
        self._is_large = False
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the elements that `data` completes, in order, and the parts of a large one."""
        self._buffer += data
        events: list[Event] = []
        while self._position < len(self._buffer) and not self._is_closed:
            previous = self._position
            if self._start is None:
                self._find_start(events)
            elif self._find_end():
                start, is_large = self._start, self._is_large
                raw = self._take(self._position)
                data_bytes = None if is_large else raw[start:]
                events.append(Event(raw=raw, data=data_bytes, is_part=is_large))
            elif self._position == previous:
                break  # the chunk ends inside an escape sequence
        if self._is_closed and self._buffer:
            events.append(Event(raw=self._take(len(self._buffer))))
        if len(self._buffer) > self._limit_bytes or (self._is_large and self._buffer):
            self._take_part(events)
        return events

    def end(self) -> list[Event]:
        """Return the unfinished rest: at most one event, with the fragment as its data."""
        start, is_large = self._start, self._is_large
        raw = self._take(len(self._buffer))
        if not raw:
            return []
        if is_large:
            return [Event(raw, complete=False, is_part=True)]
        data = raw[start:] if start is not None else b""
        return [Event(raw=raw, data=data if raw.strip() else None, complete=False)]

    def _find_start(self, events: list[Event]) -> None:
        """Advance between elements: past punctuation, to the next element or the array's end."""
        was_open = self._is_open
        match = (_BETWEEN if was_open else _BEFORE_ARRAY).match(self._buffer, self._position)
        assert match is not None  # both patterns match the empty string
        self._position = match.end()
        self._is_open = was_open or match[0].endswith(b"[")
        if self._position == len(self._buffer) or self._is_open != was_open:
            return
        if self._buffer[self._position] == _ARRAY_END:
            self._is_closed = True
            events.append(Event(raw=self._take(self._position + 1)))
        else:
            self._is_open = True
            self._start = self._position

    def _find_end(self) -> bool:
        """Advance inside an element; return True at its end."""
        if self._in_string:
            return self._leave_string()
        assert self._start is not None
        if self._depth == 0 and self._buffer[self._start] not in b'"{[':
            return self._leave_scalar()
        match = _NEXT_MARK.search(self._buffer, self._position)
        if match is None:
            self._position = len(self._buffer)
            return False
        self._position = match.end()
        mark = self._buffer[match.start()]
        if mark == _QUOTE:
            self._in_string = True
        elif mark in _OPENING:
            self._depth += 1
        else:
            self._depth -= 1
            return self._depth == 0
        return False

    def _leave_string(self) -> bool:
        match = _STRING_REST.match(self._buffer, self._position)
        assert match is not None  # the pattern matches the empty string
        self._position = match.end()
        if self._position == len(self._buffer) or self._buffer[self._position] != _QUOTE:
            return False
        self._position += 1
        self._in_string = False
        return self._depth == 0

    def _leave_scalar(self) -> bool:
        match = _SCALAR_END.search(self._buffer, self._position)
        self._position = match.start() if match else len(self._buffer)
        return match is not None

    def _take_part(self, events: list[Event]) -> None:
        """Move what was read of a large element to `events`; of white space, do the same."""
        raw = bytes(self._buffer[: self._position])
        del self._buffer[: self._position]
        self._position = 0
        if self._start is None:
            events.append(Event(raw))
        elif raw:
            self._start, self._is_large = 0, True
            events.append(Event(raw, complete=False, is_part=True))

    def _take(self, end: int) -> bytes:
        raw = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._position = 0
        self._begin_element()
        return raw


class ElementsAsEvents:
    """Decodes an array whose reader expects server-sent events: each element becomes one."""

    def __init__(self) -> None:
        self._decoder = ArrayDecoder()

    def feed(self, data: bytes) -> list[Event]:
        """Return the elements that `data` completes; see `ArrayDecoder.feed`."""
        return _events_of(self._decoder.feed(data))

    def end(self) -> list[Event]:
        """Return the unfinished element at the end; see `ArrayDecoder.end`."""
        return _events_of(self._decoder.end())


class EventsAsElements:
    """Decodes server-sent events whose reader expects an array: each becomes an element."""

    def __init__(self) -> None:
        self._decoder = sse.Decoder()
        self._has_begun = False

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes; see `sse.Decoder.feed`."""
        return self._elements_of(self._decoder.feed(data))

    def end(self) -> list[Event]:
        """Return the unfinished event at the end; see `sse.Decoder.end`."""
        return self._elements_of(self._decoder.end())

    def _elements_of(self, events: list[Event]) -> list[Event]:
        elements: list[Event] = []
        for event in events:
            data = event.data
            if data is None and event.raw.lstrip()[:1] in (b"{", b"["):
                data = event.raw.strip()  # an error without a field name
            if data is not None:
                before = b",\r\n" if self._has_begun else b"["
                elements.append(Event(before + data, "", data, event.complete))
                self._has_begun = True
        return elements


def _events_of(elements: list[Event]) -> list[Event]:
    return [
        Event(sse.encode(element.data), "", element.data, element.complete)
        for element in elements
        if element.data is not None
    ]
