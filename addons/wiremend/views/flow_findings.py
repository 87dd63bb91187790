"""What users read about a call in the flow list: a comment and a marker."""

import logging
from collections.abc import Mapping

from mitmproxy import http

from wiremend.call_record.load import load_record
from wiremend.call_record.schema import METADATA_KEY, CallRecord
from wiremend.seam.flows import backup_of
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
    flow.comment = _comment(flow, record, rule_names)
    flow.marked = marker_of(record)


def forget_outcome(flow: http.HTTPFlow, rule_names: Mapping[str, str] = {}) -> None:
    """Remove record, comment and marker of a flow that is sent again; those of a user stay.

    `rule_names` are those that `show_outcome` was given.
    """
    record = load_record(flow.metadata)
    if record is None:
        return
    before = backup_of(flow) or flow
    if flow.comment == _comment(before, record, rule_names):
        flow.comment = ""
    if flow.marked == marker_of(record):
        flow.marked = ""
    del flow.metadata[METADATA_KEY]


def _comment(flow: http.HTTPFlow, record: CallRecord, rule_names: Mapping[str, str]) -> str:
    body = flow.response.raw_content if flow.response is not None else None
    return comment_of(record, events_in(body or b""), rule_names)
