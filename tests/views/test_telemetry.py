"""Metrics and spans of calls, with the real client libraries where they are installed."""

import urllib.request
from typing import Any

import pytest
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.schema import CallRecord, StoredAttempt, StoredFinding, Usage
from wiremend.views.metrics import LABELS_LIMIT, MetricsServer
from wiremend.views.traces import CallTraces

NAMES = {"S105": "block-index"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
START = 1_700_000_000_500_000_000
PARENT = "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
ANSWERED: dict[str, Any] = {
    "protocol": "anthropic-messages",
    "provider": "opencode-go",
    "host": "opencode.ai",
    "client": "claude-code",
    "model_asked": "claude-opus-5",
    "model_used": "kimi-k2.6",
    "outcome": CallState.ANSWERED,
    "detail": "ok",
    "started_at": 1_700_000_000.5,
    "head_seconds": 0.5,
    "end_seconds": 2.0,
    "usage": Usage(input_tokens=1234, cached_tokens=1000, output_tokens=56),
    "response_findings": [StoredFinding(code="S105")] * 3,
    "attempts": [
        StoredAttempt(
            number=1,
            provider="opencode-go",
            model="kimi-k2.6",
            outcome=AttemptOutcome.FAILED,
            detail="Overloaded",
            end_seconds=0.25,
        ),
        StoredAttempt(
            number=2,
            provider="opencode-go",
            model="kimi-k2.6",
            outcome=AttemptOutcome.ANSWERED,
            detail="ok",
            start_seconds=0.3,
            end_seconds=2.0,
        ),
    ],
}


def scraped(*records: CallRecord) -> dict[str, str]:
    """Return the samples that Prometheus would read, without those of buckets and times."""
    server = MetricsServer(0, NAMES)
    try:
        for record in records:
            server.add(record)
        url = f"http://127.0.0.1:{server.port}/metrics"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        text = opener.open(url, timeout=10).read().decode()
    finally:
        server.close()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: value for name, _, value in lines if "_created" not in name}


def test_prometheus_reads_what_was_counted() -> None:
    samples = scraped(CallRecord(**ANSWERED), CallRecord(**ANSWERED))
    call = 'model="kimi-k2.6",{}protocol="anthropic-messages",provider="opencode-go"'
    of_call = call.format("")
    attempt = 'model="kimi-k2.6",outcome="{}",provider="opencode-go"'
    expected = {
        f"wiremend_calls_total{{{call.format('outcome="retried",')}}}": "2.0",
        f"wiremend_attempts_total{{{attempt.format('failed')}}}": "2.0",
        f"wiremend_attempts_total{{{attempt.format('answered')}}}": "2.0",
        'wiremend_findings_total{code="S105",name="block-index"}': "6.0",
        f'wiremend_tokens_total{{kind="input",{of_call}}}': "2468.0",
        f'wiremend_tokens_total{{kind="cached",{of_call}}}': "2000.0",
        f'wiremend_tokens_total{{kind="output",{of_call}}}': "112.0",
        f"wiremend_call_seconds_sum{{{of_call}}}": "4.0",
        f"wiremend_first_byte_seconds_sum{{{of_call}}}": "1.0",
        f'wiremend_call_seconds_bucket{{le="2.5",{of_call}}}': "2.0",
        f'wiremend_call_seconds_bucket{{le="1.0",{of_call}}}': "0.0",
    }
    assert {name: samples.get(name) for name in expected} == expected


def test_models_that_clients_invent_do_not_fill_the_memory() -> None:
    invented = [
        CallRecord(protocol="responses", model_asked=f"m{number}", outcome=CallState.FAILED)
        for number in range(LABELS_LIMIT + 50)
    ]
    samples = scraped(*invented)
    calls = {name: n for name, n in samples.items() if name.startswith("wiremend_calls_total")}
    assert len(calls) == LABELS_LIMIT + 1
    assert [n for name, n in calls.items() if 'model="other"' in name] == ["50.0"]


@pytest.fixture
def exported() -> Any:
    """An exporter that keeps spans in memory, and the traces that it gets."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter, CallTraces(provider)


def test_a_call_is_a_span_by_the_conventions(exported: Any) -> None:
    exporter, traces = exported
    traces.add(CallRecord(**ANSWERED), HEADERS, 200)
    [span] = exporter.get_finished_spans()
    assert (span.name, span.kind.name) == ("chat kimi-k2.6", "CLIENT")
    assert (span.start_time, span.end_time) == (
        1_700_000_000_500_000_000,
        1_700_000_002_500_000_000,
    )
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.status.status_code.name == "UNSET"
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "opencode-go",
        "gen_ai.request.model": "kimi-k2.6",
        "gen_ai.usage.input_tokens": 1234,
        "gen_ai.usage.output_tokens": 56,
        "gen_ai.usage.cache_read.input_tokens": 1000,
        "server.address": "opencode.ai",
        "http.response.status_code": 200,
        "wiremend.outcome": "retried",
        "wiremend.client": "claude-code",
        "wiremend.protocol": "anthropic-messages",
        "wiremend.model_asked": "claude-opus-5",
        "wiremend.attempts": 2,
        "wiremend.failed_attempts": 1,
        "wiremend.rules": ("S105",),
        "wiremend.first_byte_seconds": 0.5,
    }
    assert (span.events[0].name, dict(span.events[0].attributes)) == (
        "wiremend.attempt",
        {
            "wiremend.attempt.number": 1,
            "wiremend.attempt.provider": "opencode-go",
            "wiremend.attempt.outcome": "failed",
            "wiremend.attempt.detail": "Overloaded",
        },
    )


@pytest.mark.parametrize(
    ("changes", "status", "name", "error"),
    [
        ({"outcome": CallState.FAILED, "detail": "error 529"}, 529, "chat kimi-k2.6", "529"),
        ({"outcome": CallState.FAILED, "detail": "cut"}, None, "chat kimi-k2.6", "failed"),
        (
            {"outcome": CallState.FAILED, "response_findings": [StoredFinding(code="R004")]},
            200,
            "chat kimi-k2.6",
            "timeout",
        ),
        ({"outcome": CallState.CANCELLED}, None, "chat kimi-k2.6", None),
        ({"protocol": "gemini"}, 200, "generate_content kimi-k2.6", None),
    ],
)
def test_failures_are_errors(
    exported: Any, changes: dict[str, Any], status: int | None, name: str, error: str | None
) -> None:
    exporter, traces = exported
    traces.add(CallRecord(**{**ANSWERED, **changes}), {}, status)
    [span] = exporter.get_finished_spans()
    assert (span.name, span.attributes.get("error.type")) == (name, error)
    assert span.status.status_code.name == ("ERROR" if error else "UNSET")


def test_the_provider_is_named_as_the_conventions_name_it(exported: Any) -> None:
    exporter, traces = exported
    traces.add(CallRecord(**{**ANSWERED, "host": "api.anthropic.com"}), {}, 200)
    [span] = exporter.get_finished_spans()
    assert span.attributes["gen_ai.provider.name"] == "anthropic"
