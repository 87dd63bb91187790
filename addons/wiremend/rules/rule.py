"""The types of a rule, a finding and a place, and the collectors of findings."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Self

from wiremend.text.json_edits import Path

SHOWN_BYTES = 60
"""The maximum length of an excerpt in a finding, in bytes."""
TEXT_LIMIT = 500
"""The maximum length of a text of a finding, in characters; providers choose what is quoted."""
FINDINGS_LIMIT = 1000
"""The maximum number of findings that are kept of a request, of a stream, and of a call."""
ONCE_LIMIT = 10_000
"""The maximum number of keys of faults that are noted once per stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way in which traffic breaks a grammar, or is known to break a client or provider."""

    code: str
    """A letter for the family and three digits; never reused."""
    name: str
    """Short, in kebab case."""
    detects: str
    """What is wrong in the traffic, in one sentence."""
    impact: str
    """What a client or provider does when it receives that, in one sentence."""
    action: str
    """What wiremend does about it, or why it does nothing, in one or two sentences."""
    protocols: tuple[str, ...]
    seen: tuple[str, ...] = ()
    """Reports of it: `owner/repository#number` or an address."""
    before: str = ""
    """An example. Rules without one show an example from the corpus on the page."""
    after: str = ""
    """What the example becomes."""


def start_of(raw: bytes) -> str:
    """Return the first bytes as text, for findings."""
    text = raw[:SHOWN_BYTES].decode("utf-8", "replace")
    return text + "…" if len(raw) > SHOWN_BYTES else text


def shortened(text: str) -> str:
    """Return a text with at most `TEXT_LIMIT` characters."""
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 1] + "…"


@dataclass(frozen=True, slots=True)
class EventPlace:
    """An event of a response stream, counted from 1."""

    number: int

    def __str__(self) -> str:
        return f"event {self.number}"


@dataclass(frozen=True, slots=True)
class BodyPlace:
    """A value in a JSON body; the empty path is the whole body."""

    path: Path = ()

    def __str__(self) -> str:
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return "".join(steps).removeprefix(".") or "body"


@dataclass(frozen=True, slots=True)
class AttemptPlace:
    """An attempt of a call, counted from 1."""

    number: int

    def __str__(self) -> str:
        return f"attempt {self.number}"


@dataclass(frozen=True, slots=True)
class HeaderPlace:
    """A header field of a request."""

    name: str

    def __str__(self) -> str:
        return self.name


class CallPlace(StrEnum):
    """A part of a call as a whole."""

    REQUEST = "request"
    REQUEST_PATH = "path"
    RESPONSE = "response"
    STREAM_END = "end"


@dataclass(frozen=True, slots=True)
class StoredPlace:
    """A place that was read back from storage, and of which only the text is understood."""

    text: str

    def __str__(self) -> str:
        return self.text


type Place = EventPlace | BodyPlace | AttemptPlace | HeaderPlace | CallPlace | StoredPlace
"""Where a rule applied. `str()` returns the text for logs and views."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a rule applied. Its texts are shortened."""

    code: str
    place: Place
    found: str
    done: str

    def __post_init__(self) -> None:
        if len(self.found) > TEXT_LIMIT or len(self.done) > TEXT_LIMIT:
            object.__setattr__(self, "found", shortened(self.found))
            object.__setattr__(self, "done", shortened(self.done))

    def __str__(self) -> str:
        return f"{self.code} {self.place}: {self.found}; {self.done}"


class Findings(list[Finding]):
    """The findings of a call: the first `FINDINGS_LIMIT` of those that are added with `+=`."""

    def __iadd__(self, more: Iterable[Finding]) -> Self:  # type: ignore[override, misc]
        """Add findings until there are too many."""
        self.extend(islice(more, max(0, FINDINGS_LIMIT - len(self))))
        return self


class Notes:
    """Collects findings, except those of disabled rules, up to `FINDINGS_LIMIT`."""

    def __init__(self, disabled: Set[str] = frozenset()) -> None:
        self.disabled = disabled
        """Codes of disabled rules."""
        self.findings: list[Finding] = []

    def is_on(self, rule: Rule) -> bool:
        """Return whether the rule is enabled. Records nothing."""
        return rule.code not in self.disabled

    def note(self, rule: Rule, place: Place, found: str, done: str) -> bool:
        """Record a finding if the rule is enabled; return whether it is."""
        if not self.is_on(rule):
            return False
        if len(self.findings) < FINDINGS_LIMIT:
            self.findings.append(Finding(rule.code, place, found, done))
        return True


class PlacedNotes:
    """Collects findings at one place at a time, such as the current event of a stream."""

    def __init__(self, disabled: Set[str] = frozenset(), place: Place = CallPlace.RESPONSE) -> None:
        self._notes = Notes(disabled)
        self._once: set[tuple[str, str]] = set()
        self._place: Place | int = place

    @property
    def findings(self) -> list[Finding]:
        """The findings since the current place was entered."""
        return self._notes.findings

    @property
    def place(self) -> Place:
        """The current place."""
        return EventPlace(self._place) if isinstance(self._place, int) else self._place

    def enter(self, place: Place | int) -> None:
        """Make `place` the current one and start without findings.

        A number is the place of that event; most events need no place, since nothing is found.
        """
        self._place = place
        self._notes.findings = []

    def is_on(self, rule: Rule) -> bool:
        """Return whether the rule is enabled. Records nothing."""
        return self._notes.is_on(rule)

    def note(self, rule: Rule, found: str, done: str, *, once: str | None = None) -> bool:
        """Record a finding at the current place if the rule is enabled; return whether it is.

        With `once`, a key, the finding is recorded only the first time for this rule and key. Use
        it for faults that occur in every event.
        """
        if once is not None and self.is_on(rule):
            if (rule.code, once) in self._once or len(self._once) >= ONCE_LIMIT:
                return True
            self._once.add((rule.code, once))
        return self._notes.note(rule, self.place, found, done)

    def note_at(self, rule: Rule, place: Place, found: str, done: str) -> bool:
        """Record a finding at another place if the rule is enabled; return whether it is."""
        return self._notes.note(rule, place, found, done)
