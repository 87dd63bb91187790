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


class EventTooLarge(Exception):
    """An event grew past the limit before its blank line came."""

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"one event is larger than {limit_bytes} bytes")
        self.limit_bytes = limit_bytes


@dataclass(slots=True)
class Event:
    """One event as it stood on the wire.

    A lone blank line, and a block of comments, are events too: without data.
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
    """One event with this payload, LF line ends; `data` may hold several lines."""
    head = b"event: " + type.encode() + b"\n" if type else b""
    lines = b"".join(b"data: " + line + b"\n" for line in _LINE_END.split(data))
    return head + lines + b"\n"


def with_data(event: Event, data: bytes) -> bytes:
    """The event's bytes with its payload replaced and every other line kept.

    `data` must be a single line. An event without a data line gets one before its blank line.
    """
    lines = split_lines(event.raw)
    end = _end_of(lines[-1]) or b"\n" if lines else b"\n"
    out: list[bytes] = []
    placed = False
    for line in lines:
        name, _ = read_field(_without_mark(line.rstrip(b"\r\n")))
        if name == b"data":
            if not placed:
                out.append(b"data: " + data + (_end_of(line) or end))
                placed = True
        elif not line.rstrip(b"\r\n") and not placed:
            out.append(b"data: " + data + end + line)
            placed = True
        else:
            out.append(line)
    if not placed:
        out.append(b"data: " + data + end)
    return join_lines(out)


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
        start = 0
        search_from = self._searched
        while start < len(buffer):
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

    def _may_go_on(self, match: re.Match[bytes]) -> bool:
        """Whether the CR at the buffer's end may be half a CRLF, which a chunk's end has cut."""
        return match.end() == len(self._buffer) and match[0] in (b"\r", b"\n\r", b"\r\n\r")

    def _parse(self, raw: bytes) -> Event:
        text = raw
        if self._at_start:
            self._at_start = False
            text = _without_mark(raw)
        type = b""
        data: list[bytes] = []
        for line in _LINE_END.split(text):
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


def _without_mark(text: bytes) -> bytes:
    return text[3:] if text.startswith(BYTE_ORDER_MARK) else text


def _end_of(line: bytes) -> bytes:
    return line[len(line.rstrip(b"\r\n")) :]
