"""Incremental, lossless decoding and encoding of server-sent events.

The format is the WHATWG one (https://html.spec.whatwg.org/multipage/server-sent-events.html):
lines end with LF, CRLF or CR only, and a blank line ends an event.
The `raw` bytes of all events, joined, are exactly the input.
This module does not depend on JSON, protocols or HTTP.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

EVENT_LIMIT_BYTES = 16 * 1024 * 1024
"""Maximum size of one event in memory. A larger one is returned in parts."""

_LINE_END = re.compile(rb"(?>\r\n|\n|\r)")
_BLANK_LINE = re.compile(rb"\r\r|(?>\r\n|\n)(?>\r\n|\n|\r)")
"""The end of an event. Two CR end it at once, so that streams with CR line ends are not delayed;
an LF after them is a separate blank line, which dispatches no event."""
_NOT_A_FIELD = (b"\n", b"\xef")
"""First bytes of an event that are, or may be, a blank line or the mark."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Allowed only as the first bytes of a stream; later it is text."""


@dataclass(slots=True)
class Event:
    """One event as received.

    A lone blank line, a block of comments, and the byte order mark at the start of a stream are
    events without data. The mark is a separate event, so that what a repairer inserts before the
    first event is written after the mark.
    """

    raw: bytes
    """All bytes of the event, including the blank line that ends it."""
    type: str = ""
    """The value of the `event:` line; empty if there is none."""
    data: bytes | None = None
    """The values of the `data:` lines joined by LF; None if there are none."""
    complete: bool = True
    """False for the remaining bytes of a stream that ended without a blank line, and for all parts
    of a large event but the last."""
    is_part: bool = False
    """Whether these are some of the bytes of an event that is too large for memory. A part has
    neither type nor data. The last one may be empty."""


def split_lines(raw: bytes) -> list[bytes]:
    """Return the lines of an event, each with its line end. Joined, they are equal to `raw`."""
    lines: list[bytes] = []
    start = 0
    for match in _LINE_END.finditer(raw):
        lines.append(raw[start : match.end()])
        start = match.end()
    if start < len(raw):
        lines.append(raw[start:])
    return lines


def join_lines(lines: Iterable[bytes]) -> bytes:
    """Return lines joined into one event. They need not have been adjacent.

    A blank line after a CR is written as a CR, since CR and LF would become one CRLF.
    """
    joined = bytearray()
    for line in lines:
        is_blank = line in (b"\n", b"\r\n")
        joined += b"\r" if is_blank and joined.endswith(b"\r") else line
    return bytes(joined)


def read_field(line: bytes) -> tuple[bytes, bytes]:
    """Return the field name and value of a line, which has no line end. A comment has name ""."""
    name, _, value = line.partition(b":")
    return name, value[1:] if value[:1] == b" " else value


def encode(data: bytes, type: str = "") -> bytes:
    """Return one event with LF line ends and one `data:` line for each line of `data`.

    A reader receives a CR or CRLF in `data` as LF. Raises ValueError if `type` contains a line end.
    """
    head = _type_line(type, b"\n") if type else b""
    if b"\n" not in data and b"\r" not in data:
        return head + b"data: " + data + b"\n\n"
    lines = b"".join(b"data: " + line + b"\n" for line in _LINE_END.split(data))
    return head + lines + b"\n"


def with_data(event: Event, data: bytes, type: str | None = None) -> bytes:
    """Return the event's bytes with other data, and with another type unless `type` is None.

    Returns `event.raw` if data and type are equal to the event's. Otherwise a line whose value does
    not change keeps its bytes, and a new value is written with the line end of the line that it
    replaces, and with a space after the colon if that line has one. There is one `data:` line for
    each line of `data`; a reader receives a CR or CRLF in it as LF. A missing `data:` or `event:`
    line is added. Raises ValueError if `type` contains a line end.
    """
    is_retyped = type is not None and type != event.type
    if data == event.data and not is_retyped:
        return event.raw
    if not is_retyped and (raw := _with_last_line(event, data)) is not None:
        return raw
    lines = split_lines(event.raw)
    end = (_end_of(lines[0]) if lines else b"") or b"\n"
    if lines and not _end_of(lines[-1]):
        lines[-1] += end
    if data != event.data:
        lines = _with_values(lines, _LINE_END.split(data), end)
    if type is not None and is_retyped:
        lines = _with_type(lines, type, end)
    return join_lines(lines)


def _with_last_line(event: Event, data: bytes) -> bytes | None:
    """Return the event with other data in its usual form, which needs no look at its lines.

    In that form the only `data:` line is the last one, and lines end in LF. None for other forms.
    """
    old = event.data or b""
    last = b"data: " + old + b"\n\n"
    head = event.raw.removesuffix(last)
    is_usual = (
        len(head) < len(event.raw)
        and (not head or head.endswith(b"\n"))
        and b"data" not in head
        and b"\r" not in head + old + data
        and b"\n" not in data
    )
    return head + b"data: " + data + b"\n\n" if is_usual else None


def _with_values(lines: list[bytes], values: list[bytes], end: bytes) -> list[bytes]:
    """Return the lines of an event with these values in its data lines."""
    indices = _indices_of(b"data", lines)
    if not indices:
        at = _end_of_fields(lines)
        return [*lines[:at], *(b"data: " + value + end for value in values), *lines[at:]]
    if len(indices) == len(values):
        replaced = {
            at: [_with_value(lines[at], value)] for at, value in zip(indices, values, strict=True)
        }
    else:
        first = lines[indices[0]]
        replaced = {at: [] for at in indices}
        replaced[indices[0]] = [_with_value(first, value) for value in values]
    return [new for at, line in enumerate(lines) for new in replaced.get(at, [line])]


def _with_value(line: bytes, value: bytes) -> bytes:
    """Return a data line with another value."""
    text = line.rstrip(b"\r\n")
    if read_field(text)[1] == value:
        return line
    has_space = not text.startswith(b"data:") or text.startswith(b"data: ")
    # Readers strip one space, so a value that begins with a space needs another before it.
    name = b"data: " if has_space or value.startswith(b" ") else b"data:"
    return name + value + _end_of(line)


def _with_type(lines: list[bytes], type: str, end: bytes) -> list[bytes]:
    """Return the lines of an event with exactly one `event:` line.

    It replaces the first `event:` line, or is inserted before the first data line.
    """
    indices = _indices_of(b"event", lines)
    others = frozenset(indices)
    if indices:
        at, end = indices[0], _end_of(lines[indices[0]])
    else:
        at = (*_indices_of(b"data", lines), _end_of_fields(lines))[0]
    after = [line for index, line in enumerate(lines[at:], at) if index not in others]
    return [*lines[:at], _type_line(type, end), *after]


def _type_line(type: str, end: bytes) -> bytes:
    if "\n" in type or "\r" in type:
        raise ValueError(f"event type {type!r} contains a line end")
    return b"event: " + type.encode() + end


def _indices_of(name: bytes, lines: list[bytes]) -> list[int]:
    return [at for at, line in enumerate(lines) if read_field(line.rstrip(b"\r\n"))[0] == name]


def _end_of_fields(lines: list[bytes]) -> int:
    """Return the index of the blank line that ends an event; the number of lines if missing."""
    is_ended = bool(lines) and not lines[-1].rstrip(b"\r\n")
    return len(lines) - is_ended


class Decoder:
    """Decodes a stream in chunks of any size into events, each as soon as it is complete."""

    def __init__(self, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._at_start = True
        self._tail: bytes | None = None
        """The last bytes of the large event whose parts are returned; None outside of one."""

    @property
    def pending_bytes(self) -> int:
        """The number of buffered bytes, which belong to an unfinished event."""
        return len(self._buffer)

    @property
    def is_between_events(self) -> bool:
        """Whether something was decoded, and nothing of an unfinished event is kept."""
        return not (self._at_start or self._buffer or self._tail is not None)

    def feed_usual(self, data: bytes, at: int) -> Event | None:
        """Take the event at `at` in `data` if it is whole and in a usual form; else return None.

        Then nothing was taken: `feed` takes the bytes from `at` on.
        """
        if self._buffer or self._tail is not None or len(data) > self._limit_bytes:
            return None
        event = _usual_at(data, at)
        if event is not None:
            self._at_start = False
        return event

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that `data` completes, in order, and the parts of a large event."""
        buffer = self._buffer
        if not buffer and self._tail is None and len(data) <= self._limit_bytes and _is_whole(data):
            self._at_start = False
            return [self._parse(one + b"\n\n") for one in data[:-2].split(b"\n\n")]
        buffer += data
        events: list[Event] = []
        if self._tail is not None:
            self._read_part(self._tail, events)
            if self._tail is not None:
                return events
        start = self._read_mark(events)
        search_from = self._searched
        while start < len(buffer) and not self._at_start:
            if buffer[start] in b"\r\n":
                match = _LINE_END.match(buffer, start)
            else:
                match = _BLANK_LINE.search(buffer, max(start, search_from))
            if match is None or self._may_continue(match):
                break
            events.append(self._parse(bytes(buffer[start : match.end()])))
            start = match.end()
        if start:
            del buffer[:start]
        # The chunk may end inside a line end, whose first part has up to three bytes.
        self._searched = max(0, len(buffer) - 3)
        if len(buffer) > self._limit_bytes:
            self._tail = b""
            self._read_part(b"", events)
        return events

    def _read_part(self, tail: bytes, events: list[Event]) -> None:
        """Move the bytes of a large event from the buffer to `events`, up to its blank line."""
        text = tail + self._buffer
        match = _BLANK_LINE.search(text)
        if match is not None and match.end() == len(text) and _ends_in_cr(match):
            match = None
        if match is None:
            events.append(Event(bytes(self._buffer), complete=False, is_part=True))
            self._buffer.clear()
            self._tail = text[-3:]
        else:
            size = match.end() - len(tail)
            events.append(Event(bytes(self._buffer[:size]), is_part=True))
            del self._buffer[:size]
            self._tail = None
        self._searched = 0

    def end(self) -> list[Event]:
        """Return the rest of a stream that ended without a blank line: at most one event."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        if not rest:
            return []
        event = self._parse(rest)
        event.complete = rest == b"\r" or rest.endswith(b"\n\r")
        return [event]

    def _read_mark(self, events: list[Event]) -> int:
        """Append the byte order mark to `events` if the stream begins with one; return its size."""
        if not self._at_start:
            return 0
        buffer = self._buffer
        has_mark = buffer.startswith(BYTE_ORDER_MARK)
        self._at_start = not has_mark and BYTE_ORDER_MARK.startswith(buffer)
        if has_mark:
            events.append(Event(raw=BYTE_ORDER_MARK))
        return len(BYTE_ORDER_MARK) if has_mark else 0

    def _may_continue(self, match: re.Match[bytes]) -> bool:
        """Return whether the buffer ends in a CR whose LF may be in the next chunk."""
        return match.end() == len(self._buffer) and _ends_in_cr(match)

    def _parse(self, raw: bytes) -> Event:
        event = _usual_at(raw, 0)
        if event is not None and len(event.raw) == len(raw):
            return event
        type = b""
        data: list[bytes] = []
        for line in _LINE_END.split(raw):
            name, value = read_field(line)
            if name == b"data":
                data.append(value)
            elif name == b"event":
                type = value
        return Event(
            raw=raw,
            type=type.decode("utf-8", "replace"),
            data=b"\n".join(data) if data else None,
        )


def _is_whole(data: bytes) -> bool:
    """Return whether `data` is one or more whole events with LF line ends."""
    return (
        data.endswith(b"\n\n")
        and data[:1] not in _NOT_A_FIELD
        and b"\n\n\n" not in data
        and b"\r" not in data
    )


def _usual_at(data: bytes, at: int) -> Event | None:
    """Return the event at `at` if it is an `event:` and a `data:` line, or only the second.

    All its lines end in LF, or all in CRLF. Return None for events in other forms.
    """
    start, type = at, ""
    if data.startswith(b"event: ", at):
        start = data.find(b"\n", at) + 1
        type = data[at + 7 : start - 1].decode("utf-8", "replace")
    if start < at or not data.startswith(b"data: ", start):
        return None
    end = data.find(b"\n", start)
    if end < 0:
        return None
    if data.startswith(b"\n", end + 1):
        raw = data[at : end + 2]
        return None if b"\r" in raw else Event(raw, type, data[start + 6 : end])
    if not data.startswith(b"\r\n", end + 1):
        return None
    raw = data[at : end + 3]
    lines = 2 if start == at else 3
    if raw.count(b"\r\n") != lines or raw.count(b"\r") != lines:
        return None
    return Event(raw, type.removesuffix("\r"), data[start + 6 : end - 1])


def _ends_in_cr(match: re.Match[bytes]) -> bool:
    """Return whether a line end may continue with an LF."""
    return match[0] in (b"\r", b"\n\r", b"\r\n\r")


def _end_of(line: bytes) -> bytes:
    return line[len(line.rstrip(b"\r\n")) :]
