"""Tests of HTTP/2 on either side, reverse and upstream mode, cancelled calls, and the breaker."""

import json
from collections.abc import Callable, Iterator

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import ConnectionFault, Reply, Script
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import complete, model_call
from traffic.conftest import ATTEMPTS, ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import KEY, REPOSITORY, Proxy

ANTHROPIC = good.ANTHROPIC
ALPN = {"HTTP/1.1": ("http/1.1",), "HTTP/2": ("h2",)}

every_protocol = pytest.mark.parametrize("protocol", good.PROTOCOLS)
every_client = pytest.mark.parametrize("client_version", clients.HTTP_VERSIONS)

FAULTS: dict[str, Script] = {
    "refused": ConnectionFault.REFUSE,
    "TLS failure": ConnectionFault.TLS_FAILURE,
    "reset before head": faults.reset_before_head(),
    "close before head": faults.close_before_head(),
    "reset after head": faults.reset_after_head(ANTHROPIC),
    "close after head": faults.close_after_head(ANTHROPIC),
    "wrapped error": faults.wrapped_error_first(ANTHROPIC),
    "503": faults.unavailable(ANTHROPIC),
}
HTTP2_FAULTS: dict[str, Script] = {
    "stream reset before head": faults.stream_reset_before_head(),
    "stream reset after head": faults.broken(good.text_stream(ANTHROPIC), 0, faults.reset_stream()),
    "stream reset in the preamble": faults.broken(
        good.text_stream(ANTHROPIC), 1, faults.reset_stream()
    ),
    "GOAWAY before head": faults.go_away_before_head(),
}
WAYS = [("HTTP/1.1", name, fault) for name, fault in FAULTS.items()]
WAYS += [("HTTP/2", name, fault) for name, fault in (FAULTS | HTTP2_FAULTS).items()]


@pytest.mark.parametrize(
    ("http_version", "fault"),
    [(version, fault) for version, _, fault in WAYS],
    ids=[f"{version} upstream, {name}" for version, name, _ in WAYS],
)
@every_client
def test_a_call_that_fails_twice_completes_over_any_http_version(
    proxy: Proxy,
    provider: ScriptedProvider,
    client_version: str,
    http_version: str,
    fault: Script,
) -> None:
    provider.alpn = ALPN[http_version]
    provider.script([fault, fault, faults.none(ANTHROPIC)])
    with model_call(proxy, ANTHROPIC, True, http_version=client_version) as call:
        response = call.response()
    assert (response.status, response.ended) == (200, "complete")
    assert response.body == good.text_stream(ANTHROPIC).data


def test_a_broken_http2_stream_does_not_affect_others(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    provider.alpn = ("h2",)
    stream = good.text_stream(ANTHROPIC)
    half = stream.places["mid_content"]
    slow = Reply(
        "slow",
        (
            faults.head(),
            faults.chunks(stream.events[:half]),
            faults.stall,
            faults.chunks(stream.events[half:]),
            faults.end,
        ),
    )
    provider.script([slow, faults.stream_reset_before_head(), faults.none(ANTHROPIC)])
    with model_call(proxy, ANTHROPIC, True, http_version="HTTP/2") as call:
        call.read_until(stream.events[half - 1])
        slow_stream = call.stream  # type: ignore[attr-defined]
        call.send("POST", "/v1/messages", {}, provider.received[0].body)
        assert call.response().body == stream.data
        call.stream = slow_stream  # type: ignore[attr-defined]
        provider.release()
        assert call.response().body == stream.data


@pytest.fixture
def reverse_proxy(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    """A reverse proxy for one provider; its address is the base URL of the clients."""
    proxy = start_proxy(
        scripts=SHARED,
        configuration=QUICK_RETRIES,
        arguments=("--mode", "reverse:https://api.anthropic.com"),
    )
    start = len(proxy.lines)
    values = {"ANTHROPIC_BASE_URL": proxy.url, "ANTHROPIC_API_KEY": KEY}
    with clients.environment(values):
        yield proxy
    proxy.assert_log_is_clean(start)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_broken_calls_complete_in_reverse_mode(
    reverse_proxy: Proxy, provider: ScriptedProvider, fault: Script
) -> None:
    provider.script([fault, fault, faults.none(ANTHROPIC)])
    outcome = complete(ANTHROPIC, True)
    assert (outcome.text, outcome.error_class) == (good.TEXT, "")
    assert provider.received[0].header("host") == "api.anthropic.com"


@pytest.fixture
def chained_proxy(start_proxy: Callable[..., Proxy]) -> Iterator[tuple[Proxy, Proxy]]:
    """The suite behind a company proxy that tunnels everything."""
    company = start_proxy(scripts=(), arguments=("--ignore-hosts", ".*"))
    proxy = start_proxy(
        scripts=SHARED,
        configuration=QUICK_RETRIES,
        arguments=("--mode", f"upstream:{company.url}"),
    )
    start = len(proxy.lines)
    with clients.environment(clients.behind(proxy)):
        yield proxy, company
    proxy.assert_log_is_clean(start)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_broken_calls_complete_in_upstream_mode(
    chained_proxy: tuple[Proxy, Proxy], provider: ScriptedProvider, fault: Script
) -> None:
    _, company = chained_proxy
    start = len(company.lines)
    provider.script([fault, fault, faults.none(ANTHROPIC)])
    outcome = complete(ANTHROPIC, True)
    assert (outcome.text, outcome.error_class) == (good.TEXT, "")
    company.wait_for_line("server connect api.anthropic.com", start=start)


NO_PROXY_ROUTES = f"""{QUICK_RETRIES}
[[models]]
match = "*"
provider = "inside"
fallback = ["outside/kimi-k3"]

[providers.inside]
base_url = "https://{ORIGIN_HOST}"

[providers.outside]
base_url = "https://api.anthropic.com"
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("no_proxy", "bypasses"), [("localhost", False), (f"localhost,{ORIGIN_HOST}", True)]
)
def test_each_attempt_uses_or_bypasses_the_company_proxy(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    no_proxy: str,
    bypasses: bool,
) -> None:
    company = start_proxy(
        scripts=(), arguments=("--ignore-hosts", ".*", "--proxyauth", "somebody:p@ss")
    )
    proxy = start_proxy(
        scripts=(*SHARED, str(REPOSITORY / "addons" / "authenticate_upstream.py")),
        configuration=NO_PROXY_ROUTES,
        arguments=("--mode", f"upstream:{company.url}", "--set", f"wiremend_no_proxy={no_proxy}"),
        environment={"HTTPS_PROXY": company.url.replace("://", "://somebody:p%40ss@")},
    )
    start = len(company.lines)
    origin.script([faults.overloaded(ANTHROPIC)])
    provider.script([faults.none(ANTHROPIC)])
    with clients.environment(clients.behind(proxy)):
        assert complete(ANTHROPIC, True).text == good.TEXT
    assert len(origin.received) == ATTEMPTS
    company.wait_for_line("server connect api.anthropic.com", start=start)
    used_proxy = any(f"server connect {ORIGIN_HOST}" in line for line in company.lines[start:])
    assert used_proxy != bypasses


UNFINISHED: dict[str, tuple[Callable[[WireProtocol], Reply], bool]] = {
    "waiting": (lambda p: faults.stall_before_head(), False),
    "held": (faults.stall_after_head, False),
    "flowing": (faults.stall_mid_stream, True),
}


@pytest.mark.parametrize("way", ["close", "reset"])
@pytest.mark.parametrize(("fault", "has_content"), UNFINISHED.values(), ids=UNFINISHED)
@every_protocol
def test_a_client_that_leaves_ends_the_call_upstream_at_once(
    proxy: Proxy,
    provider: ScriptedProvider,
    protocol: WireProtocol,
    fault: Callable[[WireProtocol], Reply],
    has_content: bool,
    way: str,
) -> None:
    start = len(proxy.lines)
    provider.script([fault(protocol)])
    with model_call(proxy, protocol, True) as call:
        [received] = provider.wait_for_requests(1)
        if has_content:
            call.read_until(good.text_stream(protocol).events[0])
        getattr(call, way)()
        assert received.wait_until_closed()
    proxy.wait_for_line("cancelled by client", start=start)
    assert len(provider.received) == 1


@pytest.mark.parametrize(("fault", "has_content"), UNFINISHED.values(), ids=UNFINISHED)
def test_a_cancelled_http2_stream_ends_upstream_and_does_not_affect_others(
    proxy: Proxy,
    provider: ScriptedProvider,
    fault: Callable[[WireProtocol], Reply],
    has_content: bool,
) -> None:
    provider.alpn = ("h2",)
    provider.script([fault(ANTHROPIC), faults.none(ANTHROPIC)])
    with model_call(proxy, ANTHROPIC, True, http_version="HTTP/2") as call:
        [received] = provider.wait_for_requests(1)
        if has_content:
            call.read_until(good.text_stream(ANTHROPIC).events[0])
        call.cancel()
        assert received.wait_until_closed()
        call.send("POST", "/v1/messages", {}, received.body)
        assert call.response().body == good.text_stream(ANTHROPIC).data


@pytest.mark.long
def test_budget_and_breaker_limit_requests_to_a_broken_provider(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    quick = f"[retry]\nattempts = {ATTEMPTS}\nbackoff_initial = 0.01\nbackoff_max = 0.05\n"
    proxy = start_proxy(configuration=quick + "# with limits\n")
    provider.script([faults.unavailable(ANTHROPIC)])
    calls = 20
    with clients.environment(clients.behind(proxy)):
        statuses = {complete(ANTHROPIC, True).status for _ in range(calls)}
    assert statuses == {503}
    assert len(provider.received) < calls * ATTEMPTS / 2


FAILURES_IN_A_ROW = 5
"""The number of failures that opens a breaker."""


def test_an_open_breaker_sends_no_retry_after(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    """Errors of the provider keep their wait, which the refusals of the breaker do not have."""
    proxy = start_proxy(configuration="[retry]\nattempts = 1\n")
    message = "Overloaded. Please try again in 20s."
    wrapped = faults.native_error(ANTHROPIC, 503, "overloaded_error", message)
    provider.script([faults.streamed([b"data: " + json.dumps(wrapped).encode() + b"\n\n"])])
    waits = []
    for _ in range(FAILURES_IN_A_ROW + 1):
        with model_call(proxy, ANTHROPIC, True) as call:
            response = call.response()
        waits.append((response.status, response.header("retry-after")))
    assert waits == [*[(529, "20")] * FAILURES_IN_A_ROW, (503, None)]
    assert message.encode() not in response.body
    assert len(provider.received) == FAILURES_IN_A_ROW
