"""Runs one recorded exchange through planning and the call machine, without a proxy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from wiremend.call_record.outcomes import CallState
from wiremend.engine.actions import Action, CutResponse, Head, Respond, ShowBody, ShowHead
from wiremend.engine.call import Call
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.plan import plan_call
from wiremend.engine.settings import Feature, Knowledge, Settings
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.repairer import Decoder
from wiremend.protocols.registry import PROTOCOLS
from wiremend.rules.rule import Finding
from wiremend.text import sse
from wiremend.text.json_array import ArrayDecoder

from .exchanges import Exchange

_FEATURES = frozenset({Feature.ADAPT, Feature.REPAIR, Feature.RAISE})
"""No retries: each exchange is one attempt, and what its client gets is final."""
_PATHS = {
    WireProtocol.ANTHROPIC_MESSAGES: "/v1/messages",
    WireProtocol.CHAT_COMPLETIONS: "/v1/chat/completions",
    WireProtocol.RESPONSES: "/v1/responses",
}
_JSON = (("content-type", "application/json"),)


class Ending(Enum):
    """How the response ends on the connection."""

    COMPLETE = "complete"
    """As its framing announced, or by closing the connection where nothing was announced."""
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class ClientView:
    """What the client receives."""

    status: int
    content_type: str
    body: bytes
    findings: tuple[Finding, ...]
    is_stream: bool
    """The head was sent before the body was complete."""
    is_error: bool

    @property
    def codes(self) -> tuple[str, ...]:
        """The rules that found something, each once."""
        return tuple(sorted({finding.code for finding in self.findings}))


def plan_exchange(exchange: Exchange) -> Call:
    """The call as it would be planned for a client that is not known."""
    protocol = PROTOCOLS[exchange.protocol]
    body = exchange.request
    if body is None:
        body = b'{"model":"m","stream":true}' if exchange.streaming else b'{"model":"m"}'
    path = exchange.path or _PATHS.get(exchange.protocol) or _gemini_path(exchange)
    received = OutgoingRequest(
        provider=exchange.host,
        model="",
        scheme="https",
        host=exchange.host,
        port=443,
        document=RequestDocument.of(protocol, path, body, _JSON),
    )
    call = plan_call(received, _FEATURES, Settings(), Knowledge())
    assert call is not None
    if call.context.array and not (exchange.response or b"[").lstrip().startswith(b"["):
        # A recorder that stored events wrote them down as SSE, whatever the path asked for.
        call = replace(call, context=replace(call.context, array=False))
    return call


def _gemini_path(exchange: Exchange) -> str:
    is_array = (exchange.response or b"").lstrip().startswith(b"[")
    method = "streamGenerateContent" if exchange.streaming else "generateContent"
    return f"/v1beta/models/m:{method}" + ("" if is_array else "?alt=sse")


def decoder_of(call: Call) -> Decoder:
    """A fresh decoder for the call's event stream, as clients have it."""
    return ArrayDecoder() if call.context.array else sse.Decoder()


def receive(
    call: Call, status: int, content_type: str, chunks: Iterable[bytes], ending: Ending
) -> ClientView:
    """What the client receives when upstream's response is this."""
    # Whether a response is repaired must not depend on what was done to its request.
    call = replace(call, adapted=None)
    machine = CallMachine(call, random=lambda: 0.0, wall_clock=lambda: 0.0)
    fields = ((b"content-type", content_type.encode("latin-1")),) if content_type else ()
    actions = [*machine.start(0.0), *machine.connected(0.0, reused=False)]
    actions += machine.head(0.0, Head(status, fields))
    for chunk in chunks:
        actions += machine.body(0.0, chunk)
    if ending is Ending.COMPLETE:
        actions += machine.body_end(0.0)
    else:
        actions += machine.attempt_failed(0.0, "connection reset by peer")
    assert machine.answered, machine
    return _view(actions, machine)


def _view(actions: Sequence[Action], machine: CallMachine) -> ClientView:
    head, body, is_stream = Head(0), b"", False
    shown: list[bytes] = []
    is_cut = False
    for action in actions:
        match action:
            case ShowHead(head):
                is_stream = True
            case ShowBody(data):
                shown.append(data)
            case Respond(head, body):
                shown.append(body)
            case CutResponse():
                is_cut = True
    return ClientView(
        status=head.status,
        content_type=head.get(b"content-type"),
        body=b"".join(shown),
        findings=tuple(machine.findings),
        is_stream=is_stream,
        is_error=is_cut or head.status >= 400 or machine.outcome.state is not CallState.ANSWERED,
    )
