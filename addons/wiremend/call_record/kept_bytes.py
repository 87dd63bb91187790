"""Bytes of a call's traffic, stored so that they are cheap if they are not read."""

from collections.abc import Callable, Iterable
from typing import Any, Self

KEPT_LIMIT_BYTES = 64 * 1024 * 1024
"""The default limit for one body."""


class KeptBytes(bytes):
    """Bytes with a short `repr` that are never copied.

    mitmproxy's `~meta` filter converts all metadata of each flow to a string on the event loop, and
    metadata is copied whenever a flow is copied or saved. mitmproxy saves these as plain bytes, so
    a flow file contains plain bytes.
    """

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"

    __str__ = __repr__

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class BodyKeeper:
    """Collects the bytes of one body, up to a limit, and the time of each chunk."""

    def __init__(
        self, limit_bytes: int = KEPT_LIMIT_BYTES, *, take: Callable[[int], bool] | None = None
    ) -> None:
        """`take` is called with the number of bytes before they are kept.

        If it returns False, neither they nor later bytes of this body are kept.
        """
        self.size = 0
        """Number of bytes of the body, kept or not."""
        self._limit_bytes = limit_bytes
        self._take = take
        self._kept = bytearray()
        self._chunks: list[tuple[float, int]] = []

    def add(self, data: bytes, seconds: float) -> None:
        """Add the next chunk. `seconds` is the time since the start of the call."""
        self.size += len(data)
        kept = data[: self._limit_bytes - len(self._kept)]
        if kept and self._take is not None and not self._take(len(kept)):
            self._limit_bytes, kept = len(self._kept), b""
        if kept:
            self._kept += kept
            self._chunks.append((seconds, len(self._kept)))

    def plain(self) -> dict[str, Any]:
        """Return the collected bytes as the fields of a `KeptBody`."""
        return plain_body(bytes(self._kept), size=self.size, chunks=self._chunks)


def plain_body(
    data: bytes, *, size: int | None = None, chunks: Iterable[tuple[float, int]] = ()
) -> dict[str, Any]:
    """Return bytes as the fields of a `KeptBody`. `size` is needed if some were not kept."""
    return {
        "data": KeptBytes(data),
        "size": len(data) if size is None else size,
        "chunks": [list(chunk) for chunk in chunks],
    }
