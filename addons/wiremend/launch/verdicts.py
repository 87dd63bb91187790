"""The lines that --check-config and --doctor print: ok, a warning or a problem, and what to do."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from wiremend.text.counted import counted


class Verdict(StrEnum):
    """What a check found."""

    OK = "ok"
    WARNING = "warning"
    """It works, but probably not as it is meant."""
    PROBLEM = "problem"
    """It does not work. The command exits with status 1."""


@dataclass(frozen=True, slots=True)
class Line:
    """The result of one check."""

    verdict: Verdict
    text: str
    """What was found; further lines are details."""
    remedy: str = ""
    """What to do about it."""

    def __str__(self) -> str:
        first, *details = self.text.split("\n")
        lines = [f"{self.verdict:<8} {first}", *(f"         {detail}" for detail in details)]
        lines += [f"         to do: {self.remedy}"] if self.remedy else []
        return "\n".join(lines)


def ok(text: str) -> Line:
    """Return a line about what is as it should be."""
    return Line(Verdict.OK, text)


def warning(text: str, remedy: str = "") -> Line:
    """Return a line about what is probably a mistake."""
    return Line(Verdict.WARNING, text, remedy)


def problem(text: str, remedy: str = "") -> Line:
    """Return a line about what does not work."""
    return Line(Verdict.PROBLEM, text, remedy)


def print_lines(lines: Iterable[Line]) -> int:
    """Print each line when its check has ended. Return the exit status: 1 if there is a problem."""
    problems = 0
    for line in lines:
        print(line, flush=True)
        problems += line.verdict is Verdict.PROBLEM
    if problems:
        print(f"\n{counted(problems, 'problem')}", file=sys.stderr)
    return 1 if problems else 0
