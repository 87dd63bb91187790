"""Shows findings: one line in the log, a comment and a marker on the flow in mitmweb."""

import logging

from load_configuration import Shell, suite_of
from mitmproxy import http
from wiremend.call_record.load import load_record
from wiremend.views.flow_findings import MARKER_FAILED, MARKER_REPAIRED, explain, summary

logger = logging.getLogger("wiremend")


class ExplainFlows(Shell):
    """Shows nothing for calls without findings."""

    name = "wiremend.explain_flows"

    def response(self, flow: http.HTTPFlow) -> None:
        """Show the findings of a complete call."""
        self._explain(flow, MARKER_REPAIRED)

    def error(self, flow: http.HTTPFlow) -> None:
        """Show the findings of a call that failed or was cancelled."""
        self._explain(flow, MARKER_FAILED)

    def _explain(self, flow: http.HTTPFlow, marker: str) -> None:
        record = load_record(flow.metadata)
        if record is None or not record.findings:
            return
        flow.comment = explain(record)
        flow.marked = marker
        logger.warning("wiremend: %s", summary(flow, record))


addons = suite_of(ExplainFlows)
