"""Limits how many flows mitmweb and mitmproxy keep in memory, if the user wants that."""

from collections import deque

from load_configuration import Shell, Suite, suite_of
from mitmproxy import ctx, http


class BoundFlowList(Shell):
    """Removes the oldest flows that have ended. Off by default: `wiremend_flows` is 0."""

    name = "wiremend.bound_flow_list"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.flows: deque[http.HTTPFlow] = deque()
        self.limit = 0

    def configure(self, updated: set[str]) -> None:
        """Apply a new limit, or forget the flows if there is none any more."""
        if "wiremend_flows" in updated:
            self.limit = ctx.options.wiremend_flows
            self._bound()

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Count a new flow."""
        if self.limit and ctx.master.addons.get("view") is not None:
            self.flows.append(flow)

    def response(self, flow: http.HTTPFlow) -> None:
        """Remove the oldest flows beyond the limit."""
        self._bound()

    def error(self, flow: http.HTTPFlow) -> None:
        """Remove the oldest flows beyond the limit."""
        self._bound()

    def _bound(self) -> None:
        if not self.limit:
            self.flows.clear()
            return
        excess = len(self.flows) - self.limit
        running: list[http.HTTPFlow] = []
        removed: list[http.HTTPFlow] = []
        while self.flows and len(removed) < excess:
            oldest = self.flows.popleft()
            (running if oldest.live else removed).append(oldest)
        self.flows.extendleft(reversed(running))
        if removed:
            ctx.master.commands.call("view.flows.remove", removed)


addons = suite_of(BoundFlowList)
