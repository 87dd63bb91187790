"""The format of GitHub Actions: annotations.

GitHub shows at most ten errors and ten warnings of a step. So problems are aggregated by file and
rule, the most important come first, and all of them are appended to the summary of the job.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wiremend.check.problems import CheckedFlow, Problem, Severity
from wiremend.check.reports.report import relative_name, title_of
from wiremend.check.reports.text import summary
from wiremend.check.runs import Totals, Unusable
from wiremend.text.counted import counted

SHOWN = 10
"""How many annotations of one severity GitHub shows."""


@dataclass(slots=True)
class _Group:
    """The problems of one rule in one file."""

    first: Problem
    problems: int = 0
    findings: int = 0


class GithubReport:
    """Collects one group for each file and rule; writes them at the end."""

    def __init__(self, summary_file: str = "") -> None:
        """`summary_file` is the value of GITHUB_STEP_SUMMARY; empty without one."""
        self._groups: dict[tuple[str, str], _Group] = {}
        self._summary_file = summary_file

    def start(self) -> str:
        """Return nothing."""
        return ""

    def add(self, flow: CheckedFlow) -> str:
        """Collect the problems of a flow."""
        for problem in flow.problems:
            group = self._groups.setdefault((problem.file, problem.code), _Group(problem))
            group.problems += 1
            group.findings += problem.count
        return ""

    def add_unusable(self, unusable: Unusable) -> str:
        """Return the annotation on a file."""
        return _annotation("error", unusable.file, "unusable recording", unusable.reason)

    def end(self, totals: Totals) -> str:
        """Return the annotations that GitHub shows, and write all to the summary of the job."""
        groups = sorted(
            self._groups.values(), key=lambda group: (-group.problems, group.first.code)
        )
        lines: list[str] = []
        left = 0
        for severity in Severity:
            of_this = [group for group in groups if group.first.severity is severity]
            lines += [_group_line(group) for group in of_this[:SHOWN]]
            left += len(of_this[SHOWN:])
        if left:
            where = "; the summary of the job lists them" if self._summary_file else ""
            lines.append(f"::notice title=wiremend::{left} more groups of problems{where}\n")
        if self._summary_file and groups:
            with Path(self._summary_file).open("a", encoding="utf-8") as file:
                file.writelines(_markdown(groups, totals))
        return "".join(lines)


def _group_line(group: _Group) -> str:
    first = group.first
    text = f"{first.location}: {first.text}"
    if group.problems > 1:
        text += f"; and {counted(group.problems - 1, 'more problem')} of this rule in this file"
    return _annotation(first.severity.value, first.file, f"wiremend ({first.code})", text)


def _annotation(kind: str, file: str, title: str, text: str) -> str:
    place = f"file={_property(relative_name(file))},line=1,title={_property(title)}"
    return f"::{kind} {place}::{_data(text)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _markdown(groups: Iterable[_Group], totals: Totals) -> Iterable[str]:
    yield f"### wiremend\n\n{summary(totals)}\n\n"
    yield "| rule | file | problems | first place | message |\n|---|---|---|---|---|\n"
    for group in groups:
        first = group.first
        cells = [title_of(first), first.file, f"{group.problems:,}", first.location, first.message]
        yield "| " + " | ".join(map(_cell, cells)) + " |\n"
    yield "\n"


def _cell(text: str) -> str:
    for mark in "\\|`<*_[":
        text = text.replace(mark, "\\" + mark)
    return text
