"""Counting calls for the summary that is logged when the proxy ends."""

from collections import Counter

from wiremend.call_record.outcomes import CallState
from wiremend.call_record.schema import CallRecord

SUMMARY_PREFIX = "wiremend: summary: "
_NOT_REPAIRS = ("M", "R")
"""Families of rules that route a call or repeat attempts: both change nothing in a response."""
_ENDINGS = {
    CallState.FAILED: "failed",
    CallState.INTERNAL_FAULT: "failed",
    CallState.CANCELLED: "cancelled",
    CallState.REFUSED: "refused",
}
_SHOWN_RULES = 12


class CallTotals:
    """How many calls there were, with which outcomes, and in how many each rule applied."""

    def __init__(self) -> None:
        self.calls = 0
        self._outcomes: Counter[str] = Counter()
        self._rules: Counter[str] = Counter()

    def add(self, record: CallRecord) -> None:
        """Count a call that has ended. Requests that are not calls are not counted."""
        if not record.protocol or record.outcome in (None, CallState.PASSED):
            return
        codes = {finding.code for finding in record.findings}
        self.calls += 1
        self._rules.update(codes)
        if len(record.attempts) > 1:
            self._outcomes["retried"] += 1
        if ending := _ENDINGS.get(record.outcome):
            self._outcomes[ending] += 1
        elif any(not code.startswith(_NOT_REPAIRS) for code in codes):
            self._outcomes["only reported" if record.reports_only else "repaired"] += 1

    def __str__(self) -> str:
        """Return the summary as one line, such as `3 calls; 1 repaired, 1 failed; S105 in 1`.

        A call that was retried may also be counted as repaired or failed.
        """
        if not self.calls:
            return "no calls"
        parts = [f"{self.calls} call{'s' if self.calls > 1 else ''}"]
        names = ("repaired", "only reported", "retried", "failed", "cancelled", "refused")
        outcomes = [f"{self._outcomes[name]} {name}" for name in names if self._outcomes[name]]
        parts.append(", ".join(outcomes) or "none repaired")
        rules = sorted(self._rules.items(), key=lambda item: (-item[1], item[0]))
        if rules:
            shown = ", ".join(f"{code} in {times}" for code, times in rules[:_SHOWN_RULES])
            parts.append(shown + (", …" if len(rules) > _SHOWN_RULES else ""))
        return "; ".join(parts)
