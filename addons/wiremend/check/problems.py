"""Findings as they are reported: aggregated by rule and block."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from wiremend.check.blocks import Blocks
from wiremend.rules.rule import EventPlace, Finding

REQUEST = "request"
RESPONSE = "response"


class Severity(StrEnum):
    """How much a problem matters."""

    ERROR = "error"
    """Clients fail or lose content."""
    WARNING = "warning"
    """The target may refuse the request, or understand it differently."""


_ERRORS = ("S", "E", "R", "secret")


def severity_of(code: str) -> Severity:
    """Return the severity of a rule: that of its family."""
    return Severity.ERROR if code.startswith(_ERRORS) else Severity.WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """All findings of one rule in one block of a message."""

    file: str
    flow: int
    attempt: int
    """From 1; 0: the recording has no attempts."""
    side: str
    """The message that it is in, such as `request`."""
    code: str
    name: str
    """The rule's name."""
    place: str
    """The first place, such as `event 12` or `tools[3].input_schema`."""
    message: str
    """What was found at the first place."""
    hint: str = ""
    """What happens to a client or provider that receives this."""
    event: int | None = None
    """The number of the event at the first place; None: it is not in an event."""
    block: str = ""
    count: int = 1
    last_place: str = ""
    """The last place, if there are several."""
    host: str = ""
    protocol: str = ""
    model: str = ""

    @property
    def severity(self) -> Severity:
        """How much it matters."""
        return severity_of(self.code)

    @property
    def location(self) -> str:
        """The place within the file, such as `flow 3 attempt 2 event 12`."""
        parts = [f"flow {self.flow}"]
        if self.attempt:
            parts.append(f"attempt {self.attempt}")
        if self.event is None:
            parts.append(self.side)
        if self.place not in ("", self.side):
            parts.append(self.place)
        return " ".join(parts)

    @property
    def more(self) -> str:
        """How often it was found, in words; empty: once."""
        if self.count == 1:
            return ""
        where = f" in {self.block}" if self.block else ""
        return f"{self.count} times{where}, last at {self.last_place}"

    @property
    def text(self) -> str:
        """The rule's name and the message, with the number of places."""
        text = f"{self.name}: {self.message}" if self.name else self.message
        return f"{text} ({self.more})" if self.more else text


def aggregated(template: Problem, findings: Iterable[Finding], blocks: Blocks) -> list[Problem]:
    """Return the findings aggregated by rule and block, in the order of the first places.

    `template` contains what they have in common.
    """
    problems: dict[tuple[str, str], Problem] = {}
    for finding in findings:
        block = blocks.of(finding.place)
        if not block and (finding.code, blocks.before(finding.place)) in problems:
            block = blocks.before(finding.place)
        key = finding.code, block
        place = printable(str(finding.place))
        if (known := problems.get(key)) is not None:
            problems[key] = replace(known, count=known.count + 1, last_place=place)
        else:
            is_event = isinstance(finding.place, EventPlace)
            problems[key] = replace(
                template,
                code=finding.code,
                block=block,
                place=place,
                message=printable(finding.found),
                event=finding.place.number if is_event else None,  # type: ignore[union-attr]
            )
    return list(problems.values())


def printable(text: str) -> str:
    """Return a text on one line, without characters that control a terminal."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


@dataclass(frozen=True, slots=True)
class CheckedFlow:
    """The problems of one flow, for reports."""

    file: str
    flow: int
    name: str
    """Method, host and path, without query."""
    is_call: bool
    problems: Sequence[Problem] = ()
    notes: Sequence[str] = ()
