"""Tests of responses whose label contradicts their bytes, through the proxy."""

import json

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Framing, Headers, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import complete, model_call
from traffic.conftest import ATTEMPTS
from traffic.proxy import Proxy

each_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)
LABELS = ("application/json", "application/x-ndjson", "text/html", "text/plain", "")
COMMENT = b": OPENROUTER PROCESSING\n\n"
TEXT = "upstream connect error or disconnect/reset before headers. reset reason: overflow"


def labelled(label: str) -> Headers:
    return (("content-type", label),) if label else ()


@each_protocol
@pytest.mark.parametrize("label", LABELS)
def test_the_sdk_reads_events_under_any_label(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, label: str
) -> None:
    events = (COMMENT, *good.tool_stream(protocol).events)
    provider.script([faults.streamed(events, labelled(label))])
    outcome = complete(protocol, True)
    assert (outcome.tool_calls, outcome.succeeded) == (good.TOOL_CALLS, True)
    assert len(provider.received) == 1


@each_protocol
@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
def test_mislabelled_events_are_forwarded_before_the_stream_ends(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, http_version: str
) -> None:
    stream = good.text_stream(protocol)
    sent = stream.events[: stream.places["mid_content"]]
    head = faults.head(200, labelled("application/json"))
    provider.script([Reply("stalled", (head, faults.chunks(sent), faults.stall))])
    with model_call(proxy, protocol, True, http_version=http_version) as call:
        assert b"Hello" in call.read_until(b"Hello")


@each_protocol
@pytest.mark.parametrize("label", ["application/json", "text/html", ""])
def test_the_sdk_raises_the_error_in_mislabelled_events(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, label: str
) -> None:
    error = {"error": {"code": 429, "message": "Rate limited by the provider"}}
    data = b"data: " + json.dumps(error).encode() + b"\n\n"
    provider.script([faults.streamed((COMMENT, data), labelled(label))])
    outcome = complete(protocol, True)
    assert (outcome.status, len(provider.received)) == (429, ATTEMPTS)
    assert "Rate limited by the provider" in outcome.message


@each_protocol
@pytest.mark.parametrize("is_streaming", [True, False])
@pytest.mark.parametrize("label", ["text/plain", "text/event-stream", ""])
def test_the_sdk_raises_the_text_of_an_error_status(
    proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    is_streaming: bool,
    label: str,
) -> None:
    provider.script([faults.whole(TEXT.encode(), labelled(label), status=403)])
    outcome = complete(protocol, is_streaming)
    assert outcome.status == 403
    assert TEXT in outcome.message
    with model_call(proxy, protocol, is_streaming) as call:
        response = call.response()
    assert response.header("content-type") == "application/json"
    assert json.loads(response.body)["error"]["message"] == TEXT


@each_protocol
@pytest.mark.parametrize("is_json", [True, False])
def test_an_error_status_labelled_as_events_is_json(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, is_json: bool
) -> None:
    error = json.dumps(faults.native_error(protocol, 400, "invalid_request_error", "too long"))
    body = error.encode() if is_json else b"data: " + error.encode() + b"\n\n"
    provider.script([faults.whole(body, faults.EVENT_STREAM, status=400)])
    with model_call(proxy, protocol, True) as call:
        response = call.response()
    assert (response.status, response.header("content-type")) == (400, "application/json")
    assert json.loads(response.body)["error"]["message"] == "too long"
    assert not is_json or response.body == body
    assert complete(protocol, True).status == 400


@pytest.mark.long
@pytest.mark.parametrize("protocol", [good.ANTHROPIC, good.CHAT, good.GEMINI])
def test_the_sdk_reads_an_event_of_17_mib(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    large = "picture " * (17 * 2**17)
    events = [
        event.replace(b"wide world", large.encode()) for event in good.text_stream(protocol).events
    ]
    provider.script([faults.streamed(events)])
    outcome = complete(protocol, True)
    assert outcome.text == good.TEXT.replace("wide world", large)
    assert (outcome.succeeded, len(provider.received)) == (True, 1)


@each_protocol
@pytest.mark.parametrize("http_version", ["http/1.1", "h2"])
@pytest.mark.parametrize("is_whole", [True, False])
def test_only_the_length_of_a_json_answer_is_wrong(
    proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    http_version: str,
    is_whole: bool,
) -> None:
    provider.alpn = (http_version,)
    body = good.json_tool_body(protocol)
    sent = body if is_whole else body[:-1]
    head = faults.head(200, (*faults.JSON, ("content-length", str(len(body) + 1))), Framing.LENGTH)
    last = faults.end if http_version == "h2" else faults.close
    provider.script([Reply("short", (head, faults.chunks([sent]), last))])
    outcome = complete(protocol, False)
    if is_whole:
        assert (outcome.tool_calls, outcome.succeeded) == (good.TOOL_CALLS, True)
        assert len(provider.received) == 1
    else:
        assert (outcome.status, len(provider.received)) == (502, ATTEMPTS)


@each_protocol
@pytest.mark.parametrize("label", ["application/json", "text/event-stream", ""])
@pytest.mark.parametrize("is_streaming", [True, False])
def test_the_sdk_reads_the_other_kind_of_response(
    proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    label: str,
    is_streaming: bool,
) -> None:
    """JSON answers a streaming call, and events answer a call without a stream."""
    data = good.json_tool_body(protocol) if is_streaming else good.tool_stream(protocol).data
    provider.script([faults.whole(data, labelled(label))])
    outcome = complete(protocol, is_streaming)
    assert (outcome.tool_calls, outcome.succeeded) == (good.TOOL_CALLS, True)
    assert len(provider.received) == 1


def test_events_that_a_whole_gemini_call_requests_are_forwarded(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    stream = good.text_stream(good.GEMINI)
    provider.script([faults.streamed(stream.events)])
    body = json.dumps(good.request_body(good.GEMINI, False)).encode()
    with clients.Http1Call(proxy, good.HOSTS[good.GEMINI]) as call:
        path = f"{good.PATHS[good.GEMINI, False]}?alt=sse"
        call.send("POST", path, {"content-type": "application/json"}, body)
        response = call.response()
    assert (response.header("content-type") or "").startswith("text/event-stream")
    assert response.body == stream.data
