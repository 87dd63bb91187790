"""Request: tool definitions that providers accept."""

from load_configuration import suite_of
from mitmproxy import http
from wiremend.calls import recognise
from wiremend.config.current import CurrentConfig
from wiremend.rules.tools import sanitize_tools
from wiremend.views.flow_notes import note_request_findings


class SanitizeTools:
    """Mends empty and malformed schemas; a valid one keeps its bytes."""

    name = "wiremend.sanitize_tools"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current

    def request(self, flow: http.HTTPFlow) -> None:
        """Edit the spans of the request's tools that need it."""
        request = flow.request
        if flow.response or flow.error:
            return
        protocol = recognise(request.method, request.path, request.headers.get("content-type", ""))
        if protocol is None:
            return
        body = request.get_content(strict=False) or b""
        sanitized = sanitize_tools(protocol, body, disabled=self.current.disabled)
        if sanitized.body is not body:
            request.content = sanitized.body
        note_request_findings(flow, sanitized.findings)


addons = suite_of(SanitizeTools)
