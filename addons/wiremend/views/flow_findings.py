"""What users read about a call: one line in the log, a comment and a marker on the flow."""

import logging
from collections import Counter

from mitmproxy import http

from wiremend.call_record.schema import CallRecord

MARKER_REPAIRED = ":wrench:"
MARKER_FAILED = ":warning:"
MARKER_INJECTED = ":bug:"
SHOWN_FINDINGS = 200
"""The maximum number of findings in a flow's comment."""

logger = logging.getLogger("wiremend")


def report_refusal(flow: http.HTTPFlow, reason: str) -> None:
    """Log a request that the proxy refused to forward, and mark its flow.

    `reason` is a sentence. Host and path are escaped, since the client chose them.
    """
    request = flow.request
    place = ascii(f"{request.method} {request.pretty_host}{request.path.partition('?')[0]}")
    flow.comment = reason
    flow.marked = MARKER_FAILED
    logger.warning("wiremend: refused %s: %s", place, reason)


def summary(flow: http.HTTPFlow, record: CallRecord) -> str:
    """Return one line: host and path, the outcome, and how often each rule applied."""
    counts = Counter(finding.code for finding in record.findings)
    codes = ", ".join(
        code if times == 1 else f"{code} ({times} times)" for code, times in sorted(counts.items())
    )
    path = flow.request.path.split("?")[0]
    parts = [f"{flow.request.pretty_host}{path}", record.detail, codes]
    return ": ".join(part for part in parts if part)


def injected_lines(record: CallRecord) -> list[str]:
    """Return a line for each fault that was injected into an attempt of the call."""
    return [
        f"attempt {attempt.number}: injected on purpose: {attempt.injected}"
        for attempt in record.attempts
        if attempt.injected
    ]


def explain(record: CallRecord) -> str:
    """Return the findings, one per line, and how many more there are."""
    shown = [str(finding) for finding in record.findings[:SHOWN_FINDINGS]]
    more = len(record.findings) - len(shown)
    return "\n".join([*shown, f"… and {more} more"] if more else shown)
