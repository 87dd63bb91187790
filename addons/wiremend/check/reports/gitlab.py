"""The format of GitLab's code quality reports."""

from typing import Any

from wiremend.check.problems import CheckedFlow, Problem, Severity
from wiremend.check.reports.json import JsonReport
from wiremend.check.reports.report import fingerprint, relative_name
from wiremend.check.runs import Unusable

_SEVERITIES = {Severity.ERROR: "major", Severity.WARNING: "minor"}


class GitlabReport(JsonReport):
    """An array of issues, each with a fingerprint that no other one has."""

    def add(self, flow: CheckedFlow) -> str:
        """Return the issues of a flow."""
        return "".join(self._written(self._issue(problem)) for problem in flow.problems)

    def add_unusable(self, unusable: Unusable) -> str:
        """Return the issue on a file."""
        place = _place(unusable.file)
        mark = fingerprint("unusable", place["path"], unusable.reason)
        return self._written(
            {
                "description": unusable.reason,
                "check_name": "unusable-recording",
                "fingerprint": mark,
                "severity": "blocker",
                "location": place,
            }
        )

    def _issue(self, problem: Problem) -> dict[str, Any]:
        place = _place(problem.file)
        return {
            "description": f"{problem.code} at {problem.location}: {problem.text}",
            "check_name": problem.code,
            "fingerprint": fingerprint(
                problem.code, place["path"], problem.location, problem.block
            ),
            "severity": _SEVERITIES[problem.severity],
            "location": place,
        }


def _place(file: str) -> dict[str, Any]:
    return {"path": relative_name(file), "lines": {"begin": 1}}
