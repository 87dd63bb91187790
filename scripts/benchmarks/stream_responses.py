"""The floor: a mitmproxy script that only streams responses, which a streaming client needs."""

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    """Stream each response."""
    if flow.response:
        flow.response.stream = True
