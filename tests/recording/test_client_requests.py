"""What is remembered of clients' requests is bounded, and keys go back to their server only."""

import pytest
from mitmproxy import http
from mitmproxy.test import tflow, tutils
from wiremend.recording import client_requests
from wiremend.recording.client_requests import ClientRequests
from wiremend.routing.providers import ProviderAddress

KEY = b"sk-a-key-of-the-test"


def flow_to(
    host: str = "api.anthropic.com", key: bytes = KEY, path: str = "/v1/messages"
) -> http.HTTPFlow:
    headers = http.Headers([(b"x-api-key", key), (b"content-type", b"application/json")])
    request = tutils.treq(host=host, path=path.encode(), method=b"POST", headers=headers)
    return tflow.tflow(req=request)


def concealed(flow: http.HTTPFlow) -> http.HTTPFlow:
    flow.request.headers["x-api-key"] = "REDACTED"
    flow.request.path = flow.request.path.replace("key=secret-key", "key=REDACTED")
    return flow


def test_a_request_is_restored_with_its_key() -> None:
    requests, flow = ClientRequests(), flow_to(path="/v1/messages?key=secret-key&a=1")
    requests.take(flow)
    sent = flow.request.copy()
    requests.note_shown(concealed(flow))
    requests.restore(flow, {})
    assert flow.request.headers["x-api-key"].encode() == KEY
    assert (flow.request.path, flow.request.content) == (sent.path, sent.content)


@pytest.mark.parametrize(
    ("host", "key"), [("api.anthropic.com", KEY.decode()), ("evil.example", "REDACTED")]
)
def test_an_edited_request_gets_its_key_on_the_same_server_only(host: str, key: str) -> None:
    requests, flow = ClientRequests(), flow_to()
    requests.take(flow)
    requests.note_shown(concealed(flow))
    flow.request.content = b"edited"
    flow.request.data.host = host
    requests.restore(flow, {})
    assert (flow.request.headers["x-api-key"], flow.request.content) == (key, b"edited")


@pytest.mark.parametrize(
    ("host", "key"), [("mine.example", "configured"), ("x.example", "REDACTED")]
)
def test_a_configured_key_goes_to_its_provider_only(host: str, key: str) -> None:
    flow = flow_to(host, b"REDACTED")
    provider = ProviderAddress("mine", "http://mine.example:22", "configured")
    ClientRequests().restore(flow, {"mine": provider})
    assert flow.request.headers["x-api-key"] == key


def test_the_oldest_requests_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_requests, "SIZE_LIMIT_BYTES", 10_000)
    requests, flows = ClientRequests(), [flow_to() for _ in range(30)]
    for flow in flows:
        flow.request.content = b"x" * 1000
        requests.take(flow)
    assert len(requests) == 9
    for flow, key in ((flows[0], "REDACTED"), (flows[-1], KEY.decode())):
        requests.restore(concealed(flow), {})
        assert flow.request.headers["x-api-key"] == key
    assert requests.clear() == 9
    assert len(requests) == 0
