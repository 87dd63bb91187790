"""Tests that after SIGTERM running calls finish, new ones are refused and the exit status is 0."""

import os
import signal
from pathlib import Path

from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
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


def test_a_running_stream_finishes_and_a_new_call_is_refused(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    stream = good.text_stream(ANTHROPIC)
    provider.script([paused_mid_stream()])
    with Proxy(tmp_path, authority, {good.HOSTS[ANTHROPIC]: provider.port}) as proxy:
        with model_call(proxy, ANTHROPIC, True) as running:
            running.read_until(b"content_block_delta")
            proxy.terminate()
            proxy.wait_for_line("stopping; 1 calls may finish")
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


def test_a_stream_that_does_not_finish_is_cut_after_the_grace_period(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.script([faults.stall_mid_stream(ANTHROPIC)])
    quick = "[shutdown]\ngrace = 0.5\n"
    hosts = {good.HOSTS[ANTHROPIC]: provider.port}
    with (
        Proxy(tmp_path, authority, hosts, configuration=quick) as proxy,
        model_call(proxy, ANTHROPIC, True) as running,
    ):
        running.read_until(b"content_block_delta")
        proxy.terminate()
        assert proxy.wait(10) == 0


def test_ctrl_c_ends_running_calls_at_once_and_without_a_traceback(
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
        assert proxy.wait(10) == 0
