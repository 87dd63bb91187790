"""What the writers of all protocols share: taking events, bytes, counts, and the only end."""

from abc import ABC, abstractmethod

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
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.sequence import InSequence
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.usage import NO_USAGE


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

    def _taken(self) -> bytes:
        """Return the bytes since the last call."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def _write(self, event: AnswerEvent) -> None:
        match event:
            case PartDelta():
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
