"""Spans of calls for OpenTelemetry, whose SDK is an extra.

Names and attributes are those of the semantic conventions for generative AI:
https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/. Messages are not among them.
"""

import threading
from collections.abc import Mapping
from typing import Any

from wiremend.call_record.outcomes import AttemptOutcome
from wiremend.call_record.schema import CallRecord, Usage
from wiremend.protocols.base.names import WireProtocol
from wiremend.views.outcome import Verdict, verdict_of

_NANOSECONDS = 1_000_000_000
_TEXT_LIMIT = 200
_CLOSE_SECONDS = 2.0
_FAILED = (Verdict.FAILED, Verdict.TIMED_OUT, Verdict.REFUSED)
_PROVIDERS = {
    "api.anthropic.com": "anthropic",
    "api.openai.com": "openai",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "api.mistral.ai": "mistral_ai",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
}
"""The names that the conventions define, by host. Others have the name of the provider here."""


class CallTraces:
    """Makes a span of each call that has ended."""

    def __init__(self, provider: Any = None) -> None:
        """`provider` is a TracerProvider of the SDK.

        By default that of the process, if one was set up, as by `opentelemetry-instrument`; else a
        new one, which exports to `OTEL_EXPORTER_OTLP_ENDPOINT`, or http://localhost:4318. Raises
        ImportError without the SDK or the exporter.
        """
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._trace: Any = trace
        self._own: Any = None
        if provider is None:
            provider = _provider_of_process()
        if provider is None:
            provider = self._own = _exporting_provider()
        self._tracer = provider.get_tracer("wiremend")
        self._propagator: Any = TraceContextTextMapPropagator()

    def add(self, record: CallRecord, headers: Mapping[str, str], status: int | None) -> None:
        """Make a span of a call. `headers` are its client's, which may name the parent span."""
        if record.started_at is None:
            return
        model = record.model_used or record.model_asked
        operation = "generate_content" if record.protocol == WireProtocol.GEMINI else "chat"
        span = self._tracer.start_span(
            f"{operation} {model}".rstrip()[:_TEXT_LIMIT],
            context=self._propagator.extract(dict(headers)),
            kind=self._trace.SpanKind.CLIENT,
            attributes=_attributes(record, operation, status),
            start_time=_time(record, 0.0),
        )
        for attempt in record.attempts:
            values = {
                "wiremend.attempt.number": attempt.number,
                "wiremend.attempt.provider": attempt.provider[:_TEXT_LIMIT],
                "wiremend.attempt.outcome": attempt.outcome.value if attempt.outcome else "",
                "wiremend.attempt.detail": attempt.detail[:_TEXT_LIMIT],
            }
            when = attempt.end_seconds or attempt.start_seconds
            span.add_event("wiremend.attempt", values, _time(record, when))
        if verdict_of(record) in _FAILED:
            code = self._trace.StatusCode.ERROR
            span.set_status(self._trace.Status(code, record.detail[:_TEXT_LIMIT]))
        span.end(_time(record, record.end_seconds or 0.0))

    def close(self) -> None:
        """Export what is waiting, for two seconds at most, if this object has set that up."""
        if self._own is not None:
            last = threading.Thread(target=self._own.shutdown, daemon=True)
            last.start()
            last.join(_CLOSE_SECONDS)


def _attributes(record: CallRecord, operation: str, status: int | None) -> dict[str, Any]:
    usage = record.usage or Usage()
    verdict = verdict_of(record)
    failed = [it for it in record.attempts if it.outcome is AttemptOutcome.FAILED]
    attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": _PROVIDERS.get(record.host, record.provider[:_TEXT_LIMIT]),
        "gen_ai.request.model": (record.model_used or record.model_asked)[:_TEXT_LIMIT] or None,
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
        "server.address": record.host[:_TEXT_LIMIT] or None,
        "http.response.status_code": status,
        "error.type": _error_type(record, status) if verdict in _FAILED else None,
        "wiremend.outcome": verdict.word,
        "wiremend.client": record.client or None,
        "wiremend.protocol": record.protocol or None,
        "wiremend.model_asked": record.model_asked[:_TEXT_LIMIT] or None,
        "wiremend.attempts": len(record.attempts),
        "wiremend.failed_attempts": len(failed),
        "wiremend.rules": sorted({finding.code for finding in record.findings}),
        "wiremend.first_byte_seconds": record.head_seconds,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _error_type(record: CallRecord, status: int | None) -> str:
    """Return the HTTP status of a refused call, else what kind of failure it was."""
    verdict = verdict_of(record)
    if verdict is Verdict.TIMED_OUT:
        return "timeout"
    return str(status) if status is not None and status >= 400 else verdict.word


def _time(record: CallRecord, seconds: float) -> int:
    return int(((record.started_at or 0.0) + seconds) * _NANOSECONDS)


def _provider_of_process() -> Any:
    """Return the SDK's TracerProvider that was set up for this process, if there is one."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider

    provider = trace.get_tracer_provider()
    return provider if isinstance(provider, TracerProvider) else None


def _exporting_provider() -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "wiremend"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
