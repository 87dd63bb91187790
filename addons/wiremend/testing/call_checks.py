"""What tests check in the records of calls, and the records as text."""

from collections.abc import Iterable, Iterator, Sequence

from wiremend.call_record.outcomes import CallState
from wiremend.call_record.schema import CallRecord
from wiremend.rules.rule import Finding

_FAILURES = frozenset(
    {CallState.FAILED, CallState.CANCELLED, CallState.REFUSED, CallState.INTERNAL_FAULT}
)


def unexpected_findings(
    calls: Iterable[CallRecord], ignore: Sequence[str] = ()
) -> list[tuple[int, Finding]]:
    """Return findings with the numbers of their calls, from 1.

    `ignore` lists codes or prefixes of codes, such as `M001` or `T`; a text is one of them.
    """
    ignored = (ignore,) if isinstance(ignore, str) else tuple(ignore)
    return [
        (number, finding)
        for number, call in enumerate(calls, 1)
        for finding in call.findings
        if not finding.code.startswith(ignored)
    ]


def failed_calls(calls: Iterable[CallRecord]) -> list[tuple[int, CallRecord]]:
    """Return the calls without a proper answer, with their numbers from 1.

    These failed, were cancelled by their client, or were refused by the proxy. A call that was
    answered after a retry is not one of them.
    """
    return [(number, call) for number, call in enumerate(calls, 1) if call.outcome in _FAILURES]


def finding_line(number: int, finding: Finding) -> str:
    """Return a finding of a call as one line."""
    done = f"; {finding.done}" if finding.done else ""
    return f"call {number}: {finding.code} {finding.place}: {finding.found}{done}"


def call_line(number: int, call: CallRecord) -> str:
    """Return a call as one line."""
    model = call.model_asked or "no model"
    if call.model_used not in ("", call.model_asked):
        model += f" as {call.model_used}"
    outcome = call.outcome.value if call.outcome else "unknown"
    detail = f" ({call.detail})" if call.detail not in ("", "ok") else ""
    protocol = call.protocol or "no protocol"
    return f"call {number}: {protocol}, {model}, {call.provider}: {outcome}{detail}"


def lines_of(calls: Iterable[CallRecord]) -> Iterator[str]:
    """Return calls with their attempts and findings as lines."""
    for number, call in enumerate(calls, 1):
        yield call_line(number, call)
        for attempt in call.attempts:
            outcome = attempt.outcome.value if attempt.outcome else "unknown"
            detail = f": {attempt.detail}" if attempt.detail not in ("", "ok") else ""
            yield f"  attempt {attempt.number}: {outcome}{detail}"
        for finding in call.findings:
            done = f"; {finding.done}" if finding.done else ""
            yield f"  {finding.code} {finding.place}: {finding.found}{done}"
