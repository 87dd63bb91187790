"""A script for mitmdump: breaks what plans a call, or its plan, where a request header asks so."""

from typing import Any

from mitmproxy import ctx, http


class FailPlanning:
    """Runs after the suite, so that it can repair what it broke for one request."""

    name = "fail_planning"

    def request(self, flow: http.HTTPFlow) -> None:
        """Take from a shell what it plans with."""
        self.shell = ctx.master.addons.get("wiremend.sanitize_tools")
        self.book = self.shell.book
        if flow.request.headers.get("x-break") == "shell":
            self.shell.book = None

    def wiremend_call(self, planned: Any) -> None:
        """Give it back; break the plan that the shells made."""
        self.shell.book = self.book
        if planned.flow.request.headers.get("x-break") == "plan":
            planned.plan.request_for = None
        elif planned.flow.request.headers.get("x-break") == "machine":
            planned.plan.timeouts = None


addons = [FailPlanning()]
