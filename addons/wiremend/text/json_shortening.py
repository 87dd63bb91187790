"""Reduces an event of any size to its shape: long strings are left out while it is read."""

import re

SHAPE_LIMIT_BYTES = 1024 * 1024
"""A larger shape is given up."""
STRING_LIMIT_BYTES = 4096
"""A longer string is left out."""
LEFT_OUT = b'{\\"left out by wiremend\\":true}'
"""What stands for a string, as it is written in JSON. Its value is JSON too, like arguments."""

_STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)


class Shortener:
    """Takes the bytes of an event in pieces of any size."""

    def __init__(self, limit_bytes: int = SHAPE_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._kept: bytearray | None = bytearray()
        self._string: bytearray | None = None
        self._string_bytes = 0
        self._is_in_escape = False

    @property
    def shortened(self) -> bytes | None:
        """The bytes so far with the long strings left out; None if these are too many."""
        return None if self._kept is None else bytes(self._kept)

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        position = 0
        while position < len(data):
            if self._string is None:
                position = self._read_outside(data, position)
            else:
                position = self._read_string(data, position)

    def _read_outside(self, data: bytes, position: int) -> int:
        quote = data.find(b'"', position)
        end = len(data) if quote < 0 else quote + 1
        self._keep(data[position:end])
        if quote >= 0:
            self._string, self._string_bytes = bytearray(), 0
        return end

    def _read_string(self, data: bytes, position: int) -> int:
        if self._is_in_escape:
            self._is_in_escape = False
            self._add(data[position : position + 1])
            return position + 1
        match = _STRING_REST.match(data, position)
        assert match is not None  # the pattern matches the empty string
        self._add(match[0])
        position = match.end()
        if position < len(data) and data[position : position + 1] == b"\\":
            self._is_in_escape = True
            self._add(b"\\")
            return position + 1
        if position < len(data):
            self._end_string()
            return position + 1
        return position

    def _add(self, piece: bytes) -> None:
        assert self._string is not None
        self._string_bytes += len(piece)
        if self._string_bytes <= STRING_LIMIT_BYTES:
            self._string += piece

    def _end_string(self) -> None:
        assert self._string is not None
        is_short = self._string_bytes <= STRING_LIMIT_BYTES
        self._keep((bytes(self._string) if is_short else LEFT_OUT) + b'"')
        self._string = None

    def _keep(self, piece: bytes) -> None:
        if self._kept is not None:
            self._kept += piece
            if len(self._kept) > self._limit_bytes:
                self._kept = None
