"""Tests that a slow client slows its provider down, so the proxy buffers little."""

from collections.abc import Callable

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Exchange, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import HTTP_VERSIONS, model_call
from traffic.conftest import QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

MEBIBYTE = 1024 * 1024
SIZE = 24 * MEBIBYTE
EVENTS_AT_ONCE = 32
"""Events per write; after each one the provider waits for the acknowledgement."""
IN_FLIGHT = 12 * MEBIBYTE
"""The bytes that kernels, TLS and asyncio may buffer on both sides together."""
ALPN = {"HTTP/1.1": ("http/1.1",), "HTTP/2": ("h2",)}


class CountedStream:
    """A large stream with a repeated delta; counts the bytes sent."""

    def __init__(self, protocol: WireProtocol) -> None:
        stream = good.text_stream(protocol)
        middle = stream.places["mid_content"]
        delta = stream.events[middle - 1].replace(b"wide world", b"wide world" * 6400)
        self.events = [
            *stream.events[: middle - 1],
            *[delta] * (SIZE // len(delta)),
            *stream.events[middle:],
        ]
        self.sent_bytes = 0

    async def step(self, exchange: Exchange) -> None:
        """Send the events as fast as the peer reads them."""
        for start in range(0, len(self.events), EVENTS_AT_ONCE):
            data = b"".join(self.events[start : start + EVENTS_AT_ONCE])
            await exchange.body(data)
            self.sent_bytes += len(data)


SHORT_LIMITS = """
[timeouts]
idle = 1.0
progress = 1.0
"""


@pytest.mark.long
@pytest.mark.parametrize("http_version", HTTP_VERSIONS)
def test_a_client_that_pauses_is_not_the_providers_fault(
    start_proxy: Callable[..., Proxy], provider: ScriptedProvider, http_version: str
) -> None:
    """The client reads nothing for several times the idle limit."""
    proxy = start_proxy(scripts=SHARED, configuration=QUICK_RETRIES + SHORT_LIMITS)
    provider.alpn = ALPN[http_version]
    stream = CountedStream(good.ANTHROPIC)
    provider.script([Reply("large", (faults.head(), stream.step, faults.end))])
    with model_call(
        proxy, good.ANTHROPIC, True, http_version=http_version, timeout_seconds=60.0
    ) as call:
        [received] = provider.wait_for_requests(1)
        assert not received.wait_until_finished(5.0)
        response = call.response()
    assert response.ended == "complete"
    assert response.body == b"".join(stream.events)
    assert not proxy.calls[-1].findings


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize("http_version", HTTP_VERSIONS)
def test_a_provider_is_read_no_faster_than_its_client_reads(
    proxy: Proxy, provider: ScriptedProvider, http_version: str
) -> None:
    provider.alpn = ALPN[http_version]
    stream = CountedStream(good.ANTHROPIC)
    provider.script([Reply("large", (faults.head(), stream.step, faults.end))])
    with model_call(
        proxy, good.ANTHROPIC, True, http_version=http_version, timeout_seconds=60.0
    ) as call:
        [received] = provider.wait_for_requests(1)
        assert not received.wait_until_finished(3.0)
        assert stream.sent_bytes < IN_FLIGHT
        response = call.response()
    assert response.ended == "complete"
    assert response.body == b"".join(stream.events)
