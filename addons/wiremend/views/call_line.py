"""A call that has ended as one line of the log."""

from collections import Counter
from collections.abc import Mapping

from wiremend.call_record.outcomes import AttemptOutcome
from wiremend.call_record.schema import CallRecord
from wiremend.views.content.overview import usage_text
from wiremend.views.content.page import one_line
from wiremend.views.outcome import Summary, Verdict, tries

_PLACE_LIMIT = 200
_NAME_LIMIT = 80
_SENTENCE_LIMIT = 300
_SHOWN_RULES = 8
_WITH_SENTENCE = (Verdict.FAILED, Verdict.TIMED_OUT)


def call_line(
    place: str, record: CallRecord, summary: Summary, rule_names: Mapping[str, str]
) -> str:
    """Return place, outcome, model, provider, attempts, times, tokens and rules on one line.

    `place` is host and path; `summary` is that of the record, with no events. A failure ends with
    the provider's sentence. What clients, providers and models wrote is shortened, and control
    characters in it are escaped.
    """
    count = tries(record)
    usage = record.usage
    facts = [
        summary.model,
        one_line(record.provider, _NAME_LIMIT),
        f"{count} attempts" if count > 1 else "",
        f"first byte {record.head_seconds:.2f} s" if record.head_seconds is not None else "",
        f"total {record.end_seconds:.2f} s" if record.end_seconds is not None else "",
        usage_text(usage) if usage is not None else "",
        rules_text(record, rule_names),
    ]
    is_failure = summary.verdict in _WITH_SENTENCE
    sentence = one_line(failure_sentence(record), _SENTENCE_LIMIT) if is_failure else ""
    if sentence in summary.headline:
        sentence = ""
    parts = [one_line(place, _PLACE_LIMIT), summary.headline, ", ".join(filter(None, facts))]
    return ": ".join(filter(None, [*parts, sentence]))


def rules_text(record: CallRecord, rule_names: Mapping[str, str]) -> str:
    """Return the rules that applied with their names, and how often: `S105 block-index (6 times)`.

    In their order of codes.
    """
    if not record.findings:
        return ""
    counts = sorted(Counter(finding.code for finding in record.findings).items())
    shown = [
        f"{code} {rule_names.get(code, '')}".rstrip() + (f" ({times} times)" if times > 1 else "")
        for code, times in counts[:_SHOWN_RULES]
    ]
    rules = ", ".join([*shown, *(["…"] if len(counts) > _SHOWN_RULES else [])])
    return f"{rules} (only reported)" if rules and record.reports_only else rules


def failure_sentence(record: CallRecord) -> str:
    """Return the words of the provider, or of the network, for the last failed attempt."""
    ended = (AttemptOutcome.FAILED, AttemptOutcome.REJECTED)
    return next((it.detail for it in reversed(record.attempts) if it.outcome in ended), "")
