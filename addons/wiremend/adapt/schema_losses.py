"""What the conversion of a schema loses, for findings and for the choice between two forms."""

from dataclasses import dataclass, field

_LOSSES_LIMIT = 50
_SHOWN_STEPS = 3


@dataclass(slots=True)
class Losses:
    """What the conversion of a schema loses."""

    refused: list[str] = field(default_factory=list)
    """What the original schema allows and the converted one does not, with its place."""
    is_described: bool = False
    """Whether a constraint was moved into a description, or dropped."""

    def refuse(self, place: "Place", what: str) -> None:
        """Add something that is not allowed any more."""
        if len(self.refused) < _LOSSES_LIMIT:
            self.refused.append(f"{what} in {_text_of(place)}" if place else what)


type Place = tuple["Place", str] | None
"""The place of a schema inside the root: its parent's place, and a name; None is the root."""


def _text_of(place: Place) -> str:
    names: list[str] = []
    while place is not None and len(names) < _SHOWN_STEPS:
        place, name = place
        names.append(name)
    return ("" if place is None else "….") + ".".join(reversed(names))
