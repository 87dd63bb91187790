"""State of the upstream connections, shared by the calls of one client connection."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from mitmproxy import http
from mitmproxy.connection import Connection
from mitmproxy.proxy import commands, events, layer
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer, HttpStream
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    RequestData,
    RequestEndOfMessage,
    RequestHeaders,
    RequestTrailers,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseTrailers,
)

Commands = layer.CommandGenerator[None]


class Draining(Protocol):
    """A call whose client has its response, but whose upstream response has not ended."""

    def stop_draining(self) -> Commands:
        """Stop waiting for the end, since another request wants the connection."""
        ...


@dataclass
class GetAttemptConnection(GetHttpConnection):
    """Requests a connection for one attempt."""

    instead_of: Connection | None = None
    """The connection on which the attempt before failed. No further request uses it."""

    # Compare by identity: the dataclass's equality would merge two requests for one address.
    __eq__ = object.__eq__
    __hash__ = object.__hash__


@dataclass
class LastRequestSent(events.Event):
    """An HTTP/2 connection gets no more requests and closes when its running ones have ended."""


@dataclass
class ReadOver(events.Event):
    """All data of one network read has been passed to the streams."""


class Flush(commands.Command):
    """Makes the writes that wait for further ones. It has no effect of its own."""


@dataclass
class WholeRequest(HttpEvent):
    """Sends the request of an attempt on an HTTP/1.1 connection: all of its events at once."""

    request: http.Request

    def parts(self) -> Iterator[HttpEvent]:
        """Yield the events that this one replaces."""
        number, request = self.stream_id, self.request
        content = request.raw_content
        yield RequestHeaders(number, request, not (content or request.trailers))
        if content:
            yield RequestData(number, content)
        if request.trailers:
            yield RequestTrailers(number, request.trailers)
        yield RequestEndOfMessage(number)


@dataclass
class ResponseRead(HttpEvent):
    """What one network read contains of the response to an attempt: all of its events at once."""

    response: http.Response | None = None
    data: bytes = b""
    trailers: http.Headers | None = None
    is_end: bool = False

    def parts(self) -> Iterator[HttpEvent]:
        """Yield the events that this one replaces."""
        if self.response is not None:
            yield ResponseHeaders(self.stream_id, self.response)
        if self.data:
            yield ResponseData(self.stream_id, self.data)
        if self.trailers is not None:
            yield ResponseTrailers(self.stream_id, self.trailers)
        if self.is_end:
            yield ResponseEndOfMessage(self.stream_id)


@dataclass
class Connections:
    """State of one HttpLayer's upstream connections, shared by its calls."""

    used: set[str] = field(default_factory=set)
    """Ids of connections that carried an attempt. A later attempt there reuses the connection."""
    draining: dict[Connection, Draining] = field(default_factory=dict)
    """Connections whose response the client has, but which have not delivered its end."""
    background: set[Draining] = field(default_factory=set)
    """Answered calls that continue upstream even if the client disconnects."""
    close_when_done: commands.CloseConnection | None = None
    """Closes the client's connection; delayed until `background` is empty."""
    next_attempt_id: int = -1
    leaving: set[Connection] = field(default_factory=set)
    """Connections that get no more requests, but whose running ones may finish."""
    reading: list[HttpStream] | None = None
    """During one network read: the streams that received data of it."""
    closed: set[Connection] = field(default_factory=set)
    """Connections that have ended, whose layers were not dropped yet."""
    unwritten: list[commands.SendData] = field(default_factory=list)
    """Writes of the present event that wait for further ones to the same connection."""

    @staticmethod
    def handle(
        original: Callable[..., Commands], http_layer: HttpLayer, event: events.Event
    ) -> Commands:
        """Handle an event as `HttpLayer` does, unless `fast/calls.py` replaces this."""
        return original(http_layer, event)


def connections_of(http_layer: HttpLayer) -> Connections:
    """Return the state that this layer's calls share, created at the first call."""
    connections: Connections | None = http_layer.__dict__.get("wiremend")
    if connections is None:  # this is called for every chunk
        connections = http_layer.__dict__["wiremend"] = Connections()
    return connections


def http_layer_of(stream: HttpStream) -> HttpLayer:
    """Return the layer that created this stream."""
    layers = stream.context.layers
    parent = layers[layers.index(stream) - 1]
    assert isinstance(parent, HttpLayer)
    return parent


def in_one_write(source: Commands) -> Commands:
    """Yield the same commands; merge consecutive writes to one connection.

    A large message is thousands of writes, since TLS makes one of each record: they are joined
    once.
    """
    waiting: list[commands.SendData] = []
    for command in source:
        if type(command) is commands.SendData:
            if waiting and waiting[0].connection is not command.connection:
                yield take_write(waiting)
            waiting.append(command)
            continue
        if waiting:
            yield take_write(waiting)
        yield command
    if waiting:
        yield take_write(waiting)


def take_write(waiting: list[commands.SendData]) -> commands.SendData:
    """Return one write with the data of these, which is at least one; empty the list."""
    first = waiting[0]
    if len(waiting) > 1:
        first.data = b"".join([write.data for write in waiting])
    waiting.clear()
    return first


def note_closed(http_layer: HttpLayer, event: events.Event) -> None:
    """Register the upstream connection that ends with this event, or that could not be opened.

    The client's own is needed until its background calls have ended.
    """
    if isinstance(event, events.ConnectionClosed):
        if event.connection is not http_layer.context.client:
            connections_of(http_layer).closed.add(event.connection)
    elif isinstance(event, events.OpenConnectionCompleted) and event.reply is not None:
        connections_of(http_layer).closed.add(event.command.connection)


def forget_closed(http_layer: HttpLayer) -> None:
    """Drop the layers of connections that have ended and that no stream uses.

    mitmproxy keeps them, with their TLS state and buffers, until the client disconnects. A
    connection through an upstream proxy is two connections with one layer. A stream of a CONNECT
    request is the layer of all connections inside its tunnel, which end one by one.
    """
    state = connections_of(http_layer)
    if not state.closed:
        return
    in_use = {stream.context.server for stream in http_layer.streams.values()}
    in_use.add(http_layer.context.server)
    for connection in list(state.closed):
        handler = http_layer.connections.get(connection)
        if handler is None or isinstance(handler, HttpStream):
            group = [connection]
        else:
            group = [known for known, layer in http_layer.connections.items() if layer is handler]
        if in_use.isdisjoint(group):
            state.closed.discard(connection)
            for known in group:
                http_layer.connections.pop(known, None)
                state.used.discard(known.id)
                state.leaving.discard(known)
