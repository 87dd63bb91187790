"""What becomes of an event that belongs to an output item."""

from enum import Enum, auto

from wiremend.protocols.base.draft import Draft
from wiremend.rules.rule import Rule


class Disposition(Enum):
    """What becomes of an event."""

    SENT = auto()
    DROPPED = auto()
    WITHHELD = auto()
    """It is progress, but the client cannot use it yet."""


def drop(draft: Draft, rule: Rule, found: str) -> Disposition:
    """Drop an event; it is sent where the rule is disabled."""
    return Disposition.DROPPED if draft.note(rule, found, "dropped") else Disposition.SENT
