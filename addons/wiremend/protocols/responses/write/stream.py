"""Writing the events of an answer as a stream."""

from wiremend.protocols.base.middle.answer import (
    CUT_REASONS,
    AnswerEvent,
    End,
    Failure,
    PartCitation,
    PartDelta,
    PartEnd,
    PartStart,
    PartState,
    Start,
    Stop,
    StopReason,
    UsageCounts,
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
from wiremend.protocols.base.middle.sequence import InSequence
from wiremend.protocols.base.middle.state import State
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.usage import NO_USAGE
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


class ResponsesWriter:
    """Writes one stream with the answer of a provider of another protocol.

    Items are written one after the other: some clients do not take those that overlap.
    """

    def __init__(self, context: AnswerContext, losses: Losses) -> None:
        self._context = context
        self._losses = losses
        self._sequence = InSequence()
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
        self._stop = Stop(StopReason.END)
        self._usage = NO_USAGE
        self._is_ended = False

    def feed(self, event: AnswerEvent) -> bytes:
        """Return the bytes of the events that this event becomes."""
        for due in self._sequence.feed(event):
            if not self._is_ended:
                self._write(due)
        return self._frames.taken()

    def _write(self, event: AnswerEvent) -> None:
        match event:
            case Start():
                self._response.begin()
            case UsageCounts():
                self._usage = self._usage.merged(event.usage)
            case PartStart():
                self._response.begin()
                self._begin(event)
            case PartDelta():
                self._add(event.text)
            case PartState() if isinstance(self._part, ThinkingWriter):
                self._part.keep(event.state)
            case PartState():
                self._bound_state = event.state
            case PartCitation():
                self._part.cite(event.citation)
            case PartEnd():
                self._end_part()
            case Stop():
                self._write_stop(event)
            case Failure():
                self._is_ended = True
                self._response.fail(event.error)
            case End():
                self._finish()

    # Parts

    def _begin(self, event: PartStart) -> None:
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

    def _add(self, text: str) -> None:
        """Write text, but no half of a character: some clients cannot read it."""
        text = self._half + text
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        self._part.add(without_halves(text.removesuffix(self._half)))

    def _end_part(self) -> None:
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

    def _fail(self, call: CallWriter | CollectedCall) -> None:
        self._is_ended = True
        message = f"The provider ended inside the arguments of a call of {call.name!r}."
        self._response.fail(make_error(status=502, message=message))

    def _write_stop(self, stop: Stop) -> None:
        self._stop = stop
        is_cut = stop.reason in CUT_REASONS
        if self._cut_calls and not is_cut:
            self._fail(self._cut_calls[0])
            return
        status = "incomplete" if is_cut else "completed"
        for call in self._cut_calls:
            call.end_with(status)
        self._end_message(status)
        if stop.reason is StopReason.PAUSED:
            self._losses.add_in_answer(LossKind.ANSWER_STOP, "pause of a tool", "completed")

    def _finish(self) -> None:
        self._is_ended = True
        self._response.begin()
        reason = self._stop.reason
        cut_by = ""
        if reason in (StopReason.LIMIT, StopReason.WINDOW):
            cut_by = "max_output_tokens"
        elif reason is StopReason.REFUSED and not self._has_refusal:
            cut_by = "content_filter"
        self._response.complete(self._usage, cut_by)
