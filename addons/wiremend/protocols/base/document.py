"""A request on its way to a target."""

from collections.abc import Set
from dataclasses import dataclass, field

from wiremend.rules.rule import BodyPlace, Finding, Notes, Rule
from wiremend.text.json_edits import Edits, Path


class RequestMending:
    """One request body on its way: what is to change, what was found, what is not wanted."""

    def __init__(self, edits: Edits, disabled: Set[str] = frozenset()) -> None:
        self.edits = edits
        self._notes = Notes(disabled)

    @property
    def disabled(self) -> Set[str]:
        """Codes of rules that are switched off."""
        return self._notes.disabled

    @property
    def findings(self) -> list[Finding]:
        """What was found so far."""
        return self._notes.findings

    def finds(self, rule: Rule, path: Path, found: str, done: str) -> bool:
        """Whether the rule is on; if so, its finding is recorded."""
        return self._notes.note(rule, BodyPlace(path), found, done)


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
