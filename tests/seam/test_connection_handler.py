"""What becomes of connections on their way in and out, with mitmproxy's own handler."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Connection, Server
from mitmproxy.proxy.commands import OpenConnection
from mitmproxy.proxy.events import ConnectionClosed, Event, OpenConnectionCompleted
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.proxy.server import ConnectionIO, SimpleConnectionHandler
from mitmproxy.test import taddons
from wiremend.seam.installation import Seam

ADDRESS = ("api.example.com", 443)


class Writer:
    """A socket's writing end, as far as the handler asks for it."""

    def __init__(self, peer: tuple[str, int] | None) -> None:
        self.names = {"peername": peer, "sockname": ("127.0.0.1", 1)}
        self.is_closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.names.get(name, default)

    def close(self) -> None:
        self.is_closed = True


class Hearing:
    """In place of a layer: hears events, and answers none."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def handle_event(self, event: Event) -> list[Any]:
        self.heard.append(event)
        return []


@pytest.fixture(params=[True, False], ids=["mended", "plain mitmproxy"])
def mended(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the seam is in place: without it, each of these is a call that waits."""
    if not request.param:
        yield False
        return
    seam = Seam()
    seam.install()
    yield True
    seam.remove()


def handler() -> tuple[SimpleConnectionHandler, Hearing]:
    client: Any = Writer(("127.0.0.1", 2))
    with taddons.context(Proxyserver()) as addons:
        mode = ProxyMode.parse("regular")
        made = SimpleConnectionHandler(  # type: ignore[no-untyped-call]
            asyncio.StreamReader(), client, addons.options, mode, {}
        )
    hearing = Hearing()
    made.layer = hearing  # type: ignore[assignment]
    return made, hearing


def test_a_connection_without_a_peer_is_one_that_failed(
    mended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that resets at once: nobody is there any more when mitmproxy asks who it is."""
    writer = Writer(None)
    server = Server(address=ADDRESS)

    async def open_connection(*_: Any, **__: Any) -> tuple[asyncio.StreamReader, Writer]:
        return asyncio.StreamReader(), writer

    async def run() -> list[Event]:
        made, hearing = handler()
        monkeypatch.setattr(asyncio, "open_connection", open_connection)
        await asyncio.gather(made.open_connection(OpenConnection(server)), return_exceptions=True)
        await asyncio.sleep(0)
        assert (server in made.transports, writer.is_closed) == (not mended, mended)
        return hearing.heard

    heard = asyncio.run(run())
    if not mended:
        assert heard == []
        return
    [told] = heard
    assert isinstance(told, OpenConnectionCompleted)
    assert told.reply == "connection reset by peer"
    assert not server.connected


def test_a_connections_end_is_told_also_by_a_task_that_is_cancelled(mended: bool) -> None:
    server: Connection = Server(address=ADDRESS)

    async def run() -> list[Event]:
        made, hearing = handler()
        reader = asyncio.StreamReader()
        reader.feed_eof()
        writer: Any = Writer(ADDRESS)
        made.transports[server] = ConnectionIO(reader=reader, writer=writer)
        async with made._server_event_lock:
            reading = asyncio.create_task(made.handle_connection(server))
            await asyncio.sleep(0)
            reading.cancel("Error sending data")
            await asyncio.gather(reading, return_exceptions=True)
        for _ in range(3):
            await asyncio.sleep(0)
        return hearing.heard

    heard = asyncio.run(run())
    assert [type(event) for event in heard] == ([ConnectionClosed] if mended else [])


def test_a_client_may_have_as_many_connections_as_streams(mended: bool) -> None:
    async def run() -> int:
        made, _ = handler()
        free = 0
        while not made.max_conns[ADDRESS].locked():
            await made.max_conns[ADDRESS].acquire()
            free += 1
        return free

    assert asyncio.run(run()) == (100 if mended else 5)
