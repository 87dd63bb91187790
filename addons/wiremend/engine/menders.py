"""Which mender serves which protocol."""

from collections.abc import Callable, Mapping

from wiremend.protocols.names import WireProtocol
from wiremend.rules import (
    anthropic_messages_body,
    anthropic_messages_stream,
    chat_completions_body,
    chat_completions_stream,
    gemini_body,
    gemini_stream,
    responses_body,
    responses_stream,
)
from wiremend.rules.mending import MendedBody, Mender, StreamContext
from wiremend.rules.naming_back import NamingBack, name_back

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
    """A fresh mender for one attempt's event stream."""
    mender = _STREAMS[protocol](context)
    if not context.renamed:
        return mender
    return NamingBack(mender, context.renamed, is_array=context.array)


def mend_body(protocol: WireProtocol, body: bytes, context: StreamContext) -> MendedBody:
    """What a buffered 2xx body becomes."""
    named = name_back(body, context.renamed) if context.renamed else body
    return _BODIES[protocol](named, context)
