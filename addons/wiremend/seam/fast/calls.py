"""Parts that shorten the way of a call through mitmproxy's layers; see `wiremend.seam.fast.paths`.

They concern calls only. Without them, a call takes the same steps, each as a command or an event
that passes through all layers.
"""

from collections.abc import Sequence

from mitmproxy import http
from mitmproxy.net.http import http1
from mitmproxy.proxy import commands
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.http._base import HttpEvent
from mitmproxy.proxy.layers.http._events import (
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
)
from mitmproxy.proxy.layers.http._hooks import HttpRequestHeadersHook

from wiremend.seam.client_side import ClientSide
from wiremend.seam.connection_handler import handler_of
from wiremend.seam.connections import Commands, connections_of
from wiremend.seam.fast.hooks import cancel_timer, run_at_once
from wiremend.seam.fast.messages import Replacement
from wiremend.seam.http1_trailers import WITHOUT_BODY, CallHttp1Server
from wiremend.seam.http_clients import CallHttp1Client
from wiremend.seam.stream_layer import CallStream
from wiremend.seam.upstream_side import UpstreamSide

# hooks_in_place


def hooks_in_place() -> Sequence[Replacement]:
    """Call the hooks of a stream where it waits for them.

    mitmproxy returns from all layers to call them, and enters all layers with an event when they
    have completed. That is still so for hooks that wait for something, for those that follow a
    write which has not been made, and for the first one: many requests that a client sends at once
    would otherwise be handled in one stack.
    """

    def runs_at_once(stream: CallStream, hook: commands.StartHook) -> bool:
        if not hook.blocking or isinstance(hook, HttpRequestHeadersHook) or stream.debug:
            return False
        handler = handler_of(stream.context.client)
        if handler is None:
            return False
        for layer in stream.context.layers:
            if isinstance(layer, HttpLayer) and connections_of(layer).unwritten:
                return False
        return run_at_once(handler, hook)

    return [(CallStream, "runs_at_once", runs_at_once)]


# ended_timers


def ended_timers() -> Sequence[Replacement]:
    """Cancel the timers of calls that have ended, instead of waking all layers for nothing."""

    def forgets_wakeup(stream: CallStream, wakeup: commands.RequestWakeup) -> None:
        handler = handler_of(stream.context.client)
        if handler is None or not cancel_timer(handler, wakeup):
            return
        for layer in stream.context.layers:
            if isinstance(layer, HttpLayer):
                layer.command_sources.pop(wakeup, None)

    return [(CallStream, "forgets_wakeup", forgets_wakeup)]


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
