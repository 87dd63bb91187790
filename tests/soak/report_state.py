"""A mitmproxy script that reports the tasks and objects of the proxy that it runs in.

WIREMEND_SOAK_SOCKET  The path of a socket. A line `tasks` is answered with one line of JSON: the
                      number of asyncio tasks. `census` is answered after a full collection, and
                      adds the number of objects that the garbage collector tracks, and their types.
"""

import asyncio
import gc
import json
import os
from collections import Counter
from typing import Any

_TYPES = 400


class ReportState:
    """Answers one question per connection."""

    name = "soak.report_state"

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None

    async def running(self) -> None:
        """Start to answer."""
        path = os.environ["WIREMEND_SOAK_SOCKET"]
        self._server = await asyncio.start_unix_server(self._answer, path)

    def done(self) -> None:
        """Stop answering."""
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        command = await reader.readline()
        # Without the task of this connection.
        state: dict[str, Any] = {"tasks": len(asyncio.all_tasks()) - 1}
        if command == b"census\n":
            gc.collect()
            objects = gc.get_objects()
            state["objects"] = len(objects)
            types = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in objects)
            state["types"] = dict(types.most_common(_TYPES))
            del objects
        writer.write(json.dumps(state).encode() + b"\n")
        await writer.drain()
        writer.close()


addons = [ReportState()]
