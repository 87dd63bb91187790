"""Reporting the members of a request that exist only in its own protocol."""

from collections.abc import Iterator, Mapping

from wiremend.protocols.base.middle.content import (
    Opaque,
    Own,
    Part,
    Placed,
    Result,
    ServerCall,
    ServerResult,
)
from wiremend.protocols.base.middle.conversation import Conversation, ToolKind
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.names import WireProtocol
from wiremend.text.json_edits import Path

WITHOUT_EFFECT: Mapping[WireProtocol, frozenset[str]] = {
    WireProtocol.ANTHROPIC_MESSAGES: frozenset(
        {
            "cache_control",
            "caller",
            "citations",
            "context_management",
            "defer_loading",
            "eager_input_streaming",
            "metadata",
            "type",
        }
    ),
    WireProtocol.CHAT_COMPLETIONS: frozenset(
        {
            "content",
            "function_call",
            "functions",
            "max_completion_tokens",
            "max_tokens",
            "metadata",
            "n",
            "name",
            "prompt_cache_options",
            "prompt_cache_retention",
            "refusal",
            "role",
            "safety_identifier",
            "stop",
            "store",
            "stream_options",
            "user",
            "web_search_options",
        }
    ),
    WireProtocol.RESPONSES: frozenset(
        {
            "call_id",
            "client_metadata",
            "content",
            "execution",
            "id",
            "include",
            "internal_chat_message_metadata_passthrough",
            "metadata",
            "output",
            "phase",
            "safety_identifier",
            "status",
            "store",
            "stream_options",
            "summary",
            "tools",
            "truncation",
            "type",
            "user",
        }
    ),
    WireProtocol.GEMINI: frozenset(
        {"behavior", "labels", "responseModalities", "role", "session_id", "thoughtSignature"}
    ),
}
"""Members whose absence changes nothing that the client or the model could notice, such as cache
marks, labels of accounting, defaults; and members that readers take into account elsewhere."""


def report_own(conversation: Conversation, losses: Losses) -> None:
    """Record the members in `own` as losses, each name once."""
    silent = WITHOUT_EFFECT[conversation.source]
    for own, path in _all_own(conversation):
        for key, value in own.fields.items():
            if key not in silent and value not in (None, False, "", [], {}):
                losses.add_once(LossKind.FIELD, key, path=(*path, key))


def _all_own(conversation: Conversation) -> Iterator[tuple[Own, Path]]:
    if conversation.own is not None:
        yield conversation.own, ()
    placed: list[Placed | None] = [
        *conversation.system,
        *(tool for tool in conversation.tools if tool.kind is not ToolKind.SERVER),
        conversation.choice,
        conversation.format,
        conversation.reasoning,
    ]
    placed += conversation.turns
    for turn in conversation.turns:
        for part in turn.parts:
            placed += _with_inner(part)
    for one in placed:
        if one is not None and one.own is not None:
            yield one.own, one.at


def _with_inner(part: Part) -> Iterator[Part]:
    """Yield the parts whose `own` contains members beside those that were read."""
    if isinstance(part, Result):
        for inner in part.parts:
            yield from _with_inner(inner)
    if not isinstance(part, Opaque | ServerCall | ServerResult):
        yield part
