"""Writes what becomes of a Responses stream: findings, sequence numbers, event lines, bytes."""

from typing import Any, NoReturn

from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.base.repairer import Kind, Mended, StreamContext
from wiremend.protocols.responses import rules
from wiremend.protocols.responses.grammar import is_count
from wiremend.rules.rule import EventPlace, PlacedNotes, Rule
from wiremend.text import json_value, sse


class Unmendable(Exception):
    """Content is lost: the stream must end in the protocol's error, which says this."""


class Writer:
    """What one event becomes; `start` begins the next one."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._source_number = -1
        self.notes = PlacedNotes(context.disabled)
        self.number = -1
        """The last sequence number that the client has seen."""
        self.events = 0
        """How many events came so far."""
        self.changed = False
        """Whether the current event must be written anew."""
        self.out: list[bytes] = []

    def start(self) -> None:
        """Forget the last event's bytes and findings."""
        self.out, self.changed = [], False
        self.notes.enter(EventPlace(self.events))

    def change(self, rule: Rule, found: str, done: str, once: str | None = None) -> bool:
        """As `PlacedNotes.note`, for a rule that changes the current event."""
        is_on = self.notes.note(rule, found, done, once=once)
        self.changed = self.changed or is_on
        return is_on

    def lose(self, rule: Rule, found: str, message: str) -> NoReturn:
        """Note that content is lost, which no switch turns off. Raises Unmendable."""
        self.notes.note(rule, found, "ended in an error")
        raise Unmendable(message)

    def send(self, event: sse.Event, data: dict[str, Any], kind: str) -> None:
        """Forward an event: its own bytes, or `data` in its place if it was changed."""
        self._number_given(data)
        wrong_line = event.type != kind
        if wrong_line:
            # The data stays as it is for this one.
            was_changed, said = self.changed, repr(event.type) if event.type else "none"
            wrong_line = self.change(rules.EVENT_LINE, f"event line {said}", kind, once="")
            self.changed = was_changed
        self.out.append(sse.with_data(event, self._text(event, data), kind if wrong_line else None))

    def _text(self, event: sse.Event, data: dict[str, Any]) -> bytes:
        """The JSON text of `data`; unless that changed, the event's own with the shown model."""
        if self.changed or event.data is None:
            return json_value.write(data)
        if "response" not in data:
            return event.data
        return with_model(event.data, ("response", "model"), self._context.shown_model)

    def write(self, data: dict[str, Any]) -> None:
        """Write an event of our own."""
        self.number += 1
        self.out.append(
            sse.encode(json_value.write({**data, "sequence_number": self.number}), data["type"])
        )

    def mended(self, kind: Kind) -> Mended:
        """What the current event became."""
        return Mended(b"".join(self.out), kind, self.notes.findings)

    def _number_given(self, data: dict[str, Any]) -> None:
        given = data.get("sequence_number")
        if is_count(given) and given > self._source_number:
            self._source_number = given
        elif not self.change(
            rules.SEQUENCE_NUMBER,
            f"sequence_number {given!r}",
            "numbered",
            once="missing" if given is None else "wrong",
        ):
            return
        else:
            given = None
        if given is None or given <= self.number:
            # Also when the provider's number is sound, but events were written before it.
            given = data["sequence_number"] = self.number + 1
            self.changed = True
        self.number = given


def is_json(text: Any) -> bool:
    """Whether the value is a string that holds JSON."""
    if not isinstance(text, str):
        return False
    try:
        json_value.read(text)
    except ValueError:
        return False
    return True


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
