"""What a rule is, and what it says when it found something."""

from dataclasses import asdict, dataclass
from typing import Any

SHOWN_BYTES = 60
"""How much of what was found a finding quotes."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One way in which traffic breaks a grammar, or is known to break a client or provider."""

    code: str
    """A letter for the family and three digits; never reused."""
    name: str
    """Short, in kebab case."""
    finds: str
    """One sentence: what is on the wire."""
    hurts: str
    """One sentence: which client or provider does what."""
    mends: str
    """One sentence: what is done about it, or why nothing is."""
    protocols: tuple[str, ...]
    seen: tuple[str, ...] = ()
    """Where it was seen: issue numbers, pages."""
    before: str = ""
    after: str = ""


def start_of(raw: bytes) -> str:
    """The first bytes, as a finding quotes them."""
    text = raw[:SHOWN_BYTES].decode("utf-8", "replace")
    return text + "…" if len(raw) > SHOWN_BYTES else text


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a rule applied."""

    code: str
    where: str
    """The path in a request body (`tools[3].input_schema`) or the event's number (`event 12`)."""
    found: str
    done: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as it is stored with a flow."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.code} {self.where}: {self.found}; {self.done}"
