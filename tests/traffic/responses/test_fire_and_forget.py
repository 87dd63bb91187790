"""Tests that a POST to a fire-and-forget path gets a complete 204 once upstream returns 2xx."""

from collections.abc import Callable, Iterator

import pytest
from wiremend.testing.exchange import Framing, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import Http1Call
from traffic.conftest import QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

HOST = good.HOSTS[good.ANTHROPIC]
PATH = "/session/ses_1/prompt_async"
BODY = b'{"parts": [{"type": "text", "text": "hi"}]}'


@pytest.fixture
def impatient_proxy(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    """A proxy that waits only 0.2 s for the status of upstream."""
    configuration = QUICK_RETRIES + "[fire_and_forget]\nack_after = 0.2\n"
    proxy = start_proxy(scripts=SHARED, configuration=configuration)
    start = len(proxy.lines)
    yield proxy
    proxy.assert_log_is_clean(start)


def prompt(proxy: Proxy, http_version: str = "HTTP/1.1") -> clients.RawCall:
    """Send the call."""
    call = clients.HTTP_VERSIONS[http_version](proxy, HOST)
    call.send("POST", PATH, {"content-type": "application/json"}, BODY)
    return call


ACCEPTED = {
    "204": faults.bodiless_204(),
    "chunked 204": faults.chunked_204(),
    "chunked 204 without an end": faults.stalled_chunked_204(),
    "chunked 204, then reset": Reply("", (faults.head(204, ()), faults.reset)),
    "200 with a body": faults.whole(b"{}"),
    "200 without an end": Reply("", (faults.head(200, faults.JSON), faults.stall)),
    "202 cut": Reply("", (faults.head(202, faults.JSON), faults.cut)),
}


@pytest.mark.parametrize("http_version", clients.HTTP_VERSIONS)
@pytest.mark.parametrize("reply", ACCEPTED.values(), ids=ACCEPTED)
def test_the_client_gets_a_complete_204_however_upstreams_body_behaves(
    proxy: Proxy, provider: ScriptedProvider, reply: Reply, http_version: str
) -> None:
    provider.script([reply])
    with prompt(proxy, http_version) as call:
        response = call.response()
    assert (response.status, response.body, response.ended) == (204, b"", "complete")
    assert response.header("transfer-encoding") is None
    assert [request.body for request in provider.received] == [BODY]


@pytest.mark.parametrize("code", [400, 401, 404, 409, 500, 503])
def test_an_error_status_of_upstream_is_forwarded(
    proxy: Proxy, provider: ScriptedProvider, code: int
) -> None:
    provider.script([faults.status(code, {"name": "NotFoundError"})])
    with prompt(proxy) as call:
        response = call.response()
    assert (response.status, response.body) == (code, b'{"name": "NotFoundError"}')


def test_without_a_head_in_time_the_client_gets_204_and_the_call_continues(
    impatient_proxy: Proxy, provider: ScriptedProvider
) -> None:
    head = faults.head(204, (), Framing.NONE)
    provider.script([Reply("204 after release", (faults.stall, head))])
    with prompt(impatient_proxy) as call:
        response = call.response()
        assert (response.status, response.body, response.ended) == (204, b"", "complete")
        [received] = provider.received
        assert not received.closed.is_set()
    assert not received.wait_until_closed(0.3)  # the client has left, the call continues
    provider.release()
    assert received.wait_until_finished()


def test_a_failure_after_the_204_is_logged(
    impatient_proxy: Proxy, provider: ScriptedProvider
) -> None:
    start = len(impatient_proxy.lines)
    provider.script([Reply("500 after release", (faults.stall, *faults.status(500, {}).steps))])
    with prompt(impatient_proxy) as call:
        assert call.response().status == 204
    provider.release()
    impatient_proxy.wait_for_line("failed after its 204.*500", start=start)


def test_other_methods_and_paths_are_unaffected(proxy: Proxy, provider: ScriptedProvider) -> None:
    provider.script([faults.whole(b"{}")])
    for method, path in (("GET", PATH), ("POST", "/session/ses_1/message")):
        with Http1Call(proxy, HOST) as call:
            call.send(method, path, {}, b"{}" if method == "POST" else b"")
            response = call.response()
        assert (response.status, response.body) == (200, b"{}")


@pytest.mark.parametrize(
    "late", [b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"HTTP/1.1 500 Oops\r\n\r\n"]
)
def test_late_bytes_after_a_204_are_not_read_as_the_next_response(
    proxy: Proxy, provider: ScriptedProvider, late: bytes
) -> None:
    head = faults.head(204, (), Framing.CHUNKED)
    provider.script([Reply("late", (head, faults.stall, faults.raw(late))), faults.whole(b"{}")])
    with prompt(proxy) as call:
        assert call.response().status == 204
        [first] = provider.received
        assert first.wait_until_closed()
        call.send("GET", "/session", {})
        provider.release()
        response = call.response()
    assert (response.status, response.body) == (200, b"{}")
