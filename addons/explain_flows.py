"""Shows findings: a line in the log, a comment and a marker in mitmweb; a summary at the end."""

import logging

from load_configuration import Shell, Suite, suite_of
from mitmproxy import http
from wiremend.call_record.load import load_record
from wiremend.views.call_totals import SUMMARY_PREFIX, CallTotals
from wiremend.views.flow_findings import (
    MARKER_FAILED,
    MARKER_INJECTED,
    MARKER_REPAIRED,
    explain,
    injected_lines,
    summary,
)

logger = logging.getLogger("wiremend")


class ExplainFlows(Shell):
    """Shows nothing for calls without findings; the summary counts them."""

    name = "wiremend.explain_flows"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.totals = CallTotals()

    def response(self, flow: http.HTTPFlow) -> None:
        """Show the findings of a complete call."""
        self._explain(flow, MARKER_REPAIRED)

    def error(self, flow: http.HTTPFlow) -> None:
        """Show the findings of a call that failed or was cancelled."""
        self._explain(flow, MARKER_FAILED)

    def done(self) -> None:
        """Log how many calls there were and what was done to them."""
        logger.info("%s%s", SUMMARY_PREFIX, self.totals)

    def _explain(self, flow: http.HTTPFlow, marker: str) -> None:
        record = load_record(flow.metadata)
        if record is None:
            return
        self.totals.add(record)
        injected = injected_lines(record)
        if not record.findings and not injected:
            return
        flow.comment = "\n".join(filter(None, [*injected, explain(record)]))
        flow.marked = marker if record.findings else MARKER_INJECTED
        if not record.findings:
            return
        logger.warning("wiremend: %s", summary(flow, record))


addons = suite_of(ExplainFlows)
