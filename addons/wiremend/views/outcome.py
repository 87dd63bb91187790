"""How a call ended, in the words of the flow list: a verdict, a reason, and one line about it."""

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.schema import CallRecord, StoredAttempt
from wiremend.views.content.page import counted, neutralised, one_line

COMMENT_LIMIT = 200
"""The maximum number of characters of a comment; mitmweb sends it with every update of a flow."""
_REASON_LIMIT = 90
_MODEL_LIMIT = 50
_SHOWN_CODES = 4
_CODES_WITHOUT_CHANGE = ("M", "R", "F")
"""Families of rules that route or repeat a call and change nothing in its messages."""
_INJECTED_MARKER = ":bug:"
_TIMED_OUT = "R004"
_ERROR_AFTER_CONTENT = "E002"
_TRANSPORT_CODES = frozenset({"R001", "R002", "R003", _TIMED_OUT, "R008"})
"""Rules on connections: the status of such a failure is one that wiremend chose."""
_IN_THE_STREAM = "in the stream"
_KILLED = "killed"
_LIMIT_NAME = "(limit: "


class Verdict(Enum):
    """How a call ended. The values are the word for it, a glyph, and mitmproxy's marker."""

    OK = "ok", "✓", ""
    REPAIRED = "repaired", "✓", ":wrench:"
    REPORTED = "only reported", "✓", ":mag:"
    """Something was found, and nothing was done about it: `[rules] mode`."""
    RETRIED = "retried", "✓", ":repeat:"
    FAILED = "failed", "✗", ":warning:"
    TIMED_OUT = "timed out", "✗", ":stopwatch:"
    CANCELLED = "cancelled", "✗", ":electric_plug:"
    REFUSED = "refused", "✗", ":no_entry:"
    ACKNOWLEDGED = "acknowledged", "✓", ""
    RUNNING = "running", "…", ""

    @property
    def word(self) -> str:
        """The first word of the comment."""
        return self.value[0]

    @property
    def glyph(self) -> str:
        """The first character of a view."""
        return self.value[1]

    @property
    def marker(self) -> str:
        """The name of the emoji in the flow list; empty: no marker."""
        return self.value[2]


_BY_STATE = {
    CallState.FAILED: Verdict.FAILED,
    CallState.INTERNAL_FAULT: Verdict.FAILED,
    CallState.CANCELLED: Verdict.CANCELLED,
    CallState.REFUSED: Verdict.REFUSED,
    CallState.ACKNOWLEDGED: Verdict.ACKNOWLEDGED,
    CallState.PLANNED: Verdict.RUNNING,
    CallState.RUNNING: Verdict.RUNNING,
}


def verdict_of(record: CallRecord) -> Verdict:
    """Return how the call ended."""
    verdict = _BY_STATE.get(record.outcome) if record.outcome is not None else None
    codes = [finding.code for finding in record.findings]
    if verdict is Verdict.FAILED and _last_code(codes) == _TIMED_OUT:
        return Verdict.TIMED_OUT
    if verdict is not None:
        return verdict
    if tries(record) > 1:
        return Verdict.RETRIED
    if any(not code.startswith(_CODES_WITHOUT_CHANGE) for code in codes):
        return Verdict.REPORTED if record.reports_only else Verdict.REPAIRED
    return Verdict.OK


def tries(record: CallRecord) -> int:
    """Return the number of attempts that reached a provider, or failed to."""
    return sum(attempt.outcome is not AttemptOutcome.STALE for attempt in record.attempts)


def _last_code(codes: list[str]) -> str:
    transport = [code for code in codes if code.startswith(("R", "E"))]
    return transport[-1] if transport else ""


@dataclass(frozen=True, slots=True)
class Summary:
    """A call in a few words."""

    verdict: Verdict
    reason: str
    """Why it was not answered at once; empty if it was."""
    after: str
    """What the client had received by then, such as `after 4 events`; empty if it is not known."""
    model: str
    """The model asked for, and the one that was used if it is another one."""

    @property
    def headline(self) -> str:
        """The verdict, its reason, and when it was."""
        verdict = f"{self.verdict.word}: {self.reason}" if self.reason else self.verdict.word
        return f"{verdict} {self.after}" if self.after else verdict


def summary_of(record: CallRecord, events: int = 0) -> Summary:
    """Return the call in a few words. `events` is how many events the client received."""
    verdict = verdict_of(record)
    after = _after(record, verdict, events)
    return Summary(verdict, _reason(record, verdict), after, _model(record))


def events_in(body: bytes) -> int:
    """Return how many events with data a stream of server-sent events has; 0 for other bodies."""
    return body.count(b"\ndata:") + body.startswith(b"data:")


def comment_of(record: CallRecord, events: int = 0) -> str:
    """Return one line of at most `COMMENT_LIMIT` characters: verdict and model first, then codes.

    The codes are those of mitmweb's filter `~comment S105`.
    """
    summary = summary_of(record, events)
    parts = [summary.headline, summary.model, _codes(record), injected_in(record)]
    return one_line(" · ".join(part for part in parts if part), COMMENT_LIMIT)


def marker_of(record: CallRecord) -> str:
    """Return the marker of a call in the flow list; empty for a call that was simply answered."""
    injected = _INJECTED_MARKER if injected_in(record) else ""
    return verdict_of(record).marker or injected


def injected_in(record: CallRecord) -> str:
    """Return which fault was injected on purpose, as a phrase; empty if none was."""
    faults = [attempt.injected for attempt in record.attempts if attempt.injected]
    return f"injected on purpose: {faults[0]}" if faults else ""


def _codes(record: CallRecord) -> str:
    counts = Counter(finding.code for finding in record.findings)
    shown = [
        code if times == 1 else f"{code} ({times})"
        for code, times in counts.most_common(_SHOWN_CODES)
    ]
    return ", ".join([*shown, *(["…"] if len(counts) > _SHOWN_CODES else [])])


def _model(record: CallRecord) -> str:
    asked, used = record.model_asked, record.model_used
    if asked and used and asked != used:
        return one_line(f"{asked} → {used}", 2 * _MODEL_LIMIT)
    return one_line(used or asked, _MODEL_LIMIT)


def _reason(record: CallRecord, verdict: Verdict) -> str:
    match verdict:
        case Verdict.RETRIED:
            wanted = (AttemptOutcome.FAILED, AttemptOutcome.REJECTED)
            why = next((failure_of(one) for one in record.attempts if one.outcome in wanted), "")
            attempts = counted(tries(record), "attempt")
            return one_line(f"{attempts}, {why}" if why else attempts, _REASON_LIMIT)
        case Verdict.FAILED | Verdict.TIMED_OUT:
            ended = [one for one in record.attempts if one.outcome is AttemptOutcome.FAILED]
            why = failure_of(ended[-1]) if ended else ""
            if not why or why == record.detail:
                why = _error_in_a_finding(record)
            shown = f"{_status_in(record)}{why}" if why else record.detail
            return one_line(shown.removesuffix(f" {_IN_THE_STREAM}"), _REASON_LIMIT)
        case Verdict.CANCELLED:
            return record.detail if record.detail == _KILLED else ""
        case Verdict.REFUSED | Verdict.ACKNOWLEDGED:
            return one_line(record.detail, _REASON_LIMIT)
        case _:
            return ""


def _error_in_a_finding(record: CallRecord) -> str:
    """Return the provider's words for an error that reached the client inside a stream."""
    errors = [finding.found for finding in record.findings if finding.code == _ERROR_AFTER_CONTENT]
    return errors[-1] if errors else ""


def _status_in(record: CallRecord) -> str:
    """Return the status of the provider's error and a space; nothing for other failures."""
    if _last_code([finding.code for finding in record.findings]) in _TRANSPORT_CODES:
        return ""
    word, _, status = record.detail.removesuffix(_IN_THE_STREAM).strip().partition(" ")
    return f"{status} " if word == "error" and status.isdigit() else ""


def _after(record: CallRecord, verdict: Verdict, events: int) -> str:
    """Return what the client had received when its stream ended, as the end of a phrase."""
    if verdict not in (Verdict.FAILED, Verdict.TIMED_OUT, Verdict.CANCELLED):
        return ""
    if record.head_seconds is None:
        return "before the answer" if verdict is Verdict.CANCELLED else ""
    if record.detail.endswith(_IN_THE_STREAM):
        events -= 1  # the error itself
    return f"after {counted(events, 'event')}" if events > 0 else ""


def failure_of(attempt: StoredAttempt) -> str:
    """Return why an attempt failed, in a few words where the words of the error are known."""
    detail = neutralised(attempt.detail)
    lower = detail[:_REASON_LIMIT].lower()
    if lower.startswith("request timeout"):
        _, _, rest = detail.partition(" within ")
        seconds, _, limit = rest.partition(_LIMIT_NAME)
        name = limit.partition(")")[0]
        return f"nothing for {seconds.strip()} ({name})" if seconds and name else "timed out"
    if lower.startswith("connection lost"):
        return "reset" if "reset" in detail.lower() else "connection closed"
    return detail.partition("\n")[0]
