"""mitmproxy's sockets for one client, less what lets a call wait for something that never comes."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import events
from mitmproxy.proxy.context import Context
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


def with_every_end_told(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Tell of a connection's end, too, when its task was cancelled while it waited for its turn.

    A write to a connection that was just reset cancels the task that is about to tell of the reset.
    """

    async def handle_connection(handler: ConnectionHandler, connection: Connection) -> None:
        try:
            await original(handler, connection)
        except asyncio.CancelledError:
            transport = handler.transports.pop(connection, None)
            if transport is not None:  # it goes away after its end was told
                connection.state = ConnectionState.CLOSED
                create_task(  # not awaited here, where it may be cancelled once more
                    handler.server_event(events.ConnectionClosed(connection)),
                    name="connection closed",
                    keep_ref=True,
                    client=handler.client.peername,
                )
                if transport.writer is not None:
                    transport.writer.close()
            raise

    return handle_connection
