"""What users read about a call in the flow list and the log: a comment, a marker, and one line."""

import logging
from collections import Counter
from collections.abc import Mapping

from mitmproxy import http

from wiremend.call_record.load import load_record
from wiremend.call_record.schema import CallRecord
from wiremend.views.outcome import Verdict, comment_of, events_in, marker_of, verdict_of

logger = logging.getLogger("wiremend")


def report_refusal(flow: http.HTTPFlow, reason: str) -> None:
    """Log a request that the proxy refused to forward, and mark its flow.

    `reason` is a sentence. Host and path are escaped, since the client chose them.
    """
    request = flow.request
    place = ascii(f"{request.method} {request.pretty_host}{request.path.partition('?')[0]}")
    if (record := load_record(flow.metadata)) is not None:
        show_outcome(flow, record)
    logger.warning("wiremend: refused %s: %s", place, reason)


def show_outcome(
    flow: http.HTTPFlow, record: CallRecord, rule_names: Mapping[str, str] = {}
) -> None:
    """Set comment and marker of a flow, unless a user or another addon has set one.

    `rule_names` are by code; without them, the comment of a repaired call has the codes only.
    A call that is still running has no outcome, nor has the record of an unknown version.
    """
    if flow.comment or flow.marked:
        return
    if record.outcome is None or verdict_of(record) is Verdict.RUNNING:
        return
    body = flow.response.raw_content if flow.response is not None else None
    flow.comment = comment_of(record, events_in(body or b""), rule_names)
    flow.marked = marker_of(record)


def summary(flow: http.HTTPFlow, record: CallRecord) -> str:
    """Return one line: host and path, the outcome, and how often each rule applied."""
    counts = Counter(finding.code for finding in record.findings)
    codes = ", ".join(
        code if times == 1 else f"{code} ({times} times)" for code, times in sorted(counts.items())
    )
    path = flow.request.path.split("?")[0]
    if codes and record.reports_only:
        codes += " (only reported)"
    parts = [f"{flow.request.pretty_host}{path}", record.detail, codes]
    return ": ".join(part for part in parts if part)
