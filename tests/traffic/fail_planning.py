"""A script for mitmdump: breaks the planning of a call where a request header asks for it."""

from dataclasses import replace
from typing import Any

from mitmproxy import ctx, http


class FailPlanning:
    """Runs after the suite, so that it can repair what it broke for one request."""

    name = "fail_planning"

    def request(self, flow: http.HTTPFlow) -> None:
        """Take from a shell what it plans with."""
        self.shell = ctx.master.addons.get("wiremend.load_configuration")
        self.knowledge = self.shell.knowledge
        if flow.request.headers.get("x-break") == "shell":
            self.shell.knowledge = None

    def wiremend_call(self, options: Any) -> None:
        """Give it back; break what the call is planned with."""
        self.shell.knowledge = self.knowledge
        if options.flow.request.headers.get("x-break") == "plan":
            options.settings = None
        elif options.flow.request.headers.get("x-break") == "machine":
            options.settings = replace(options.settings, timeouts=None)


addons = [FailPlanning()]
