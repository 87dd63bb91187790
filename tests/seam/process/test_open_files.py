"""Contract 27: how asyncio reports that it cannot accept a connection."""

import asyncio
import errno
import logging
import socket
from typing import Any

import pytest
from wiremend.seam.process.open_files import AcceptFailures


def test_failures_to_accept_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    passed_on: list[dict[str, Any]] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: passed_on.append(context))
        failures = AcceptFailures()
        failures.install()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            out_of_files = _Listener(listener)
            for _ in range(3):
                loop._accept_connection(asyncio.Protocol, out_of_files)  # type: ignore[attr-defined]
            loop.call_exception_handler({"message": "another", "exception": ValueError()})
        failures.remove()
        loop.call_exception_handler({"message": "later"})

    with caplog.at_level(logging.ERROR, "wiremend"):
        asyncio.run(work())
    assert [context["message"] for context in passed_on] == ["another", "later"]
    [line] = [record for record in caplog.records if record.name == "wiremend"]
    assert "no connection can be accepted until others end: Too many open files" in line.message


class _Listener:
    """A listening socket of a process without a free descriptor."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def accept(self) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)
