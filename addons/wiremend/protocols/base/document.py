"""A request on its way to a target."""

from collections.abc import Set
from dataclasses import dataclass, field

from wiremend.rules.rule import Finding, Rule
from wiremend.text.json_edits import Edits, Path


@dataclass(slots=True)
class RequestMending:
    """One request body on its way: what is to change, what was found, what is not wanted."""

    edits: Edits
    disabled: Set[str] = frozenset()
    findings: list[Finding] = field(default_factory=list)

    def finds(self, rule: Rule, path: Path, found: str, done: str) -> bool:
        """Whether the rule is on; if so, its finding is recorded."""
        if rule.code in self.disabled:
            return False
        self.findings.append(Finding(rule.code, where(path), found, done))
        return True


def where(path: Path) -> str:
    """A path as people read it: `tools[3].input_schema`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request as it shall leave: one of the places that a call may be sent to."""

    provider: str
    """As errors name it."""
    model: str
    scheme: str
    host: str
    port: int
    path: str
    """With its query."""
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
