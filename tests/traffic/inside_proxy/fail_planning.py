"""A mitmproxy script that breaks the planning of calls with an `x-break` header."""

from dataclasses import replace
from typing import Any

from mitmproxy import ctx, http


class FailPlanning:
    """Runs after the suite, so that it can restore what it broke for one request."""

    name = "fail_planning"

    def request(self, flow: http.HTTPFlow) -> None:
        """Remove what a shell needs for planning."""
        self.shell = ctx.master.addons.get("wiremend.load_configuration")
        self.knowledge = self.shell.knowledge
        if flow.request.headers.get("x-break") == "shell":
            self.shell.knowledge = None

    def wiremend_call(self, options: Any) -> None:
        """Restore it; break the inputs of the plan."""
        self.shell.knowledge = self.knowledge
        if options.flow.request.headers.get("x-break") == "plan":
            options.settings = None
        elif options.flow.request.headers.get("x-break") == "machine":
            options.settings = replace(options.settings, timeouts=None)


addons = [FailPlanning()]
