"""Writing the events of an answer as a stream."""

from wiremend.protocols.base.middle.answer import (
    CUT_REASONS,
    OwnEvent,
    PartCitation,
    PartDelta,
    PartEnd,
    PartStart,
    PartState,
    Start,
    Stop,
    StopReason,
)
from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    CallKind,
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    ServerCall,
    ServerResult,
    Text,
    Thinking,
)
from wiremend.protocols.base.middle.interface import AnswerContext, SentTool, StreamWriter
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.state import State
from wiremend.protocols.base.middle.writer import AnswerWriter
from wiremend.protocols.base.provider_error import ProviderError, own_error
from wiremend.protocols.responses.read.kinds import PROTOCOL, is_compaction
from wiremend.protocols.responses.write.compaction import CompactionWriter
from wiremend.protocols.responses.write.frames import (
    Frames,
    ResponseFrames,
    without_halves,
)
from wiremend.protocols.responses.write.parts import (
    AnswerItems,
    CallWriter,
    CollectedCall,
    ImageWriter,
    MessageWriter,
    PartWriter,
    SearchWriter,
    ThinkingWriter,
)
from wiremend.protocols.responses.write.restored import RestoringWriter


def make_writer(context: AnswerContext, losses: Losses) -> StreamWriter:
    """Return the writer of one stream for a client."""
    if context.origin.protocol is PROTOCOL:
        return RestoringWriter()
    if is_compaction(context.path, context.request):
        return CompactionWriter(context, losses)
    return ResponsesWriter(context, losses)


class ResponsesWriter(AnswerWriter):
    """Writes one stream with the answer of a provider of another protocol.

    Items are written one after the other: some clients do not take those that overlap.
    """

    def __init__(self, context: AnswerContext, losses: Losses) -> None:
        super().__init__(context, losses)
        self._frames = Frames()
        self._response = ResponseFrames(context, self._frames)
        self._items = AnswerItems(context, self._frames, losses)
        self._part: PartWriter = PartWriter()
        self._message: MessageWriter | None = None
        """The message that is open; further texts belong to it."""
        self._bound_state: State | None = None
        """State that is bound to the open part, which is no reasoning."""
        self._half = ""
        """The first half of a character whose second half has not come."""
        self._cut_calls: list[CallWriter | CollectedCall] = []
        """Calls that ended inside their arguments."""
        self._has_refusal = False

    def _taken(self) -> bytes:
        return self._frames.taken()

    def _begin_answer(self, event: Start) -> None:
        self._response.begin()

    def _keep_state(self, event: PartState) -> None:
        if isinstance(self._part, ThinkingWriter):
            self._part.keep(event.state)
        else:
            self._bound_state = event.state

    def _cite(self, event: PartCitation) -> None:
        self._part.cite(event.citation)

    def _write_own(self, event: OwnEvent) -> None:
        """Nothing: it is an event of the provider's protocol."""

    def _write_error(self, error: ProviderError) -> None:
        self._response.fail(error)

    # Parts

    def _begin(self, event: PartStart) -> None:
        self._response.begin()
        part = event.part
        is_in_message = isinstance(part, Text | Refusal)
        self._has_refusal |= isinstance(part, Refusal)
        if not is_in_message:
            self._end_message("completed")
        if isinstance(part, Text | Call) and part.state is not None:
            self._write_state(part.state)
        if is_in_message:
            self._message = self._message or MessageWriter(self._items)
            self._part = self._message.part(part)
        else:
            self._part = self._writer(part, event.number)

    def _end_message(self, status: str) -> None:
        if self._message is not None:
            self._message.end(status)
            self._message = None

    def _write_state(self, state: State) -> None:
        """Write state that is bound to a text or a call, as reasoning without text beside it."""
        self._end_message("completed")
        ThinkingWriter(self._items, state).end()

    def _writer(self, part: Part, number: int) -> PartWriter:
        match part:
            case Thinking():
                return ThinkingWriter(self._items, part.state)
            case Call():
                return self._call_writer(part, number)
            case ServerCall(name="web_search"):
                return SearchWriter(self._items, part)
            case ServerResult(name="web_search"):
                return PartWriter()  # its sources are in the annotations of the text
            case Media(kind=MediaKind.IMAGE, source=Base64Source(data=data)):
                return ImageWriter(self._items, data)
            case _:
                found = part.kind if isinstance(part, Opaque | Media) else type(part).__name__
                if isinstance(part, ServerCall | ServerResult):
                    found = f"{found} of {part.name}"
                self._losses.add_in_answer(LossKind.ANSWER_CONTENT, str(found))
                return PartWriter()

    def _call_writer(self, call: Call, number: int) -> CallWriter | CollectedCall:
        as_named = SentTool(call.name, call.namespace, call.kind)
        sent = self._context.tools.get(call.name, as_named)
        is_collected = sent.kind is CallKind.TYPED or bool(sent.argument)
        if is_collected and call.kind is CallKind.FUNCTION:
            return CollectedCall(self._items, call, sent, number)
        return CallWriter(self._items, call, sent, number)

    def _add(self, event: PartDelta) -> None:
        """Write text, but no half of a character: some clients cannot read it."""
        text = self._half + event.text
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        self._part.add(without_halves(text.removesuffix(self._half)))

    def _close(self, event: PartEnd) -> None:
        if self._half:
            self._part.add(without_halves(self._half))
            self._half = ""
        part, self._part = self._part, PartWriter()
        if not isinstance(part, CallWriter | CollectedCall):
            part.end()
        elif part.is_complete:
            part.end_with("completed")
        else:
            self._cut_calls.append(part)
        if self._bound_state is not None:
            self._write_state(self._bound_state)
            self._bound_state = None

    # The end

    def _end_content(self, event: Stop) -> None:
        super()._end_content(event)
        is_cut = event.reason in CUT_REASONS
        if self._cut_calls and not is_cut:
            name = self._cut_calls[0].name
            message = f"The provider ended inside the arguments of a call of {name!r}."
            self._fail(own_error(message))
            return
        status = "incomplete" if is_cut else "completed"
        for call in self._cut_calls:
            call.end_with(status)
        self._end_message(status)
        if event.reason is StopReason.PAUSED:
            self._losses.add_in_answer(LossKind.ANSWER_STOP, "pause of a tool", "completed")

    def _finish(self) -> None:
        self._response.begin()
        reason = self._stop.reason
        cut_by = ""
        if reason in (StopReason.LIMIT, StopReason.WINDOW):
            cut_by = "max_output_tokens"
        elif reason is StopReason.REFUSED and not self._has_refusal:
            cut_by = "content_filter"
        self._response.complete(self._counted(), cut_by)
