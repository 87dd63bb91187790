"""What was done to a call, kept with its flow as plain data so that it can be saved and shown."""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mitmproxy import http

from wiremend.rules.rule import Finding

METADATA_KEY = "wiremend"
MARKER_MENDED = ":wrench:"
MARKER_FAILED = ":warning:"

logger = logging.getLogger("wiremend")


def notes_of(flow: http.HTTPFlow) -> dict[str, Any]:
    """What is noted with this flow; a change to it is kept."""
    notes: dict[str, Any] = flow.metadata.setdefault(METADATA_KEY, {})
    return notes


def note_request_findings(flow: http.HTTPFlow, findings: Sequence[Finding]) -> None:
    """Keep what a rule found in the request."""
    if findings:
        kept = notes_of(flow).setdefault("request_findings", [])
        kept += [finding.as_dict() for finding in findings]


def note_refusal(flow: http.HTTPFlow, reason: str) -> None:
    """Log a request that the proxy refused to forward, and mark its flow. `reason` is a sentence.

    The client chose host and path, so they are escaped.
    """
    request = flow.request
    place = ascii(f"{request.method} {request.pretty_host}{request.path.partition('?')[0]}")
    flow.comment = reason
    flow.marked = MARKER_FAILED
    logger.warning("wiremend: refused %s: %s", place, reason)


def findings_of(flow: http.HTTPFlow) -> list[Finding]:
    """Everything found in this call, request first."""
    notes = flow.metadata.get(METADATA_KEY, {})
    found = [*notes.get("request_findings", []), *notes.get("response_findings", [])]
    return [Finding.from_dict(finding) for finding in found]


def summary(flow: http.HTTPFlow) -> str:
    """One line: what was asked of whom, how it ended, which rules applied how often."""
    notes = flow.metadata.get(METADATA_KEY, {})
    counts = Counter(finding.code for finding in findings_of(flow))
    codes = ", ".join(
        code if times == 1 else f"{code} ({times} times)" for code, times in sorted(counts.items())
    )
    path = flow.request.path.split("?")[0]
    parts = [f"{flow.request.pretty_host}{path}", notes.get("outcome", ""), codes]
    return ": ".join(part for part in parts if part)


def explain(flow: http.HTTPFlow) -> str:
    """Every finding on a line of its own."""
    return "\n".join(str(finding) for finding in findings_of(flow))
