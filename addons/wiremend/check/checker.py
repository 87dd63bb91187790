"""Checks one recorded exchange: plans the call and runs its machine, as the live proxy does.

Nothing is sent, no time passes, and there is one attempt, so that what the machine finds is about
the recorded response alone. As live, what follows the terminal event of a stream is not read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from wiremend.call_record.outcomes import CallState
from wiremend.check.blocks import Blocks, blocks_of
from wiremend.engine.actions import Action, CutResponse, Head, Respond, ShowBody, ShowHead
from wiremend.engine.call import Call
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.plan import plan_call
from wiremend.engine.settings import Feature, Knowledge, Settings
from wiremend.engine.unrepaired.reporting import ResponseObserver, on_response
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.registry import PROTOCOLS, recognise
from wiremend.recording.exchange import (
    Ending,
    Exchange,
    Headers,
    RecordedResponse,
    header_value,
)
from wiremend.rules.rule import EventPlace, Finding
from wiremend.secrets import without_quoted_bytes
from wiremend.text.body_form import BodyForm, form_of
from wiremend.text.content_coding import UndecodableBody, decoder_for

FEATURES = frozenset({Feature.ADAPT, Feature.REPAIR, Feature.RAISE})
_FORM_BYTES = 256
_CODING = "content-encoding"
_PATHS = {
    WireProtocol.ANTHROPIC_MESSAGES: "/v1/messages",
    WireProtocol.CHAT_COMPLETIONS: "/v1/chat/completions",
    WireProtocol.RESPONSES: "/v1/responses",
}


@dataclass(frozen=True, slots=True)
class Received:
    """What a client of the proxy would have received."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    is_error: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """The findings on one exchange."""

    protocol: WireProtocol
    model: str
    request: tuple[Finding, ...] = ()
    response: tuple[Finding, ...] = ()
    blocks: Blocks = field(default_factory=Blocks)
    """The blocks of the events in `response`."""
    notes: tuple[str, ...] = ()
    """What could not be checked, or not exactly."""
    received: Received | None = None
    """None unless it was asked for."""
    adapted: OutgoingRequest | None = None
    """The request as its provider accepts it, without content coding; None: there is no finding."""


def check_exchange(
    exchange: Exchange, settings: Settings, *, keeps_received: bool = False
) -> Checked | None:
    """Check an exchange; None if it is not a call to a model.

    `keeps_received`: also return what a client would have received.
    """
    protocol = protocol_of(exchange)
    if protocol is None:
        return None
    call = _planned(exchange, protocol, settings)
    model = call.context.model
    live = exchange.live_findings
    if live is not None:
        return Checked(protocol.name, model, live.request, live.response, notes=exchange.notes)
    request = call.findings if exchange.is_checked and exchange.body is not None else ()
    adapted = call.request_for(0) if request else None
    checked = Checked(protocol.name, model, request, notes=exchange.notes, adapted=adapted)
    response = exchange.response
    if response is None and exchange.transport_findings:
        return replace(checked, response=exchange.transport_findings)
    if response is None and exchange.ending is not Ending.CUT:
        return _noted(checked, "there is no response")
    if response is not None and response.body is None and exchange.ending is not Ending.CUT:
        return _noted(checked, "the body of the response was not recorded")
    machine, received = _run(exchange, call, keeps_received=keeps_received)
    findings = (*map(on_response, machine.findings), *exchange.transport_findings)
    blocks = _blocks(call, response, findings)
    return replace(checked, response=findings, blocks=blocks, received=received)


def _noted(checked: Checked, note: str) -> Checked:
    return replace(checked, notes=(*checked.notes, note))


def protocol_of(exchange: Exchange) -> Protocol | None:
    """Return the protocol of an exchange; None if it is not a call to a model."""
    if exchange.protocol is not None:
        return PROTOCOLS[exchange.protocol]
    return recognise(exchange.method, exchange.path, header_value(exchange.headers, "content-type"))


# The request


def _planned(exchange: Exchange, protocol: Protocol, settings: Settings) -> Call:
    body, headers = _decoded_request(exchange)
    if body is None:
        body = b'{"model":"m","stream":true}' if exchange.streaming else b'{"model":"m"}'
    response = exchange.response
    start = (response.body or b"")[:_FORM_BYTES] if response is not None else b""
    path = exchange.path or _PATHS.get(protocol.name) or _gemini_path(exchange, start)
    received = OutgoingRequest(
        provider=exchange.host or "the provider",
        model="",
        scheme=exchange.scheme,
        host=exchange.host,
        port=exchange.port,
        document=RequestDocument.of(protocol, path, body, headers),
    )
    call = plan_call(received, FEATURES, settings, Knowledge())
    assert call is not None  # these features concern every call
    is_unlabelled = response is not None and not response.has_label
    if is_unlabelled and call.context.array and form_of(start) is not BodyForm.ARRAY:
        # A recorder that stored events wrote them as SSE, whatever the path asked for.
        call = replace(call, context=replace(call.context, array=False))
    return call


def _decoded_request(exchange: Exchange) -> tuple[bytes | None, Headers]:
    """Return the body without content coding, and the headers for it."""
    body, coding = exchange.body, header_value(exchange.headers, _CODING)
    if not body or not coding:
        return body, exchange.headers
    try:
        decoder = decoder_for(coding)
        body = decoder.decode(body) if decoder is not None else body
    except UndecodableBody:
        body = None
    return body, tuple(field for field in exchange.headers if field[0].lower() != _CODING)


def _gemini_path(exchange: Exchange, start: bytes) -> str:
    method = "streamGenerateContent" if exchange.streaming else "generateContent"
    query = "" if form_of(start) is BodyForm.ARRAY or not exchange.streaming else "?alt=sse"
    return f"/v1beta/models/m:{method}{query}"


# The response


def _run(
    exchange: Exchange, call: Call, *, keeps_received: bool
) -> tuple[CallMachine, Received | None]:
    observer = ResponseObserver(call)
    collector = _Collector() if keeps_received else None
    for actions in _actions(exchange, observer):
        if collector is not None:
            collector.add(actions)
    machine = observer.machine
    if collector is None:
        return machine, None
    return machine, collector.received(machine)


def _actions(exchange: Exchange, observer: ResponseObserver) -> Iterator[Sequence[Action]]:
    """Read the exchange; yield what would be done at each step."""
    response = exchange.response
    yield observer.start()
    if exchange.is_sent or response is not None:
        yield observer.connected()
    if response is not None:
        yield observer.head(_head(response))
        yield from observer.body(response.body or b"")
    match exchange.ending:
        case Ending.COMPLETE:
            yield observer.end()
        case Ending.CUT:
            reason = without_quoted_bytes(exchange.error) or "the connection was lost"
            yield observer.failed(reason)
        case Ending.LEFT:
            yield observer.left()


def _head(response: RecordedResponse) -> Head:
    headers = response.headers
    if not response.has_label:
        is_events = form_of((response.body or b"")[:_FORM_BYTES]) is BodyForm.EVENTS
        label = "text/event-stream" if is_events else "application/json"
        headers = (("content-type", label),)
    return Head(
        response.status,
        tuple(
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in headers
        ),
    )


def _blocks(call: Call, response: RecordedResponse | None, findings: Sequence[Finding]) -> Blocks:
    numbers = {f.place.number for f in findings if isinstance(f.place, EventPlace)}
    if not numbers or response is None or not response.body:
        return Blocks()
    try:
        decoder = decoder_for(header_value(response.headers, _CODING))
        body = decoder.decode(response.body) if decoder is not None else response.body
    except UndecodableBody:
        return Blocks()
    return blocks_of(call.protocol.name, body, numbers)


class _Collector:
    """Collects what a client receives."""

    def __init__(self) -> None:
        self._head = Head(0)
        self._shown: list[bytes] = []
        self._is_cut = False

    def add(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case ShowHead(head):
                    self._head = head
                case ShowBody(data):
                    self._shown.append(data)
                case Respond(head, body):
                    self._head = head
                    self._shown.append(body)
                case CutResponse():
                    self._is_cut = True

    def received(self, machine: CallMachine) -> Received:
        is_error = self._is_cut or machine.outcome.state is not CallState.ANSWERED
        return Received(self._head.status, self._head.fields, b"".join(self._shown), is_error)
