"""Counting calls for the summary that is logged when the proxy ends."""

from collections import Counter
from collections.abc import Iterator

from wiremend.call_record.outcomes import CallState
from wiremend.call_record.schema import CallRecord
from wiremend.text.counted import counted
from wiremend.views.outcome import is_fault, is_repaired, tries

SUMMARY_PREFIX = "wiremend: summary: "
PROVIDERS_PREFIX = "by provider: "
"""Of the second line of a summary, after `SUMMARY_PREFIX`."""
_ENDINGS = {
    CallState.FAILED: "failed",
    CallState.INTERNAL_FAULT: "failed",
    CallState.CANCELLED: "cancelled",
    CallState.REFUSED: "refused",
}
_OUTCOMES = (
    "repaired",
    "only reported",
    "retried",
    "to a fallback",
    "failed",
    "cancelled",
    "refused",
)
"""In the order of the summary."""
_SHOWN_RULES = 12
_SHOWN_PROVIDERS = 8
_COUNTED_PROVIDERS = 100
"""Clients choose hosts; those of further ones are counted together."""
_OTHERS = "others"


class CallTotals:
    """How many calls there were, with which outcomes, and in how many each rule applied."""

    def __init__(self) -> None:
        self.calls = 0
        self._outcomes: Counter[str] = Counter()
        self._rules: Counter[str] = Counter()
        self._providers: dict[str, Counter[str]] = {}

    def add(self, record: CallRecord) -> None:
        """Count a call that has ended. Requests that are not calls are not counted."""
        if not record.protocol or record.outcome in (None, CallState.PASSED):
            return
        self.calls += 1
        for code in {finding.code for finding in record.findings}:
            self._rules[code] += 1
        endings = tuple(_outcomes_of(record))
        for ending in endings:
            self._outcomes[ending] += 1
        if tries(record) > 1 and record.outcome not in _ENDINGS:
            self._outcomes["retried"] += 1
        self._add_to_providers(record, endings)

    def _add_to_providers(self, record: CallRecord, endings: tuple[str, ...]) -> None:
        last = record.provider or record.host
        has_answer = record.outcome not in _ENDINGS
        asked: dict[str, int] = {}
        for attempt in record.attempts:
            name = attempt.provider or last
            asked[name] = asked.get(name, 0) + 1
        if not asked:  # it was sent to none; a refused one may name any host
            last, asked = "", {"": 1}
        for provider, attempts in asked.items():
            counted = self._providers.get(provider)
            if counted is None:
                is_full = len(self._providers) >= _COUNTED_PROVIDERS
                name = _OTHERS if is_full else provider
                counted = self._providers.setdefault(name, Counter())
            counted["calls"] += 1
            if provider == last:
                counted["retried"] += attempts > 1 and has_answer
                for ending in endings:
                    counted[ending] += 1
            else:
                counted["to a fallback"] += 1

    def __str__(self) -> str:
        """Return the summary as one line, such as `3 calls; 1 repaired, 1 failed; S105 in 1`.

        A call that was answered after a retry may also be counted as repaired. If all calls went to
        one provider, it is named.
        """
        if not self.calls:
            return "no calls"
        names = [name for name in self._providers if name]
        to = f" to {names[0]}" if len(names) == len(self._providers) == 1 else ""
        parts = [f"{_calls(self.calls)}{to}"]
        parts.append(_listed(self._outcomes) or "none repaired")
        rules = sorted(self._rules.items(), key=lambda item: (-item[1], item[0]))
        if rules:
            shown = ", ".join(f"{code} in {times}" for code, times in rules[:_SHOWN_RULES])
            parts.append(shown + (", …" if len(rules) > _SHOWN_RULES else ""))
        return "; ".join(parts)

    def by_provider(self) -> str:
        """Return a line such as `by provider: kimi 3 calls, 1 failed; glm 1 call`.

        It is empty for fewer than two providers. A call that was sent on to a fallback is counted
        for each provider that was asked, and one that was sent to none is not.
        """
        named = [(name, counted) for name, counted in self._providers.items() if name]
        if len(named) < 2:
            return ""
        ordered = sorted(named, key=lambda item: (-item[1]["calls"], item[0]))
        shown = [
            ", ".join(filter(None, (f"{name} {_calls(totals['calls'])}", _listed(totals))))
            for name, totals in ordered[:_SHOWN_PROVIDERS]
        ]
        return PROVIDERS_PREFIX + "; ".join([*shown, *(["…"] * (len(ordered) > len(shown)))])


def _outcomes_of(record: CallRecord) -> Iterator[str]:
    """Yield how the call ended, if that is worth counting."""
    if record.outcome is not None and (ending := _ENDINGS.get(record.outcome)):
        yield ending
    elif any(map(is_repaired, record.findings)):
        yield "only reported" if record.reports_only else "repaired"
    elif any(map(is_fault, record.findings)):
        yield "only reported"


def _calls(number: int) -> str:
    return counted(number, "call")


def _listed(outcomes: Counter[str]) -> str:
    return ", ".join(f"{outcomes[name]} {name}" for name in _OUTCOMES if outcomes[name])
