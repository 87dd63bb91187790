"""The output of the current repair step: bytes, findings, and whether the data changed."""

from collections.abc import Set

from wiremend.protocols.base.cut_content import ContentLost
from wiremend.rules.rule import CallPlace, Place, PlacedNotes, Rule


class Draft(PlacedNotes):
    """The output for one event or one body."""

    def __init__(self, disabled: Set[str] = frozenset(), place: Place = CallPlace.RESPONSE) -> None:
        super().__init__(disabled, place)
        self.changed = False
        """Whether the data must be serialised again."""
        self.out: list[bytes] = []

    def enter(self, place: Place | int) -> None:
        """Begin the next event."""
        self._place = place
        self._notes.findings = []
        self.changed = False
        self.out.clear()

    def at(self, place: Place | int) -> "_EarlierPlace":
        """Place what is noted inside the context at this earlier event, which was held back."""
        return _EarlierPlace(self, place)

    def change(self, rule: Rule, found: str, done: str, *, once: str | None = None) -> bool:
        """Like `note`, for a rule that changes the data."""
        is_on = self.note(rule, found, done, once=once)
        self.changed = self.changed or is_on
        return is_on

    def lose(self, rule: Rule, found: str, message: str) -> None:
        """Raise ContentLost with `message` if the rule is enabled; otherwise do nothing."""
        if self.note(rule, found, "ended in an error"):
            raise ContentLost(message)


class _EarlierPlace:
    """A context in which another place is the current one. One made by a generator is slower."""

    def __init__(self, draft: Draft, place: Place | int) -> None:
        self._draft = draft
        self._other = place

    def __enter__(self) -> None:
        self._draft._place, self._other = self._other, self._draft._place

    def __exit__(self, *exception: object) -> None:
        self._draft._place = self._other
