"""The connections of a scripted provider: what both HTTP versions share."""

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import termios
from abc import abstractmethod
from collections.abc import Coroutine
from typing import Any, Protocol, cast, override

from wiremend.testing.exchange import Exchange, PeerGone, Received, Reply

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""The value of `SO_LINGER` with which closing a socket sends a RST."""


class Provider(Protocol):
    """What a connection needs of its provider, on the provider's event loop."""

    streams_at_once: int
    connected: "set[Connection]"
    released: asyncio.Event
    """Set when replies that hold may go on."""

    def reply_to(self, received: Received) -> Reply:
        """Record a request, and return its reply."""

    async def play(self, exchange: "RunningExchange", reply: Reply) -> None:
        """Play a reply to its end, or until the peer is gone."""

    def start(self, what: Coroutine[Any, Any, None]) -> None:
        """Run something beside the connection."""


class Connection(asyncio.Protocol):
    """The part of a connection that both HTTP versions share."""

    def __init__(self, provider: Provider, number: int) -> None:
        self.provider = provider
        self.number = number
        self.gone = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.leaving = False
        """Whether this side ended the connection."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._socket = transport.get_extra_info("socket")  # not available from a closed transport
        self.provider.connected.add(self)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        self.provider.connected.discard(self)
        self.gone.set()
        self._writable.set()
        for exchange in self.exchanges():
            exchange.gone.set()
            if not self.leaving:
                exchange.peer_left()

    @abstractmethod
    def exchanges(self) -> "list[RunningExchange]":
        """Return the running exchanges."""

    @override
    def pause_writing(self) -> None:
        self._writable.clear()

    @override
    def resume_writing(self) -> None:
        self._writable.set()

    async def write(self, data: bytes) -> None:
        """Write data and wait until the peer has it. Raises PeerGone."""
        if self.gone.is_set() or self.leaving:
            raise PeerGone
        self.transport.write(data)
        await self.sent()

    async def sent(self) -> None:
        """Wait until the peer has acknowledged every byte; a reset would discard the others."""
        await self._writable.wait()
        while not (self.gone.is_set() or self.transport.is_closing()):
            unsent = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
            if not self.transport.get_write_buffer_size() and not struct.unpack("i", unsent)[0]:
                return
            await asyncio.sleep(0.0005)  # there is no event for this
        raise PeerGone

    async def finish(self) -> None:
        """TLS close_notify, then FIN."""
        self.leaving = True
        copy = self._copy_of_socket()
        self.transport.close()
        with copy:  # asyncio waits for the peer's close_notify before it sends a FIN
            self._send_fin(copy)
        await self.gone.wait()

    async def cut(self) -> None:
        """FIN alone."""
        self.leaving = True
        with self._copy_of_socket() as copy:
            self._send_fin(copy)
        await self.gone.wait()

    def _copy_of_socket(self) -> socket.socket:
        if self._socket.fileno() < 0:
            raise PeerGone
        return socket.socket(fileno=os.dup(self._socket.fileno()))

    @staticmethod
    def _send_fin(connected: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the peer closed first
            connected.shutdown(socket.SHUT_WR)

    async def reset(self) -> None:
        """RST."""
        self.drop()
        await self.gone.wait()

    def drop(self) -> None:
        """RST, without waiting."""
        self.leaving = True
        if self._socket.fileno() >= 0:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()


class RunningExchange(Exchange):
    """The part of an exchange that both HTTP versions share."""

    def __init__(self, connection: Connection, received: Received) -> None:
        self.connection = connection
        self.received = received
        self.gone = asyncio.Event()

    def peer_left(self) -> None:
        """The peer closed the connection or cancelled this request."""
        self.received.closed.set()
        self.gone.set()

    @abstractmethod
    def over(self) -> None:
        """The reply has ended."""

    @override
    async def hold(self) -> None:
        released = asyncio.ensure_future(self.connection.provider.released.wait())
        gone = asyncio.ensure_future(self.gone.wait())
        try:
            await asyncio.wait((released, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            released.cancel()
            gone.cancel()
        if self.gone.is_set():
            raise PeerGone

    @override
    async def raw(self, data: bytes) -> None:
        await self.connection.write(data)

    @override
    async def close(self) -> None:
        await self.connection.finish()

    @override
    async def cut(self) -> None:
        await self.connection.cut()

    @override
    async def reset(self) -> None:
        await self.connection.reset()
