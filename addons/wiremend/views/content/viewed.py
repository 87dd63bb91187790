"""What a view is made of: the record of a call, and its messages read into the middle form."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from wiremend.call_record.schema import CallRecord, KeptBody
from wiremend.protocols.base.middle.answer import (
    AnswerEvent,
    End,
    Failure,
    PartDelta,
    PartStart,
    Start,
    Stop,
    UsageCounts,
)
from wiremend.protocols.base.middle.content import (
    Call,
    Part,
    Refusal,
    ServerCall,
    Text,
    Thinking,
)
from wiremend.protocols.base.middle.conversation import Conversation
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.middle.state import Origin
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import ProviderError, read_error
from wiremend.protocols.base.usage import NO_USAGE, Usage
from wiremend.protocols.registry import PROTOCOLS, recognise
from wiremend.text import json_value, sse
from wiremend.text.body_form import BodyForm, form_of
from wiremend.text.json_array import ArrayDecoder

READ_LIMIT_BYTES = 2 * 1024 * 1024
"""A longer body is read up to here: views run on the event loop, and all traffic waits."""
_FORM_BYTES = 256


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """A request, as its flow contains it: without content coding."""

    method: str
    path: str
    content_type: str
    body: bytes

    def protocol(self) -> Protocol | None:
        """Return the protocol that the path belongs to; None if it is no call."""
        return recognise(self.method, self.path, self.content_type)


@dataclass(frozen=True, slots=True)
class ShownResponse:
    """A response, as its flow contains it: without content coding."""

    status: int
    body: bytes | None
    """None: it was not kept."""


@dataclass(frozen=True)
class ViewedCall:
    """One call: the input of every view."""

    request: ShownRequest
    response: ShownResponse | None = None
    record: CallRecord | None = None
    error: str = ""
    """mitmproxy's text for a flow that failed."""
    rule_names: Mapping[str, str] = field(default_factory=dict)
    """The names of rules by their codes."""
    earlier: Callable[[], Sequence["ViewedCall"]] = tuple
    """Return calls before this one, the latest first."""

    @cached_property
    def conversation(self) -> Conversation | None:
        """The request that is shown; None if it cannot be read."""
        return read_conversation(self.request)

    @cached_property
    def answer(self) -> "Answer | None":
        """The answer that the client received; None if there is none, or it cannot be read."""
        protocol = self.client_protocol
        response = self.response
        if protocol is None or response is None or response.body is None:
            return None
        return read_answer(protocol, response.body)

    @property
    def client_protocol(self) -> Protocol | None:
        """The protocol of the client, which a translated request is not in."""
        by_name = {protocol.name.value: protocol for protocol in PROTOCOLS.values()}
        named = by_name.get(self.record.protocol) if self.record is not None else None
        return named or self.request.protocol()


def read_conversation(request: ShownRequest) -> Conversation | None:
    """Return a request in the middle form; None if it is no call, or has no JSON object."""
    protocol = request.protocol()
    if protocol is None or protocol.translation is None:
        return None
    try:
        body = json_value.read(request.body)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    for wrapper in protocol.request_wrappers:
        if isinstance(inner := body.get(wrapper), dict):
            body = inner
            break
    return protocol.translation.read_request(request.path, body)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as far as it came."""

    parts: tuple[Part, ...] = ()
    model: str = ""
    """The model as the answer names it."""
    stop: Stop | None = None
    usage: Usage = NO_USAGE
    failure: ProviderError | None = None
    is_complete: bool = False
    events: int = 0
    """The number of events with data; 0 for a body that is no stream."""
    is_cut_short: bool = False
    """Whether the body is longer than what was read."""


def read_answer(protocol: Protocol, body: bytes) -> Answer | None:
    """Return the answer in a body; None if the body is neither events nor JSON."""
    form = form_of(body[:_FORM_BYTES])
    limited = body[:READ_LIMIT_BYTES]
    if form in (BodyForm.EVENTS, BodyForm.ARRAY):
        answer = _read_events(protocol, list(events_of(limited)), is_stream=True)
        return replace(answer, is_cut_short=len(limited) < len(body))
    try:
        value = json_value.read(body)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    if (error := read_error(value)) is not None:
        return Answer(failure=error)
    decoder = sse.Decoder()
    events = decoder.feed(b"".join(protocol.unfold(value)))
    return _read_events(protocol, [*events, *decoder.end()], is_stream=False)


def events_of(body: bytes) -> Iterator[sse.Event]:
    """Yield the events of a stream: server-sent events, or the elements of a JSON array."""
    is_array = form_of(body[:_FORM_BYTES]) is BodyForm.ARRAY
    decoder = ArrayDecoder() if is_array else sse.Decoder()
    yield from decoder.feed(body)
    yield from decoder.end()


def _read_events(protocol: Protocol, events: Sequence[sse.Event], *, is_stream: bool) -> Answer:
    assert protocol.translation is not None
    context = AnswerContext(Origin(protocol.name))
    reader = protocol.translation.make_reader(context, Losses())
    collector = _Collector()
    for event in events:
        collector.take(reader.feed(event))
    if not collector.is_ended:
        # Without a terminal event the reader reports a failure that was not sent.
        collector.take([event for event in reader.end() if not isinstance(event, Failure)])
    counted = sum(event.data is not None for event in events) if is_stream else 0
    return collector.answer(counted)


class _Collector:
    """Puts the events of an answer together."""

    def __init__(self) -> None:
        self._parts: dict[int, Part] = {}
        self._texts: dict[int, list[str]] = {}
        self._stop: Stop | None = None
        self._usage = NO_USAGE
        self._failure: ProviderError | None = None
        self._model = ""
        self._is_complete = False

    @property
    def is_ended(self) -> bool:
        return self._is_complete or self._failure is not None

    def take(self, events: Sequence[AnswerEvent]) -> None:
        for event in events:
            match event:
                case Start(model=model):
                    self._model = model
                case PartStart(number, part):
                    self._parts[number] = part
                case PartDelta(number, text):
                    self._texts.setdefault(number, []).append(text)
                case UsageCounts(usage):
                    self._usage = self._usage.merged(usage)
                case Stop():
                    self._stop = event
                case Failure(error):
                    self._failure = error
                case End():
                    self._is_complete = True
                case _:
                    pass

    def answer(self, events: int) -> Answer:
        parts = [
            _with_text(part, "".join(self._texts.get(number, ())))
            for number, part in sorted(self._parts.items())
        ]
        return Answer(
            parts=tuple(parts),
            model=self._model,
            stop=self._stop,
            usage=self._usage,
            failure=self._failure,
            is_complete=self._is_complete,
            events=events,
        )


def _with_text(part: Part, text: str) -> Part:
    """Return a part with the text of its deltas."""
    if not text:
        return part
    match part:
        case Text() | Thinking() | Refusal():
            return replace(part, text=part.text + text)
        case Call() | ServerCall():
            return replace(part, arguments=part.arguments + text)
        case _:
            return part


def kept_data(body: KeptBody | None) -> bytes | None:
    """Return the bytes of a kept body; None if it was not kept, or only partly."""
    if body is None or body.size > len(body.data):
        return None
    return body.data
