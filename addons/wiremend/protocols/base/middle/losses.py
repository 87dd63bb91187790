"""What a translation could not carry."""

from dataclasses import dataclass
from enum import Enum

from wiremend.text.json_edits import Path


class LossKind(Enum):
    """What was lost or changed; `wiremend.translate.rules` has the rule of each kind."""

    # Requests
    FIELD = "field"
    """A member that only the client's protocol or vendor has."""
    PARAMETER = "parameter"
    """A known parameter that the target has no word for."""
    ADJUSTED = "adjusted"
    """A parameter with another value than asked for: a limit, an effort, a temperature."""
    MEDIA = "media"
    """A medium that the target does not take; a note in its place."""
    ERROR_FLAG = "error flag"
    """A failed result, expressed in its text."""
    REASONING = "reasoning"
    """Reasoning, or its state, that the target must not or cannot read."""
    SERVER_TOOL = "server tool"
    """A tool that the client's provider would run, or the traces of one in the history."""
    TOOL = "tool"
    """A tool, or a call of one, in another form: a custom tool as a function …"""
    CHOICE = "choice"
    """A choice of tools that the target cannot express."""
    POSITION = "position"
    """System text, media or results in another place or role."""
    HISTORY = "history"
    """A history that the target would refuse: a call without a result, a result without a call,
    arguments that are no JSON."""
    FORMAT = "format"
    """A format of the output that is expressed less strictly."""
    CONTENT = "content"
    """Any other part of a message."""
    # Answers
    ANSWER_CONTENT = "answer content"
    """A part of the answer that the client's protocol has no word for."""
    ANSWER_STATE = "answer state"
    """State of the provider that is too large for the envelope."""
    ANSWER_CALL = "answer call"
    """A call in the answer that had to be changed: text that looks like one, arguments …"""
    ANSWER_STOP = "answer stop"
    """A stop reason that the client's protocol cannot express."""
    ANSWER_USAGE = "answer usage"
    """Counts of tokens that the provider did not send, estimated for the client."""


@dataclass(frozen=True, slots=True)
class Loss:
    """One thing that was not carried as it is."""

    kind: LossKind
    found: str
    """A few words, such as `seed`."""
    done: str
    """What was done, such as `not sent`."""
    path: Path | None = None
    """Where it is in the client's request; None in answers."""


class Losses:
    """Collects what one request, or one answer, loses."""

    def __init__(self) -> None:
        self._losses: list[Loss] = []
        self._once: set[tuple[LossKind, str]] = set()

    def add(self, kind: LossKind, found: str, done: str = "not sent", path: Path = ()) -> None:
        """Record a loss in a request."""
        self._losses.append(Loss(kind, found, done, path))

    def add_once(self, kind: LossKind, found: str, done: str = "not sent", path: Path = ()) -> None:
        """Record a loss in a request, unless one with this kind and `found` was recorded."""
        if (kind, found) not in self._once:
            self._once.add((kind, found))
            self.add(kind, found, done, path)

    def add_in_answer(self, kind: LossKind, found: str, done: str = "dropped") -> None:
        """Record a loss in an answer, once for each `found`."""
        if (kind, found) not in self._once and len(self._once) < _MOST:
            self._once.add((kind, found))
            self._losses.append(Loss(kind, found, done))

    def taken(self) -> list[Loss]:
        """Return the losses since the last call."""
        losses, self._losses = self._losses, []
        return losses


_MOST = 1000


class NotCarried(Exception):
    """The request cannot be translated, since its meaning would change."""

    def __init__(self, what: str, reason: str, path: Path = ()) -> None:
        """`what` is the name of the member or tool, `reason` a clause, `path` its place."""
        super().__init__(f"{what}: {reason}")
        self.what = what
        self.reason = reason
        self.path = path
