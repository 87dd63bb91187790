"""Bytes of a call's traffic, held so that they cost nothing where nobody reads them."""

from collections.abc import Iterable
from typing import Any, Self

KEPT_LIMIT_BYTES = 64 * 1024 * 1024
"""How much of one body is kept by default."""


class KeptBytes(bytes):
    """Bytes whose text is short, and which are never copied.

    mitmproxy's `~meta` filter makes a text of all metadata for each flow, on the event loop, and
    copies metadata whenever it copies or saves a flow. mitmproxy saves these as plain bytes, so
    that is what a flow file contains.
    """

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"

    __str__ = __repr__

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class BodyKeeper:
    """Collects the bytes of one body, up to a limit, and when each chunk of them passed."""

    def __init__(self, limit_bytes: int = KEPT_LIMIT_BYTES) -> None:
        self.size = 0
        """How many bytes passed, kept or not."""
        self._limit_bytes = limit_bytes
        self._kept = bytearray()
        self._chunks: list[tuple[float, int]] = []

    def add(self, data: bytes, seconds: float) -> None:
        """Take the next chunk; `seconds` since the start of the call."""
        self.size += len(data)
        space = self._limit_bytes - len(self._kept)
        if space > 0:
            self._kept += data[:space]
            self._chunks.append((seconds, len(self._kept)))

    def plain(self) -> dict[str, Any]:
        """Return what was collected, as the fields of a `KeptBody`."""
        return plain_body(bytes(self._kept), size=self.size, chunks=self._chunks)


def plain_body(
    data: bytes, *, size: int | None = None, chunks: Iterable[tuple[float, int]] = ()
) -> dict[str, Any]:
    """Return bytes as the fields of a `KeptBody`; `size` is theirs unless there were more."""
    return {
        "data": KeptBytes(data),
        "size": len(data) if size is None else size,
        "chunks": [list(chunk) for chunk in chunks],
    }
