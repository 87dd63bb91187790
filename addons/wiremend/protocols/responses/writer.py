"""Writing further events of a Responses stream, and numbering all of its events."""

from wiremend.protocols.base.draft import Draft
from wiremend.rules.rule import Rule
from wiremend.text import json_value, sse
from wiremend.text.json_value import JsonObject, is_integer

_P = ("responses",)

SEQUENCE_NUMBER = Rule(
    code="S301",
    name="sequence-number",
    detects="An event's `sequence_number` is missing, not an integer, or not larger than the "
    "previous one.",
    impact="OpenCode and Grok CLI reject the event; others drop it as a duplicate.",
    action="Sets the next number. Valid numbers are kept, gaps included.",
    protocols=_P,
    seen=("diegosouzapw/OmniRoute#14330",),
    before='{"type":"response.in_progress","response":{…}}',
    after='{"type":"response.in_progress","response":{…},"sequence_number":1}',
)


class Writer:
    """Numbers the events of one stream."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._source_number = -1
        """The last valid sequence number of the provider."""
        self.number = -1
        """The last sequence number that was sent to the client."""

    def write(self, data: JsonObject) -> None:
        """Write an event that the provider did not send."""
        self.number += 1
        text = json_value.write({**data, "sequence_number": self.number})
        self._draft.out.append(sse.encode(text, data["type"]))

    def number_event(self, data: JsonObject) -> None:
        """Number the next event to send, unless its number is larger than the last one."""
        raw = data.get("sequence_number")
        number: int | None = None
        if is_integer(raw) and raw > self._source_number:
            number = self._source_number = raw
        elif not self._draft.change(
            SEQUENCE_NUMBER,
            f"sequence_number {raw!r}",
            "numbered",
            once="missing" if raw is None else "wrong",
        ):
            return
        if number is None or number <= self.number:
            # Also if the provider's number is valid, but events were added before it.
            number = data["sequence_number"] = self.number + 1
            self._draft.changed = True
        self.number = number
