"""Parts that shorten the way of a call through mitmproxy's layers; see `wiremend.seam.fast.paths`.

They concern calls only. Without them, a call takes the same steps, each as a command or an event
that passes through all layers.
"""

from collections.abc import Callable, Sequence

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layer import Layer, NextLayer
from mitmproxy.proxy.layers.http import HttpClient, HttpLayer, HTTPMode, HttpStream
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.tls import TLSLayer
from mitmproxy.proxy.tunnel import TunnelLayer, TunnelState

from wiremend.seam.client_side import ClientSide, Framing
from wiremend.seam.connection_handler import handler_of
from wiremend.seam.connections import Commands, Connections
from wiremend.seam.fast.hooks import cancel_timer
from wiremend.seam.fast.messages import Replacement
from wiremend.seam.http1_trailers import WITHOUT_BODY, CallHttp1Server
from wiremend.seam.http_clients import CallHttp1Client
from wiremend.seam.stream_layer import CallStream
from wiremend.seam.upstream_side import UpstreamSide

# ended_timers


def ended_timers() -> Sequence[Replacement]:
    """Cancel the timers of calls that have ended, instead of waking all layers for nothing."""

    def forget_wakeup(stream: CallStream, wakeup: commands.RequestWakeup) -> None:
        handler = handler_of(stream.context.client)
        if handler is None or not cancel_timer(handler, wakeup):
            return
        for layer in stream.context.layers:
            if isinstance(layer, HttpLayer):
                layer.command_sources.pop(wakeup, None)

    return [(CallStream, "forget_wakeup", forget_wakeup)]


# open_tunnels


def open_tunnels() -> Sequence[Replacement]:
    """Pass what is read inside of a CONNECT tunnel to the layer inside, and its writes outside.

    mitmproxy makes messages of HTTP of both, and passes them through a stream.
    """

    def handle(
        original: Callable[..., Commands], http_layer: HttpLayer, event: events.Event
    ) -> Commands:
        tunnel = _tunnel_in(http_layer) if type(event) is events.DataReceived else None
        if tunnel is None or not isinstance(event, events.DataReceived):
            return original(http_layer, event)
        is_inside = http_layer.connections.get(event.connection) is tunnel
        if not is_inside and event.connection is not http_layer.context.client:
            return original(http_layer, event)
        return _through(tunnel, http_layer, event)

    return [(Connections, "handle", staticmethod(handle))]


def _tunnel_in(http_layer: HttpLayer) -> HttpStream | None:
    """Return the stream of the CONNECT request that a layer has answered, if that is all."""
    streams = http_layer.streams
    if len(streams) != 1 or http_layer.mode is HTTPMode.transparent:
        return None
    (stream,) = streams.values()
    client = http_layer.connections.get(http_layer.context.client)
    if (
        stream.child_layer is None
        or stream._handle_event != stream.passthrough
        or stream._paused
        or stream.debug
        or stream.flow.request.method != "CONNECT"
        or stream.flow.response is None
        or stream.flow.response.headers.fields
        or type(client) is not CallHttp1Server
        or client._paused
        or client.buf
        or client.state != client.passthrough
    ):
        return None
    return stream


def _through(tunnel: HttpStream, http_layer: HttpLayer, event: events.Event) -> Commands:
    """Do as `HttpStream.passthrough` and `HttpLayer.event_to_child` do together."""
    assert tunnel.child_layer is not None
    client = http_layer.context.client
    for command in tunnel.child_layer.handle_event(event):
        if type(command) is commands.SendData:
            if command.data or command.connection is not client:
                yield command
            continue
        if command.blocking or isinstance(command, commands.RequestWakeup):
            http_layer.command_sources[command] = tunnel
        if isinstance(command, commands.OpenConnection):
            http_layer.connections[command.connection] = tunnel
        elif isinstance(command, commands.CloseConnection):
            if command.connection is client:
                over = ResponseProtocolError(tunnel.stream_id, "EOF", ErrorCode.PASSTHROUGH_CLOSE)
                yield from http_layer.event_to_child(http_layer.connections[client], over)
                continue
            if isinstance(command, commands.CloseTcpConnection):
                command = commands.CloseConnection(command.connection)
        yield command


# tunnel_commands


def tunnel_commands() -> Sequence[Replacement]:
    """Replace how a tunnel looks at each command of the layer inside, most of which are writes."""

    def event_to_child(tunnel: TunnelLayer, event: events.Event) -> Commands:
        if tunnel.tunnel_state is TunnelState.ESTABLISHING and not tunnel.command_to_reply_to:
            tunnel._event_queue.append(event)
            return
        own = tunnel.conn.id
        for command in tunnel.child_layer.handle_event(event):
            if isinstance(command, commands.ConnectionCommand) and command.connection.id == own:
                if type(command) is commands.SendData:
                    yield from tunnel.send_data(command.data)
                else:
                    yield from tunnel._handle_command(command)
            else:
                yield command

    return [(TunnelLayer, "event_to_child", event_to_child)]


# joined_events


def joined_events() -> Sequence[Replacement]:
    """Pass a request to its connection, and what was read of a response to its stream, at once."""
    return [(CallHttp1Client, "joins_reads", True), (UpstreamSide, "sends_whole", True)]


# unpaused_layers


def unpaused_layers() -> Sequence[Replacement]:
    """Replace how events enter layers that do not wait for the reply to a command.

    mitmproxy looks at each command that a layer yields, since the layer may have to wait for its
    reply. An HTTP layer never does, since its streams and connections wait themselves. A
    connection does so only before it is set up.
    """
    original, of_next_layer = Layer.handle_event, NextLayer.handle_event

    def handle_event(layer: Layer, event: events.Event) -> Commands:
        if layer._paused or layer.debug is not None:
            return original(layer, event)
        return layer._handle_event(event)

    def of_client(layer: HttpClient, event: events.Event) -> Commands:
        is_connected = "_handle_event" in layer.__dict__  # that of the protocol's layer
        return (handle_event if is_connected else original)(layer, event)

    def of_tls(layer: TLSLayer, event: events.Event) -> Commands:
        is_open = layer.tunnel_state is TunnelState.OPEN
        return (handle_event if is_open else original)(layer, event)

    def of_decided(layer: NextLayer, event: events.Event) -> Commands:
        return of_next_layer(layer, event) if layer._handle is None else layer._handle(event)

    never_waiting = (HttpLayer, CallHttp1Client, CallHttp1Server)
    return [
        *((layer, "handle_event", handle_event) for layer in never_waiting),
        (HttpClient, "handle_event", of_client),
        (TLSLayer, "handle_event", of_tls),
        (NextLayer, "handle_event", of_decided),
    ]


# direct_writes


def direct_writes() -> Sequence[Replacement]:
    """Write a response where the stream is, without an event for the layer of the connection."""
    original = ClientSide._send

    def _send(side: ClientSide, event: HttpEvent) -> Commands:
        server = side.connection
        if type(server) is not CallHttp1Server or server._paused or server.debug:
            yield from original(side, event)
            return
        if isinstance(event, ResponseHeaders) and event.response.http_version == "HTTP/1.1":
            side.note_sent(event)
            server.response = event.response
            side.framing = _framing_of(event.response)
            yield commands.SendData(server.conn, http1.assemble_response_head(event.response))
        elif isinstance(event, ResponseData) and event.data and side.framing is not None:
            data = event.data
            if side.framing is Framing.CHUNKS:
                data = b"%x\r\n%b\r\n" % (len(data), data)
            if side.framing is not Framing.NO_BODY:
                yield commands.SendData(server.conn, data)
        elif isinstance(event, ResponseEndOfMessage) and not server.buf:  # no request follows
            side.note_sent(event)
            yield from server.send(event)
        else:
            yield from original(side, event)

    return [(ClientSide, "_send", _send)]


def _framing_of(response: http.Response) -> Framing:
    """Return how `Http1Server` writes the parts of a body."""
    if response.status_code in WITHOUT_BODY:
        return Framing.NO_BODY
    is_chunked = "chunked" in response.headers.get("transfer-encoding", "").lower()
    return Framing.CHUNKS if is_chunked else Framing.AS_IT_IS
