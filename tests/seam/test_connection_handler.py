"""Contracts 15 and 28: mitmproxy's ConnectionHandler, with and without the seam's patches."""

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
from wiremend.seam.connection_handler import is_behind
from wiremend.seam.installation import Seam

ADDRESS = ("api.example.com", 443)


class Writer:
    """A socket's writing end, with the methods that the handler uses."""

    def __init__(self, peer: tuple[str, int] | None) -> None:
        self.names = {"peername": peer, "sockname": ("127.0.0.1", 1)}
        self.is_closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.names.get(name, default)

    def close(self) -> None:
        self.is_closed = True


class EventRecorder:
    """A layer that records events and returns no commands."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def handle_event(self, event: Event) -> list[Any]:
        self.events.append(event)
        return []


@pytest.fixture(params=[True, False], ids=["with the seam", "plain mitmproxy"])
def has_seam(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the seam is installed. Without it, a call would wait in each of these tests."""
    if not request.param:
        yield False
        return
    seam = Seam()
    seam.install()
    yield True
    seam.remove()


def handler() -> tuple[SimpleConnectionHandler, EventRecorder]:
    client: Any = Writer(("127.0.0.1", 2))
    with taddons.context(Proxyserver()) as addons:
        mode = ProxyMode.parse("regular")
        created = SimpleConnectionHandler(  # type: ignore[no-untyped-call]
            asyncio.StreamReader(), client, addons.options, mode, {}
        )
    recorder = EventRecorder()
    created.layer = recorder  # type: ignore[assignment]
    return created, recorder


def test_a_connection_without_a_peer_is_reported_as_failed(
    has_seam: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has reset the connection before mitmproxy reads the address of the peer."""
    writer = Writer(None)
    server = Server(address=ADDRESS)

    async def open_connection(*_: Any, **__: Any) -> tuple[asyncio.StreamReader, Writer]:
        return asyncio.StreamReader(), writer

    async def run() -> list[Event]:
        created, recorder = handler()
        monkeypatch.setattr(asyncio, "open_connection", open_connection)
        await asyncio.gather(
            created.open_connection(OpenConnection(server)), return_exceptions=True
        )
        await asyncio.sleep(0)
        assert (server in created.transports, writer.is_closed) == (not has_seam, has_seam)
        return recorder.events

    received = asyncio.run(run())
    if not has_seam:
        assert received == []
        return
    [event] = received
    assert isinstance(event, OpenConnectionCompleted)
    assert event.reply == "connection reset by peer"
    assert not server.connected


def test_the_end_of_a_connection_is_reported_if_its_task_is_cancelled(has_seam: bool) -> None:
    server: Connection = Server(address=ADDRESS)

    async def run() -> list[Event]:
        created, recorder = handler()
        reader = asyncio.StreamReader()
        reader.feed_eof()
        writer: Any = Writer(ADDRESS)
        created.transports[server] = ConnectionIO(reader=reader, writer=writer)
        async with created._server_event_lock:
            reading = asyncio.create_task(created.handle_connection(server))
            await asyncio.sleep(0)
            reading.cancel("Error sending data")
            await asyncio.gather(reading, return_exceptions=True)
        for _ in range(3):
            await asyncio.sleep(0)
        return recorder.events

    received = asyncio.run(run())
    assert [type(event) for event in received] == ([ConnectionClosed] if has_seam else [])


def test_a_client_can_have_100_connections_to_a_host(has_seam: bool) -> None:
    async def run() -> int:
        created, _ = handler()
        free = 0
        while not created.max_conns[ADDRESS].locked():
            await created.max_conns[ADDRESS].acquire()
            free += 1
        return free

    assert asyncio.run(run()) == (100 if has_seam else 5)


def test_a_client_is_behind_until_it_has_read_what_was_written() -> None:
    """Contract 28."""

    async def run() -> list[bool]:
        accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        server = await asyncio.start_server(
            lambda _, writer: accepted.put_nowait(writer), "127.0.0.1", 0
        )
        address = server.sockets[0].getsockname()
        reader, peer = await asyncio.open_connection(*address, limit=1024)
        writer = await accepted.get()
        with taddons.context(Proxyserver()) as addons:
            handler = SimpleConnectionHandler(
                None, writer, addons.options, ProxyMode.parse("regular"), {}
            )
        seen = [is_behind(handler.client)]
        data = b"a" * (1 << 20)
        for _ in range(20):
            writer.write(data)
        seen.append(is_behind(handler.client))
        await reader.readexactly(20 * len(data))
        await writer.drain()
        seen.append(is_behind(handler.client))
        handler.transports.clear()
        seen.append(is_behind(handler.client))
        for end in (peer, writer):
            end.close()
        server.close()
        return seen

    seam = Seam()
    seam.install()
    try:
        assert asyncio.run(run()) == [False, True, False, False]
    finally:
        seam.remove()
