"""How a call ended, in the words of the flow list: a verdict, a reason, and one line about it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from wiremend.call_record.outcomes import CUT, IN_THE_STREAM, OWN_END, AttemptOutcome, CallState
from wiremend.call_record.schema import CallRecord, StoredAttempt
from wiremend.rules.rule import Finding
from wiremend.views.content.page import counted, neutralised, one_line

COMMENT_LIMIT = 200
"""The maximum number of characters of a comment; mitmweb sends it with every update of a flow."""
_REASON_LIMIT = 90
_MODEL_LIMIT = 50
_SHOWN_CODES = 4
_NO_FAULTS = ("M", "R", "F", "X", "T305", "T306", "T307")
"""Rules on what was configured, on translation and on attempts: there was no fault to repair."""
_LEFT = ("passed on", "left as text", "only reported")
"""How `done` begins if the fault stayed."""
_ASKED_AGAIN = ("trying again", "asked once more", "gave up")
"""How `done` begins if another attempt took the place of this one, or none could."""
_INJECTED_MARKER = ":bug:"
_TIMED_OUT = "R004"
_FELL_BACK = "M003"
_WITHOUT_WORDS = ("E002", "R003", "R007")
"""Rules whose finding has the reason of a failure that no attempt may have."""
_TRANSPORT_CODES = frozenset({"R001", "R002", "R003", _TIMED_OUT, "R007", "R008", "R009", "R010"})
"""Rules on connections and limits: the status of such a failure is one that wiremend chose."""
_KILLED = "killed"
_HTTP_ERROR = "error "
"""The beginning of the detail of a call that was answered with an HTTP error."""
_LIMIT_NAME = "(limit: "
_BREAKER_IS_OPEN = "the circuit breaker is open"


class Verdict(Enum):
    """How a call ended. The values are the word for it, a glyph, and mitmproxy's marker."""

    OK = "ok", "✓", ""
    REPAIRED = "repaired", "✓", ":wrench:"
    REPORTED = "only reported", "✓", ":mag:"
    """A fault was found and stayed: it cannot be repaired, or `[rules] mode` is `report`."""
    RETRIED = "retried", "✓", ":repeat:"
    FELL_BACK = "fell back", "✓", ":twisted_rightwards_arrows:"
    FAILED = "failed", "✗", ":x:"
    TIMED_OUT = "timed out", "✗", ":stopwatch:"
    CANCELLED = "cancelled", "✗", ":electric_plug:"
    REFUSED = "refused", "✗", ":no_entry:"
    ACKNOWLEDGED = "acknowledged", "✓", ""
    RUNNING = "running", "…", ""

    def __init__(self, word: str, glyph: str, marker: str) -> None:
        self.word = word
        """The first word of the comment."""
        self.glyph = glyph
        """The first character of a view."""
        self.marker = marker
        """The name of the emoji in the flow list; empty: no marker."""


CUT_SHORT = (Verdict.FAILED, Verdict.TIMED_OUT, Verdict.CANCELLED)
"""The verdicts whose summary contains how many events the client received."""
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
    findings = record.findings
    verdict = _BY_STATE.get(record.outcome) if record.outcome is not None else None
    if verdict is Verdict.FAILED and _last_code(findings) == _TIMED_OUT:
        return Verdict.TIMED_OUT
    if verdict is not None:
        return verdict
    if any(finding.code == _FELL_BACK for finding in findings):
        return Verdict.FELL_BACK
    if tries(record) > 1:
        return Verdict.RETRIED
    if not findings:
        return Verdict.OK
    faults = [finding for finding in findings if is_fault(finding)]
    if any(map(is_repaired, faults)):
        return Verdict.REPORTED if record.reports_only else Verdict.REPAIRED
    return Verdict.REPORTED if faults else Verdict.OK


def is_fault(finding: Finding) -> bool:
    """Return whether a finding reports a fault in a message that has reached its receiver."""
    return not (finding.code.startswith(_NO_FAULTS) or finding.done.startswith(_ASKED_AGAIN))


def is_repaired(finding: Finding) -> bool:
    """Return whether a finding reports a fault that was repaired."""
    return is_fault(finding) and not finding.done.startswith(_LEFT)


def tries(record: CallRecord) -> int:
    """Return the number of attempts that reached a provider, or failed to."""
    return len([it for it in record.attempts if it.outcome is not AttemptOutcome.STALE])


def _last_code(findings: Sequence[Finding]) -> str:
    """Return the last code of a rule on attempts or errors; empty if there is none."""
    return next((it.code for it in reversed(findings) if it.code.startswith(("R", "E"))), "")


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


def comment_of(record: CallRecord, summary: Summary, rule_names: Mapping[str, str] = {}) -> str:
    """Return one line of at most `COMMENT_LIMIT` characters: verdict and model first, then codes.

    mitmweb's column shows the first 17 characters, so what differs between calls comes early. The
    codes are those of its filter `~comment S105`.
    """
    codes = _by_frequency([finding.code for finding in record.findings])
    headline = summary.headline
    if summary.verdict in (Verdict.REPAIRED, Verdict.REPORTED):
        shown = is_repaired if summary.verdict is Verdict.REPAIRED else is_fault
        faults = {finding.code for finding in record.findings if shown(finding)}
        names = [rule_names[code] for code, _ in codes if code in faults & rule_names.keys()]
        headline += f": {', '.join(names[:_SHOWN_CODES])}" if names else ""
    parts = [headline, summary.model, _with_counts(codes), injected_in(record)]
    return one_line(" · ".join([part for part in parts if part]), COMMENT_LIMIT)


def marker_of(record: CallRecord, summary: Summary) -> str:
    """Return the marker of a call in the flow list; empty for a call that was simply answered."""
    injected = _INJECTED_MARKER if injected_in(record) else ""
    return summary.verdict.marker or injected


def injected_in(record: CallRecord) -> str:
    """Return which fault was injected on purpose, as a phrase; empty if none was."""
    faults = [attempt.injected for attempt in record.attempts if attempt.injected]
    return f"injected on purpose: {faults[0]}" if faults else ""


def _by_frequency(codes: Sequence[str]) -> list[tuple[str, int]]:
    return Counter(codes).most_common() if codes else []


def _with_counts(codes: list[tuple[str, int]]) -> str:
    if not codes:
        return ""
    shown = [code if times == 1 else f"{code} ({times})" for code, times in codes[:_SHOWN_CODES]]
    return ", ".join([*shown, *(["…"] if len(codes) > _SHOWN_CODES else [])])


def _model(record: CallRecord) -> str:
    asked, used = record.model_asked, record.model_used
    if asked and used and asked != used:
        return one_line(f"{asked} → {used}", 2 * _MODEL_LIMIT)
    return one_line(used or asked, _MODEL_LIMIT)


def _reason(record: CallRecord, verdict: Verdict) -> str:
    match verdict:
        case Verdict.RETRIED | Verdict.FELL_BACK:
            return _reason_to_try_again(record, verdict)
        case Verdict.FAILED | Verdict.TIMED_OUT:
            why = in_few_words(words_of_failure(record))
            shown = f"{_status_in(record)}{why}" if why else record.detail
            return one_line(shown.removesuffix(f" {IN_THE_STREAM}"), _REASON_LIMIT)
        case Verdict.CANCELLED:
            return record.detail if record.detail == _KILLED else ""
        case Verdict.REFUSED | Verdict.ACKNOWLEDGED:
            return one_line(record.detail, _REASON_LIMIT)
        case _:
            return ""


def _reason_to_try_again(record: CallRecord, verdict: Verdict) -> str:
    attempts = counted(tries(record), "attempt")
    wanted = (AttemptOutcome.FAILED, AttemptOutcome.REJECTED)
    first = next((one for one in record.attempts if one.outcome in wanted), None)
    if first is None:
        return attempts
    failed = f"{first.model} " if verdict is Verdict.FELL_BACK and first.model else ""
    return f"{one_line(failed + failure_of(first, record), _REASON_LIMIT)} ({attempts})"


def words_of_failure(record: CallRecord) -> str:
    """Return what the provider, or the connection, reported when the call failed; may be empty."""
    ended = [one for one in record.attempts if one.outcome is AttemptOutcome.FAILED]
    words = ended[-1].detail if ended else ""
    if words and words != record.detail:
        return words
    errors = [one.found for one in record.findings if one.code in _WITHOUT_WORDS]
    return errors[-1] if errors else ""


def _status_in(record: CallRecord) -> str:
    """Return the status of the provider's error and a space; nothing for other failures."""
    if _last_code(record.findings) in _TRANSPORT_CODES:
        return ""
    word, _, status = record.detail.removesuffix(IN_THE_STREAM).strip().partition(" ")
    return f"{status} " if word == "error" and status.isdigit() else ""


def received_instead(record: CallRecord, events: int = 0) -> str:
    """Return what the client of a failed call received instead of an answer.

    `events` is how many events it received. An error is the provider's only if the provider
    reported one.
    """
    detail = one_line(record.detail, _REASON_LIMIT)
    if detail == CUT.detail:
        return "a part of the answer, then the end of the connection"
    if not _ends_in_error(record):
        if not detail.startswith(_HTTP_ERROR):
            return f"an error: {detail}"
        return f"{detail}, which wiremend wrote" if is_own_error(record) else detail
    before = counted(events - 1, "event") if events > 1 else "no event"
    error = "an error that wiremend wrote" if is_own_error(record) else "the error of the provider"
    return f"{before}, then {error}"


def end_of_stream(record: CallRecord) -> str:
    """Return the sentence on a stream that wiremend ended in an error; empty for others."""
    if not _ends_in_error(record) or not is_own_error(record):
        return ""
    status = record.detail.removeprefix(OWN_END).removesuffix(IN_THE_STREAM).split()
    return " ".join([OWN_END, *status[-1:]])


def _ends_in_error(record: CallRecord) -> bool:
    """Return whether the client received an error as the last event of a stream."""
    detail = record.detail
    return detail.endswith(IN_THE_STREAM) or detail.startswith(OWN_END)


def is_own_error(record: CallRecord) -> bool:
    """Return whether wiremend made the error; old records contain it in their rules only."""
    is_marked = record.detail.startswith(OWN_END)
    return is_marked or _last_code(record.findings) in _TRANSPORT_CODES


def _after(record: CallRecord, verdict: Verdict, events: int) -> str:
    """Return what the client had received when its stream ended, as the end of a phrase.

    It is empty for a verdict that is not one of `CUT_SHORT`.
    """
    if verdict not in CUT_SHORT:
        return ""
    if record.head_seconds is None:
        return "before the answer" if verdict is Verdict.CANCELLED else ""
    if _ends_in_error(record):
        events -= 1  # the error itself
    return f"after {counted(events, 'event')}" if events > 0 else ""


def failure_of(attempt: StoredAttempt, record: CallRecord) -> str:
    """Return why an attempt failed, in a few words where the words of the error are known."""
    refusal = "request " if attempt.outcome is AttemptOutcome.REJECTED else ""
    is_outcome = attempt.detail == record.detail  # in old records: how the call ended, not why
    words = words_of_failure(record) if is_outcome else ""
    return refusal + in_few_words(words or attempt.detail)


def in_few_words(words: str) -> str:
    """Return the first line of an error, shorter where its words are known."""
    detail = neutralised(words)
    lower = detail[:_REASON_LIMIT].lower()
    if lower.startswith("request timeout"):
        _, _, rest = detail.partition(" within ")
        seconds, _, limit = rest.partition(_LIMIT_NAME)
        name = limit.partition(")")[0]
        return f"nothing for {seconds.strip()} ({name})" if seconds and name else "timed out"
    if detail.endswith(_BREAKER_IS_OPEN):
        return "circuit breaker open"
    if "the stream ended" in lower:
        return "ended early"
    if lower.startswith("connection lost"):
        return "reset" if "reset" in detail.lower() else "connection lost"
    first = detail.partition("\n")[0]
    return first if first.endswith("..") else first.removesuffix(".")
