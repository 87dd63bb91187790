"""The stream repairer and the body repair of each protocol."""

from collections.abc import Callable, Mapping

from wiremend.protocols.anthropic import body as anthropic_messages_body
from wiremend.protocols.anthropic import stream as anthropic_messages_stream
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.repairer import MendedBody, Mender, StreamContext
from wiremend.protocols.chat import body as chat_completions_body
from wiremend.protocols.chat import stream as chat_completions_stream
from wiremend.protocols.gemini import body as gemini_body
from wiremend.protocols.gemini import stream as gemini_stream
from wiremend.protocols.responses import body as responses_body
from wiremend.protocols.responses import stream as responses_stream
from wiremend.repair.tool_names import NamingBack, name_back

_STREAMS: Mapping[WireProtocol, Callable[[StreamContext], Mender]] = {
    WireProtocol.ANTHROPIC_MESSAGES: anthropic_messages_stream.AnthropicMender,
    WireProtocol.CHAT_COMPLETIONS: chat_completions_stream.ChatMender,
    WireProtocol.RESPONSES: responses_stream.ResponsesMender,
    WireProtocol.GEMINI: gemini_stream.GeminiMender,
}
_BODIES: Mapping[WireProtocol, Callable[[bytes, StreamContext], MendedBody]] = {
    WireProtocol.ANTHROPIC_MESSAGES: anthropic_messages_body.mend_body,
    WireProtocol.CHAT_COMPLETIONS: chat_completions_body.mend_body,
    WireProtocol.RESPONSES: responses_body.mend_body,
    WireProtocol.GEMINI: gemini_body.mend_body,
}


def make_mender(protocol: WireProtocol, context: StreamContext) -> Mender:
    """Return a new repairer for the event stream of one attempt."""
    mender = _STREAMS[protocol](context)
    return NamingBack(mender, context.renamed) if context.renamed else mender


def mend_body(protocol: WireProtocol, body: bytes, context: StreamContext) -> MendedBody:
    """Return a complete 2xx body, repaired, or the error that it reports."""
    named = name_back(body, context.renamed) if context.renamed else body
    return _BODIES[protocol](named, context)
