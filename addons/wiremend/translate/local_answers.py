"""Answers that need no provider."""

from collections.abc import Sequence

from wiremend.protocols.base.middle.answer import (
    AnswerEvent,
    End,
    PartDelta,
    PartEnd,
    PartStart,
    Start,
    Stop,
    StopReason,
)
from wiremend.protocols.base.middle.content import ServerCall, ServerResult, Text
from wiremend.protocols.base.middle.conversation import Conversation, Role, ToolKind
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.text import json_value

WEB_SEARCH = "web_search"
_QUERY_CHARACTERS = 200


def unavailable_search(conversation: Conversation) -> tuple[AnswerEvent, ...] | None:
    """Return the answer to a request that does nothing but search the web; None for any other.

    Claude Code makes such a request for each search of its model, and takes text in the answer as
    the result of the search. With the search tool's own error it reports to its model that the
    search is unavailable, and the session continues.
    """
    choice = conversation.choice
    is_search = (
        conversation.source is WireProtocol.ANTHROPIC_MESSAGES
        and choice is not None
        and choice.forced is not None
        and choice.forced.name == WEB_SEARCH
        and [(tool.kind, tool.name) for tool in conversation.tools]
        == [(ToolKind.SERVER, WEB_SEARCH)]
    )
    if not is_search:
        return None
    arguments = json_value.write({"query": _last_text(conversation)}).decode()
    return (
        Start(),
        PartStart(0, ServerCall("search", WEB_SEARCH)),
        PartDelta(0, arguments),
        PartEnd(0),
        PartStart(1, ServerResult("search", WEB_SEARCH, error="unavailable")),
        PartEnd(1),
        Stop(StopReason.END),
        End(),
    )


def _last_text(conversation: Conversation) -> str:
    for turn in reversed(conversation.turns):
        texts = [part.text for part in turn.parts if isinstance(part, Text)]
        if turn.role is Role.USER and texts:
            return texts[-1][:_QUERY_CHARACTERS]
    return ""


def write_answer(client: Protocol, events: Sequence[AnswerEvent], context: AnswerContext) -> bytes:
    """Return the event stream of an answer that was made here, in the client's protocol."""
    assert client.translation is not None
    writer = client.translation.make_writer(context, Losses())
    return b"".join(map(writer.feed, events))
