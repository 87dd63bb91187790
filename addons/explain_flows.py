"""Says what was done: one line in the log, a comment and a marker on the flow in mitmweb."""

import logging

from load_configuration import Shell, suite_of
from mitmproxy import http
from wiremend.views.flow_findings import MARKER_FAILED, MARKER_MENDED, explain, findings_of, summary

logger = logging.getLogger("wiremend")


class ExplainFlows(Shell):
    """Silent about calls that were fine."""

    name = "wiremend.explain_flows"

    def response(self, flow: http.HTTPFlow) -> None:
        """A call is complete."""
        self._explain(flow, MARKER_MENDED)

    def error(self, flow: http.HTTPFlow) -> None:
        """A call was given up or cancelled."""
        self._explain(flow, MARKER_FAILED)

    def _explain(self, flow: http.HTTPFlow, marker: str) -> None:
        if not findings_of(flow):
            return
        flow.comment = explain(flow)
        flow.marked = marker
        logger.warning("wiremend: %s", summary(flow))


addons = suite_of(ExplainFlows)
