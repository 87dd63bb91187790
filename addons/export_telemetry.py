"""Exports calls to Prometheus (`wiremend_metrics`) and OpenTelemetry (`wiremend_traces`)."""

import logging

from load_configuration import Shell, Suite, suite_of
from mitmproxy import ctx, exceptions, http
from wiremend.call_record.load import load_record
from wiremend.call_record.outcomes import CallState
from wiremend.call_record.schema import CallRecord
from wiremend.catalogue import rule_names
from wiremend.views.metrics import ADDRESS, MetricsServer
from wiremend.views.traces import CallTraces

logger = logging.getLogger("wiremend")


class ExportTelemetry(Shell):
    """Imports the client libraries, which are extras, only if an option asks for them."""

    name = "wiremend.export_telemetry"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.metrics: MetricsServer | None = None
        self.traces: CallTraces | None = None
        self.is_running = False

    def configure(self, updated: set[str]) -> None:
        """Start or stop exporting. If that is impossible, the start is stopped, or the value is
        refused while running."""
        try:
            if "wiremend_metrics" in updated:
                self._use_metrics(ctx.options.wiremend_metrics)
            if "wiremend_traces" in updated:
                self._use_traces(is_on=ctx.options.wiremend_traces)
        except exceptions.OptionsError as problem:
            logger.error("wiremend: %s", problem)
            if self.is_running:
                raise

    def running(self) -> None:
        """From now on, an impossible value is refused without ending the proxy."""
        self.is_running = True

    def response(self, flow: http.HTTPFlow) -> None:
        """Export a complete call."""
        self._export(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """Export a call that failed or was cancelled."""
        self._export(flow)

    def done(self) -> None:
        """Export what is waiting, and stop."""
        self._close_metrics()
        self._close_traces()

    def _use_metrics(self, port: int) -> None:
        self._close_metrics()
        if not port:
            return
        try:
            self.metrics = MetricsServer(port, rule_names())
        except ImportError:
            raise _missing("wiremend_metrics", "prometheus_client", "metrics") from None
        except (OSError, OverflowError) as problem:
            reason = getattr(problem, "strerror", None) or str(problem)
            text = f"wiremend_metrics: cannot listen at {ADDRESS}:{port}: {reason}"
            raise exceptions.OptionsError(text) from None
        logger.info("wiremend: metrics at http://%s:%d/metrics", ADDRESS, self.metrics.port)

    def _use_traces(self, *, is_on: bool) -> None:
        self._close_traces()
        if not is_on:
            return
        try:
            self.traces = CallTraces()
        except ImportError:
            packages = "opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http"
            raise _missing("wiremend_traces", packages, "traces") from None

    def _export(self, flow: http.HTTPFlow) -> None:
        if (self.metrics is None and self.traces is None) or not flow.live:
            return
        record = load_record(flow.metadata)
        if record is None or not _is_ended_call(record):
            return
        if self.metrics is not None:
            self.metrics.add(record)
        if self.traces is not None:
            status = flow.response.status_code if flow.response is not None else None
            self.traces.add(record, flow.request.headers, status)

    def _close_metrics(self) -> None:
        if self.metrics is not None:
            self.metrics.close()
            self.metrics = None

    def _close_traces(self) -> None:
        if self.traces is not None:
            self.traces.close()
            self.traces = None


def _is_ended_call(record: CallRecord) -> bool:
    is_call = bool(record.protocol) and record.outcome is not CallState.PASSED
    return is_call and record.outcome is not None and record.outcome.is_final


def _missing(option: str, packages: str, extra: str) -> exceptions.OptionsError:
    return exceptions.OptionsError(
        f"{option} needs {packages}; install them into the environment of mitmproxy: "
        f"pip install 'wiremend[{extra}]'"
    )


addons = suite_of(ExportTelemetry)
