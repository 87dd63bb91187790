"""Bounds on the heads and trailers of responses, checked while they arrive.

mitmproxy reads an HTTP/1.1 head of any length. h2 limits a decoded header block to 64 KiB, but
closes the connection, with all its streams, when one is longer.
"""

from collections.abc import Iterable

import h11
from h2.exceptions import ProtocolError
from h2.frame_buffer import FrameBuffer
from h11._receivebuffer import ReceiveBuffer
from hyperframe.frame import ContinuationFrame, Frame

HEAD_LIMIT_BYTES = 64 * 1024
"""The longest head of a response, together with the interim responses before it."""
HEAD_LIMIT_LINES = 200
"""The highest number of lines in a head, or of fields in trailers."""
DECODED_BLOCK_LIMIT_BYTES = 16 * HEAD_LIMIT_BYTES
"""HTTP/2: the longest decoded header block. A block up to here is decoded, so that the other
streams of the connection can continue; a longer one ends the connection."""
CODED_BLOCK_LIMIT_BYTES = 4 * HEAD_LIMIT_BYTES
"""HTTP/2: the longest header block as sent, in one HEADERS frame and its CONTINUATION frames."""
_FIELD_OVERHEAD_BYTES = 32
"""What HTTP/2 adds for each field (RFC 9113, 6.5.2)."""


class HeadTooLarge(h11.RemoteProtocolError):
    """A head, trailers, or the line before a chunk exceed a limit."""


def check_head(size_bytes: int, lines: int) -> None:
    """Raise HeadTooLarge if a head, complete or not, exceeds a limit."""
    if size_bytes > HEAD_LIMIT_BYTES:
        raise HeadTooLarge(f"its head is longer than {HEAD_LIMIT_BYTES // 1024} KiB")
    if lines > HEAD_LIMIT_LINES:
        raise HeadTooLarge(f"its head has more than {HEAD_LIMIT_LINES} lines")


def size_of_fields(fields: Iterable[tuple[bytes, bytes]]) -> int:
    """Return the size of decoded header fields as HTTP/2 counts it, in bytes."""
    return sum(len(name) + len(value) + _FIELD_OVERHEAD_BYTES for name, value in fields)


class HeadBuffer(ReceiveBuffer):
    """A receive buffer for responses that keeps no unbounded line or head."""

    interim_bytes = 0
    """The size of the interim heads before the current one."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Do as `ReceiveBuffer` does. Raises HeadTooLarge, also for an incomplete head."""
        before = len(self)
        lines: list[bytearray] | None = super().maybe_extract_lines()
        size = before if lines is None else before - len(self)
        check_head(self.interim_bytes + size, len(lines or ()))
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """Do as `ReceiveBuffer` does. Raises HeadTooLarge for the size line of a chunk."""
        line: bytearray | None = super().maybe_extract_next_line()
        if line is None:
            check_head(len(self), 1)
        return line


class BoundedFrameBuffer(FrameBuffer):
    """A buffer of HTTP/2 frames that limits the frames of one header block."""

    def _update_header_buffer(self, frame: Frame | None) -> Frame | None:
        """Raise ProtocolError if the header block is too long, also an incomplete one."""
        if isinstance(frame, ContinuationFrame):
            parts = [*self._headers_buffer, frame]
            if sum(len(part.data) for part in parts) > CODED_BLOCK_LIMIT_BYTES:
                raise ProtocolError(
                    f"a header block is longer than {CODED_BLOCK_LIMIT_BYTES // 1024} KiB"
                )
        return super()._update_header_buffer(frame)
