"""Installs the seam: replaces classes and methods of mitmproxy, and restores them."""

from collections.abc import Callable
from functools import partial
from logging import WARNING
from typing import Any
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]
from weakref import WeakSet

from mitmproxy import version
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import (
    GetHttpConnection,
    GetHttpConnectionCompleted,
    HttpLayer,
    HttpStream,
)
from mitmproxy.proxy.layers.http._http1 import Http1Client
from mitmproxy.proxy.server import ConnectionHandler

from wiremend.held_memory import HeldMemory
from wiremend.requirements import problem_with_version
from wiremend.rules.containment import fault_of
from wiremend.seam.connection_handler import (
    Handlers,
    with_cancelled_closes_reported,
    with_more_connections,
    with_setup_failures_reported,
)
from wiremend.seam.connections import (
    Commands,
    Connections,
    GetAttemptConnection,
    LastRequestSent,
    ReadOver,
    connections_of,
    forget_closed,
    note_closed,
    take_write,
)
from wiremend.seam.faulty_stream import FaultyCallStream
from wiremend.seam.http1_trailers import CallHttp1Server
from wiremend.seam.http_clients import CallHttp1Client, CallHttp2Client
from wiremend.seam.stream_layer import CallStream


class Seam:
    """Installs and removes the replacements. Installing a second seam has no effect."""

    def __init__(self, account: HeldMemory | None = None) -> None:
        """`account` is the memory that the calls hold; by default a new one."""
        self._account = account or HeldMemory()
        self._originals: list[tuple[object, str, Any]] = []

    @property
    def is_installed(self) -> bool:
        """Whether this seam made the replacements; False for a second one."""
        return bool(self._originals)

    def install(self) -> None:
        """Replace mitmproxy's classes and methods.

        Raises RuntimeError if this version of mitmproxy is not one of `TESTED_VERSIONS`.
        """
        if problem := problem_with_version(version.VERSION):
            raise RuntimeError(problem)
        if hasattr(http_layers.HttpStream, "machine"):
            return
        for owner, name, replacement in _replacements(self._account):
            original = getattr(owner, name)
            self._originals.append((owner, name, original))
            setattr(owner, name, replacement(original))

    def remove(self) -> None:
        """Restore what was replaced. Running calls keep the layer that they started with."""
        for owner, name, original in self._originals:
            setattr(owner, name, original)
        self._originals.clear()


def _replacements(account: HeldMemory) -> list[tuple[object, str, Callable[[Any], Any]]]:
    """Return owner and name of each replaced attribute, and a function from old to new value."""
    handlers = Handlers()
    account.measure_unsent = handlers.unsent_bytes
    shared = {"account": account, "carried": WeakSet[CallStream]()}
    stream = type("CallStream", (FaultyCallStream,), shared)
    return [
        (http_layers, "HttpStream", lambda _: stream),
        (http_layers, "Http1Server", lambda _: CallHttp1Server),
        (http_layers, "Http1Client", lambda _: CallHttp1Client),
        (http_layers, "Http2Client", lambda _: CallHttp2Client),
        (HttpLayer, "get_connection", _with_usable_connections),
        (HttpLayer, "_handle_event", _with_whole_reads_and_writes),
        (ConnectionHandler, "__init__", partial(with_more_connections, handlers=handlers)),
        (ConnectionHandler, "open_connection", with_setup_failures_reported),
        (ConnectionHandler, "handle_connection", with_cancelled_closes_reported),
    ]


def _with_usable_connections(original: Callable[..., Commands]) -> Callable[..., Commands]:
    """Hand out only connections that can take another request.

    In upstream mode, bypass the upstream proxy for the hosts of the option `wiremend_no_proxy`.
    """

    def get_connection(
        http_layer: HttpLayer, event: GetHttpConnection, *, reuse: bool = True
    ) -> Commands:
        try:
            yield from usable_connection(http_layer, event, reuse=reuse)
        except Exception as exception:
            stream = http_layer.command_sources.pop(event, None)
            if stream is None:
                raise  # the event was replied to
            fault = fault_of("finding a connection", exception)
            yield commands.Log(f"wiremend: internal fault ({fault}) while {fault.step}", WARNING)
            reply = (None, f"internal fault ({fault})")
            yield from http_layer.event_to_child(stream, GetHttpConnectionCompleted(event, reply))

    def usable_connection(
        http_layer: HttpLayer, event: GetHttpConnection, *, reuse: bool
    ) -> Commands:
        connections = connections_of(http_layer)
        if event.via and proxy_bypass_environment(
            event.address[0], {"no": http_layer.context.options.wiremend_no_proxy}
        ):
            event.via = None
        for connection, stream in list(connections.draining.items()):
            if event.connection_spec_matches(connection) and connection.alpn != b"h2":
                yield from stream.stop_draining()
        instead_of = event.instead_of if isinstance(event, GetAttemptConnection) else None
        if instead_of is not None:
            yield from _retire(http_layer, instead_of)
        if connections.background or not _puts_usable_first(http_layer, event, instead_of):
            reuse = False
        yield from original(http_layer, event, reuse=reuse)

    return get_connection


def _retire(http_layer: HttpLayer, connection: Connection) -> Commands:
    """Send no more requests there. Calls that already run on an HTTP/2 connection continue."""
    if connection.connected and connection.alpn == b"h2" and connection in http_layer.connections:
        connections_of(http_layer).leaving.add(connection)
        handler = http_layer.connections[connection]
        yield from http_layer.event_to_child(handler, LastRequestSent())


def _puts_usable_first(
    http_layer: HttpLayer, event: GetHttpConnection, instead_of: Connection | None
) -> bool:
    """Move connections that must not be used behind the others; return whether others exist.

    mitmproxy takes the first connection to the right address.
    """
    connections, leaving = http_layer.connections, connections_of(http_layer).leaving
    leaving &= {connection for connection in leaving if connection.connected}
    found = [connection for connection in connections if event.connection_spec_matches(connection)]
    usable = {
        connection
        for connection in found
        if connection in http_layer.waiting_for_establishment
        or (
            connection.connected
            and connection is not instead_of
            and connection not in leaving
            and not _is_busy(http_layer, connection)
        )
    }
    for connection in found:
        if connection not in usable:
            connections[connection] = connections.pop(connection)
    return bool(usable)


def _is_busy(http_layer: HttpLayer, connection: Connection) -> bool:
    """Whether an HTTP/1 connection's last exchange has not been marked as done."""
    protocol = http_layer.connections[connection].context.layers[-1]
    return isinstance(protocol, Http1Client) and protocol.request is not None


def _with_whole_reads_and_writes(original: Callable[..., Commands]) -> Callable[..., Commands]:
    """Process each network read as a whole and answer it in one write per connection.

    mitmproxy makes an event of every chunk and a write of every piece. It closes all upstream
    connections of a client together with the client's own; here, background calls continue. After
    an exception it leaves the client waiting; here, the client's connection is closed. Connections
    that have ended are dropped, and so are their late events.
    """

    def handle_event(http_layer: HttpLayer, event: events.Event) -> Commands:
        client = http_layer.context.client
        waiting: list[commands.SendData] = []
        try:
            if isinstance(event, events.ConnectionEvent) and _is_forgotten(http_layer, event):
                return
            connections = connections_of(http_layer)
            waiting = connections.unwritten
            # As in `in_one_write`, without a further generator: every event passes through here.
            for command in _in_one_read(http_layer, connections, event):
                if type(command) is commands.SendData:
                    if waiting and waiting[0].connection is not command.connection:
                        yield take_write(waiting)
                    waiting.append(command)
                    continue
                if waiting:
                    yield take_write(waiting)
                if (
                    connections.background
                    and isinstance(command, commands.CloseConnection)
                    and command.connection is client
                ):
                    connections.close_when_done = command
                else:
                    yield command
            if waiting:
                yield take_write(waiting)
            if connections.close_when_done is not None and not connections.background:
                command, connections.close_when_done = connections.close_when_done, None
                yield command
            note_closed(http_layer, event)
            if connections.closed:
                forget_closed(http_layer)
        except Exception:
            yield commands.CloseConnection(client)
            raise
        finally:
            waiting.clear()  # after an exception

    def _in_one_read(
        http_layer: HttpLayer, connections: Connections, event: events.Event
    ) -> Commands:
        is_read = isinstance(event, events.DataReceived)
        reading: list[HttpStream] | None = [] if is_read else None
        outer, connections.reading = connections.reading, reading
        try:
            yield from connections.handle(original, http_layer, event)
        finally:
            connections.reading = outer
        for stream in reading or ():
            yield from http_layer.event_to_child(stream, ReadOver())

    return handle_event


def _is_forgotten(http_layer: HttpLayer, event: events.ConnectionEvent) -> bool:
    connection = event.connection
    return connection not in http_layer.connections and connection != http_layer.context.server
