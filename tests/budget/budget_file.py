"""The allowed counts: budget.toml, with a section for each minor version of Python."""

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from .counting import NAMES, Counts

FILE = Path(__file__).with_name("budget.toml")
TOLERANCE = 0.02
"""How far a count may be from the budget, as a fraction."""
SLACK: Mapping[str, float] = {"peak": 512, "kept": 128}
"""Bytes of memory that do not matter, because a version of a library may add them."""
_HEAD = """\
# What the hot paths may cost: tests/budget/paths.py describes the paths, tests/budget/counting.py
# the counts. Written by `scripts/budget accept`; review the difference.
"""

type Budget = dict[str, Counts]
"""Counts by the name of the path."""


def version() -> str:
    """Return the name of the section for this Python."""
    return f"python-{sys.version_info.major}.{sys.version_info.minor}"


def read_budgets(path: Path = FILE) -> dict[str, Budget]:
    """Return the budgets by the version of Python."""
    sections = tomllib.loads(path.read_text()) if path.exists() else {}
    return {
        name: {path: Counts(**counts) for path, counts in section.items()}
        for name, section in sections.items()
    }


def write_budget(budget: Budget, path: Path = FILE) -> None:
    """Write the section for this Python, and keep the others."""
    budgets = {**read_budgets(path), version(): budget}
    lines = [_HEAD]
    for name in sorted(budgets):
        lines.append(f'["{name}"]')
        for path_name, counts in budgets[name].items():
            values = ", ".join(f"{key} = {_number(value)}" for key, value in asdict(counts).items())
            lines.append(f'"{path_name}" = {{ {values} }}')
        lines.append("")
    path.write_text("\n".join(lines))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.1f}"


def differences(counts: Counts, allowed: Counts) -> dict[str, float]:
    """Return the counts that are clearly above or below the budget, with the change as a fraction.

    Counts above it are too expensive; below it, the budget can be tightened.
    """
    found = {}
    for name in NAMES:
        value, limit = getattr(counts, name), getattr(allowed, name)
        if abs(value - limit) > limit * TOLERANCE + SLACK.get(name, 0.0):
            found[name] = value / limit - 1 if limit else float("inf")
    return found
