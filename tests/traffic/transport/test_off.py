"""`wiremend_off`: everything passes byte for byte, also what wiremend would repair or answer."""

import json
from collections.abc import Callable

import pytest
from corpus_streams import CorpusStream, broken_streams, clean_streams
from wiremend.call_record.outcomes import CallState
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import Http1Call, model_call
from traffic.conftest import SHARED
from traffic.proxy import Proxy

CONFIGURATION = """
[[models]]
match = "*"
model = "another-model"

[fire_and_forget]
paths = ["/fire"]
"""
OFF = ("--set", "wiremend_off=true")
SCHEMA_TO_ADAPT = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}

every_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)


@pytest.fixture
def off(start_proxy: Callable[..., Proxy]) -> Proxy:
    proxy = start_proxy(scripts=SHARED, configuration=CONFIGURATION, arguments=OFF)
    proxy.forget()
    return proxy


def sent_through(
    off: Proxy, provider: ScriptedProvider, stream: CorpusStream, data: bytes
) -> bytes:
    """Return what a client receives if the provider sends these bytes of a stream."""
    headers = faults.JSON if stream.context.array else faults.EVENT_STREAM
    provider.script([faults.streamed([data], headers)])
    with model_call(off, stream.protocol.name, True) as call:
        response = call.response()
    assert (response.status, response.ended) == (200, "complete")
    return response.body


@pytest.mark.first_row
@pytest.mark.parametrize("streams", [clean_streams, broken_streams])
@every_protocol
def test_every_stream_of_the_corpus_keeps_its_bytes(
    off: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    streams: Callable[[WireProtocol], list[CorpusStream]],
) -> None:
    corpus = streams(protocol)
    assert corpus
    for stream in corpus:
        data = stream.path.read_bytes()
        assert sent_through(off, provider, stream, data) == data, str(stream)
    assert not [call for call in off.calls if call.findings or len(call.attempts) > 1]


@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
@every_protocol
def test_a_request_keeps_its_bytes_and_headers(
    off: Proxy, provider: ScriptedProvider, protocol: WireProtocol, http_version: str
) -> None:
    provider.script([faults.none(protocol, stream=False)])
    body = json.dumps({**good.request_body(protocol, False), "tools": [SCHEMA_TO_ADAPT]}).encode()
    headers = {"accept-encoding": "gzip, br", "x-own": "1"}
    with model_call(
        off, protocol, False, body=body, headers=headers, http_version=http_version
    ) as call:
        assert call.response().status == 200
    (received,) = provider.received
    assert received.body == body
    sent = dict(received.headers)
    assert (sent[b"accept-encoding"], sent[b"x-own"]) == (b"gzip, br", b"1")


@pytest.mark.parametrize(
    ("reply", "status", "ended"),
    [
        (faults.overloaded(good.ANTHROPIC), 529, "complete"),
        (faults.html_524(), 524, "complete"),
        (faults.error_inside_200(good.ANTHROPIC), 200, "complete"),
        (faults.reset_after_head(good.ANTHROPIC), 200, "closed"),
        (faults.reset_before_head(), 502, "complete"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_failure_is_not_repeated(
    off: Proxy, provider: ScriptedProvider, reply: Reply, status: int, ended: str
) -> None:
    provider.script([reply, faults.none(good.ANTHROPIC)])
    with model_call(off, good.ANTHROPIC, True) as call:
        response = call.response()
    assert (response.status, response.ended) == (status, ended)
    assert len(provider.received) == 1


def test_a_connection_that_the_provider_has_closed_is_replaced(
    off: Proxy, provider: ScriptedProvider
) -> None:
    whole = faults.none(good.ANTHROPIC, stream=False)
    provider.script([whole, faults.close_before_head(), whole])
    body = json.dumps(good.request_body(good.ANTHROPIC, False)).encode()
    with model_call(off, good.ANTHROPIC, False, body=body) as call:
        assert call.response().status == 200
        call.send("POST", good.PATHS[good.ANTHROPIC, False], {}, body)
        assert call.response().status == 200
    assert len(provider.received) == 3


def test_what_wiremend_answers_itself_is_passed_on(off: Proxy, provider: ScriptedProvider) -> None:
    body = b'{"data": [{"id": "m"}], "object": "list"}'
    provider.script([faults.whole(body)])
    host = good.HOSTS[good.RESPONSES]
    for method, path, headers in (
        ("GET", "/v1/models", {}),
        ("POST", "/fire", {}),
        ("GET", "/v1/responses", {"upgrade": "websocket", "connection": "upgrade"}),
    ):
        with Http1Call(off, host) as call:
            call.send(method, path, headers)
            assert call.response().body == body, path
    assert [received.path for received in provider.received] == [
        "/v1/models",
        "/fire",
        "/v1/responses",
    ]


def test_a_client_that_leaves_ends_the_call(off: Proxy, provider: ScriptedProvider) -> None:
    provider.script([faults.stall_after_head(good.ANTHROPIC)])
    with model_call(off, good.ANTHROPIC, True) as call:
        assert call.head() == 200
        call.cancel()
    assert provider.received[0].finished.wait(5)
    (record,) = off.calls
    assert record.outcome is CallState.CANCELLED
