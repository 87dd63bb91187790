"""Parts that shorten the way of a call through mitmproxy's layers; see `wiremend.seam.fast.paths`.

They concern calls only. Without them, a call takes the same steps, each as a command or an event
that passes through all layers.
"""

from collections.abc import Callable, Sequence

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode, HttpStream
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.tunnel import TunnelLayer, TunnelState

from wiremend.seam.client_side import ClientSide
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
            yield commands.SendData(server.conn, http1.assemble_response_head(event.response))
        elif isinstance(event, ResponseData) and event.data:
            if data := _on_the_wire(event.data, server.response):
                yield commands.SendData(server.conn, data)
        elif isinstance(event, ResponseEndOfMessage) and not server.buf:  # no request follows
            side.note_sent(event)
            yield from server.send(event)
        else:
            yield from original(side, event)

    return [(ClientSide, "_send", _send)]


def _on_the_wire(data: bytes, response: http.Response | None) -> bytes:
    """Return the bytes of a part of a body, which is not empty, as `Http1Server` writes them."""
    assert response is not None
    if response.status_code in WITHOUT_BODY:
        return b""
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        return b"%x\r\n%b\r\n" % (len(data), data)
    return data
