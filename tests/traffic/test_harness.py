"""Tests of the harness: through a proxy that repairs nothing, each fault reaches the client.

They check that faults.py does what it documents; wiremend is not loaded.
"""

import itertools
from collections.abc import Callable

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import ConnectionFault, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import Http1Call, complete, model_call
from traffic.conftest import ORIGIN_HOST
from traffic.proxy import KEY, Proxy, ProxyFailed

ALPN = {"HTTP/1.1": ("http/1.1",), "HTTP/2": ("h2",)}

every_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)
every_version = pytest.mark.parametrize("http_version", ALPN)


@every_version
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "json"])
@every_protocol
def test_a_good_answer_reaches_the_official_sdk(
    plain_proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    stream: bool,
    http_version: str,
) -> None:
    provider.alpn = ALPN[http_version]
    provider.script([faults.none(protocol, stream)])
    outcome = complete(protocol, stream)
    assert (outcome.text, outcome.finished, outcome.error_class) == (good.TEXT, True, "")
    [received] = provider.received
    assert received.http_version == http_version
    assert received.path.endswith(good.PATHS[protocol, stream].removeprefix("/v1beta"))


@every_protocol
def test_a_good_tool_call_reaches_the_official_sdk(
    plain_proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol
) -> None:
    provider.script([faults.streamed(good.tool_stream(protocol).events)])
    outcome = complete(protocol, True)
    assert (outcome.tool_calls, outcome.finished) == (good.TOOL_CALLS, True)


@every_version
@pytest.mark.parametrize("client_version", clients.HTTP_VERSIONS)
@every_protocol
def test_a_good_stream_reaches_a_raw_client_byte_for_byte(
    plain_proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    client_version: str,
    http_version: str,
) -> None:
    provider.alpn = ALPN[http_version]
    provider.script([faults.none(protocol)])
    with model_call(plain_proxy, protocol, True, http_version=client_version) as call:
        response = call.response()
    assert (response.status, response.ended) == (200, "complete")
    assert response.body == good.text_stream(protocol).data


ANTHROPIC = good.ANTHROPIC
TEXT_STREAM = good.text_stream(ANTHROPIC)
HALF = b"".join(TEXT_STREAM.events[: TEXT_STREAM.places["mid_content"]])
ERROR_EVENT = b"data: " + faults.WRAPPED_ERROR + b"\n\n"

SEEN: dict[str, tuple[Reply | ConnectionFault, int, bytes | None, str]] = {
    # name: the reply, and the expected status, body (None: written by mitmproxy) and end
    "refused": (ConnectionFault.REFUSE, 502, None, "complete"),
    "TLS failure": (ConnectionFault.TLS_FAILURE, 502, None, "complete"),
    "reset on accept": (ConnectionFault.RESET, 502, None, "complete"),
    "reset before head": (faults.reset_before_head(), 502, None, "complete"),
    "close before head": (faults.close_before_head(), 502, None, "complete"),
    "cut before head": (faults.cut_before_head(), 502, None, "complete"),
    "chunked 204": (faults.chunked_204(), 502, None, "complete"),
    "204": (faults.bodiless_204(), 204, b"", "complete"),
    "reset after head": (faults.reset_after_head(ANTHROPIC), 200, b"", "closed"),
    "close after head": (faults.close_after_head(ANTHROPIC), 200, b"", "closed"),
    "close mid-stream": (faults.close_mid_stream(ANTHROPIC), 200, HALF, "closed"),
    "no terminal event": (faults.cut_without_terminal_event(ANTHROPIC), 200, HALF, "complete"),
    "empty stream": (faults.empty_stream(), 200, b"", "complete"),
    "wrapped error": (faults.wrapped_error_first(ANTHROPIC), 200, ERROR_EVENT, "complete"),
    "wrapped error mid-stream": (
        faults.wrapped_error_mid_stream(ANTHROPIC),
        200,
        HALF + ERROR_EVENT,
        "complete",
    ),
    "content-length": (
        faults.stream_with_content_length(ANTHROPIC),
        200,
        TEXT_STREAM.data,
        "complete",
    ),
    "until close": (faults.stream_until_close(ANTHROPIC), 200, TEXT_STREAM.data, "complete"),
    "reset after the end": (faults.reset_after_end(ANTHROPIC), 200, TEXT_STREAM.data, "closed"),
    **{
        f"wrapped error after {name}": (
            faults.wrapped_error_first(ANTHROPIC, name),
            200,
            b"".join(preceding(ANTHROPIC)) + ERROR_EVENT,
            "complete",
        )
        for name, preceding in faults.PRECEDING.items()
    },
}


@pytest.mark.parametrize(("reply", "status", "body", "ended"), SEEN.values(), ids=SEEN)
def test_each_fault_reaches_the_client_as_documented(
    plain_proxy: Proxy,
    provider: ScriptedProvider,
    reply: Reply | ConnectionFault,
    status: int,
    body: bytes | None,
    ended: str,
) -> None:
    provider.script([reply])
    for _ in range(3):  # plain mitmproxy may lose a reset: contract 15 in wiremend/seam/__init__.py
        with model_call(plain_proxy, ANTHROPIC, True) as call:
            response = call.response()
        if response.ended == ended:
            break
    assert (response.status, response.ended) == (status, ended)
    if body is not None:
        assert response.body == body


def test_after_a_reset_mid_stream_the_client_has_the_events_before_it(
    plain_proxy: Proxy, provider: ScriptedProvider
) -> None:
    reply = Reply(
        "half, then reset after release",
        (faults.head(), faults.chunks([HALF]), faults.stall, faults.reset),
    )
    provider.script([reply])
    with model_call(plain_proxy, ANTHROPIC, True) as call:
        call.read_until(HALF)
        provider.release()
        response = call.response()
    assert (response.body, response.ended) == (HALF, "closed")


ERROR_STATUSES = {
    "429": (faults.rate_limited(ANTHROPIC, "7"), 429, "RateLimitError", "Too many requests"),
    "503": (faults.unavailable(ANTHROPIC), 503, "ServiceUnavailableError", "Try again later"),
    "529": (faults.overloaded(ANTHROPIC), 529, "OverloadedError", "Overloaded"),
    "524": (faults.html_524(), 524, "InternalServerError", "524: A timeout occurred"),
}


@pytest.mark.parametrize(
    ("reply", "status", "error_class", "message"), ERROR_STATUSES.values(), ids=ERROR_STATUSES
)
def test_error_statuses_reach_the_sdk(
    plain_proxy: Proxy,
    provider: ScriptedProvider,
    reply: Reply,
    status: int,
    error_class: str,
    message: str,
) -> None:
    provider.script([reply])
    outcome = complete(ANTHROPIC, True)
    assert (outcome.status, outcome.error_class) == (status, error_class)
    assert message in outcome.message


def test_retry_after_is_sent(plain_proxy: Proxy, provider: ScriptedProvider) -> None:
    provider.script([faults.rate_limited(ANTHROPIC, "7")])
    with model_call(plain_proxy, ANTHROPIC, True) as call:
        assert call.response().header("retry-after") == "7"


STALLS = {
    "before head": (faults.stall_before_head(), b""),
    "mid-stream": (faults.stall_mid_stream(ANTHROPIC), HALF),
    "after the terminal event": (faults.hold_open_after_end(ANTHROPIC), TEXT_STREAM.data),
}


@pytest.mark.parametrize(("reply", "body"), STALLS.values(), ids=STALLS)
def test_a_stalled_call_lasts_until_the_client_leaves(
    plain_proxy: Proxy, provider: ScriptedProvider, reply: Reply, body: bytes
) -> None:
    provider.script([reply])
    with model_call(plain_proxy, ANTHROPIC, True) as call:
        [received] = provider.wait_for_requests(1)
        if body:
            assert call.read_until(body) == body
        assert not received.closed.is_set()
        call.close()
        assert received.wait_until_closed()


@pytest.mark.parametrize("coding", faults.CODINGS)
@every_protocol
def test_coded_streams_reach_the_client_coded(
    plain_proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, coding: str
) -> None:
    provider.script([faults.coded_stream(protocol, coding)])
    with model_call(plain_proxy, protocol, True) as call:
        response = call.response()
    assert response.header("content-encoding") == coding
    assert response.body == faults.encode(good.text_stream(protocol).data, coding)


HTTP2_FAULTS = {
    "stream reset before head": faults.stream_reset_before_head(),
    "GOAWAY before head": faults.go_away_before_head(),
    "reset before head": faults.reset_before_head(),
}


@pytest.mark.parametrize("reply", HTTP2_FAULTS.values(), ids=HTTP2_FAULTS)
def test_http2_faults_reach_the_client(
    plain_proxy: Proxy, provider: ScriptedProvider, reply: Reply
) -> None:
    provider.alpn = ("h2",)
    provider.script([reply])
    with model_call(plain_proxy, ANTHROPIC, True) as call:
        response = call.response()
    assert (response.status, response.ended) == (502, "complete")


def test_an_http2_stream_reset_mid_stream_cuts_the_body(
    plain_proxy: Proxy, provider: ScriptedProvider
) -> None:
    provider.alpn = ("h2",)
    reply = Reply(
        "half, then stream reset after release",
        (faults.head(), faults.chunks([HALF]), faults.stall, faults.reset_stream()),
    )
    provider.script([reply])
    with model_call(plain_proxy, ANTHROPIC, True, http_version="HTTP/2") as call:
        call.read_until(HALF)
        provider.release()
        response = call.response()
    assert (response.body, response.ended) == (HALF, "stream reset")


def test_a_script_is_played_in_order_and_its_last_reply_repeated(
    plain_proxy: Proxy, provider: ScriptedProvider
) -> None:
    provider.script([faults.unavailable(ANTHROPIC), faults.none(ANTHROPIC, False)])
    statuses = [complete(ANTHROPIC, False).status for _ in range(3)]
    assert statuses == [503, None, None]


def test_scripted_refusals_are_counted_and_end(
    plain_proxy: Proxy, provider: ScriptedProvider
) -> None:
    refuse = ConnectionFault.REFUSE
    provider.script([refuse, faults.reset_before_head(), refuse, faults.none(ANTHROPIC, False)])
    statuses = [complete(ANTHROPIC, False).status for _ in range(4)]
    assert statuses == [502, 502, 502, None]
    assert (provider.refused, len(provider.received), provider.connections) == (2, 2, 2)


def test_scripts_for_some_requests_do_not_affect_others(
    plain_proxy: Proxy, provider: ScriptedProvider
) -> None:
    provider.script([faults.none(good.CHAT, False)])
    provider.script([faults.unavailable(ANTHROPIC)], when=lambda r: "messages" in r.path)
    assert complete(ANTHROPIC, False).status == 503
    assert complete(good.CHAT, False).text == good.TEXT


def test_a_request_is_recorded_completely(plain_proxy: Proxy, provider: ScriptedProvider) -> None:
    provider.script([faults.none(ANTHROPIC)])
    body = b'{ "model" :"x", "stream": true }'
    with model_call(plain_proxy, ANTHROPIC, True, headers={"X-Case": "Kept"}, body=body) as call:
        call.response()
    [received] = provider.received
    assert (received.method, received.path, received.body) == ("POST", "/v1/messages", body)
    assert (b"X-Case", b"Kept") in received.headers
    assert received.header("host") == "api.anthropic.com"


def test_a_kept_alive_connection_is_reused(plain_proxy: Proxy, provider: ScriptedProvider) -> None:
    provider.script([faults.none(ANTHROPIC)])
    with Http1Call(plain_proxy, good.HOSTS[ANTHROPIC]) as call:
        for _ in range(2):
            call.send("POST", "/v1/messages", {}, b"{}")
            assert call.response().ended == "complete"
    assert [request.connection for request in provider.received] == [
        provider.received[0].connection
    ] * 2


def test_other_hosts_are_unreachable(plain_proxy: Proxy, provider: ScriptedProvider) -> None:
    with Http1Call(plain_proxy, "example.com") as call:
        call.send("GET", "/")
        assert call.response().status == 502
    plain_proxy.wait_for_line("example.com is not part of this test")


def test_the_origin_is_reached_by_its_own_name(
    plain_proxy: Proxy, origin: ScriptedProvider
) -> None:
    origin.script([faults.whole(b"hello")])
    with Http1Call(plain_proxy, ORIGIN_HOST) as call:
        call.send("GET", "/package.json")
        assert call.response().body == b"hello"


def test_a_key_in_the_log_is_detected() -> None:
    proxy = Proxy.__new__(Proxy)
    proxy._never_logged = (KEY,)
    proxy.lines = [f"authorization: Bearer {KEY}"]
    with pytest.raises(ProxyFailed, match="DO-NOT-LOG"):
        proxy.assert_log_is_clean()


def test_a_script_that_does_not_load_is_reported(
    start_proxy: Callable[..., Proxy],
) -> None:
    with pytest.raises(ProxyFailed, match="no-such-script"):
        start_proxy(scripts=("no-such-script.py",))


def test_the_places_of_good_streams_are_inside_them() -> None:
    for protocol, tool in itertools.product(good.PROTOCOLS, (False, True)):
        stream = good.tool_stream(protocol) if tool else good.text_stream(protocol)
        assert all(0 < count <= len(stream.events) for count in stream.places.values())
