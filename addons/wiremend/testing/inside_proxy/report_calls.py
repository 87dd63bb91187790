"""A mitmproxy script that reports what was done with each call to the test that asks for it.

WIREMEND_TESTING_REPORTS  The number of an inherited socket. The test writes a line, `calls` or
                          `forget`, and reads one line of JSON: the records of all calls since the
                          last `forget`, in the order of their requests. For the line `replay` it
                          reads the report on the recording that is replayed, or null.

The record of a call is final before the client gets the last byte of its response, and records are
read when they are asked for. A test that has read a response therefore finds the final record.

The proxy ends when the test's end of the socket is closed, also because its process was killed.
"""

import asyncio
import base64
import contextlib
import os
import socket
from typing import Any

import orjson
from mitmproxy import ctx, http

METADATA_KEY = "wiremend"


class ReportCalls:
    """Keeps all flows, so it is for tests only."""

    name = "testing.report_calls"

    def __init__(self) -> None:
        self._flows: list[http.HTTPFlow] = []
        self._serving: asyncio.Task[None] | None = None

    def running(self) -> None:
        """Start to answer the test."""
        descriptor = int(os.environ["WIREMEND_TESTING_REPORTS"])
        os.set_inheritable(descriptor, False)
        self._serving = asyncio.create_task(self._serve(socket.socket(fileno=descriptor)))

    def done(self) -> None:
        """Stop answering."""
        if self._serving is not None:
            self._serving.cancel()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Keep the flow."""
        self._flows.append(flow)

    async def _serve(self, connected: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connected)
        with contextlib.suppress(ConnectionError):
            while command := await reader.readline():
                if command == b"forget\n":
                    self._flows.clear()
                answer = _replay_report() if command == b"replay\n" else self._records()
                writer.write(orjson.dumps(answer, default=_encoded) + b"\n")
                await writer.drain()
        ctx.master.shutdown()

    def _records(self) -> list[Any]:
        return [
            flow.metadata[METADATA_KEY] for flow in self._flows if METADATA_KEY in flow.metadata
        ]


def _replay_report() -> Any:
    """Return the report of the addon that replays a recording; None if it replays none."""
    addon = ctx.master.addons.get("wiremend.replay_recording")
    cassette = getattr(addon, "cassette", None)
    return None if cassette is None else cassette.report().model_dump()


def _encoded(value: Any) -> str:
    """Return kept bytes as `schema.Stored` reads them from JSON."""
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).decode()
    raise TypeError(f"a record contains {type(value).__name__}")


addons = [ReportCalls()]
