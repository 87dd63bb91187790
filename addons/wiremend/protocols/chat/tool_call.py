"""The state of one tool call of a Chat Completions stream."""

from dataclasses import dataclass, field
from typing import Any

from wiremend.text.json_growing import GrowingJson


@dataclass(slots=True, eq=False)
class ToolCall:
    """One tool call; its fragments are withheld until its name is known."""

    source: Any = None
    """The index that the provider used."""
    ordinal: int = 0
    """The number of calls before it."""
    number: int = -1
    """The index that the client sees; -1 while it is not shown."""
    identities: set[str] = field(default_factory=set)
    """The ids in its fragments; one in a valid stream."""
    name: str = ""
    """As far as it has arrived."""
    is_shown: bool = False
    json: GrowingJson = field(default_factory=GrowingJson)
    """Its arguments so far."""

    @property
    def arguments(self) -> str:
        """The arguments so far."""
        return self.json.text

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are complete JSON."""
        return self.json.is_whole

    def add(self, arguments: str) -> None:
        """Append a fragment of its arguments."""
        self.json.add(arguments)

    def take(self) -> str:
        """Return the withheld arguments and clear them."""
        held, self.json = self.json.text, GrowingJson()
        return held

    def ends_before(self, identity: str, name: str, arguments: str) -> bool:
        """Return whether a fragment with its index, or without one, opens another call."""
        if identity in self.identities:
            return False
        if not name:
            return bool(identity and self.identities and self.is_whole and arguments.strip())
        if identity and self.identities:
            # Some providers generate an id for every fragment, and repeat the name.
            rest = arguments.strip()
            continues = bool(self.json and rest) and not rest.startswith("{")
            return not (continues and name == self.name and not self.is_whole)
        if not self.name:
            return False
        if self.is_whole:
            return True
        return self.source is None and name != self.name and not self.json
