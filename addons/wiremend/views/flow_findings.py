"""What a person reads of a call: one line in the log, a comment and a marker on the flow."""

import logging
from collections import Counter

from mitmproxy import http

from wiremend.call_record.schema import CallRecord

MARKER_MENDED = ":wrench:"
MARKER_FAILED = ":warning:"

logger = logging.getLogger("wiremend")


def report_refusal(flow: http.HTTPFlow, reason: str) -> None:
    """Log a request that the proxy refused to forward, and mark its flow. `reason` is a sentence.

    The client chose host and path, so they are escaped.
    """
    request = flow.request
    place = ascii(f"{request.method} {request.pretty_host}{request.path.partition('?')[0]}")
    flow.comment = reason
    flow.marked = MARKER_FAILED
    logger.warning("wiremend: refused %s: %s", place, reason)


def summary(flow: http.HTTPFlow, record: CallRecord) -> str:
    """One line: what was asked of whom, how it ended, which rules applied how often."""
    counts = Counter(finding.code for finding in record.findings)
    codes = ", ".join(
        code if times == 1 else f"{code} ({times} times)" for code, times in sorted(counts.items())
    )
    path = flow.request.path.split("?")[0]
    parts = [f"{flow.request.pretty_host}{path}", record.detail, codes]
    return ": ".join(part for part in parts if part)


def explain(record: CallRecord) -> str:
    """Every finding on a line of its own."""
    return "\n".join(str(finding) for finding in record.findings)
