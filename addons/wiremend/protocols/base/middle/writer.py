"""What the writers of all protocols share: taking events, bytes, counts, and the only end."""

from abc import ABC, abstractmethod
from dataclasses import replace

from wiremend.protocols.base.middle.answer import (
    AnswerEvent,
    End,
    Failure,
    OwnEvent,
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
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.sequence import InSequence
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.usage import BYTES_PER_TOKEN, NO_USAGE, Usage

_MARK = "\ue000 the text of a delta \ue000"
"""Text that no other member of an event contains."""


class AnswerWriter(ABC):
    """Writes one stream for a client; each protocol has methods for the kinds of events.

    `may_overlap`: the protocol has parts that overlap. Otherwise only one part is open at a time.
    """

    def __init__(
        self, context: AnswerContext, losses: Losses, *, may_overlap: bool = False
    ) -> None:
        self._context = context
        self._losses = losses
        self._sequence = None if may_overlap else InSequence()
        self._out = bytearray()
        self._stop = Stop(StopReason.END)
        self._usage = NO_USAGE
        self._text_bytes = 0
        """The size of the text, reasoning and arguments so far."""
        self._is_ended = False
        self._failure: ProviderError | None = None

    @property
    def failure(self) -> ProviderError | None:
        """The error in which the writer itself ended the stream; None if it did not."""
        return self._failure

    def feed(self, event: AnswerEvent) -> bytes:
        """Return the bytes of the events that this event becomes."""
        for due in (event,) if self._sequence is None else self._sequence.feed(event):
            if not self._is_ended:
                self._write(due)
        return self._taken()

    def frame_of_text(self, number: int) -> tuple[bytes, bytes] | None:
        """Return the bytes around the text of a delta; None if they may change."""
        if self._is_ended or not self._writes_alike(number):
            return None
        self._add(PartDelta(number, _MARK))
        written = self._taken()
        before, mark, after = written.partition(_MARK.encode())
        return (before, after) if mark else None

    def skip_text(self, number: int, text: str) -> None:
        """Count the text of deltas that are not fed."""
        self._text_bytes += len(text.encode("utf-8", "replace"))

    def _writes_alike(self, number: int) -> bool:
        """Return whether more text of a part changes no state but its size."""
        return False

    def _taken(self) -> bytes:
        """Return the bytes since the last call."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def _write(self, event: AnswerEvent) -> None:
        match event:
            case PartDelta():
                self._text_bytes += len(event.text.encode("utf-8", "replace"))
                self._add(event)
            case PartStart():
                self._begin(event)
            case PartEnd():
                self._close(event)
            case PartState():
                self._keep_state(event)
            case PartCitation():
                self._cite(event)
            case UsageCounts():
                self._count(event)
            case Start():
                self._begin_answer(event)
            case Stop():
                self._end_content(event)
            case OwnEvent():
                self._write_own(event)
            case Failure():
                self._is_ended = True
                self._write_error(event.error)
            case End():
                self._finish()
                self._is_ended = True

    def _fail(self, error: ProviderError) -> None:
        """End the stream in an error that the writer found, and report it."""
        self._is_ended = True
        self._failure = error
        self._write_error(error)

    def _count(self, event: UsageCounts) -> None:
        self._usage = self._usage.merged(event.usage)

    def _counted(self) -> Usage:
        """Return the counts; where the provider sent none, they are estimated.

        Clients decide by them when to compact a conversation.
        """
        usage = self._usage
        if usage.output_tokens is not None:
            return usage
        output = -(-self._text_bytes // BYTES_PER_TOKEN)
        read = usage.input_tokens if usage.input_tokens is not None else self._context.input_tokens
        found = "no counts of tokens"
        self._losses.add_in_answer(
            LossKind.ANSWER_USAGE, found, f"{output} output tokens estimated"
        )
        return replace(usage, input_tokens=read, output_tokens=output)

    def _end_content(self, event: Stop) -> None:
        self._stop = event

    @abstractmethod
    def _write_own(self, event: OwnEvent) -> None:
        """Write an event that only one protocol has: nothing, if it is another one."""

    @abstractmethod
    def _begin_answer(self, event: Start) -> None: ...

    @abstractmethod
    def _begin(self, event: PartStart) -> None: ...

    @abstractmethod
    def _add(self, event: PartDelta) -> None: ...

    @abstractmethod
    def _keep_state(self, event: PartState) -> None: ...

    @abstractmethod
    def _cite(self, event: PartCitation) -> None: ...

    @abstractmethod
    def _close(self, event: PartEnd) -> None: ...

    @abstractmethod
    def _write_error(self, error: ProviderError) -> None: ...

    @abstractmethod
    def _finish(self) -> None:
        """Write the terminal event."""
