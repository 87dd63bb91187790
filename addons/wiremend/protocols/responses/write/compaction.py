"""Writing the answer to a request for a compaction: exactly one item with the summary.

Its text is in an envelope, since clients return the item as it is. The summary is read as text
whichever provider the conversation continues with.
"""

from typing import Any

from wiremend.protocols.base.middle.answer import (
    CUT_REASONS,
    OwnEvent,
    PartCitation,
    PartDelta,
    PartEnd,
    PartStart,
    PartState,
    Start,
)
from wiremend.protocols.base.middle.content import Text, Thinking
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.state import State, seal
from wiremend.protocols.base.middle.writer import AnswerWriter
from wiremend.protocols.base.provider_error import ProviderError, own_error
from wiremend.protocols.responses.grammar import COMPLETED
from wiremend.protocols.responses.read.kinds import COMPACTION, is_compaction_path
from wiremend.protocols.responses.write.frames import Frames, ResponseFrames, written_usage
from wiremend.text.json_value import JsonObject, dicts_in

_EMPTY = own_error("The provider answered without a summary.")
_CUT = own_error("The provider did not finish the summary.")
_TOO_LARGE = own_error("The provider's summary is too large.")


class CompactionWriter(AnswerWriter):
    """Writes one stream; for the endpoint that answers with a list, its terminal event has it."""

    def __init__(self, context: AnswerContext, losses: Losses) -> None:
        super().__init__(context, losses, may_overlap=True)
        self._frames = Frames()
        self._response = ResponseFrames(context, self._frames)
        self._numbers: set[int] = set()
        """The parts that are text."""
        self._texts: list[str] = []

    def _taken(self) -> bytes:
        return self._frames.taken()

    def _begin_answer(self, event: Start) -> None:
        self._response.begin()

    def _begin(self, event: PartStart) -> None:
        if isinstance(event.part, Text):
            self._numbers.add(event.number)
            self._texts.append("\n\n" if self._texts else "")
        elif not isinstance(event.part, Thinking):
            found = f"{type(event.part).__name__.lower()} beside a summary"
            self._losses.add_in_answer(LossKind.ANSWER_CONTENT, found)

    def _add(self, event: PartDelta) -> None:
        if event.number in self._numbers:
            self._texts.append(event.text)

    def _keep_state(self, event: PartState) -> None:
        """The conversation continues from the summary alone: its state is not needed."""

    def _cite(self, event: PartCitation) -> None:
        """A summary has no sources."""

    def _close(self, event: PartEnd) -> None:
        """The item is written at the end of the answer."""

    def _write_own(self, event: OwnEvent) -> None:
        """Nothing: it is an event of the provider's protocol."""

    def _write_error(self, error: ProviderError) -> None:
        self._response.fail(error)

    def _finish(self) -> None:
        self._response.begin()
        summary = "".join(self._texts).strip()
        envelope = seal(State(self._context.origin, {"summary": summary}))
        if self._stop.reason in CUT_REASONS:
            self._fail(_CUT)
        elif not summary:
            self._fail(_EMPTY)
        elif envelope is None:
            self._fail(_TOO_LARGE)
        else:
            self._complete(envelope)

    def _complete(self, envelope: str) -> None:
        item: JsonObject = {"id": f"cmp_{self._context.answer_id}", "type": COMPACTION}
        index = self._frames.add_item({**item, "encrypted_content": ""})
        self._frames.inside(index, "response.compaction.compacting", {})
        item["encrypted_content"] = envelope
        self._frames.end_item(index, item)
        if is_compaction_path(self._context.path):
            self._frames.event(COMPLETED, {"response": self._list(item)})
        else:
            self._response.complete(self._counted())

    def _list(self, item: JsonObject) -> JsonObject:
        """Return the compacted conversation: the user's messages, and the summary."""
        return {
            "id": f"resp_{self._context.answer_id}",
            "object": "response.compaction",
            "created_at": self._context.created,
            "status": "completed",
            "output": [*self._messages(), item],
            "usage": written_usage(self._counted(), self._context.input_tokens),
        }

    def _messages(self) -> list[Any]:
        items = dicts_in(self._context.request.get("input"))
        return [item for item in items if item.get("role") == "user"]
