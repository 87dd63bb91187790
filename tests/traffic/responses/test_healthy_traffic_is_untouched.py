"""Tests that `mitmdump -s addons/` forwards valid traffic byte for byte."""

import json
import random

import pytest
from strategies import wire
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import Http1Call, complete, model_call
from traffic.conftest import ORIGIN_HOST
from traffic.proxy import Proxy

every_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)
ALPN = {"HTTP/1.1": ("http/1.1",), "HTTP/2": ("h2",)}
STREAMS = {"text": good.text_stream, "tool call": good.tool_stream}


def cut_at_random(data: bytes, seed: int) -> list[bytes]:
    """Split the data into up to forty parts."""
    generator = random.Random(seed)
    cuts = sorted(generator.sample(range(1, len(data)), generator.randrange(40)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@pytest.mark.parametrize("http_version", ALPN)
@pytest.mark.parametrize("client_version", clients.HTTP_VERSIONS)
@pytest.mark.parametrize("kind", STREAMS)
@every_protocol
def test_a_valid_stream_keeps_its_bytes_in_any_chunks(
    proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    kind: str,
    client_version: str,
    http_version: str,
) -> None:
    data = STREAMS[kind](protocol).data
    provider.alpn = ALPN[http_version]
    for seed in range(3):
        provider.script([faults.streamed(cut_at_random(data, seed))])
        with model_call(proxy, protocol, True, http_version=client_version) as call:
            response = call.response()
        assert (response.status, response.ended) == (200, "complete")
        assert response.body == data, f"seed {seed}"


def in_another_form(stream: bytes, style: wire.Style) -> bytes:
    """Return the same events in another form that the SSE standard allows."""
    events = []
    for type, data in wire.events_of(stream):
        text = data if data == b"[DONE]" else style.json(json.loads(data))
        events.append(style.event(text, type))
    return b"".join(style.stream(events))


@every_protocol
def test_a_valid_stream_keeps_its_bytes_in_any_form(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    """The laws (`tests/laws`) test every form without a proxy."""
    features = wire.GEMINI if protocol is good.GEMINI else wire.ALL
    for seed, make in enumerate(STREAMS.values()):
        style = wire.Style(features, wire.LINE_ENDS, random.Random(seed))
        data = in_another_form(make(protocol).data, style)
        provider.script([faults.streamed(cut_at_random(data, seed))])
        with model_call(proxy, protocol, True) as call:
            response = call.response()
        assert (response.status, response.ended) == (200, "complete")
        assert response.body == data, f"seed {seed}"


@every_protocol
def test_a_valid_stream_keeps_its_headers(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    headers = (*faults.EVENT_STREAM, ("request-id", "req_1"), ("x-ratelimit-remaining", "7"))
    provider.script([faults.streamed(good.text_stream(protocol).events, headers)])
    with model_call(proxy, protocol, True) as call:
        response = call.response()
    assert [response.header(name) for name, _ in headers] == [value for _, value in headers]


@every_protocol
def test_a_valid_json_answer_keeps_its_bytes(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    provider.script([faults.none(protocol, False)])
    with model_call(proxy, protocol, False) as call:
        response = call.response()
    assert (response.status, response.body) == (200, good.json_body(protocol))


@every_protocol
def test_a_valid_request_keeps_its_bytes(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    body = b'{ "stream" :true,\n "model":  "m\\u00e9",\t"messages": [ ], "extra": 1e3 }'
    provider.script([faults.none(protocol)])
    with model_call(proxy, protocol, True, body=body) as call:
        call.response()
    assert [request.body for request in provider.received] == [body]


def test_events_are_forwarded_as_they_arrive(proxy: Proxy, provider: ScriptedProvider) -> None:
    stream = good.text_stream(good.ANTHROPIC)
    half = stream.places["mid_content"]
    steps = (
        faults.head(),
        faults.chunks(stream.events[:half]),
        faults.stall,
        faults.chunks(stream.events[half:]),
        faults.end,
    )
    provider.script([Reply("two halves", steps)])
    with model_call(proxy, good.ANTHROPIC, True) as call:
        call.read_until(stream.events[half - 1])
        provider.release()
        assert call.response().body == stream.data


@pytest.mark.parametrize("coding", faults.CODINGS)
@every_protocol
def test_a_coded_stream_is_decoded_with_matching_headers(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, coding: str
) -> None:
    provider.script([faults.coded_stream(protocol, coding)])
    with model_call(proxy, protocol, True, headers={"accept-encoding": "gzip, br"}) as call:
        response = call.response()
    assert (response.header("content-encoding"), response.ended) == (None, "complete")
    assert response.body == good.text_stream(protocol).data
    assert provider.received[0].header("accept-encoding") == "identity"


@pytest.mark.parametrize("coding", faults.CODINGS)
@every_protocol
def test_a_coded_json_answer_is_decoded(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, coding: str
) -> None:
    provider.script([faults.coded_json(protocol, coding)])
    assert complete(protocol, False).text == good.TEXT


@pytest.mark.parametrize("coding", faults.CODINGS)
def test_a_request_that_expands_too_much_keeps_its_bytes(
    proxy: Proxy, provider: ScriptedProvider, coding: str
) -> None:
    """The provider decides whether to accept it."""
    request = json.dumps(good.request_body(good.ANTHROPIC, True)).encode()
    body = faults.encode(request + b" " * 16_000_000, coding)
    provider.script([faults.none(good.ANTHROPIC)])
    headers = {"content-encoding": coding}
    with model_call(proxy, good.ANTHROPIC, True, body=body, headers=headers) as call:
        assert call.response().body == good.text_stream(good.ANTHROPIC).data
    [received] = provider.received
    assert (received.body, received.header("content-encoding")) == (body, coding)


@pytest.mark.parametrize("coding", faults.CODINGS)
def test_a_wrapped_error_is_found_in_a_coded_stream(
    proxy: Proxy, provider: ScriptedProvider, coding: str
) -> None:
    error = faults.encode(b"data: " + faults.WRAPPED_ERROR + b"\n\n", coding)
    headers = (*faults.EVENT_STREAM, ("content-encoding", coding))
    provider.script([faults.streamed([error], headers), faults.none(good.CHAT)])
    assert complete(good.CHAT, True).text == good.TEXT
    assert len(provider.received) == 2


@pytest.mark.parametrize(
    "reply", [faults.stream_with_content_length, faults.stream_until_close], ids=["length", "close"]
)
@every_protocol
def test_streams_with_other_framings_keep_their_bytes(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, reply: faults.MadeFor
) -> None:
    provider.script([reply(protocol)])
    with model_call(proxy, protocol, True) as call:
        response = call.response()
    assert (response.body, response.ended) == (good.text_stream(protocol).data, "complete")


def test_a_host_that_is_not_a_provider_keeps_its_own_certificate(
    proxy: Proxy, origin: ScriptedProvider, authority: Authority
) -> None:
    origin.script([faults.whole(b"hello")])
    with Http1Call(proxy, ORIGIN_HOST, trusted=authority.file) as call:
        call.send("GET", "/package.json")
        assert call.response().body == b"hello"
        assert call.certificate == origin.certificate


def test_broken_answers_of_other_hosts_are_not_repaired(
    proxy: Proxy, origin: ScriptedProvider, authority: Authority
) -> None:
    origin.script([faults.reset_after_head(good.ANTHROPIC), faults.none(good.ANTHROPIC)])
    with Http1Call(proxy, ORIGIN_HOST, trusted=authority.file) as call:
        call.send("POST", "/v1/messages", {}, b"{}")
        assert call.response().ended in ("closed", "reset")
    assert len(origin.received) == 1


def test_other_paths_of_a_provider_are_unchanged(proxy: Proxy, provider: ScriptedProvider) -> None:
    body = b'{"data": [ {"id":"x"} ]}'
    provider.script([faults.whole(body, (("content-type", "application/json"), ("x-a", "b")))])
    with Http1Call(proxy, good.HOSTS[good.ANTHROPIC]) as call:
        call.send("GET", "/v1/models?limit=1", {"accept-encoding": "gzip"})
        response = call.response()
    assert (response.body, response.header("x-a")) == (body, "b")
    assert provider.received[0].header("accept-encoding") == "gzip"


def test_the_proxy_listens_only_on_loopback(proxy: Proxy) -> None:
    assert proxy.host == "127.0.0.1"
