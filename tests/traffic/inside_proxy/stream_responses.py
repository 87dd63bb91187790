"""A mitmproxy script that streams responses and repairs nothing.

Without it mitmproxy buffers each response until it is complete, which breaks agents.
"""

from mitmproxy import http


class StreamResponses:
    """The baseline for faults and benchmarks."""

    name = "traffic.stream_responses"

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Stream each response."""
        if flow.response:
            flow.response.stream = True


addons = [StreamResponses()]
