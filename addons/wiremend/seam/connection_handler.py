"""Patches to mitmproxy's `ConnectionHandler`.

Without them a call can wait for an event that is never delivered.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from weakref import WeakSet, ref

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy.commands import OpenConnection
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import ConnectionClosed, Event, OpenConnectionCompleted
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.utils.asyncio_utils import create_task

CONNECTIONS_PER_PROVIDER = 100
"""For each client. As many as the streams that mitmproxy lets it open on one HTTP/2 connection."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with a time of 0."""
_HANDLER = "wiremend_handler"
"""The attribute of a client's connection that refers to its handler."""


def is_behind(client: Connection) -> bool:
    """Return whether a client has not read what was written to it.

    mitmproxy then reads no more from any of its upstream connections, until it has.
    """
    transport = _transport_of(client)
    if transport is None:
        return False
    low, _ = transport.get_write_buffer_limits()
    return transport.get_write_buffer_size() > low


def reset_when_closed(client: Connection) -> None:
    """Make the close of a client's connection a TCP reset."""
    transport = _transport_of(client)
    connected = transport.get_extra_info("socket") if transport is not None else None
    if connected is not None:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def handler_of(client: Connection) -> ConnectionHandler | None:
    """Return what reads and writes the connections of a client; None if it has gone."""
    reference = client.__dict__.get(_HANDLER)
    return None if reference is None else reference()


def _transport_of(client: Connection) -> asyncio.WriteTransport | None:
    """Return the transport of a connected client."""
    handler = handler_of(client)
    io = handler.transports.get(client) if handler is not None else None
    transport = getattr(io and io.writer, "transport", None)
    return transport if isinstance(transport, asyncio.WriteTransport) else None


class Handlers:
    """The handlers of all clients that are connected."""

    def __init__(self) -> None:
        self._handlers: WeakSet[ConnectionHandler] = WeakSet()

    def add(self, handler: ConnectionHandler) -> None:
        """Register a new handler."""
        self._handlers.add(handler)

    def unsent_bytes(self) -> int:
        """Return the size of all write buffers, toward clients and upstream."""
        ios = [io for handler in self._handlers for io in handler.transports.values()]
        transports = [getattr(io.writer, "transport", None) for io in ios]
        return sum(
            transport.get_write_buffer_size()
            for transport in transports
            if isinstance(transport, asyncio.WriteTransport)
        )


def with_more_connections(original: Callable[..., None], handlers: Handlers) -> Callable[..., None]:
    """Raise mitmproxy's limit of five connections per host, so that no call waits for another.

    Each handler is registered in `handlers`.
    """

    def __init__(handler: ConnectionHandler, context: Context) -> None:
        original(handler, context)
        context.client.__dict__[_HANDLER] = ref(handler)
        handlers.add(handler)
        handler.max_conns.default_factory = partial(asyncio.Semaphore, CONNECTIONS_PER_PROVIDER)

    return __init__


def with_setup_failures_reported(
    original: Callable[..., Awaitable[None]],
) -> Callable[..., Awaitable[None]]:
    """Also report connections that were reset during setup.

    Such a connection has no peer any more. mitmproxy asserts that there is one, and its task ends
    without an event.
    """

    async def open_connection(handler: ConnectionHandler, command: OpenConnection) -> None:
        connection = command.connection
        try:
            await original(handler, command)
        except (AssertionError, asyncio.CancelledError) as reason:
            if connection in handler.transports and connection.error is None:
                connection.error = "connection reset by peer"
                _close(handler, connection, OpenConnectionCompleted(command, connection.error))
            if isinstance(reason, asyncio.CancelledError):
                raise

    return open_connection


def with_cancelled_closes_reported(
    original: Callable[..., Awaitable[None]],
) -> Callable[..., Awaitable[None]]:
    """Also report a closed connection when its task was cancelled before it could report it.

    A write to a connection that was just reset cancels the task that is about to report the reset.
    """

    @wraps(original)
    async def handle_connection(handler: ConnectionHandler, connection: Connection) -> None:
        try:
            await original(handler, connection)
        except asyncio.CancelledError:
            if connection in handler.transports:  # it is removed once its end was reported
                _close(handler, connection, ConnectionClosed(connection))
            raise

    return handle_connection


def _close(handler: ConnectionHandler, connection: Connection, event: Event) -> None:
    """Close the connection and report `event` in a new task, since this one may be cancelled."""
    transport = handler.transports.pop(connection)
    connection.state = ConnectionState.CLOSED
    create_task(
        handler.server_event(event),
        name="connection closed",
        keep_ref=True,
        client=handler.client.peername,
    )
    if transport.writer is not None:
        transport.writer.close()
