"""Counts the verdicts on all exchanges, and prints them as tables."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby

from .exceptions import KNOWN_FAULT, Exceptions, Key
from .laws import Law, Verdict

EXAMPLES = 5
"""How many unexplained exchanges are described for each law, rule and protocol."""

_TITLES = {
    Law.REQUEST: "Accepted requests, adapted for their own provider",
    Law.ANSWER: "Answers, whole",
    Law.VALID: "What clients receive: valid, and unchanged when repaired again",
    Law.CUT: "Answers, cut",
}


class Column(StrEnum):
    """Where something is counted."""

    TRIED = "tried"
    KEPT = "kept"
    COMPLETED = "completed"
    """Cut answers that lacked nothing of their content; the others of KEPT ended in an error."""
    ON_PURPOSE = "on purpose"
    KNOWN_FAULT = "known fault"
    UNEXPLAINED = "without reason"


@dataclass(frozen=True, slots=True)
class Checked:
    """An exchange, without its content, and the verdicts on it."""

    line: int
    id: str
    source: str
    protocol: str
    host: str
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A rule that broke a law on an exchange, without an exception."""

    law: Law
    rule: str
    exchange: Checked
    example: str

    def __str__(self) -> str:
        where = f"line {self.exchange.line}, {self.exchange.host}, {self.exchange.source}"
        return f"{self.exchange.id} ({where}): {self.example}"


@dataclass
class Report:
    """The counts of a run."""

    counts: defaultdict[tuple[Law, str], Counter[Column]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    """By law and protocol."""
    rules: Counter[tuple[Law, str, str, str]] = field(default_factory=Counter)
    """Exchanges by law, protocol, rule and reason."""
    unexplained: list[Unexplained] = field(default_factory=list)
    unused: Sequence[Key] = ()

    @property
    def is_good(self) -> bool:
        """Whether every change has a reason, and every exception was needed."""
        return not (self.unexplained or self.unused)

    def add(self, checked: Checked, verdict: Verdict, exceptions: Exceptions) -> None:
        """Count one verdict."""
        counts = self.counts[verdict.law, checked.protocol]
        counts[Column.TRIED] += verdict.tried
        counts[Column.COMPLETED] += verdict.completed
        counts[Column.KEPT] += verdict.tried - verdict.broken
        if not verdict.codes:
            return
        reasons = {
            code: exceptions.reason_for(verdict.law, code, checked.id) for code in verdict.codes
        }
        counts[_column_of(list(reasons.values()))] += verdict.broken
        for code, reason in reasons.items():
            if reason is None:
                found = Unexplained(verdict.law, code, checked, verdict.example)
                self.unexplained.append(found)
            else:
                self.rules[verdict.law, checked.protocol, code, reason] += 1


def _column_of(reasons: list[str | None]) -> Column:
    if None in reasons:
        return Column.UNEXPLAINED
    is_fault = any(reason and reason.startswith(KNOWN_FAULT) for reason in reasons)
    return Column.KNOWN_FAULT if is_fault else Column.ON_PURPOSE


def report_on(checked: Iterable[Checked], exceptions: Exceptions, *, quick: bool) -> Report:
    """The counts over all these exchanges.

    A quick run tries too few cuts to know which exceptions to those laws are needed.
    """
    report = Report()
    for exchange in checked:
        for verdict in exchange.verdicts:
            report.add(exchange, verdict, exceptions)
    report.unused = exceptions.unused([Law.REQUEST, Law.ANSWER] if quick else Law)
    return report


def lines_of(report: Report) -> Iterator[str]:
    """The report as text."""
    for law in Law:
        yield from _table(report, law)
    yield from _reasons(report)
    yield from _unexplained(report)
    for law, rule, exchange in report.unused:
        yield f"unused exception: {law} {rule} {exchange}"


def _table(report: Report, law: Law) -> Iterator[str]:
    columns = [one for one in Column if one is not Column.COMPLETED or law is Law.CUT]
    yield f"{_TITLES[law]:62}" + "".join(f"{column:>16}" for column in columns)
    total: Counter[Column] = Counter()
    for (counted, protocol), counts in sorted(report.counts.items()):
        if counted is law:
            yield _row(protocol, [counts[column] for column in columns])
            total.update(counts)
    yield _row("all", [total[column] for column in columns])
    yield ""


def _row(name: str, counts: list[int]) -> str:
    return f"  {name:60}" + "".join(f"{count:16,}" for count in counts)


def _reasons(report: Report) -> Iterator[str]:
    if report.rules:
        yield "Exceptions, by rule (exchanges)"
    for (law, protocol, rule, reason), count in sorted(report.rules.items()):
        yield f"  {law:8} {protocol:18} {rule:9} {count:5}  {reason}"
    if report.rules:
        yield ""


def _by_rule(one: Unexplained) -> tuple[str, str, str]:
    return one.law, one.exchange.protocol, one.rule


def _unexplained(report: Report) -> Iterator[str]:
    found = sorted(report.unexplained, key=lambda one: (*_by_rule(one), one.exchange.line))
    for (law, protocol, rule), group in groupby(found, _by_rule):
        exchanges = list(group)
        yield f"without reason: {law} {protocol} {rule}: {len(exchanges)} exchanges"
        yield from (f"  {one}" for one in exchanges[:EXAMPLES])
        if len(exchanges) > EXAMPLES:
            yield f"  and {len(exchanges) - EXAMPLES} more"
    if found:
        yield ""


def as_exceptions(unexplained: Iterable[Unexplained]) -> str:
    """Entries for the file of exceptions that cover these, with reasons to be written."""
    found = sorted(unexplained, key=lambda one: (*_by_rule(one), one.exchange.line))
    entries = []
    for (law, protocol, rule), group in groupby(found, _by_rule):
        ids = "".join(f'    "{id}",\n' for id in dict.fromkeys(one.exchange.id for one in group))
        entries.append(
            f'# {protocol}\n[[exception]]\nlaw = "{law}"\nrule = "{rule}"\nreason = ""\n'
            f"exchanges = [\n{ids}]\n"
        )
    return "\n".join(entries)
