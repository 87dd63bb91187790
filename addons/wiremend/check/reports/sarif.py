"""SARIF 2.1.0, for code scanning."""

from collections.abc import Mapping
from typing import Any

import wiremend
from wiremend.check.problems import CheckedFlow, Problem
from wiremend.check.reports.report import TOOL, fingerprint, uri_of
from wiremend.check.runs import Totals, Unusable
from wiremend.rules.rule import Rule
from wiremend.text import json_value

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RESULTS_LIMIT = 5000
"""GitHub keeps this many results of a run."""


class SarifReport:
    """Results are written as they come; rules and notifications at the end."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        """`rules` are all rules by code."""
        self._rules = rules
        self._used: dict[str, int] = {}
        self._results = 0
        self._left_out = 0
        self._notifications: list[dict[str, Any]] = []

    def start(self) -> str:
        """Open the document and the list of results."""
        return f'{{"version":"2.1.0","$schema":"{SCHEMA}","runs":[{{"results":['

    def add(self, flow: CheckedFlow) -> str:
        """Return the results of a flow."""
        return "".join(self._result(flow, problem) for problem in flow.problems)

    def add_unusable(self, unusable: Unusable) -> str:
        """Note an error of the run."""
        location = {"physicalLocation": _file_location(unusable.file)}
        self._notifications.append(
            {"level": "error", "message": {"text": unusable.reason}, "locations": [location]}
        )
        return ""

    def end(self, totals: Totals) -> str:
        """Close the document."""
        if self._left_out:
            text = f"{self._left_out} results were left out"
            self._notifications.append({"level": "warning", "message": {"text": text}})
        driver = {
            "name": TOOL,
            "version": wiremend.__version__,
            "rules": [_rule(code, self._rules.get(code)) for code in self._used],
        }
        invocation = {
            "executionSuccessful": not totals.unusable,
            "toolExecutionNotifications": self._notifications,
        }
        rest = json_value.write({"tool": {"driver": driver}, "invocations": [invocation]}).decode()
        return f"],{rest[1:]}]}}\n"

    def _result(self, flow: CheckedFlow, problem: Problem) -> str:
        if self._results == RESULTS_LIMIT:
            self._left_out += 1
            return ""
        before = ",\n" if self._results else "\n"
        self._results += 1
        index = self._used.setdefault(problem.code, len(self._used))
        place = f"flow {problem.flow}/{problem.side}/{problem.place}"
        result = {
            "ruleId": problem.code,
            "ruleIndex": index,
            "level": problem.severity.value,
            "message": {"text": f"{problem.location}: {problem.text}"},
            "locations": [
                {
                    "physicalLocation": _file_location(problem.file),
                    "logicalLocations": [{"fullyQualifiedName": place, "kind": "event"}],
                }
            ],
            "partialFingerprints": {
                "wiremend/v1": fingerprint(problem.code, flow.name, problem.side, problem.block)
            },
            "occurrenceCount": problem.count,
            "properties": {
                "host": problem.host,
                "protocol": problem.protocol,
                "model": problem.model,
            },
        }
        return before + json_value.write(result).decode()


def _file_location(file: str) -> dict[str, Any]:
    return {"artifactLocation": {"uri": uri_of(file)}, "region": {"startLine": 1}}


def _rule(code: str, rule: Rule | None) -> dict[str, Any]:
    if rule is None:  # recorded by another version
        return {"id": code}
    help_text = f"{rule.detects}\n\n{rule.impact}\n\n{rule.action}"
    return {
        "id": code,
        "name": rule.name,
        "shortDescription": {"text": rule.detects},
        "help": {"text": help_text, "markdown": help_text},
    }
