"""Reading a file in pieces of bounded size."""

from typing import BinaryIO

from wiremend.recording.exchange import UnusableRecording

ENTRY_LIMIT_BYTES = 256 * 1024 * 1024
"""Larger flows, entries, lines and bodies are refused; a stream is not repaired beyond it."""
CHUNK_BYTES = 64 * 1024
_MEBIBYTE = 2**20


def too_large(what: str) -> UnusableRecording:
    """Return the error on an entry beyond the limit. `what` names it, such as `flow 3`."""
    return UnusableRecording(f"{what} is larger than {ENTRY_LIMIT_BYTES // _MEBIBYTE} MiB")


class PeekableFile:
    """A binary file whose first bytes can be read twice. It need not be seekable."""

    def __init__(self, file: BinaryIO, size: int | None = None) -> None:
        """`size` is the number of bytes in the file, if that is known."""
        self._file = file
        self._ahead = b""
        self.size = size
        self.position = 0
        """The number of bytes that were read."""

    def peek(self, count: int) -> bytes:
        """Return up to `count` next bytes without moving on."""
        while len(self._ahead) < count:
            more = self._file.read(count - len(self._ahead))
            if not more:
                break
            self._ahead += more
        return self._ahead[:count]

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes; fewer at the end of the file."""
        data, self._ahead = self._ahead[:count], self._ahead[count:]
        parts = [data]
        missing = count - len(data)
        while missing > 0 and (more := self._file.read(min(missing, 16 * _MEBIBYTE))):
            parts.append(more)
            missing -= len(more)
        data = b"".join(parts) if len(parts) > 1 else data
        self.position += len(data)
        return data

    def read_line(self, limit_bytes: int = ENTRY_LIMIT_BYTES) -> bytes:
        """Return the next line with its end, or its first `limit_bytes` bytes."""
        head, mark, rest = self._ahead.partition(b"\n")
        if mark:
            line, self._ahead = head + mark, rest
        else:
            self._ahead = b""
            line = head + self._file.readline(limit_bytes - len(head))
        self.position += len(line)
        return line

    @property
    def left(self) -> int | None:
        """The number of bytes that remain, if that is known."""
        return None if self.size is None else self.size - self.position
