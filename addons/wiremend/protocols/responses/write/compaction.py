"""Writing the answer to a request for a compaction: exactly one item with the summary.

Its text is in an envelope, since clients return the item as it is. The summary is read as text
whichever provider the conversation continues with.
"""

from typing import Any

from wiremend.protocols.base.middle.answer import (
    CUT_REASONS,
    AnswerEvent,
    End,
    Failure,
    PartDelta,
    PartStart,
    Stop,
    StopReason,
    UsageCounts,
)
from wiremend.protocols.base.middle.content import Text, Thinking
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.state import State, seal
from wiremend.protocols.base.provider_error import ProviderError, make_error
from wiremend.protocols.base.usage import NO_USAGE
from wiremend.protocols.responses.grammar import COMPLETED
from wiremend.protocols.responses.read.kinds import COMPACTION, is_compaction_path
from wiremend.protocols.responses.write.frames import Frames, ResponseFrames, written_usage
from wiremend.text.json_value import JsonObject, dicts_in

_EMPTY = make_error(status=502, message="The provider answered without a summary.")
_CUT = make_error(status=502, message="The provider did not finish the summary.")
_TOO_LARGE = make_error(status=502, message="The provider's summary is too large.")


class CompactionWriter:
    """Writes one stream; for the endpoint that answers with a list, its terminal event has it."""

    def __init__(self, context: AnswerContext, losses: Losses) -> None:
        self._context = context
        self._losses = losses
        self._frames = Frames()
        self._response = ResponseFrames(context, self._frames)
        self._numbers: set[int] = set()
        """The parts that are text."""
        self._texts: list[str] = []
        self._reason = StopReason.END
        self._usage = NO_USAGE
        self._is_ended = False

    def feed(self, event: AnswerEvent) -> bytes:
        """Return the bytes of the events that this event becomes."""
        if not self._is_ended:
            self._write(event)
        return self._frames.taken()

    def _write(self, event: AnswerEvent) -> None:
        if not isinstance(event, Failure):
            self._response.begin()
        match event:
            case PartStart(number=number, part=Text()):
                self._numbers.add(number)
                self._texts.append("\n\n" if self._texts else "")
            case PartStart(part=part) if not isinstance(part, Thinking):
                found = f"{type(part).__name__.lower()} beside a summary"
                self._losses.add_in_answer(LossKind.ANSWER_CONTENT, found)
            case PartDelta(number=number, text=text) if number in self._numbers:
                self._texts.append(text)
            case UsageCounts():
                self._usage = self._usage.merged(event.usage)
            case Stop():
                self._reason = event.reason
            case Failure():
                self._fail(event.error)
            case End():
                self._finish()

    def _fail(self, error: ProviderError) -> None:
        self._is_ended = True
        self._response.fail(error)

    def _finish(self) -> None:
        summary = "".join(self._texts).strip()
        envelope = seal(State(self._context.origin, {"summary": summary}))
        if self._reason in CUT_REASONS:
            self._fail(_CUT)
        elif not summary:
            self._fail(_EMPTY)
        elif envelope is None:
            self._fail(_TOO_LARGE)
        else:
            self._complete(envelope)

    def _complete(self, envelope: str) -> None:
        self._is_ended = True
        item: JsonObject = {"id": f"cmp_{self._context.answer_id}", "type": COMPACTION}
        index = self._frames.add_item({**item, "encrypted_content": ""})
        self._frames.inside(index, "response.compaction.compacting", {})
        item["encrypted_content"] = envelope
        self._frames.end_item(index, item)
        if is_compaction_path(self._context.path):
            self._frames.event(COMPLETED, {"response": self._list(item)})
        else:
            self._response.complete(self._usage)

    def _list(self, item: JsonObject) -> JsonObject:
        """Return the compacted conversation: the user's messages, and the summary."""
        return {
            "id": f"resp_{self._context.answer_id}",
            "object": "response.compaction",
            "created_at": self._context.created,
            "status": "completed",
            "output": [*self._messages(), item],
            "usage": written_usage(self._usage, self._context.input_tokens),
        }

    def _messages(self) -> list[Any]:
        items = dicts_in(self._context.request.get("input"))
        return [item for item in items if item.get("role") == "user"]
