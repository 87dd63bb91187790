"""Bytes to server-sent events and back: incremental and lossless.

The format is the WHATWG one (https://html.spec.whatwg.org/multipage/server-sent-events.html):
lines end with LF, CRLF or CR and nothing else, a blank line ends an event.
Joining the `raw` of all events gives back exactly the bytes that came in.
This module knows nothing of JSON, protocols or HTTP.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

EVENT_LIMIT_BYTES = 16 * 1024 * 1024
"""One event larger than this ends the stream: nothing that grows without limit is kept."""

_LINE_END = re.compile(rb"(?>\r\n|\n|\r)")
_BLANK_LINE = re.compile(rb"\r\r|(?>\r\n|\n)(?>\r\n|\n|\r)")
"""What ends an event. Two CR end it at once, so that streams with CR alone are not delayed;
a LF after them is a blank line of its own, which dispatches nothing."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Allowed once, as the first bytes of a stream; later it is text."""


class EventTooLarge(Exception):
    """An event grew past the limit before its blank line came."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"one event is larger than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


@dataclass(slots=True)
class Event:
    """One event as it stood on the wire.

    A lone blank line, a block of comments, and the byte order mark at the start of a stream are
    events too: without data. The mark is an event of its own so that what a repairer writes before
    the first event comes after the mark.
    """

    raw: bytes
    """Every byte of it, the blank line that ends it included."""
    type: str = ""
    """The value of its `event:` line; empty without one."""
    data: bytes | None = None
    """Its `data:` lines joined by LF; None without one."""
    complete: bool = True
    """False for the bytes left over when the stream ended without a blank line."""


def split_lines(raw: bytes) -> list[bytes]:
    """The lines of an event, each with its line end; joined they are `raw` again."""
    lines: list[bytes] = []
    start = 0
    for match in _LINE_END.finditer(raw):
        lines.append(raw[start : match.end()])
        start = match.end()
    if start < len(raw):
        lines.append(raw[start:])
    return lines


def join_lines(lines: Iterable[bytes]) -> bytes:
    """The bytes of lines that were not all neighbours.

    No CR and LF of two of them become one: a blank line after a CR is written as a CR.
    """
    joined = bytearray()
    for line in lines:
        is_blank = line in (b"\n", b"\r\n")
        joined += b"\r" if is_blank and joined.endswith(b"\r") else line
    return bytes(joined)


def read_field(line: bytes) -> tuple[bytes, bytes]:
    """The name and value of a line without its line end; a comment's name is empty."""
    name, _, value = line.partition(b":")
    return name, value[1:] if value[:1] == b" " else value


def encode(data: bytes, type: str = "") -> bytes:
    """One event with this payload and LF line ends; each line of `data` gets a `data:` line.

    A CR or CRLF in `data` is read back as LF. Raises ValueError if `type` has a line end.
    """
    head = _type_line(type, b"\n") if type else b""
    lines = b"".join(b"data: " + line + b"\n" for line in _LINE_END.split(data))
    return head + lines + b"\n"


def with_data(event: Event, data: bytes, type: str | None = None) -> bytes:
    """The event's bytes with other data, and with another type if `type` is given.

    Equal data and an equal type give `event.raw`. Otherwise every line whose value is the same
    keeps its bytes, and a new value is written with the line end, and with or without the space,
    of the line that it replaces. Each line of `data` gets a `data:` line; a CR or CRLF in it is
    read back as LF. What an event lacks, a data line or an `event:` line, is added.
    Raises ValueError if `type` has a line end.
    """
    is_retyped = type is not None and type != event.type
    if data == event.data and not is_retyped:
        return event.raw
    lines = split_lines(event.raw)
    end = (_end_of(lines[0]) if lines else b"") or b"\n"
    if lines and not _end_of(lines[-1]):
        lines[-1] += end
    if data != event.data:
        lines = _with_values(lines, _LINE_END.split(data), end)
    if type is not None and is_retyped:
        lines = _with_type(lines, type, end)
    return join_lines(lines)


def _with_values(lines: list[bytes], values: list[bytes], end: bytes) -> list[bytes]:
    """The lines of an event with these values in its data lines."""
    places = _places_of(b"data", lines)
    if not places:
        at = _end_of_fields(lines)
        return [*lines[:at], *(b"data: " + value + end for value in values), *lines[at:]]
    if len(places) == len(values):
        replaced = {
            at: [_with_value(lines[at], one)] for at, one in zip(places, values, strict=True)
        }
    else:
        first = lines[places[0]]
        replaced = {at: [] for at in places}
        replaced[places[0]] = [_with_value(first, value) for value in values]
    return [one for at, line in enumerate(lines) for one in replaced.get(at, [line])]


def _with_value(line: bytes, value: bytes) -> bytes:
    """A data line with another value."""
    text = line.rstrip(b"\r\n")
    if read_field(text)[1] == value:
        return line
    has_space = not text.startswith(b"data:") or text.startswith(b"data: ")
    # Readers strip one space, so a value that begins with one needs another before it.
    name = b"data: " if has_space or value.startswith(b" ") else b"data:"
    return name + value + _end_of(line)


def _with_type(lines: list[bytes], type: str, end: bytes) -> list[bytes]:
    """The lines of an event with one `event:` line, where its first one or its data was."""
    places = _places_of(b"event", lines)
    if places:
        at, end = places[0], _end_of(lines[places[0]])
    else:
        at = (*_places_of(b"data", lines), _end_of_fields(lines))[0]
    after = [line for place, line in enumerate(lines[at:], at) if place not in places]
    return [*lines[:at], _type_line(type, end), *after]


def _type_line(type: str, end: bytes) -> bytes:
    name = type.encode()
    if _LINE_END.search(name):
        raise ValueError(f"event type {type!r} has a line end")
    return b"event: " + name + end


def _places_of(name: bytes, lines: list[bytes]) -> list[int]:
    return [at for at, line in enumerate(lines) if read_field(line.rstrip(b"\r\n"))[0] == name]


def _end_of_fields(lines: list[bytes]) -> int:
    """The place of the blank line that ends an event, or the end where it is missing."""
    is_ended = bool(lines) and not lines[-1].rstrip(b"\r\n")
    return len(lines) - is_ended


class Decoder:
    """Feed it bytes in any chunks; take events as soon as each is complete."""

    def __init__(self, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._searched = 0
        self._at_start = True

    @property
    def pending_bytes(self) -> int:
        """How many bytes of an unfinished event are kept."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes, in order.

        Raises EventTooLarge when an unfinished event passes the limit, after those before it.
        """
        buffer = self._buffer
        buffer += data
        events: list[Event] = []
        start = self._read_mark(events)
        search_from = self._searched
        while start < len(buffer) and not self._at_start:
            if buffer[start] in b"\r\n":
                match = _LINE_END.match(buffer, start)
            else:
                match = _BLANK_LINE.search(buffer, max(start, search_from))
            if match is None or self._may_go_on(match):
                break
            events.append(self._parse(bytes(buffer[start : match.end()])))
            start = match.end()
        if start:
            del buffer[:start]
        # A line end of up to three bytes may be cut by the chunk's end.
        self._searched = max(0, len(buffer) - 3)
        if not events and len(buffer) > self._limit_bytes:
            raise EventTooLarge(self._limit_bytes)
        return events

    def end(self) -> list[Event]:
        """What was left without a blank line when the stream ended: at most one event."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        if not rest:
            return []
        event = self._parse(rest)
        event.complete = rest == b"\r" or rest.endswith(b"\n\r")
        return [event]

    def _read_mark(self, events: list[Event]) -> int:
        """Add the byte order mark to `events` if the stream begins with one; return its size."""
        if not self._at_start:
            return 0
        buffer = self._buffer
        has_mark = buffer.startswith(BYTE_ORDER_MARK)
        self._at_start = not has_mark and BYTE_ORDER_MARK.startswith(buffer)
        if has_mark:
            events.append(Event(raw=BYTE_ORDER_MARK))
        return len(BYTE_ORDER_MARK) if has_mark else 0

    def _may_go_on(self, match: re.Match[bytes]) -> bool:
        """Whether the CR at the buffer's end may be half a CRLF, which a chunk's end has cut."""
        return match.end() == len(self._buffer) and match[0] in (b"\r", b"\n\r", b"\r\n\r")

    def _parse(self, raw: bytes) -> Event:
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


def _end_of(line: bytes) -> bytes:
    return line[len(line.rstrip(b"\r\n")) :]
