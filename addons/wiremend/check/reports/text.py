"""The formats for people: `full` and `concise`."""

from wiremend.check.problems import CheckedFlow, Problem, printable
from wiremend.check.runs import Totals, Unusable
from wiremend.text.counted import counted


def line_of(problem: Problem) -> str:
    """Return a problem on one line: `file: flow 3 event 12: S105 message`."""
    file = printable(problem.file)
    return f"{file}: {problem.location}: {problem.code} {problem.text}"


class ConciseReport:
    """One line for each problem, and a summary."""

    def start(self) -> str:
        """Return nothing."""
        return ""

    def add(self, flow: CheckedFlow) -> str:
        """Return the lines of a flow."""
        return "".join(f"{line}\n" for problem in flow.problems for line in self._lines(problem))

    def add_unusable(self, unusable: Unusable) -> str:
        """Return nothing: the command prints it to standard error."""
        return ""

    def end(self, totals: Totals) -> str:
        """Return the summary."""
        return summary(totals) + "\n" if totals.flows else ""

    def _lines(self, problem: Problem) -> list[str]:
        return [line_of(problem)]


class FullReport(ConciseReport):
    """Also the call, and what the fault does to clients."""

    def _lines(self, problem: Problem) -> list[str]:
        call = ", ".join(filter(None, [problem.host, problem.model, problem.protocol]))
        lines = [line_of(problem)]
        if call:
            lines.append(f"    in: {printable(call)}")
        return [*lines, f"    hint: {problem.hint}", ""] if problem.hint else [*lines, ""]


def summary(totals: Totals) -> str:
    """Return what was found, in one line."""
    problems, findings = totals.problems.total(), totals.findings.total()
    flows = f" ({counted(totals.flows, 'flow')})" if totals.flows != totals.calls else ""
    if not problems:
        return f"Checked {counted(totals.calls, 'call')}{flows}: no problems."
    found = f" ({counted(findings, 'finding')})" if findings != problems else ""
    return (
        f"Found {counted(problems, 'problem')}{found} in {totals.calls_with_problems:,} of "
        f"{counted(totals.calls, 'call')}{flows}."
    )


def statistics(totals: Totals, names: dict[str, str]) -> str:
    """Return a table: problems, code and name of each rule, the most frequent first."""
    rows = sorted(totals.problems.items(), key=lambda row: (-row[1], row[0]))
    width = max((len(f"{count:,}") for _, count in rows), default=0)
    lines = [f"{count:>{width},}  {code}  {names.get(code, '')}".rstrip() for code, count in rows]
    return "".join(f"{line}\n" for line in lines)
