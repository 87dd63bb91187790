"""One tool call of a Chat Completions stream, as far as it came."""

from dataclasses import dataclass, field
from typing import Any

from wiremend.text.json_value import parses


@dataclass(slots=True, eq=False)
class ToolCall:
    """One tool call; without a name its fragments wait."""

    source: Any = None
    """The index that it came under."""
    number: int = -1
    """The index that it is shown under."""
    identities: set[str] = field(default_factory=set)
    """The ids that it came with, one in a good stream."""
    name: str = ""
    is_shown: bool = False
    _parts: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        """All that came."""
        if len(self._parts) > 1:
            self._parts = ["".join(self._parts)]
        return self._parts[0] if self._parts else ""

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are complete JSON."""
        return parses(self.arguments)

    def add(self, arguments: str) -> None:
        """Another piece of its arguments."""
        if arguments:
            self._parts.append(arguments)

    def take(self) -> str:
        """What has waited, which is nothing from now on."""
        arguments, self._parts = self.arguments, []
        return arguments

    def ends_before(self, identity: str, name: str, arguments: str) -> bool:
        """Whether a fragment under its index, or under none, opens another call."""
        if identity in self.identities:
            return False
        if not name:
            return bool(identity and self.identities and self.is_whole and arguments.strip())
        if identity and self.identities:
            # Some providers make up an id for every fragment, and repeat the name.
            rest = arguments.strip()
            continues = bool(self.arguments and rest) and not rest.startswith("{")
            return not (continues and name == self.name and not self.is_whole)
        if not self.name:
            return False
        if self.is_whole:
            return True
        return self.source is None and name != self.name and not self.arguments
