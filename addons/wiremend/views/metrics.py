"""Metrics of calls for Prometheus, through its client library, which is an extra."""

from collections.abc import Mapping
from typing import Any

from wiremend.call_record.schema import CallRecord
from wiremend.protocols.base.usage import NO_USAGE
from wiremend.views.outcome import verdict_of

ADDRESS = "127.0.0.1"
LABELS_LIMIT = 200
"""How many values a label has; clients choose models and hosts. Further ones are `other`."""
_OTHER = "other"
_LONGEST_LABEL = 100
_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)
"""The upper ends of the buckets of histograms."""


class MetricsServer:
    """Serves the metrics of the calls that were added, at http://127.0.0.1:PORT/metrics."""

    def __init__(self, port: int, rule_names: Mapping[str, str]) -> None:
        """Raises ImportError without `prometheus_client`, and OSError if the port is taken."""
        from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

        registry = CollectorRegistry()
        calls = ("protocol", "provider", "model")
        self._rule_names = rule_names
        self._known: dict[str, set[str]] = {}
        self._calls: Any = Counter(
            "wiremend_calls", "Calls that have ended.", (*calls, "outcome"), registry=registry
        )
        self._attempts: Any = Counter(
            "wiremend_attempts", "Attempts.", ("provider", "model", "outcome"), registry=registry
        )
        self._findings: Any = Counter(
            "wiremend_findings", "Places where a rule applied.", ("code", "name"), registry=registry
        )
        self._tokens: Any = Counter(
            "wiremend_tokens",
            "Tokens that providers reported. cached is a part of input, reasoning one of output.",
            (*calls, "kind"),
            registry=registry,
        )
        self._first_byte: Any = Histogram(
            "wiremend_first_byte_seconds",
            "Seconds from the start of a call to the first byte that its client was sent.",
            calls,
            buckets=_SECONDS,
            registry=registry,
        )
        self._total: Any = Histogram(
            "wiremend_call_seconds",
            "Seconds from the start to the end of a call.",
            calls,
            buckets=_SECONDS,
            registry=registry,
        )
        self._server, self._thread = start_http_server(port, addr=ADDRESS, registry=registry)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.server_port
        return port

    def add(self, record: CallRecord) -> None:
        """Count a call that has ended."""
        model = self._label("model", record.model_used or record.model_asked)
        call = (record.protocol, self._label("provider", record.provider), model)
        self._calls.labels(*call, verdict_of(record).word).inc()
        for attempt in record.attempts:
            outcome = attempt.outcome.value if attempt.outcome is not None else ""
            provider = self._label("provider", attempt.provider)
            self._attempts.labels(provider, self._label("model", attempt.model), outcome).inc()
        for finding in record.findings:
            name = self._rule_names.get(finding.code, "")
            self._findings.labels(self._label("code", finding.code), name).inc()
        usage = record.usage.counts() if record.usage is not None else NO_USAGE
        for kind, count in (
            ("input", usage.input_tokens),
            ("cached", usage.cached_tokens),
            ("output", usage.output_tokens),
            ("reasoning", usage.reasoning_tokens),
        ):
            if count is not None and count >= 0:
                self._tokens.labels(*call, kind).inc(count)
        if record.head_seconds is not None:
            self._first_byte.labels(*call).observe(record.head_seconds)
        if record.end_seconds is not None:
            self._total.labels(*call).observe(record.end_seconds)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _label(self, label: str, value: str) -> str:
        known = self._known.setdefault(label, set())
        value = value[:_LONGEST_LABEL]
        if value not in known and len(known) >= LABELS_LIMIT:
            return _OTHER
        known.add(value)
        return value
