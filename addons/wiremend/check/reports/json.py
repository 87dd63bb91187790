"""The formats `json`, one array, and `json-lines`, one object a line."""

from typing import Any

from wiremend.check.problems import CheckedFlow, Problem
from wiremend.check.runs import Totals, Unusable
from wiremend.text import json_value


def object_of(problem: Problem) -> dict[str, Any]:
    """Return the fields of a problem."""
    return {
        "file": problem.file,
        "flow": problem.flow,
        "attempt": problem.attempt or None,
        "side": problem.side,
        "event": problem.event,
        "place": problem.place,
        "block": problem.block or None,
        "location": problem.location,
        "code": problem.code,
        "name": problem.name,
        "severity": problem.severity.value,
        "message": problem.message,
        "hint": problem.hint,
        "count": problem.count,
        "last_place": problem.last_place or problem.place,
        "host": problem.host,
        "protocol": problem.protocol,
        "model": problem.model,
    }


def error_of(unusable: Unusable) -> dict[str, Any]:
    """Return the fields for a file that cannot be read. It has no code."""
    message = unusable.reason
    return {"file": unusable.file, "code": None, "severity": "error", "message": message}


class JsonLinesReport:
    """One object a line."""

    def start(self) -> str:
        """Return nothing."""
        return ""

    def add(self, flow: CheckedFlow) -> str:
        """Return the lines of a flow."""
        return "".join(map(self._written, map(object_of, flow.problems)))

    def add_unusable(self, unusable: Unusable) -> str:
        """Return the line on a file."""
        return self._written(error_of(unusable))

    def end(self, totals: Totals) -> str:
        """Return nothing."""
        return ""

    def _written(self, fields: dict[str, Any]) -> str:
        return json_value.write(fields).decode() + "\n"


class JsonReport(JsonLinesReport):
    """One array of the same objects."""

    def __init__(self) -> None:
        self._is_first = True

    def start(self) -> str:
        """Open the array."""
        return "["

    def end(self, totals: Totals) -> str:
        """Close the array."""
        return "]\n" if self._is_first else "\n]\n"

    def _written(self, fields: dict[str, Any]) -> str:
        before, self._is_first = "\n" if self._is_first else ",\n", False
        return before + json_value.write(fields).decode()
