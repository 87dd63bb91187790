"""The interface of all formats, and what several of them need."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from wiremend.check.problems import CheckedFlow, Problem
from wiremend.check.runs import Totals, Unusable

TOOL = "wiremend"
RULES_PAGE = "addons/RULES.md"


class Report(Protocol):
    """Writes a report piece by piece, so that it need not fit into memory.

    Each method returns the text that follows what was returned before.
    """

    def start(self) -> str:
        """Begin the report."""
        ...

    def add(self, flow: CheckedFlow) -> str:
        """Add a flow, with or without problems."""
        ...

    def add_unusable(self, unusable: Unusable) -> str:
        """Add a file that cannot be read, or not to its end."""
        ...

    def end(self, totals: Totals) -> str:
        """End the report."""
        ...


def fingerprint(*parts: object) -> str:
    """Return an identifier that depends on these values alone."""
    digest = hashlib.sha256()
    for part in parts:
        data = str(part).encode("utf-8", "surrogateescape")
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()[:32]


def relative_name(file: str) -> str:
    """Return the name relative to the working directory if it is below it, with `/`."""
    path = Path(file)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return path.as_posix()


def uri_of(file: str) -> str:
    """Return a relative URI reference, or a `file:` URI for a file elsewhere."""
    name = relative_name(file)
    quoted = quote(name, safe="/", errors="surrogateescape")
    return f"file://{quoted}" if name.startswith("/") else quoted


def title_of(problem: Problem) -> str:
    """Return the code and name of the rule."""
    return f"{problem.code} {problem.name}".strip()


def codes_in(problems: Sequence[Problem]) -> str:
    """Return the codes, each once, in order."""
    return ", ".join(dict.fromkeys(problem.code for problem in problems))
