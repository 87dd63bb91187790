"""The part that replaces how mitmproxy reads bodies; see `wiremend.seam.fast.paths`."""

import asyncio
from collections.abc import Sequence
from typing import Any

from mitmproxy.proxy.server import LiveConnectionHandler

from wiremend.seam.fast.messages import Replacement

# large_reads

_READ_BYTES = 512 * 1024
"""More than asyncio ever keeps for a reader: it stops at 128 KiB, after one receipt of 256 KiB."""


def large_reads() -> Sequence[Replacement]:
    """Replace the reader of a client, so that a read returns all that has arrived.

    mitmproxy reads 64 KiB at a time, and passes each through all layers.
    """
    original = LiveConnectionHandler.__init__

    def __init__(handler: LiveConnectionHandler, *args: Any, **kwargs: Any) -> None:
        original(handler, *args, **kwargs)
        io = handler.transports[handler.client]
        if isinstance(io.reader, asyncio.StreamReader):
            io.reader = _LargeReads(io.reader)  # type: ignore[assignment]

    return [(LiveConnectionHandler, "__init__", __init__)]


class _LargeReads:
    """A reader that returns what has arrived, whatever number of bytes is asked for."""

    __slots__ = ("_reader",)

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def read(self, _: int) -> bytes:
        """Return the bytes that have arrived, at least one; none at the end."""
        return await self._reader.read(_READ_BYTES)
