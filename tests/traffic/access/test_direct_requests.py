"""Tests of requests in origin form to a forward proxy, which any web page can send."""

import json
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.access.test_access import (
    CONFIGURATION,
    OTHER_KEY,
    PAGE,
    ask,
    body_for,
    message_of,
    start_reverse,
)
from traffic.clients import Http1Call, Http2Call
from traffic.conftest import ORIGIN_HOST, SHARED
from traffic.proxy import Proxy

ANTHROPIC = good.ANTHROPIC
LIMIT_SECONDS = 20.0


@pytest.fixture
def proxy(start_proxy: Callable[..., Proxy]) -> Proxy:
    return start_proxy(scripts=SHARED, configuration=CONFIGURATION)


NAMES = {
    "the address": "127.0.0.1:8080",
    "localhost": "localhost",
    "a rebound DNS name": "evil.example:8080",
    "a provider": "api.anthropic.com",
    "a configured provider": ORIGIN_HOST,
    "an allowed page": "app.example",
}
FORWARD_MODES: dict[str, Sequence[str]] = {
    "regular": (),
    "upstream": ("--mode", "upstream:http://127.0.0.1:9"),
}


@pytest.mark.first_row
@pytest.mark.parametrize("mode", FORWARD_MODES.values(), ids=FORWARD_MODES)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None])
@pytest.mark.parametrize("host", NAMES.values(), ids=NAMES)
def test_a_request_for_the_proxy_itself_is_refused(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    mode: Sequence[str],
    host: str,
    content_type: str | None,
) -> None:
    proxy = start_proxy(scripts=SHARED, configuration=CONFIGURATION, arguments=mode)
    start = len(proxy.lines)
    fields = {"host": host} | ({"content-type": content_type} if content_type else {})
    with Http1Call(proxy, host, tunnel=False) as client:
        client.send("POST", "/v1/messages?key=abcdefgh", fields, body_for(ANTHROPIC, "routed"))
        response = client.response()
    assert (response.status, response.ended) == (400, "complete")
    is_call = content_type != "text/plain"
    message = message_of(response) if is_call else response.body.decode()
    assert f"HTTPS_PROXY=http://127.0.0.1:{proxy.port} " in message
    assert "--mode reverse:" in message
    assert (provider.received, origin.received) == ([], [])
    line = proxy.wait_for_line("refused", start=start).string
    assert "/v1/messages" in line
    assert "abcdefgh" not in line


@pytest.mark.long
@pytest.mark.parametrize(
    "target", ["GET /", "GET /v1/models", "OPTIONS /v1/messages", "OPTIONS *", "GET /\x1b[2J"]
)
def test_other_methods_and_paths_are_refused_too(proxy: Proxy, target: str) -> None:
    start = len(proxy.lines)
    head = f"{target} HTTP/1.1\r\nHost: localhost\r\nOrigin: {PAGE}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT_SECONDS) as connection:
        connection.sendall(head.encode())
        response = connection.makefile("rb").read()
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: text/plain; charset=utf-8\r\n" in response
    assert b"access-control-allow-origin" not in response.lower()
    assert "\x1b[2J" not in proxy.wait_for_line("refused", start=start).string


@pytest.mark.parametrize("protocol", good.PROTOCOLS)
def test_the_refusal_is_an_error_of_the_clients_protocol(
    proxy: Proxy, protocol: WireProtocol
) -> None:
    response = ask(proxy, protocol, "routed", {}, tunnel=False)
    assert response.status == 400
    assert response.header("x-should-retry") == "false"
    error = json.loads(response.body)["error"]
    kind = error["status"] if protocol is good.GEMINI else error["type"]
    assert kind == ("INVALID_ARGUMENT" if protocol is good.GEMINI else "invalid_request_error")


def test_a_large_request_for_the_proxy_itself_is_refused_when_bodies_are_streamed(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    streamed = ("--set", "stream_large_bodies=1k")
    proxy = start_proxy(scripts=SHARED, configuration=CONFIGURATION, arguments=streamed)
    start = len(proxy.lines)
    with Http1Call(proxy, "localhost", tunnel=False) as client:
        client.send("POST", "/v1/messages", {}, body_for(ANTHROPIC, "routed") + b" " * 5000)
        assert client.response().status == 400
    assert origin.received == []
    proxy.assert_log_is_clean(start)


def test_the_connection_serves_proxy_requests_after_a_refusal(
    proxy: Proxy, origin: ScriptedProvider
) -> None:
    origin.script([faults.none(ANTHROPIC, stream=False)])
    body = body_for(ANTHROPIC, "routed")
    with Http1Call(proxy, "api.anthropic.com", tunnel=False) as client:
        client.send("POST", "/v1/messages", {}, body)
        assert client.response().status == 400
        client.send("POST", "http://api.anthropic.com/v1/messages", {}, body)
        assert client.response().status == 200
    assert len(origin.received) == 1


class DirectTls(Http2Call):
    """TLS and HTTP/2 to the proxy's port, without CONNECT."""

    def _connect(self, trusted: Path) -> None:
        context = ssl.create_default_context(cafile=trusted)
        context.set_alpn_protocols(["h2"])
        self._socket = context.wrap_socket(self._socket, server_hostname=self.host)
        assert self._socket.selected_alpn_protocol() == "h2"


def test_a_request_for_the_proxy_itself_is_refused_in_http2_too(
    proxy: Proxy, provider: ScriptedProvider, origin: ScriptedProvider
) -> None:
    with DirectTls(proxy, "api.anthropic.com") as client:
        fields = {"content-type": "application/json"}
        client.send("POST", "/v1/messages", fields, body_for(ANTHROPIC, "routed"))
        response = client.response()
    assert response.status == 400
    assert "HTTPS_PROXY" in message_of(response)
    assert (provider.received, origin.received) == ([], [])


def test_absolute_form_is_forwarded(proxy: Proxy, origin: ScriptedProvider) -> None:
    origin.script([faults.none(ANTHROPIC, stream=False)])
    url = "http://api.anthropic.com/v1/messages"
    response = ask(proxy, ANTHROPIC, "routed", {}, tunnel=False, path=url)
    assert response.status == 200
    assert origin.received[0].header("x-api-key") == OTHER_KEY


def test_plain_http_inside_a_tunnel_is_forwarded(proxy: Proxy, origin: ScriptedProvider) -> None:
    origin.script([faults.none(ANTHROPIC, stream=False)])
    with Http1Call(proxy, "api.anthropic.com", tunnel=False) as client:
        client._socket.sendall(b"CONNECT api.anthropic.com:80 HTTP/1.1\r\nhost: a\r\n\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += client._socket.recv(1)
        assert b" 200 " in answer
        client.send("POST", "/v1/messages", {}, body_for(ANTHROPIC, "routed"))
        assert client.response().status == 200
    assert len(origin.received) == 1


@pytest.mark.long
def test_in_reverse_mode_a_request_for_the_proxy_itself_is_forwarded(
    start_proxy: Callable[..., Proxy], origin: ScriptedProvider
) -> None:
    origin.script([faults.none(ANTHROPIC, stream=False)])
    proxy = start_reverse(start_proxy)
    assert ask(proxy, ANTHROPIC, "routed", {}, tunnel=False).status == 200
    assert origin.received[0].header("x-api-key") == OTHER_KEY
