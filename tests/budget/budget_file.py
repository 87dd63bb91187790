"""The allowed counts: budget.toml."""

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .counting import MEMORY, NAMES, Counts

FILE = Path(__file__).with_name("budget.toml")
TOLERANCE = 0.02
"""How far a count may be from the budget, as a fraction."""
OTHER_PYTHON_TOLERANCE = 0.10
"""The same in another minor version of Python than the budget's. 3.12 differs from 3.13 by up to
4 % in instructions. Memory is not compared: objects have other sizes."""
SLACK: Mapping[str, float] = {"peak": 512, "kept": 128}
"""Bytes of memory that do not matter, because a version of a library may add them."""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_HEAD = """\
# What the hot paths may cost: tests/budget/paths.py describes the paths, tests/budget/counting.py
# the counts. Written by `scripts/budget accept`; review the difference.
"""


@dataclass(frozen=True)
class Budget:
    """The allowed counts of each path."""

    python: str
    """The minor version of Python with which they were counted."""
    paths: Mapping[str, Counts]

    def of(self, text: str) -> "Budget":
        """Return the budget of the paths with `text` in their names."""
        kept = {name: counts for name, counts in self.paths.items() if text in name}
        return Budget(self.python, kept)


def read_budget(path: Path = FILE) -> Budget:
    """Return what the file allows; nothing if there is no file."""
    if not path.exists():
        return Budget(PYTHON, {})
    content = tomllib.loads(path.read_text())
    paths = {name: Counts(**counts) for name, counts in content["paths"].items()}
    return Budget(content["python"], paths)


def write_budget(paths: Mapping[str, Counts], path: Path = FILE) -> None:
    """Write these counts of this Python as the budget."""
    lines = [_HEAD, f'python = "{PYTHON}"', "", "[paths]"]
    for name, counts in paths.items():
        values = ", ".join(f"{key} = {_number(value)}" for key, value in asdict(counts).items())
        lines.append(f'"{name}" = {{ {values} }}')
    path.write_text("\n".join([*lines, ""]))


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.1f}"


def differences(counts: Counts, allowed: Counts, python: str = PYTHON) -> dict[str, float]:
    """Return the counts that are clearly above or below the budget, with the change as a fraction.

    Counts above it are too expensive; below it, the budget can be tightened. `python` is the
    version of the budget.
    """
    is_other = python != PYTHON
    tolerance = OTHER_PYTHON_TOLERANCE if is_other else TOLERANCE
    found = {}
    for name in NAMES:
        value, limit = getattr(counts, name), getattr(allowed, name)
        if is_other and name in MEMORY:
            continue
        if abs(value - limit) > limit * tolerance + SLACK.get(name, 0.0):
            found[name] = value / limit - 1 if limit else float("inf")
    return found
