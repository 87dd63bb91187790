"""Checks files, flow by flow."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import BinaryIO

from wiremend.catalogue import catalogue
from wiremend.check.blocks import Blocks
from wiremend.check.checker import Checked, check_exchange
from wiremend.check.problems import REQUEST, RESPONSE, CheckedFlow, Problem, aggregated, printable
from wiremend.check.secret_places import secret_places
from wiremend.check.selection import Selection
from wiremend.engine.settings import Settings
from wiremend.protocols.base.names import WireProtocol
from wiremend.recording.exchange import Exchange, RecordedFlow, UnusableRecording
from wiremend.recording.sources import Source, find_sources, open_recording
from wiremend.rules.containment import Fault, contain
from wiremend.rules.rule import Rule


@dataclass(frozen=True, slots=True)
class Unusable:
    """A file that cannot be read, or not to its end."""

    file: str
    reason: str
    """One line, without the name of the file and without its content."""


@dataclass(slots=True)
class Totals:
    """What a run amounts to."""

    files: int = 0
    flows: int = 0
    calls: int = 0
    calls_with_problems: int = 0
    unusable: int = 0
    problems: Counter[str] = field(default_factory=Counter)
    """Problems by code."""
    findings: Counter[str] = field(default_factory=Counter)
    """Findings by code: each problem as often as it was found."""
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, flow: CheckedFlow) -> None:
        """Count a flow."""
        self.flows += 1
        self.calls += flow.is_call
        self.calls_with_problems += bool(flow.problems)
        self.notes.update(flow.notes)
        for problem in flow.problems:
            self.problems[problem.code] += 1
            self.findings[problem.code] += problem.count


type Progress = Callable[[str, int, float | None], None]
"""Takes the name of the file, the number of flows read, and the fraction of the file if known."""


@dataclass(frozen=True, slots=True)
class Run:
    """How files are checked."""

    settings: Settings
    selection: Selection
    stdin: BinaryIO
    protocol: WireProtocol | None = None
    """The protocol of files that are bodies."""
    seeks_secrets: bool = False
    """Whether secrets are searched for, instead of faults."""
    progress: Progress | None = None

    def check(self, names: Sequence[str]) -> Iterator[CheckedFlow | Unusable]:
        """Check the files, folders and streams with these names, in order.

        A file that is damaged in the middle yields its flows before the damage.
        """
        for name in names:
            try:
                sources = find_sources(name, with_bodies=self.protocol is not None)
            except UnusableRecording as reason:
                yield Unusable(name, str(reason))
                continue
            for source in sources:
                yield from self._check_source(source)

    def _check_source(self, source: Source) -> Iterator[CheckedFlow | Unusable]:
        try:
            with open_recording(source, self.protocol, self.stdin) as recording:
                for flow in recording.flows:
                    yield self._check_contained(source.name, flow)
                    if self.progress is not None:
                        self.progress(source.name, flow.number, recording.fraction)
        except UnusableRecording as reason:
            yield Unusable(source.name, str(reason))

    def _check_contained(self, file: str, flow: RecordedFlow) -> CheckedFlow | Unusable:
        """Check one flow. A bug in wiremend must neither hide other flows nor pass as a success."""

        def failed(fault: Fault) -> CheckedFlow | Unusable:
            what = f"flow {flow.number} was not checked, because of a bug in wiremend: {fault}"
            return Unusable(file, what)

        check: Callable[[str, RecordedFlow], CheckedFlow | Unusable] = self.check_flow
        return contain("checking a flow", failed, check, file, flow)

    def check_flow(self, file: str, flow: RecordedFlow) -> CheckedFlow:
        """Check one flow."""
        name = _name_of(flow)
        if self.seeks_secrets:
            secrets = [
                problem
                for problem in _secret_problems(file, flow)
                if self.selection.reports(problem.code, file, problem.host)
            ]
            return CheckedFlow(file, flow.number, name, is_call=True, problems=secrets)
        problems: list[Problem] = []
        notes: list[str] = []
        is_call = False
        for exchange in flow.exchanges:
            checked = check_exchange(exchange, self.settings)
            if checked is not None:
                is_call = True
                problems += self._problems(file, flow.number, exchange, checked)
                notes += checked.notes
        return CheckedFlow(file, flow.number, name, is_call, problems=problems, notes=notes)

    def _problems(
        self, file: str, number: int, exchange: Exchange, checked: Checked
    ) -> Iterator[Problem]:
        for side, findings, blocks in (
            (REQUEST, checked.request, Blocks()),
            (RESPONSE, checked.response, checked.blocks),
        ):
            template = Problem(
                file=file,
                flow=number,
                attempt=exchange.attempt,
                side=side,
                code="",
                name="",
                place="",
                message="",
                host=exchange.host,
                protocol=checked.protocol.value,
                model=checked.model,
            )
            selected = [
                finding
                for finding in findings
                if self.selection.reports(finding.code, file, exchange.host)
            ]
            yield from map(_documented, aggregated(template, selected, blocks))


@cache
def rules_by_code() -> Mapping[str, Rule]:
    """Return all rules by their codes."""
    return {rule.code: rule for rule in catalogue()}


def _documented(problem: Problem) -> Problem:
    """Return the problem with the name and impact of its rule."""
    rule = rules_by_code().get(problem.code)
    if rule is None:  # recorded by another version
        return problem
    return replace(problem, name=rule.name, hint=rule.impact)


def _name_of(flow: RecordedFlow) -> str:
    if not flow.exchanges:
        return "not HTTP"
    exchange = flow.exchanges[0]
    return printable(f"{exchange.method} {exchange.host}{exchange.path.partition('?')[0]}")


def _secret_problems(file: str, flow: RecordedFlow) -> list[Problem]:
    host = flow.exchanges[0].host if flow.exchanges else ""
    return [
        Problem(
            file=file,
            flow=flow.number,
            attempt=0,
            side=found.message,
            code=found.rule.code,
            name=found.rule.name,
            place=printable(found.place),
            message=found.rule.detects,
            hint=found.rule.impact,
            host=host,
        )
        for found in secret_places(tuple(flow.messages()))
    ]
