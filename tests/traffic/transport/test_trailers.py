"""Tests that trailers of requests and responses are forwarded where possible and break no call."""

from collections.abc import Callable, Iterator

import pytest
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import KEY, Proxy

ANTHROPIC = good.ANTHROPIC
SENT = (("X-Checksum", "abc"), ("x-note", "two words"))
TRAILERS = tuple((name.lower().encode(), value.encode()) for name, value in SENT)
ALPN = {"HTTP/1.1": ("http/1.1",), "HTTP/2": ("h2",)}
FORBIDDEN = (
    ("content-length", "3"),
    ("transfer-encoding", "chunked"),
    ("host", "evil.example"),
    ("authorization", f"Bearer {KEY}"),
)

every_client = pytest.mark.parametrize("client_version", clients.HTTP_VERSIONS)
every_upstream = pytest.mark.parametrize("upstream_version", ALPN)


def with_trailers(reply: Reply, trailers: tuple[tuple[str, str], ...] = SENT) -> Reply:
    assert reply.steps[-1] is faults.end
    lower = tuple((name.lower(), value) for name, value in trailers)
    return Reply("with trailers", (*reply.steps[:-1], faults.end_with_trailers(lower)))


def plain(body: bytes) -> Reply:
    """Return a complete chunked response."""
    return Reply("", (faults.head(200, faults.JSON), faults.chunks([body]), faults.end))


@every_client
@every_upstream
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_model_response_with_trailers_is_complete(
    proxy: Proxy,
    provider: ScriptedProvider,
    stream: bool,
    upstream_version: str,
    client_version: str,
) -> None:
    provider.alpn = ALPN[upstream_version]
    body = good.text_stream(ANTHROPIC).data if stream else good.json_body(ANTHROPIC)
    reply = faults.none(ANTHROPIC) if stream else plain(body)
    provider.script([with_trailers(reply)])
    with model_call(proxy, ANTHROPIC, stream, http_version=client_version) as call:
        for number in range(2):
            if number:
                call.send("POST", good.PATHS[ANTHROPIC, stream], {}, provider.received[0].body)
            response = call.response()
            assert (response.status, response.body, response.ended) == (200, body, "complete")
    assert len(provider.received) == 2


@every_client
@every_upstream
@pytest.mark.parametrize("is_streamed", [True, False])
def test_trailers_of_other_responses_reach_clients_that_support_them(
    request: pytest.FixtureRequest,
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    is_streamed: bool,
    upstream_version: str,
    client_version: str,
) -> None:
    arguments = ("--set", "stream_large_bodies=1") if is_streamed else ()
    proxy = start_proxy(scripts=SHARED, configuration=QUICK_RETRIES, arguments=arguments)
    start = len(proxy.lines)
    provider.alpn = ALPN[upstream_version]
    provider.script([with_trailers(plain(b'{"a": 1}'))])
    with clients.HTTP_VERSIONS[client_version](proxy, good.HOSTS[ANTHROPIC]) as call:
        for _ in range(2):
            call.send("GET", "/v1/files", {"te": "trailers"})
            response = call.response()
            assert (response.status, response.body) == (200, b'{"a": 1}')
            # HTTP/2 has no chunks, and mitmproxy does not add them for an HTTP/1.1 client.
            if (upstream_version, client_version) == ("HTTP/2", "HTTP/1.1"):
                assert response.trailers == ()
                break
            assert (response.ended, response.trailers) == ("complete", TRAILERS)
    proxy.assert_log_is_clean(start)


@pytest.mark.parametrize("path", [good.PATHS[ANTHROPIC, True], "/v1/files"])
@every_client
@every_upstream
def test_trailers_of_requests_reach_providers_that_support_them(
    proxy: Proxy,
    provider: ScriptedProvider,
    upstream_version: str,
    client_version: str,
    path: str,
) -> None:
    provider.alpn = ALPN[upstream_version]
    answer = good.json_body(ANTHROPIC)
    provider.script([faults.whole(answer)])
    body = b'{"model": "claude-sonnet-5", "messages": []}'
    headers = {"content-type": "application/json"}
    with clients.HTTP_VERSIONS[client_version](proxy, good.HOSTS[ANTHROPIC]) as call:
        for _ in range(2):
            lower = {name.lower() if client_version == "HTTP/2" else name: v for name, v in SENT}
            call.send("POST", path, headers, body, lower)
            response = call.response()
            assert (response.status, response.body, response.ended) == (200, answer, "complete")
    # A request from HTTP/2 has a content-length in HTTP/1.1, which excludes trailers.
    are_forwarded = (client_version, upstream_version) != ("HTTP/2", "HTTP/1.1")
    expected = TRAILERS if are_forwarded else ()
    assert [(r.body, r.trailers) for r in provider.received] == [(body, expected)] * 2


@pytest.fixture
def routing_proxy(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    routes = f"""{QUICK_RETRIES}
[[models]]
match = "*"
provider = "other"

[providers.other]
base_url = "https://{ORIGIN_HOST}"
"""
    proxy = start_proxy(scripts=SHARED, configuration=routes)
    start = len(proxy.lines)
    yield proxy
    proxy.assert_log_is_clean(start)


@every_client
def test_trailers_of_requests_are_not_sent_to_another_provider(
    routing_proxy: Proxy, origin: ScriptedProvider, client_version: str
) -> None:
    origin.script([faults.none(ANTHROPIC)])
    trailers = {"x-token": "mine"}
    with model_call(
        routing_proxy, ANTHROPIC, True, http_version=client_version, trailers=trailers
    ) as call:
        assert call.response().body == good.text_stream(ANTHROPIC).data
    [received] = origin.received
    assert received.trailers == ()


@pytest.mark.parametrize("field", FORBIDDEN)
def test_trailers_with_reserved_names_are_dropped(
    proxy: Proxy, provider: ScriptedProvider, field: tuple[str, str]
) -> None:
    provider.script([with_trailers(plain(b"{}"), (field, *SENT))])
    with clients.Http1Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        call.send("POST", "/v1/files", {}, b"{}", dict([field, *SENT]))
        response = call.response()
    assert (response.status, response.body, response.trailers) == (200, b"{}", TRAILERS)
    [received] = provider.received
    assert (received.body, received.trailers) == (b"{}", TRAILERS)


@pytest.mark.parametrize("lines", [b"no colon\r\n", b"bad name: 1\r\n", b": empty\r\n"])
def test_a_whole_model_response_with_broken_trailers_is_passed_without_them(
    proxy: Proxy, provider: ScriptedProvider, lines: bytes
) -> None:
    """Its JSON is complete, so nothing of the response is missing."""
    body = good.json_body(ANTHROPIC)
    broken = Reply("", (*plain(body).steps[:-1], faults.raw(b"0\r\n" + lines + b"\r\n")))
    provider.script([broken])
    with model_call(proxy, ANTHROPIC, False) as call:
        response = call.response()
    assert (response.status, response.body, response.ended) == (200, body, "complete")
    assert response.trailers == ()
    assert len(provider.received) == 1
