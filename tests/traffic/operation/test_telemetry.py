"""Metrics scraped from a running mitmdump, and the spans that it exports, against its calls."""

import re
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from wiremend.testing import steps
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
from traffic.conftest import QUICK_RETRIES
from traffic.proxy import Proxy

ANTHROPIC, CHAT = good.ANTHROPIC, good.CHAT
HOSTS = (good.HOSTS[ANTHROPIC], good.HOSTS[CHAT])
MID = good.text_stream(ANTHROPIC).places["mid_content"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_calls(proxy: Proxy, provider: ScriptedProvider) -> None:
    """Make a clean call, a repaired one, one that is retried, and one that fails."""
    repaired = steps.streamed(good.stream_with_blocks_from_index(1).events)
    for protocol, replies in (
        (CHAT, [faults.none(CHAT)]),
        (ANTHROPIC, [repaired]),
        (ANTHROPIC, [faults.overloaded(ANTHROPIC), faults.none(ANTHROPIC)]),
        (ANTHROPIC, [faults.reset_mid_stream(ANTHROPIC)]),
    ):
        provider.script(replies)
        with model_call(proxy, protocol, True) as call:
            call.response()


def samples_at(url: str) -> dict[str, float]:
    """Return what Prometheus would read: the values by name and labels."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as response:
        lines = response.read().decode().splitlines()
    found = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in found}


@pytest.mark.long
def test_prometheus_reads_the_calls_of_a_running_proxy(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    pytest.importorskip("prometheus_client")
    port = free_port()
    with Proxy(
        tmp_path,
        authority,
        dict.fromkeys(HOSTS, provider.port),
        configuration=QUICK_RETRIES,
        arguments=["--set", f"wiremend_metrics={port}"],
        reports_calls=True,
    ) as proxy:
        make_calls(proxy, provider)
        calls = proxy.calls
        samples = samples_at(f"http://127.0.0.1:{port}/metrics")
    opus = 'model="claude-opus-5",{}protocol="anthropic-messages",provider="api.anthropic.com"'
    counted = {
        f"wiremend_calls_total{{{opus.format(f'outcome="{outcome}",')}}}": 1.0
        for outcome in ("repaired", "retried", "failed")
    }
    assert counted.items() <= samples.items()
    by_name: dict[str, float] = {}
    for name, value in samples.items():
        key = name.partition("{")[0]
        by_name[key] = by_name.get(key, 0.0) + value
    assert by_name["wiremend_calls_total"] == len(calls) == 4
    assert by_name["wiremend_attempts_total"] == sum(len(call.attempts) for call in calls)
    assert by_name["wiremend_findings_total"] == sum(len(call.findings) for call in calls)
    assert by_name["wiremend_call_seconds_count"] == 4
    assert by_name["wiremend_first_byte_seconds_count"] == 4


@contextmanager
def collector() -> Iterator[tuple[int, list[bytes]]]:
    """Receive what is exported; yield the port, and the bodies."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, bodies
        finally:
            server.shutdown()
            thread.join()


def test_a_collector_receives_the_spans_of_a_running_proxy(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    with (
        collector() as (port, bodies),
        Proxy(
            tmp_path,
            authority,
            dict.fromkeys(HOSTS, provider.port),
            configuration=QUICK_RETRIES,
            arguments=["--set", "wiremend_traces=true"],
            environment={
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
                "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            },
        ) as proxy,
    ):
        make_calls(proxy, provider)
    # The proxy has exported what was waiting when it ended.
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    shown = []
    for span in spans:
        values = {one.key: one.value for one in span.attributes}
        shown.append((span.name, values["wiremend.outcome"].string_value, len(span.events)))
    assert [name for name, _, _ in shown][1:] == ["chat claude-opus-5"] * 3
    assert [(outcome, attempts) for _, outcome, attempts in shown] == [
        ("ok", 1),
        ("repaired", 1),
        ("retried", 2),
        ("failed", 1),
    ]
    assert [bool(span.status.code == 2) for span in spans] == [False, False, False, True]
    assert not re.search(rb"DO-NOT-LOG|wide world", b"".join(bodies))
