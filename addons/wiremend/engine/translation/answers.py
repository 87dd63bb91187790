"""Translating the answers of a target that has another protocol than the client."""

from collections.abc import Mapping

from wiremend.engine.actions import Head
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import ProviderError, own_error
from wiremend.protocols.base.repairer import EventKind, Repaired, RepairedBody, StreamContext
from wiremend.protocols.gemini.array_stream import ArrayStream
from wiremend.repair.stream import StreamRepair
from wiremend.rules.containment import Fault, contain
from wiremend.rules.rule import Finding
from wiremend.text import json_value
from wiremend.translate.answer import Direction, StreamTranslation, translate_body
from wiremend.translate.errors import translated_error
from wiremend.value_class import copier, value_class

_KEPT_HEADERS = (b"request-id", b"x-request-id", b"retry-after")
"""Headers of a provider's answer that mean the same in every protocol."""
_TOO_LARGE = own_error("An event of the provider is too large to be translated.", type="api_error")
_changed_answer = copier(AnswerContext)
_FAULT = own_error("wiremend failed to translate the provider's answer.", type="api_error")


@value_class
class TargetTranslation:
    """How the answers of one target are translated."""

    direction: Direction
    context: StreamContext
    """The parts of the translated request that repair needs, in the provider's protocol."""
    answer: AnswerContext
    """What is the same for all attempts at this target."""
    findings: tuple[Finding, ...] = ()
    """What rules found when the request was translated."""
    is_array: bool = False
    """Whether the client reads a stream as one JSON array (Gemini without `alt=sse`)."""

    @property
    def provider(self) -> Protocol:
        """The provider's protocol."""
        return self.direction.provider

    def with_answer(self, answer_id: str, created: int) -> "TargetTranslation":
        """Return the translation of the answer with this id and time, in seconds since 1970."""
        answer = _changed_answer(self.answer, answer_id=answer_id, created=created)
        return TargetTranslation(self.direction, self.context, answer, self.findings, self.is_array)

    def stream(self, repair: StreamRepair, faults: list[Fault]) -> "TranslatedRepair":
        """Return the translation of an event stream, behind its repair."""
        translation = StreamTranslation(self.direction, self.answer, self.context.disabled)
        return TranslatedRepair(repair, translation, faults, is_array=self.is_array)

    def body(self, body: bytes, faults: list[Fault]) -> RepairedBody:
        """Translate the repaired body of a successful answer."""

        def failed(fault: Fault) -> RepairedBody:
            faults.append(fault)
            return RepairedBody(b"", error=_FAULT)

        return contain("translating a body", failed, self._body, body)

    def _body(self, body: bytes) -> RepairedBody:
        value = json_value.read(body) if json_value.parses(body) else None
        if not isinstance(value, Mapping):
            message = "The provider sent a body that is no answer."
            error = own_error(message, type="api_error")
            return RepairedBody(b"", error=error)
        return translate_body(self.direction, value, self.answer, self.context.disabled)

    def error(self, error: ProviderError) -> ProviderError:
        """Return an error of the provider as the client's protocol reports it."""
        direction = self.direction
        return translated_error(
            error,
            direction.provider.name,
            direction.client.name,
            prompt_tokens=self.answer.input_tokens,
        )

    def stream_head(self, received: Head | None) -> Head:
        """Return the head of a translated stream."""
        content_type = b"application/json" if self.is_array else b"text/event-stream"
        fields = ((b"content-type", content_type), (b"cache-control", b"no-cache"))
        return Head(200, (*fields, *_kept(received)))

    def whole_head(self, received: Head, body: bytes) -> Head:
        """Return the head of a translated body."""
        length = b"%d" % len(body)
        fields = ((b"content-type", b"application/json"), (b"content-length", length))
        return Head(received.status, (*fields, *_kept(received)))


def _kept(head: Head | None) -> list[tuple[bytes, bytes]]:
    if head is None:
        return []
    return [(name, value) for name, value in head.fields if name.lower() in _KEPT_HEADERS]


class TranslatedRepair:
    """Takes the bytes of the body, like `StreamRepair`, and returns events for the client.

    Errors in its results are in the provider's words: what follows from them is decided by these.
    """

    is_inside_event = False
    """Always: an event that is too large to be read ends the stream."""

    def __init__(
        self,
        repair: StreamRepair,
        translation: StreamTranslation,
        faults: list[Fault],
        *,
        is_array: bool,
    ) -> None:
        self._repair = repair
        self._translation = translation
        self._faults = faults
        self._array = ArrayStream() if is_array else None

    @property
    def gave_up(self) -> bool:
        """Whether repairing has stopped. What follows is translated as it was received."""
        return self._repair.gave_up

    @property
    def complete(self) -> bool:
        """Whether the response is complete, except perhaps for the terminal event."""
        return self._repair.complete

    @property
    def may_break_off(self) -> bool:
        """Whether the response may be complete if the connection breaks here; `end` decides."""
        return self._repair.may_break_off

    @property
    def holds_back(self) -> bool:
        """Whether bytes are held back until the next event."""
        return self._repair.holds_back

    def feed(self, data: bytes) -> list[Repaired]:
        """Repair and translate the events that `data` completes, in order."""
        translated = [self._translated(repaired) for repaired in self._repair.feed(data)]
        if self._repair.is_inside_event:
            translated.append(Repaired(self.fail(_TOO_LARGE), EventKind.ERROR, error=_TOO_LARGE))
        return translated

    def release(self) -> list[Repaired]:
        """Write what is held back although no further event came."""
        return [self._translated(repaired) for repaired in self._repair.release()]

    def end(self) -> list[Repaired]:
        """Translate the last bytes; the last result is the end of the stream."""
        return [self._translated(repaired) for repaired in self._repair.end()]

    def missing_end(self) -> list[Repaired]:
        """Return the end of a stream that lacks nothing else; empty if it lacks more.

        What shows that it lacks more is not written: `fail` ends the stream with the reason.
        """
        return [self._translated(repaired) for repaired in self._repair.missing_end()]

    def pass_the_rest(self, finding: Finding) -> Repaired:
        """Stop repairing for the reason in `finding`; return what was held back."""
        return self._translated(self._repair.pass_the_rest(finding))

    def take_held(self) -> bytes:
        """Return nothing: what the repairer holds back is not in the client's protocol."""
        return b""

    def fail(self, error: ProviderError) -> bytes:
        """Return the bytes that end the stream in this error, in the client's protocol."""
        return self._framed(self._ended_in(error), is_end=True)

    def _ended_in(self, error: ProviderError) -> bytes:
        def plain(fault: Fault) -> bytes:
            self._faults.append(fault)
            write = "writing an error event"
            return contain(write, lambda _: b"", self._translation.plain_error, error)

        return contain("ending a translated stream", plain, self._translation.fail, error)

    def _translated(self, repaired: Repaired) -> Repaired:
        translated = contain("translating an event", self._failed, self._translation.feed, repaired)
        is_end = translated.kind in (EventKind.TERMINAL, EventKind.ERROR)
        data = self._framed(translated.data, is_end=is_end)
        error = repaired.error or translated.error
        return Repaired(data, translated.kind, translated.findings, error)

    def _failed(self, fault: Fault) -> Repaired:
        self._faults.append(fault)
        return Repaired(self._ended_in(_FAULT), EventKind.ERROR, error=_FAULT)

    def _framed(self, data: bytes, *, is_end: bool) -> bytes:
        if self._array is None:
            return data
        return self._array.feed(data) + (self._array.end() if is_end else b"")
