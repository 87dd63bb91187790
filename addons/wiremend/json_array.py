"""A JSON array that is streamed in pieces, element by element: Gemini without `alt=sse`.

Lossless like `wiremend.sse`: joining the `raw` of all events gives back the bytes that came in.
An element's `raw` begins with the bracket, comma and white space before it; what follows the
last element is an event without data.
"""

from wiremend.sse import EVENT_LIMIT_BYTES, Event, EventTooLarge

_BETWEEN = b" \t\r\n,["


class ArrayDecoder:
    """Feed it bytes in any chunks; take the array's elements as soon as each is complete."""

    def __init__(self, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._buffer = bytearray()
        self._at = 0
        self._start: int | None = None
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    def feed(self, data: bytes) -> list[Event]:
        """The elements that `data` completes. Raises EventTooLarge past the limit."""
        self._buffer += data
        events: list[Event] = []
        while self._at < len(self._buffer):
            byte = self._buffer[self._at]
            self._at += 1
            if self._start is None and byte in _BETWEEN:
                continue
            if self._start is None and byte == 0x5D:  # the array ends
                events.append(Event(raw=self._take()))
                continue
            if self._start is None:
                self._start = self._at - 1
            if self._step(byte):
                start = self._start
                raw = self._take()
                events.append(Event(raw=raw, data=raw[start:]))
        if len(self._buffer) > self._limit_bytes:
            raise EventTooLarge(self._limit_bytes)
        return events

    def end(self) -> list[Event]:
        """What was left unfinished: at most one event."""
        start, raw = self._start, self._take()
        if not raw:
            return []
        data = raw[start:] if start is not None else None
        return [Event(raw=raw, data=data, complete=False)]

    def _step(self, byte: int) -> bool:
        """One byte inside an element; True when it is the element's last."""
        if self._in_string:
            if self._is_escaped:
                self._is_escaped = False
            elif byte == 0x5C:
                self._is_escaped = True
            elif byte == 0x22:
                self._in_string = False
            return False
        if byte == 0x22:
            self._in_string = True
        elif byte in b"{[":
            self._depth += 1
        elif byte in b"}]":
            self._depth -= 1
            return self._depth <= 0
        return False

    def _take(self) -> bytes:
        raw = bytes(self._buffer[: self._at])
        del self._buffer[: self._at]
        self._at = 0
        self._start = None
        self._depth = 0
        return raw
