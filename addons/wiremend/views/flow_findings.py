"""What users read about a call in the flow list: a comment and a marker."""

import logging
from collections.abc import Mapping

from mitmproxy import http

from wiremend.call_record.load import load_record
from wiremend.call_record.schema import METADATA_KEY, CallRecord
from wiremend.seam.flows import backup_of
from wiremend.views.outcome import (
    CUT_SHORT,
    Summary,
    Verdict,
    comment_of,
    events_in,
    marker_of,
    summary_of,
)

logger = logging.getLogger("wiremend")


def report_refusal(flow: http.HTTPFlow, reason: str) -> None:
    """Log a request that the proxy refused to forward, and mark its flow.

    `reason` is a sentence. Host and path are escaped, since the client chose them.
    """
    request = flow.request
    place = ascii(f"{request.method} {request.pretty_host}{request.path.partition('?')[0]}")
    if (record := load_record(flow.metadata)) is not None:
        show_outcome(flow, record, summary_of(record))
    logger.warning("wiremend: refused %s: %s", place, reason)


def show_outcome(
    flow: http.HTTPFlow,
    record: CallRecord,
    summary: Summary,
    rule_names: Mapping[str, str] = {},
) -> None:
    """Set comment and marker of a flow, unless a user or another addon has set one.

    `summary` is that of the record, with no events. `rule_names` are by code; without them, the
    comment of a repaired call has the codes only. A call that is still running has no outcome, nor
    has the record of an unknown version.
    """
    if flow.comment or flow.marked:
        return
    if record.outcome is None or summary.verdict is Verdict.RUNNING:
        return
    flow.comment = _comment(flow, record, summary, rule_names)
    flow.marked = marker_of(record, summary)


def forget_outcome(flow: http.HTTPFlow, rule_names: Mapping[str, str] = {}) -> None:
    """Remove record, comment and marker of a flow that is sent again; those of a user stay.

    `rule_names` are those that `show_outcome` was given.
    """
    record = load_record(flow.metadata)
    if record is None:
        return
    before = backup_of(flow) or flow
    summary = summary_of(record)
    if flow.comment == _comment(before, record, summary, rule_names):
        flow.comment = ""
    if flow.marked == marker_of(record, summary):
        flow.marked = ""
    del flow.metadata[METADATA_KEY]


def _comment(
    flow: http.HTTPFlow, record: CallRecord, summary: Summary, rule_names: Mapping[str, str]
) -> str:
    if summary.verdict in CUT_SHORT:
        body = flow.response.raw_content if flow.response is not None else None
        summary = summary_of(record, events_in(body or b""))
    return comment_of(record, summary, rule_names)
