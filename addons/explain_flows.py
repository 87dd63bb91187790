"""Shows outcomes: a comment and a marker in the flow list, findings in the log, and a summary."""

import logging

from load_configuration import Shell, Suite, suite_of
from mitmproxy import http
from wiremend.call_record.load import load_record
from wiremend.catalogue import rule_names
from wiremend.views.call_totals import SUMMARY_PREFIX, CallTotals
from wiremend.views.flow_findings import show_outcome, summary

logger = logging.getLogger("wiremend")


class ExplainFlows(Shell):
    """Logs nothing for calls without findings; the summary counts them.

    Flows that are read from a file are neither logged nor counted, and keep their comments.
    """

    name = "wiremend.explain_flows"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.totals = CallTotals()

    def response(self, flow: http.HTTPFlow) -> None:
        """Show the outcome of a complete call."""
        self._explain(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """Show the outcome of a call that failed or was cancelled."""
        self._explain(flow)

    def done(self) -> None:
        """Log how many calls there were and what was done to them."""
        logger.info("%s%s", SUMMARY_PREFIX, self.totals)

    def _explain(self, flow: http.HTTPFlow) -> None:
        record = load_record(flow.metadata)
        if record is None:
            return
        show_outcome(flow, record, rule_names())
        if not flow.live:
            return
        self.totals.add(record)
        if record.findings:
            logger.warning("wiremend: %s", summary(flow, record))


addons = suite_of(ExplainFlows)
