"""A translated stream for a client that streams without `alt=sse`: one JSON array."""

from wiremend.text import sse


class ArrayStream:
    """Turns server-sent events of `write.GeminiWriter` into the elements of an array."""

    def __init__(self) -> None:
        self._decoder = sse.Decoder()
        self._has_elements = False
        self._is_closed = False

    def feed(self, data: bytes) -> bytes:
        """Return the elements for the events that `data` completes.

        Without events nothing is returned, except white space, which keeps a connection alive.
        """
        out = bytearray()
        for event in self._decoder.feed(data):
            if not event.data or event.is_part:
                out += b"\n" if self._has_elements else b""
                continue
            out += (b",\r\n" if self._has_elements else b"[") + event.data
            self._has_elements = True
        return bytes(out)

    def end(self) -> bytes:
        """Return the end of the array, once."""
        if self._is_closed:
            return b""
        self._is_closed = True
        return b"]" if self._has_elements else b"[]"
