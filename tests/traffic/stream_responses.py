"""A mitmproxy script that only lets responses stream: a proxy that mends nothing.

Without it mitmproxy keeps each response until it is complete, which no agent would stand.
"""

from mitmproxy import http


class StreamResponses:
    """The baseline that every fault is seen through first."""

    name = "traffic.stream_responses"

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Pass each response on as it comes."""
        if flow.response:
            flow.response.stream = True


addons = [StreamResponses()]
