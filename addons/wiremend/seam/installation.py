"""Puts the seam in place: classes and methods of mitmproxy's, each replaced by a mended one."""

from collections.abc import Callable
from typing import Any
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from mitmproxy import version
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer, HttpStream
from mitmproxy.proxy.layers.http._http1 import Http1Client
from mitmproxy.proxy.server import ConnectionHandler

from wiremend.seam.connection_handler import (
    with_every_end_told,
    with_every_outcome_told,
    with_more_connections,
)
from wiremend.seam.connections import (
    Commands,
    GetAttemptConnection,
    LastRequestSent,
    ReadOver,
    connections_of,
)
from wiremend.seam.http1_trailers import MendedHttp1Server
from wiremend.seam.http_clients import MendedHttp1Client, MendedHttp2Client
from wiremend.seam.stream_layer import MendedHttpStream

TESTED_VERSIONS = ("12.2", "12.3")
"""Versions of mitmproxy, as MAJOR.MINOR. The seam's tests run with each of them."""


class Seam:
    """Puts the layer in place and takes it back. A second one on top changes nothing."""

    def install(self) -> None:
        """Replace mitmproxy's classes and methods.

        Raises RuntimeError if this version of mitmproxy is not one of `TESTED_VERSIONS`.
        """
        if ".".join(version.VERSION.split(".")[:2]) not in TESTED_VERSIONS:
            raise RuntimeError(
                f"wiremend works with mitmproxy {' and '.join(TESTED_VERSIONS)}, "
                f"but this is mitmproxy {version.VERSION}: "
                f'run pip install "mitmproxy=={TESTED_VERSIONS[-1]}.*"'
            )
        self._originals: list[tuple[object, str, Any]] = []
        if hasattr(http_layers.HttpStream, "machine"):
            return
        for owner, name, mended in _replacements():
            original = getattr(owner, name)
            self._originals.append((owner, name, original))
            setattr(owner, name, mended(original))

    def remove(self) -> None:
        """Put back what was there before; calls under way keep the layer they began with."""
        for owner, name, original in self._originals:
            setattr(owner, name, original)


def _replacements() -> list[tuple[object, str, Callable[[Any], Any]]]:
    """What is replaced where, and what makes the new one of the one that was there."""
    return [
        (http_layers, "HttpStream", lambda _: MendedHttpStream),
        (http_layers, "Http1Server", lambda _: MendedHttp1Server),
        (http_layers, "Http1Client", lambda _: MendedHttp1Client),
        (http_layers, "Http2Client", lambda _: MendedHttp2Client),
        (HttpLayer, "get_connection", _mended_get_connection),
        (HttpLayer, "_handle_event", _mended_handle_event),
        (ConnectionHandler, "__init__", with_more_connections),
        (ConnectionHandler, "open_connection", with_every_outcome_told),
        (ConnectionHandler, "handle_connection", with_every_end_told),
    ]


def _mended_get_connection(original: Callable[..., Commands]) -> Callable[..., Commands]:
    """Hand out only connections that are good for another request.

    In upstream mode, go past the proxy to the hosts of the option `wiremend_no_proxy`.
    """

    def get_connection(
        http_layer: HttpLayer, event: GetHttpConnection, *, reuse: bool = True
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
    """Send no more requests there; other calls that run on an HTTP/2 connection go on."""
    if connection.connected and connection.alpn == b"h2" and connection in http_layer.connections:
        connections_of(http_layer).leaving.add(connection)
        handler = http_layer.connections[connection]
        yield from http_layer.event_to_child(handler, LastRequestSent())


def _puts_usable_first(
    http_layer: HttpLayer, event: GetHttpConnection, instead_of: Connection | None
) -> bool:
    """Move connections that a request must not meet behind the others; whether others are left.

    mitmproxy takes the first one that leads to the right place.
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
    """Whether an HTTP/1 connection's last response has not ended, or is just about to."""
    protocol = http_layer.connections[connection].context.layers[-1]
    return isinstance(protocol, Http1Client) and protocol.request is not None


def _mended_handle_event(original: Callable[..., Commands]) -> Callable[..., Commands]:
    """One read, one look, one write; and background calls outlive their client's connection.

    mitmproxy makes an event of every chunk and a write of every piece, and closes all upstream
    connections of a client together with the client's own. When it crashes, it leaves the client
    waiting; here the client's connection is closed.
    """

    def handle_event(http_layer: HttpLayer, event: events.Event) -> Commands:
        try:
            yield from _in_one_write(_with_background(http_layer, _in_one_look(http_layer, event)))
        except Exception:
            yield commands.CloseConnection(http_layer.context.client)
            raise

    def _in_one_look(http_layer: HttpLayer, event: events.Event) -> Commands:
        connections = connections_of(http_layer)
        outer = connections.reading
        reading: list[HttpStream] | None = None
        if isinstance(event, events.DataReceived):
            reading = []
        connections.reading = reading
        try:
            yield from original(http_layer, event)
        finally:
            connections.reading = outer
        for stream in reading or ():
            yield from http_layer.event_to_child(stream, ReadOver())

    return handle_event


def _with_background(http_layer: HttpLayer, source: Commands) -> Commands:
    """The same commands; a client's end waits for its background calls."""
    connections = connections_of(http_layer)
    for command in source:
        if (
            connections.background
            and isinstance(command, commands.CloseConnection)
            and command.connection is http_layer.context.client
        ):
            connections.close_when_done = command
        else:
            yield command
    if connections.close_when_done is not None and not connections.background:
        command, connections.close_when_done = connections.close_when_done, None
        yield command


def _in_one_write(source: Commands) -> Commands:
    """The same commands; bytes that follow each other to one connection leave together."""
    waiting: commands.SendData | None = None
    for command in source:
        if type(command) is not commands.SendData:
            if waiting is not None:
                yield waiting
                waiting = None
            yield command
        elif waiting is None:
            waiting = command
        elif waiting.connection is command.connection:
            waiting.data += command.data
        else:
            yield waiting
            waiting = command
    if waiting is not None:
        yield waiting
