"""Tests that after SIGTERM running calls finish, new ones are refused and the exit status is 0."""

import os
import signal
from pathlib import Path

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import HTTP_VERSIONS, model_call
from traffic.proxy import Proxy

ANTHROPIC = good.ANTHROPIC


def paused_mid_stream() -> Reply:
    """Return a stream that waits in its middle for `release`."""
    stream = good.text_stream(ANTHROPIC)
    half = stream.places["mid_content"]
    return Reply(
        "paused mid-stream",
        (
            faults.head(headers=faults.EVENT_STREAM),
            faults.chunks(stream.events[:half]),
            faults.stall,
            faults.chunks(stream.events[half:]),
            faults.end,
        ),
    )


@pytest.mark.long
def test_a_running_stream_finishes_and_a_new_call_is_refused(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    stream = good.text_stream(ANTHROPIC)
    provider.script([paused_mid_stream()])
    with Proxy(tmp_path, authority, {good.HOSTS[ANTHROPIC]: provider.port}) as proxy:
        with model_call(proxy, ANTHROPIC, True) as running:
            running.read_until(b"content_block_delta")
            proxy.terminate()
            proxy.wait_for_line("stopping; 1 running call may finish within 30 s")
            with model_call(proxy, ANTHROPIC, True) as refused:
                refusal = refused.response()
            assert refusal.status == 503
            assert b"wiremend is stopping" in refusal.body
            assert refusal.header("retry-after") == "1"
            provider.release()
            response = running.response()
        assert (response.body, response.ended) == (stream.data, "complete")
        assert proxy.wait(10) == 0


def test_an_idle_proxy_stops_at_once(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    with Proxy(tmp_path, authority, {good.HOSTS[ANTHROPIC]: provider.port}) as proxy:
        proxy.terminate()
        assert proxy.wait(10) == 0


SIGNALS = {"the end of grace": signal.SIGTERM, "Ctrl-C": signal.SIGINT}
ERROR_EVENTS = {
    good.ANTHROPIC: b"event: error",
    good.CHAT: b'data: {"error":',
    good.RESPONSES: b"event: response.failed",
    good.GEMINI: b'data: {"error":',
}


@pytest.mark.first_row
@pytest.mark.parametrize("number", SIGNALS.values(), ids=SIGNALS)
@pytest.mark.parametrize("protocol", good.PROTOCOLS)
@pytest.mark.parametrize("http_version", HTTP_VERSIONS)
def test_a_running_stream_ends_in_its_protocols_error(
    authority: Authority,
    provider: ScriptedProvider,
    tmp_path: Path,
    number: signal.Signals,
    protocol: WireProtocol,
    http_version: str,
) -> None:
    provider.script([faults.stall_mid_stream(protocol)])
    quick = "[shutdown]\ngrace = 0.1\n"
    hosts = {good.HOSTS[protocol]: provider.port}
    with (
        Proxy(tmp_path, authority, hosts, configuration=quick) as proxy,
        model_call(proxy, protocol, True, http_version=http_version) as running,
    ):
        running.read_until(b"Hello")
        os.kill(proxy.pid, number)
        response = running.response()
        assert proxy.wait(10) == 0
        log = "\n".join(proxy.lines)
    assert response.ended == "complete"
    assert ERROR_EVENTS[protocol] in response.body
    assert b"wiremend was stopped" in response.body
    assert "failed: wiremend was stopped before the response was complete: " in log
    assert "1 running call ended in an error" in log
    assert "cancelled by client" not in log


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("protocol", good.PROTOCOLS)
def test_a_call_without_an_answer_ends_in_an_http_error(
    authority: Authority,
    provider: ScriptedProvider,
    tmp_path: Path,
    protocol: WireProtocol,
    stream: bool,
) -> None:
    provider.script([faults.stall_before_head()])
    hosts = {good.HOSTS[protocol]: provider.port}
    with (
        Proxy(tmp_path, authority, hosts) as proxy,
        model_call(proxy, protocol, stream) as running,
    ):
        provider.wait_for_requests(1)
        os.kill(proxy.pid, signal.SIGINT)
        response = running.response()
        assert proxy.wait(10) == 0
        log = "\n".join(proxy.lines)
    assert (response.status, response.ended) == (503, "complete")
    assert b"wiremend was stopped" in response.body
    assert "failed: wiremend was stopped before the response was complete: " in log
    assert "R010 proxy-stopped" in log


@pytest.mark.long
def test_a_second_ctrl_c_does_not_wait_for_a_client(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.script([faults.stall_mid_stream(ANTHROPIC)])
    hosts = {good.HOSTS[ANTHROPIC]: provider.port}
    with (
        Proxy(tmp_path, authority, hosts) as proxy,
        model_call(proxy, ANTHROPIC, True) as running,
    ):
        running.read_until(b"content_block_delta")
        os.kill(proxy.pid, signal.SIGINT)
        os.kill(proxy.pid, signal.SIGINT)
        assert proxy.wait(10) == 0
