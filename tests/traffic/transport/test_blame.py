"""Tests of who is blamed for failed calls: the breaker and the budget of the real target."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from wiremend.testing.exchange import Script
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import Http1Call, RawResponse, model_call
from traffic.conftest import ORIGIN_HOST
from traffic.proxy import KEY, Proxy

ANTHROPIC = good.ANTHROPIC
HOST, OTHER_HOST = "api.anthropic.com", "api.openai.com"
STREAM = good.text_stream(ANTHROPIC)
TEXT_OF_ANOTHER = "Overloaded, said the prompt of client A. Please try again."
FAILURES = 2
ONE_ATTEMPT = "[retry]\nattempts = 1\n"
LONG_PAUSE = f"[breaker]\nfailures = {FAILURES}\npause = 60.0\npause_max = 60.0\n"
ROUTES = """
[[models]]
match = "first-*"
provider = "first"

[[models]]
match = "second-*"
model = "first-of-another-provider"
provider = "second"

[providers.first]
base_url = "https://api.anthropic.com"
api_key = "sk-test-DO-NOT-LOG-first"

[providers.second]
base_url = "https://api.anthropic.com"
api_key = "sk-test-DO-NOT-LOG-second"
"""
GOOD = [faults.none(ANTHROPIC)]


def failing(status: int = 529) -> list[Script]:
    error = faults.native_error(ANTHROPIC, status, "overloaded_error", TEXT_OF_ANOTHER)
    return [faults.status(status, error)]


@pytest.fixture
def proxy(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    """A proxy whose breakers stay open; each test has models of its own."""
    proxy = start_proxy(configuration=ONE_ATTEMPT + LONG_PAUSE + ROUTES)
    start = len(proxy.lines)
    yield proxy
    proxy.assert_log_is_clean(start)


def body_for(model: str) -> bytes:
    return json.dumps({**good.request_body(ANTHROPIC, True), "model": model}).encode()


def send(proxy: Proxy, model: str, host: str = HOST, *, claimed_host: str = "") -> RawResponse:
    with Http1Call(proxy, host) as call:
        fields = {"content-type": "application/json", "x-api-key": KEY}
        if claimed_host:
            fields["host"] = claimed_host
        call.send("POST", "/v1/messages", fields, body_for(model))
        return call.response()


def open_breaker(proxy: Proxy, provider: ScriptedProvider, model: str, **options: str) -> None:
    """Fail often enough, then let the provider recover."""
    provider.script(failing())
    for _ in range(FAILURES):
        assert send(proxy, model, **options).status == 529
    provider.script(GOOD)


def test_a_forged_host_header_closes_no_provider_to_others(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    for _ in range(FAILURES):
        assert send(proxy, "forged", host=OTHER_HOST, claimed_host=HOST).status == 400
    assert provider.received == []
    provider.script(GOOD)
    assert send(proxy, "forged").body == STREAM.data


def test_a_forged_server_name_closes_no_provider_to_others(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    """The upstream certificate is verified for the name in the client's hello."""
    provider.script(GOOD)
    for _ in range(FAILURES):
        with ForgedName(proxy, HOST) as call:
            call.send("POST", "/v1/messages", {"content-type": "application/json"}, body_for("sni"))
            assert call.response().status == 502
    assert send(proxy, "sni").body == STREAM.data


class ForgedName(Http1Call):
    """A client whose TLS hello names another server than its CONNECT request."""

    def _connect(self, trusted: Path) -> None:
        self._socket.sendall(f"CONNECT {self.host}:443 HTTP/1.1\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(1)
        context = ssl.create_default_context(cafile=trusted)
        self._socket: socket.socket = context.wrap_socket(
            self._socket, server_hostname=ORIGIN_HOST, suppress_ragged_eofs=False
        )


def test_a_refusal_contains_nothing_of_another_clients_error(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    open_breaker(proxy, provider, "quoted")
    refusal = send(proxy, "quoted")
    assert refusal.status == 503
    assert b"client A" not in refusal.body
    assert b"try again" not in refusal.body
    assert b"The last one failed with status 529" in refusal.body
    assert refusal.header("retry-after") is None


@pytest.mark.parametrize(
    ("failed", "others"),
    [
        ("first-a", ["first-of-another-provider", "second-a"]),
        ("first-of-another-provider", ["second-b"]),
        ("direct", ["first-direct"]),
    ],
)
def test_a_configured_provider_is_a_target_of_its_own(
    failed: str, others: Sequence[str], proxy: Proxy, provider: ScriptedProvider
) -> None:
    """All of these calls go to the same host and port, some of them for the same model."""
    open_breaker(proxy, provider, failed)
    assert send(proxy, failed).status == 503
    for model in others:
        assert send(proxy, model).status == 200


def test_a_model_that_fails_does_not_close_its_provider_to_other_models(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    open_breaker(proxy, provider, "broken-model")
    assert send(proxy, "broken-model").status == 503
    assert send(proxy, "working-model").status == 200


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 429, 501])
def test_refusals_of_one_client_close_no_provider_to_others(
    status: int, proxy: Proxy, provider: ScriptedProvider
) -> None:
    error = faults.native_error(ANTHROPIC, status, "some_error", "no")
    provider.script([faults.status(status, error)])
    for _ in range(FAILURES + 1):
        assert send(proxy, f"refused-{status}").status == status
    provider.script(GOOD)
    assert send(proxy, f"refused-{status}").status == 200


@pytest.mark.parametrize("fault", [faults.stall_before_head, faults.stall_mid_stream])
def test_clients_that_leave_close_no_provider_to_others(
    fault: Callable[..., Any], proxy: Proxy, provider: ScriptedProvider
) -> None:
    is_mid_stream = fault is faults.stall_mid_stream
    model = f"cancelled-{is_mid_stream}"
    provider.script([fault(ANTHROPIC) if is_mid_stream else fault()])
    for number in range(FAILURES + 1):
        with model_call(proxy, ANTHROPIC, True, body=body_for(model)) as call:
            received = provider.wait_for_requests(number + 1)[number]
            if is_mid_stream:
                call.read_until(b"content_block_delta")
        assert received.wait_until_closed()
    provider.script(GOOD)
    assert send(proxy, model).status == 200


@pytest.mark.long
def test_streams_that_the_total_limit_cuts_close_no_provider_to_others(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    limits = "[timeouts]\ntotal = 0.5\n"
    proxy = start_proxy(configuration=ONE_ATTEMPT + LONG_PAUSE + limits)
    provider.script([faults.stall_mid_stream(ANTHROPIC)])
    for _ in range(FAILURES + 1):
        assert b"limit: total" in send(proxy, "long").body
    provider.script(GOOD)
    assert send(proxy, "long").status == 200


# Probes

PATIENCE = 200
"""How many calls are made until one is admitted; each takes several milliseconds."""
SHORT_PAUSE = f"[breaker]\nfailures = {FAILURES}\npause = 0.1\npause_max = {{}}\n"


def response_when_admitted(proxy: Proxy, model: str) -> RawResponse:
    """Repeat a call until it is not refused; the pause is short."""
    for _ in range(PATIENCE):
        response = send(proxy, model)
        if b"is asked again in" not in response.body:
            return response
    raise AssertionError("no call is admitted")


@pytest.mark.long
def test_one_probe_is_sent_at_a_time_and_a_cancelled_one_makes_room(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    configuration = ONE_ATTEMPT + SHORT_PAUSE.format(60.0)
    proxy = start_proxy(configuration=configuration)
    provider.script(failing())
    for _ in range(FAILURES):
        send(proxy, "probed")
    provider.script([faults.stall_before_head()])
    with admitted_probe(proxy, provider, "probed"):
        assert send(proxy, "probed").status == 503
        assert send(proxy, "probed").status == 503
        provider.script(GOOD)
    assert response_when_admitted(proxy, "probed").body == STREAM.data
    assert send(proxy, "probed").body == STREAM.data


def test_a_probe_that_hangs_makes_room_for_the_next_one(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    configuration = ONE_ATTEMPT + SHORT_PAUSE.format(0.2)
    proxy = start_proxy(configuration=configuration)
    provider.script(failing())
    for _ in range(FAILURES):
        send(proxy, "hanging")
    provider.script([faults.stall_before_head()])
    with admitted_probe(proxy, provider, "hanging"):
        provider.script(GOOD)
        assert response_when_admitted(proxy, "hanging").body == STREAM.data


@contextmanager
def admitted_probe(proxy: Proxy, provider: ScriptedProvider, model: str) -> Iterator[None]:
    """Repeat a call until the provider, which does not answer, has received it; keep it open."""
    known = len(provider.received)
    for _ in range(PATIENCE):
        with model_call(proxy, ANTHROPIC, True, body=body_for(model)) as call:
            if len(provider.wait_for_requests(known + 1, 0.3)) > known:
                yield
                return
            assert call.response().status == 503
    raise AssertionError("no call is admitted")


# The user's settings


@pytest.mark.long
def test_zero_switches_budget_and_breaker_off(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    quick = "[retry]\nattempts = 3\nbackoff_initial = 0.0\nbackoff_max = 0.0\nbudget = 0\n"
    proxy = start_proxy(configuration=quick + "[breaker]\nfailures = 0\n")
    provider.script(failing())
    assert {send(proxy, "off").status for _ in range(20)} == {529}
    assert len(provider.received) == 60


def test_a_budget_limits_the_retries_of_all_calls_to_a_provider(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    quick = "[retry]\nattempts = 3\nbackoff_initial = 0.0\nbackoff_max = 0.0\nbudget = 4\n"
    proxy = start_proxy(configuration=quick + "[breaker]\nfailures = 0\n")
    provider.script(failing())
    calls = 10
    for number in range(calls):
        send(proxy, f"model-{number}")
    retries = len(provider.received) - calls
    assert 4 <= retries <= 4 + calls * 0.2 + 4  # the last 4: refilled in a minute


@pytest.mark.long
def test_a_running_proxy_takes_changed_limits(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider
) -> None:
    off = "# changed while running\n[breaker]\nfailures = 0\n"
    proxy = start_proxy(configuration=ONE_ATTEMPT + off)
    provider.script(failing())
    statuses = [send(proxy, "changed").status for _ in range(FAILURES + 1)]
    assert statuses[-1] == 529
    for configuration, last in ((LONG_PAUSE, 503), (off, 529)):
        start = len(proxy.lines)
        proxy.configuration_file.write_text(ONE_ATTEMPT + configuration)
        proxy.wait_for_line(r"wiremend\.toml reloaded", 10, start)
        statuses = [send(proxy, "changed").status for _ in range(FAILURES + 1)]
        assert statuses[-1] == last
