"""Whether an event of an output item is sent, dropped or withheld."""

from enum import Enum, auto

from wiremend.protocols.base.draft import Draft
from wiremend.rules.rule import Rule


class Disposition(Enum):
    """Whether an event is sent to the client."""

    SENT = auto()
    DROPPED = auto()
    WITHHELD = auto()
    """It counts as progress, but the client cannot use it yet."""


def drop(draft: Draft, rule: Rule, found: str) -> Disposition:
    """Drop an event, unless the rule is disabled."""
    return Disposition.DROPPED if draft.note(rule, found, "dropped") else Disposition.SENT
