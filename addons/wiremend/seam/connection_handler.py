"""mitmproxy's sockets for one client, less what lets a call wait for something that never comes."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy.commands import OpenConnection
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import ConnectionClosed, Event, OpenConnectionCompleted
from mitmproxy.proxy.server import ConnectionHandler
from mitmproxy.utils.asyncio_utils import create_task

CONNECTIONS_PER_PROVIDER = 100
"""For one client: as many as the streams that mitmproxy lets it open on one HTTP/2 connection."""


def with_more_connections(original: Callable[..., None]) -> Callable[..., None]:
    """Let no call wait for another one's end: mitmproxy opens five connections to a host."""

    def __init__(handler: ConnectionHandler, context: Context) -> None:
        original(handler, context)
        handler.max_conns.default_factory = partial(asyncio.Semaphore, CONNECTIONS_PER_PROVIDER)

    return __init__


def with_every_outcome_told(
    original: Callable[..., Awaitable[None]],
) -> Callable[..., Awaitable[None]]:
    """Tell, too, that a connection failed which was reset while it was being set up.

    Such a one has no peer any more: mitmproxy asserts that it has, and its task dies unheard.
    """

    async def open_connection(handler: ConnectionHandler, command: OpenConnection) -> None:
        connection = command.connection
        try:
            await original(handler, command)
        except (AssertionError, asyncio.CancelledError) as reason:
            if connection in handler.transports and connection.error is None:
                connection.error = "connection reset by peer"
                _end(handler, connection, OpenConnectionCompleted(command, connection.error))
            if isinstance(reason, asyncio.CancelledError):
                raise

    return open_connection


def with_every_end_told(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Tell of a connection's end, too, when its task was cancelled while it waited for its turn.

    A write to a connection that was just reset cancels the task that is about to tell of the reset.
    """

    async def handle_connection(handler: ConnectionHandler, connection: Connection) -> None:
        try:
            await original(handler, connection)
        except asyncio.CancelledError:
            if connection in handler.transports:  # it goes away after its end was told
                _end(handler, connection, ConnectionClosed(connection))
            raise

    return handle_connection


def _end(handler: ConnectionHandler, connection: Connection, event: Event) -> None:
    """Close the connection, and tell of it in a task of its own: this one may be cancelled."""
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
