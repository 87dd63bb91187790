"""The view *findings*: what was wrong and what was done, folded by rule."""

from collections.abc import Iterable, Mapping, Sequence

from wiremend.rules.rule import EventPlace, Finding
from wiremend.views.content.page import Page, one_line
from wiremend.views.content.viewed import ViewedCall

_SHOWN_PLACES = 6
_SHOWN_WAYS = 3
"""How many pairs of what was found and done are shown of one rule in a summary."""
_ALL_WAYS = 1000
_TEXT_LIMIT = 110


def findings_view(call: ViewedCall, page: Page) -> None:
    """Add every finding, by rule, with all its places."""
    record = call.record
    if record is None or not record.findings:
        page.line("No findings: wiremend changed nothing in this call.")
        return
    for title, stored in (
        ("in the request", record.request_findings),
        ("in the response", record.response_findings),
    ):
        if stored:
            page.heading(title)
            add_findings([one.finding() for one in stored], call.rule_names, page, ways=_ALL_WAYS)


def add_findings(
    findings: Sequence[Finding], names: Mapping[str, str], page: Page, ways: int = _SHOWN_WAYS
) -> None:
    """Add findings folded by rule: of each rule the first ones and the last of what was done."""
    by_rule: dict[str, dict[tuple[str, str], list[Finding]]] = {}
    for finding in findings:
        pairs = by_rule.setdefault(finding.code, {})
        pairs.setdefault((finding.found, finding.done), []).append(finding)
    for code, pairs in by_rule.items():
        name = f"{code} {names.get(code, '')}".strip()
        groups = list(pairs.values())
        is_cut = len(groups) > ways
        lines = [_line_on(same) for same in (groups[: ways - 1] if is_cut else groups)]
        if is_cut:  # the last one is how it ended
            rest = [one for same in groups[ways - 1 : -1] for one in same]
            lines += [f"{len(rest):,} more ({places(rest)})", _line_on(groups[-1])]
        for line in lines:
            page.line(f"{name}: {line}", hanging="     ")


def _line_on(same: Sequence[Finding]) -> str:
    texts = (same[0].found, same[0].done)
    change = " → ".join(one_line(text, _TEXT_LIMIT) for text in texts if text)
    return f"{change} ({places(same)})"


def places(findings: Sequence[Finding]) -> str:
    """Return where rules applied: `16 events, 2 to 17`, `tools[3].name`, `attempt 1`."""
    numbers = [one.place.number for one in findings if isinstance(one.place, EventPlace)]
    others = [str(one.place) for one in findings if not isinstance(one.place, EventPlace)]
    parts = []
    if len(numbers) == 1:
        parts.append(f"event {numbers[0]}")
    elif numbers:
        parts.append(f"{len(numbers):,} events, {min(numbers)} to {max(numbers)}")
    unique = list(dict.fromkeys(others))
    parts += [one_line(place, _TEXT_LIMIT) for place in unique[:_SHOWN_PLACES]]
    if len(unique) > _SHOWN_PLACES:
        parts.append(f"{len(unique) - _SHOWN_PLACES:,} more places")
    return ", ".join(parts)


def codes_in(findings: Iterable[Finding], names: Mapping[str, str]) -> str:
    """Return the rules of findings with their names, each once."""
    codes = dict.fromkeys(finding.code for finding in findings)
    return ", ".join(f"{code} {names.get(code, '')}".strip() for code in codes)
