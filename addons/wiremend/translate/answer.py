"""An answer of a provider, translated into the protocol of the client."""

from collections.abc import Mapping, Sequence, Set
from typing import Any
from typing import Protocol as Interface

from wiremend.protocols.base.middle.answer import AnswerEvent, Failure, PartDelta
from wiremend.protocols.base.middle.interface import AnswerContext, Translation
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import ProviderError, own_error
from wiremend.protocols.base.repairer import EventKind, Repaired, RepairedBody, Run
from wiremend.rules.rule import Finding, Notes
from wiremend.text import json_value, sse
from wiremend.translate.code_fence import WithoutFence
from wiremend.translate.errors import translated_error
from wiremend.translate.rules import note_losses
from wiremend.translate.think_tags import ThinkTags
from wiremend.value_class import value_class


@value_class
class Direction:
    """The two protocols of a translated call."""

    provider: Protocol
    client: Protocol

    @property
    def reading(self) -> Translation:
        """The translation of the provider's protocol."""
        assert self.provider.translation is not None
        return self.provider.translation

    @property
    def writing(self) -> Translation:
        """The translation of the client's protocol."""
        assert self.client.translation is not None
        return self.client.translation


class _Filter(Interface):
    """What stands between a reader and a writer."""

    def feed(self, event: AnswerEvent) -> list[AnswerEvent]:
        """Return the event, or what replaces it."""
        ...


@value_class
class _Frame:
    """What surrounds the texts of a run for the client."""

    of: tuple[bytes, bytes]
    """What surrounds them in the provider's events."""
    number: int
    """That of their part."""
    before: bytes
    after: bytes


class StreamTranslation:
    """Translates one event stream, behind the repairer of the provider's protocol."""

    def __init__(
        self, direction: Direction, context: AnswerContext, disabled: Set[str] = frozenset()
    ) -> None:
        self._direction = direction
        self._context = context
        self._disabled = disabled
        self._losses = Losses()
        self._decoder = sse.Decoder()
        self._reader = direction.reading.make_reader(context, self._losses)
        self._writer = direction.writing.make_writer(context, self._losses)
        self._filters: list[_Filter] = []
        if context.think_tags:
            self._filters.append(ThinkTags(context.origin))
        if context.asks_in_words:
            self._filters.append(WithoutFence())
        self._failure: ProviderError | None = None
        self._frame: _Frame | None = None
        """That of the last run, if nothing followed it."""

    def feed(self, repaired: Repaired) -> Repaired:
        """Return what repaired bytes become for the client, of the same kind.

        An error that the repairer reports, or one that the reader finds, ends the stream in the
        client's protocol; the result is then of the kind ERROR.
        """
        if repaired.run is not None and self._can_frame(repaired):
            out = self._feed_run(repaired.run)
        elif isinstance(repaired.value, dict) and self._decoder.is_between_events:
            self._frame = None
            out = bytearray(self._write(self._reader.read(repaired.value), repaired.error))
        else:
            out = self._feed(repaired.data, repaired.error)
        if repaired.kind in (EventKind.TERMINAL, EventKind.ERROR):
            for event in self._decoder.end():
                out += self._write(self._reader.feed(event), repaired.error)
            out += self._write(self._reader.end(), repaired.error)
        kind, error = repaired.kind, repaired.error
        if error is not None:
            error = self._translated(error)
        elif self._failure is not None:
            kind, error = EventKind.ERROR, self._failure
        return Repaired(bytes(out), kind, [*repaired.findings, *self._findings()], error)

    def _feed(self, data: bytes, error: ProviderError | None = None) -> bytearray:
        """Return what the events become that these bytes complete."""
        out = bytearray()
        self._frame = None
        for event in self._decoder.feed(data):
            out += self._write(self._reader.feed(event), error)
        return out

    def _can_frame(self, repaired: Repaired) -> bool:
        """Return whether the texts of a run are written as they are: `\\/` would become `/`."""
        is_between_events = not self._decoder.pending_bytes
        is_usual = b"\\/" not in repaired.data and b"\\u" not in repaired.data
        return is_between_events and not self._filters and is_usual

    def _feed_run(self, run: Run) -> bytearray:
        """Return what the deltas of a run become.

        The first one is translated. If more of them change no state of reader and writer, the
        texts of the others are put into the same bytes.
        """
        out, texts = bytearray(), run.texts
        if self._frame is None or self._frame.of != (run.before, run.after):
            self._frame = None
            first, texts = texts[0], texts[1:]
            for event in self._decoder.feed(run.before + first + run.after):
                read = self._reader.feed(event)
                out += self._write(read, None)
                self._frame = self._frame_of(run, read)
        frame = self._frame
        if frame is None:
            for text in texts:
                out += self._feed(run.before + text + run.after)
        elif texts:
            self._writer.skip_text(frame.number, json_value.read(b'"%s"' % b"".join(texts)))
            between = frame.after + frame.before
            out += frame.before + between.join(texts) + frame.after
        return out

    def _frame_of(self, run: Run, read: Sequence[AnswerEvent]) -> "_Frame | None":
        """Return the frame of the texts of a run, of which one delta was read and written."""
        delta = read[0] if len(read) == 1 else None
        if not isinstance(delta, PartDelta) or not self._reader.takes_alike(delta.number):
            return None
        frame = self._writer.frame_of_text(delta.number)
        return None if frame is None else _Frame((run.before, run.after), delta.number, *frame)

    def fail(self, error: ProviderError) -> bytes:
        """Return the bytes that end the stream in an error of the proxy or the provider."""
        return self._write([Failure(error)], None)

    def plain_error(self, error: ProviderError) -> bytes:
        """Return the error as an event of the client's protocol, without the state of the stream.

        It ends a stream whose writer is broken.
        """
        body = self._direction.client.error_body(self._translated(error))
        return sse.encode(body, "error")

    def _write(self, events: Sequence[AnswerEvent], error: ProviderError | None) -> bytes:
        out = bytearray()
        for event in events:
            if isinstance(event, Failure):
                event = Failure(self._translated(error or event.error))
                self._failure = event.error
            due = [event]
            for each in self._filters:
                due = [passed for one in due for passed in each.feed(one)]
            for one in due:
                out += self._writer.feed(one)
        self._failure = self._failure or self._writer.failure
        return bytes(out)

    def _translated(self, error: ProviderError) -> ProviderError:
        direction = self._direction
        return translated_error(
            error.with_default_message("an error"),
            direction.provider.name,
            direction.client.name,
            prompt_tokens=self._context.input_tokens,
        )

    def _findings(self) -> list[Finding]:
        losses = self._losses.taken()
        if not losses:
            return []
        notes = Notes(self._disabled)
        note_losses(losses, notes)
        return notes.findings


_NO_ANSWER = own_error("The provider's answer could not be read.")


def translate_body(
    direction: Direction,
    body: Mapping[str, Any],
    context: AnswerContext,
    disabled: Set[str] = frozenset(),
) -> RepairedBody:
    """Translate a whole answer, by way of the stream with the same content.

    `body` is the parsed and repaired body of a successful answer.
    """
    stream = StreamTranslation(direction, context, disabled)
    data = b"".join(direction.provider.unfold(body))
    translated = stream.feed(Repaired(data, EventKind.TERMINAL))
    return folded(direction.client, translated)


def folded(client: Protocol, translated: Repaired) -> RepairedBody:
    """Return a translated stream, which is complete, as a body of the client's protocol."""
    error = translated.error
    whole = client.fold(_values(translated.data)) if error is None else None
    if whole is None:
        error = error or _NO_ANSWER
        return RepairedBody(client.error_body(error), translated.findings, error)
    return RepairedBody(json_value.write(whole), translated.findings)


def _values(stream: bytes) -> list[Mapping[str, Any]]:
    """Return the JSON objects in the events of a stream."""
    decoder = sse.Decoder()
    values: list[Mapping[str, Any]] = []
    for event in [*decoder.feed(stream), *decoder.end()]:
        if event.data is not None and event.data.startswith(b"{"):
            values.append(json_value.read(event.data))
    return values
