"""Shows outcomes: a comment and a marker in the flow list, a line in the log, and a summary."""

import logging

from load_configuration import Shell, Suite, suite_of
from mitmproxy import http
from wiremend.call_record.load import load_record
from wiremend.call_record.outcomes import CallState
from wiremend.catalogue import rule_names
from wiremend.views.call_line import call_line
from wiremend.views.call_totals import SUMMARY_PREFIX, CallTotals
from wiremend.views.flow_findings import show_outcome
from wiremend.views.outcome import summary_of

_LOGGED = (
    CallState.ANSWERED,
    CallState.FAILED,
    CallState.CANCELLED,
    CallState.ACKNOWLEDGED,
    CallState.INTERNAL_FAULT,
)

logger = logging.getLogger("wiremend")


class ExplainFlows(Shell):
    """Logs one line for each call, as a warning if a rule applied or it failed.

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
        if providers := self.totals.by_provider():
            logger.info("%s%s", SUMMARY_PREFIX, providers)

    def _explain(self, flow: http.HTTPFlow) -> None:
        record = load_record(flow.metadata)
        if record is None:
            return
        summary = summary_of(record)
        show_outcome(flow, record, summary, rule_names())
        if not flow.live:
            return
        self.totals.add(record)
        if not record.findings and record.outcome not in _LOGGED:
            return  # no call, or one whose refusal was logged
        path = flow.request.path.partition("?")[0]
        place = f"{flow.request.pretty_host}{path}"
        line = call_line(place, record, summary, rule_names())
        is_quiet = not record.findings and record.outcome is not CallState.FAILED
        logger.log(logging.INFO if is_quiet else logging.WARNING, f"wiremend: {line}")


addons = suite_of(ExplainFlows)
