"""Puts the seam in place: a stream class of ours, and two methods of mitmproxy's HttpLayer."""

from collections.abc import Callable

from mitmproxy import version
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer, HttpStream

from wiremend.seam.connections import Commands, ReadOver, connections_of
from wiremend.seam.stream_layer import MendedHttpStream

TESTED_VERSION = "12.2."


class Seam:
    """Puts the layer in place and takes it back. A second one on top changes nothing."""

    def install(self) -> None:
        """Raises RuntimeError on a mitmproxy version that this was not tested with."""
        if not version.VERSION.startswith(TESTED_VERSION):
            raise RuntimeError(
                f"wiremend works with mitmproxy {TESTED_VERSION}x, "
                f"this is {version.VERSION}: install the tested version."
            )
        self._stream = http_layers.HttpStream
        self._get_connection = HttpLayer.get_connection
        self._handle_event = HttpLayer._handle_event
        self._is_second = hasattr(http_layers.HttpStream, "machine")
        if not self._is_second:
            http_layers.HttpStream = MendedHttpStream  # type: ignore[misc]
            HttpLayer.get_connection = _mended_get_connection(  # type: ignore[method-assign]
                HttpLayer.get_connection
            )
            HttpLayer._handle_event = _mended_handle_event(  # type: ignore[method-assign]
                HttpLayer._handle_event
            )

    def remove(self) -> None:
        """Put back what was there before; calls under way keep the layer they began with."""
        if not self._is_second:
            http_layers.HttpStream = self._stream  # type: ignore[misc]
            HttpLayer.get_connection = self._get_connection  # type: ignore[method-assign]
            HttpLayer._handle_event = self._handle_event  # type: ignore[method-assign]


def _mended_get_connection(original: Callable[..., Commands]) -> Callable[..., Commands]:
    """Never hand out a connection whose last response has not ended, nor a used one when fresh."""

    def get_connection(
        http_layer: HttpLayer, event: GetHttpConnection, *, reuse: bool = True
    ) -> Commands:
        connections = connections_of(http_layer)
        for connection, stream in list(connections.draining.items()):
            if event.connection_spec_matches(connection) and connection.alpn != b"h2":
                yield from stream.stop_draining()
        if connections.background or getattr(event, "fresh", False):
            reuse = False
        yield from original(http_layer, event, reuse=reuse)

    return get_connection


def _mended_handle_event(original: Callable[..., Commands]) -> Callable[..., Commands]:
    """One read, one look, one write; and background calls outlive their client's connection.

    mitmproxy makes an event of every chunk and a write of every piece, and closes all upstream
    connections of a client together with the client's own.
    """

    def handle_event(http_layer: HttpLayer, event: events.Event) -> Commands:
        yield from _in_one_write(_with_background(http_layer, _in_one_look(http_layer, event)))

    def _in_one_look(http_layer: HttpLayer, event: events.Event) -> Commands:
        connections = connections_of(http_layer)
        outer = connections.reading
        reading: list[HttpStream] | None = None
        if isinstance(event, events.DataReceived):
            reading = []
        connections.reading = reading
        yield from original(http_layer, event)
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
