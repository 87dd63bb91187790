"""The formats by name."""

from collections.abc import Callable, Mapping

from wiremend.check.reports.github import GithubReport
from wiremend.check.reports.gitlab import GitlabReport
from wiremend.check.reports.json import JsonLinesReport, JsonReport
from wiremend.check.reports.junit import JunitReport
from wiremend.check.reports.report import Report
from wiremend.check.reports.sarif import SarifReport
from wiremend.check.reports.text import ConciseReport, FullReport
from wiremend.check.runs import rules_by_code
from wiremend.check.secret_places import SECRET_RULES

type Environment = Mapping[str, str]


def _sarif(_: Environment) -> Report:
    return SarifReport({**rules_by_code(), **{rule.code: rule for rule in SECRET_RULES}})


FORMATS: Mapping[str, Callable[[Environment], Report]] = {
    "full": lambda _: FullReport(),
    "concise": lambda _: ConciseReport(),
    "json": lambda _: JsonReport(),
    "json-lines": lambda _: JsonLinesReport(),
    "junit": lambda _: JunitReport(),
    "github": lambda environ: GithubReport(environ.get("GITHUB_STEP_SUMMARY", "")),
    "gitlab": lambda _: GitlabReport(),
    "sarif": _sarif,
}
"""A new report of each format. It may read the variables of the environment."""
