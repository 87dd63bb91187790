"""Responses and requests with values that cannot be read or written: each call ends at once."""

import json
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Framing, Headers, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import RawResponse, model_call
from traffic.conftest import ATTEMPTS, QUICK_RETRIES
from traffic.proxy import SUITE, Proxy

ANTHROPIC = good.ANTHROPIC
each_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)
RETRY_AFTER = {
    "a year of twenty digits": "Thu, 01 Jan 99999999999999999999 00:00:00 GMT",
    "the year 99999": "Thu, 01 Jan 99999 00:00:00 GMT",
    "the end of time": "Fri, 31 Dec 9999 23:59:59 -2359",
    "before the beginning of time": "Mon, 01 Jan 0001 00:00:00 +2359",
    "negative": "-5",
    "not a number": "nan",
    "infinite": "1e400",
    "400 digits": "9" * 400,
    "5000 digits": "9" * 5000,
    "not ASCII": "\xd9\xa3",
    "empty": "",
}


def chunked(status: int, body: bytes, headers: Headers = ()) -> Reply:
    head = faults.head(status, (*faults.JSON, *headers), Framing.CHUNKED)
    return Reply("chunked", (head, faults.chunks([body]), faults.end))


def answered(proxy: Proxy, protocol: WireProtocol, http_version: str = "HTTP/1.1") -> RawResponse:
    with model_call(proxy, protocol, True, http_version=http_version) as call:
        return call.response()


def error_in(response: RawResponse) -> dict[str, object]:
    error = json.loads(response.body)["error"]
    assert isinstance(error, dict)
    return error


@each_protocol
@pytest.mark.parametrize("value", RETRY_AFTER.values(), ids=RETRY_AFTER)
def test_a_retry_after_that_no_one_means_is_ignored(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, value: str
) -> None:
    error = json.dumps(faults.native_error(protocol, 429, "rate_limit_error", "slow down"))
    provider.script([chunked(429, error.encode(), (("retry-after", value),))])
    response = answered(proxy, protocol)
    assert (response.status, response.ended) == (429, "complete")
    assert error_in(response)["message"] == "slow down"
    assert len(provider.received) == ATTEMPTS


ODD_ERRORS: dict[str, object] = {
    "a delay of 400 digits": {"error": {"message": f"try again in {'9' * 400}s", "code": 429}},
    "hours of 5000 digits": {"error": {"message": f"try again in {'9' * 5000}h1s", "code": 429}},
    "a retryDelay of 400 digits": {
        "error": {
            "message": "m",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"retryDelay": f"{'9' * 400}s"}],
        }
    },
    "a lone surrogate in param": {"error": {"message": "m", "param": "\ud800", "type": "t"}},
    "a lone surrogate in a nested error": {"error": {"metadata": {"raw": "\udfff x"}, "code": 500}},
    "lone surrogates everywhere": {
        "error": {"message": "\ud800 m", "type": "\udc00", "code": "\ud800", "param": "\ud800"},
        "request_id": "\ud800",
    },
}


@each_protocol
@pytest.mark.parametrize("error", ODD_ERRORS.values(), ids=ODD_ERRORS)
@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
def test_an_error_that_cannot_be_written_back_is_still_an_error(
    proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    error: object,
    http_version: str,
) -> None:
    provider.script([chunked(200, json.dumps(error).encode())])
    response = answered(proxy, protocol, http_version)
    assert response.status >= 400
    assert response.ended == "complete"
    assert error_in(response)["message"]


@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_switch_of_protocols_that_was_not_asked_for_is_an_error(
    proxy: Proxy, provider: ScriptedProvider, http_version: str, method: str
) -> None:
    data = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nbytes"
    provider.script([Reply("101", (faults.raw(data),))])
    body = json.dumps(good.request_body(ANTHROPIC, True)).encode() if method == "POST" else b""
    with clients.HTTP_VERSIONS[http_version](proxy, good.HOSTS[ANTHROPIC]) as call:
        call.send(method, good.PATHS[ANTHROPIC, True], {"content-type": "application/json"}, body)
        response = call.response()
    assert response.status == 502
    assert response.ended in ("complete", "closed")


DEEP = b"[" * 100_000
ODD_VALUES = {
    "deep": DEEP,
    "deep and closed": DEEP + b"]" * 100_000,
    "infinite": b"1e400",
    "10,000 digits": b"9" * 10_000,
    "10,000 digits behind the point": b"1." + b"9" * 10_000,
    "no UTF-8": b'"\xff\xfe"',
    "a NUL": b'"\\u0000"',
    "a lone surrogate": b'"\\ud800"',
    "NaN": b"NaN",
}


@each_protocol
@pytest.mark.parametrize("value", ODD_VALUES.values(), ids=ODD_VALUES)
@pytest.mark.parametrize("is_streaming", [True, False])
def test_odd_values_in_a_request_and_a_response_raise_nothing(
    proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    value: bytes,
    is_streaming: bool,
) -> None:
    body = json.dumps(good.request_body(protocol, is_streaming)).encode()[:-1]
    body += b', "odd": ' + value + b', "tools": ' + value + b"}"
    answer = good.json_body(protocol)[:-1] + b', "usage": ' + value + b"}"
    stream = good.text_stream(protocol)
    if is_streaming:
        events = [event.replace(b"{", b'{"odd": ' + value + b",", 1) for event in stream.events]
        provider.script([faults.streamed(events)])
    else:
        provider.script([faults.whole(answer)])
    with model_call(proxy, protocol, is_streaming, body=body) as call:
        response = call.response()
    assert response.ended == "complete"
    assert response.status in (200, 502)


@pytest.mark.long
def test_a_query_with_raw_bytes_is_redacted(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    """The scripted provider refuses such a request line; it is enough that the call ends."""
    flows = tmp_path / "flows.mitm"
    path = b"/v1/messages?token=\xff-sk-test-DO-NOT-LOG-\xfe"
    body = json.dumps(good.request_body(ANTHROPIC, True)).encode()
    host = good.HOSTS[ANTHROPIC].encode()
    fields = b"Host: %s\r\nContent-Type: application/json\r\nContent-Length: %d"
    fields %= (host, len(body))
    with Proxy(
        tmp_path,
        authority,
        dict.fromkeys(good.HOSTS.values(), provider.port),
        scripts=(SUITE,),
        configuration=QUICK_RETRIES,
        arguments=["-w", str(flows)],
    ) as proxy:
        with clients.Http1Call(proxy, good.HOSTS[ANTHROPIC]) as call:
            call._socket.sendall(b"POST %s HTTP/1.1\r\n%s\r\n\r\n%s" % (path, fields, body))
            received = b""
            while not received.endswith(b"}"):
                received += call._socket.recv(65536)
        assert received.startswith(b"HTTP/1.1 502 ")
        proxy.terminate()
        proxy.wait(10)
    assert b"DO-NOT-LOG" not in flows.read_bytes()
    with flows.open("rb") as file:
        [flow] = FlowReader(file).stream()
    assert isinstance(flow, http.HTTPFlow)
    assert flow.request.path == "/v1/messages?token=REDACTED"
