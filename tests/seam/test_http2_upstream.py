"""Contracts 6 and 14: mitmproxy's HTTP/2 client, with and without the seam's subclass."""

from collections.abc import Iterator
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import Event as H2Event
from h2.events import RequestReceived, StreamReset
from h2.settings import SettingCodes
from mitmproxy import http
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import Client, ConnectionState, Server
from mitmproxy.proxy import commands, events
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import HttpLayer, HTTPMode
from mitmproxy.proxy.layers.http._base import ReceiveHttp
from mitmproxy.proxy.layers.http._events import (
    ErrorCode,
    HttpEvent,
    RequestEndOfMessage,
    RequestHeaders,
    RequestProtocolError,
    ResponseData,
    ResponseEndOfMessage,
    ResponseHeaders,
    ResponseProtocolError,
)
from mitmproxy.proxy.layers.http._http2 import Http2Client
from mitmproxy.test import taddons
from wiremend.seam.http_clients import CallHttp2Client

FIRST, SECOND = -1, -2
"""Ids of attempts, as the seam assigns them. The server sees the streams 1 and 3."""


class Upstream:
    """An HTTP/2 client layer, and the server that it is connected to."""

    def __init__(self, layer: type[Http2Client], options: Any, streams: int = 100) -> None:
        client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0.0)
        context = Context(client, options)
        HttpLayer(context, HTTPMode.regular)  # adds itself to the context
        context.server = Server(address=("api.example.com", 443))
        context.server.state = ConnectionState.OPEN
        context.server.alpn = b"h2"
        self.connection = context.server
        self.server = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.server.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = streams
        self.server.local_settings.acknowledge()  # else the first settings frame lacks it
        self.server.initiate_connection()
        self.seen: list[H2Event] = []
        """What the server received."""
        self.received: list[HttpEvent] = []
        """What the HTTP layer received."""
        self.is_closed = False
        self.layer = layer(context)
        self.receive(events.Start())
        self.answer()

    def receive(self, event: events.Event) -> None:
        """Pass an event to the client layer, and the bytes that it sends to the server."""
        for command in self.layer.handle_event(event):
            match command:
                case commands.SendData(data=data):
                    self.seen += self.server.receive_data(data)
                case ReceiveHttp(event=event):
                    self.received.append(event)
                case commands.CloseConnection():
                    self.is_closed = True

    def answer(self) -> None:
        """Receive everything that the server has to send, in one network read."""
        self.receive(events.DataReceived(self.connection, self.server.data_to_send()))

    def request(self, stream_id: int) -> None:
        """Send a request without a body."""
        made = http.Request.make("GET", "https://api.example.com/v1/models")
        made.authority = "api.example.com"
        self.receive(RequestHeaders(stream_id, made, end_stream=True))
        self.receive(RequestEndOfMessage(stream_id))

    def respond(self, server_stream: int, *fields: tuple[str, str], body: bytes = b"ok") -> None:
        """Send the server's complete response to one request."""
        self.server.send_headers(server_stream, [(":status", "200"), *fields])
        self.server.send_data(server_stream, body, end_stream=True)
        self.answer()

    def requests_seen(self) -> int:
        """Return how many requests reached the server."""
        return sum(isinstance(event, RequestReceived) for event in self.seen)

    def outcome(self, stream_id: int) -> list[str]:
        """Return the names of the events that the HTTP layer received for a call."""
        return [type(event).__name__ for event in self.received if event.stream_id == stream_id]


WHOLE = [event.__name__ for event in (ResponseHeaders, ResponseData, ResponseEndOfMessage)]
FAILED = [ResponseProtocolError.__name__]


@pytest.fixture(params=[True, False], ids=["with the seam", "plain mitmproxy"])
def has_seam(request: pytest.FixtureRequest) -> bool:
    """Whether the subclass is used. Without it, a call is lost in each of these tests."""
    return bool(request.param)


@pytest.fixture
def options() -> Iterator[Any]:
    with taddons.context(Proxyserver()) as addons:
        yield addons.options


@pytest.fixture
def layer(has_seam: bool) -> type[Http2Client]:
    return CallHttp2Client if has_seam else Http2Client


def test_a_goaway_without_an_error_lets_running_calls_finish(
    has_seam: bool, layer: type[Http2Client], options: Any
) -> None:
    upstream = Upstream(layer, options)
    upstream.request(FIRST)
    upstream.request(SECOND)
    goaway = H2Connection(H2Configuration(client_side=False))
    goaway.initiate_connection()
    goaway.clear_outbound_data_buffer()
    goaway.close_connection(ErrorCodes.NO_ERROR, last_stream_id=1)
    upstream.receive(events.DataReceived(upstream.connection, goaway.data_to_send()))
    assert upstream.outcome(SECOND) == FAILED
    assert upstream.is_closed is not has_seam
    if not has_seam:
        assert upstream.outcome(FIRST) == FAILED
        return
    upstream.respond(1)
    assert upstream.outcome(FIRST) == WHOLE
    assert upstream.is_closed


def test_a_call_that_is_abandoned_while_it_waits_for_a_stream_is_not_sent(
    has_seam: bool, layer: type[Http2Client], options: Any
) -> None:
    upstream = Upstream(layer, options, streams=1)
    upstream.request(FIRST)
    upstream.request(SECOND)
    upstream.receive(RequestProtocolError(SECOND, "given up", ErrorCode.CANCEL))
    upstream.respond(1)
    assert upstream.outcome(FIRST) == WHOLE
    assert upstream.requests_seen() == (1 if has_seam else 2)


def test_a_call_that_waits_for_a_stream_fails_with_its_connection(
    has_seam: bool, layer: type[Http2Client], options: Any
) -> None:
    upstream = Upstream(layer, options, streams=1)
    upstream.request(FIRST)
    upstream.request(SECOND)
    upstream.receive(events.ConnectionClosed(upstream.connection))
    assert upstream.outcome(FIRST) == FAILED
    assert upstream.outcome(SECOND) == (FAILED if has_seam else [])


def test_a_body_of_the_wrong_length_fails_its_own_call_only(
    has_seam: bool, layer: type[Http2Client], options: Any
) -> None:
    upstream = Upstream(layer, options)
    upstream.request(FIRST)
    upstream.request(SECOND)
    upstream.respond(1, ("content-length", "5"))
    assert upstream.outcome(FIRST)[-1:] == FAILED
    assert upstream.is_closed is not has_seam
    if has_seam:
        upstream.respond(3)
    assert upstream.outcome(SECOND) == (WHOLE if has_seam else FAILED)


def test_calls_that_wait_for_a_stream_are_sent_when_one_is_free(
    layer: type[Http2Client], options: Any
) -> None:
    upstream = Upstream(layer, options, streams=1)
    upstream.request(FIRST)
    upstream.request(SECOND)
    assert upstream.requests_seen() == 1
    upstream.respond(1)
    upstream.respond(3)
    assert upstream.outcome(FIRST) == upstream.outcome(SECOND) == WHOLE


def test_an_abandoned_call_resets_only_its_own_stream(
    layer: type[Http2Client], options: Any
) -> None:
    upstream = Upstream(layer, options)
    upstream.request(FIRST)
    upstream.request(SECOND)
    upstream.receive(RequestProtocolError(FIRST, "given up", ErrorCode.CANCEL))
    resets = [event for event in upstream.seen if isinstance(event, StreamReset)]
    assert [event.stream_id for event in resets] == [1]
    assert not upstream.is_closed
    upstream.respond(3)
    assert upstream.outcome(SECOND) == WHOLE
