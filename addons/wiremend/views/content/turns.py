"""The view *since last turn*: what a request adds to the one before it in its conversation."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    Media,
    Part,
    Refusal,
    Result,
    ServerCall,
    Text,
    Thinking,
)
from wiremend.protocols.base.middle.conversation import Conversation, Turn, names_by_call
from wiremend.views.content.messages import Detail, add_turns, system_text
from wiremend.views.content.overview import server_of, tool_name
from wiremend.views.content.page import Page, counted, one_line
from wiremend.views.content.viewed import ViewedCall

CALLS_LIMIT = 50
"""How many earlier calls are looked at."""
READ_LIMIT_BYTES = 3 * 1024 * 1024
"""How much of their requests is read: the proxy does nothing else meanwhile. A megabyte with 1,200
messages takes about 15 ms."""
_NAMES_LIMIT = 20
_DETAIL = Detail(thinking=6, text=80, call=40, result=40)


@dataclass(frozen=True, slots=True)
class _Earlier:
    call: ViewedCall
    conversation: Conversation
    common: int
    """The number of messages at the start that both requests have."""


def since_last_turn_view(call: ViewedCall, page: Page) -> None:
    """Add the messages that the request before this one did not have, and what else changed."""
    conversation = call.conversation
    if conversation is None:
        page.line("This is no request of a conversation.")
        return
    before = _request_before(call, conversation)
    if before is None:
        page.line("No earlier request of this conversation is in memory; these are all messages.")
        _add_new(conversation.turns, 0, page)
        return
    added = conversation.turns[before.common :]
    if not added and before.common == len(before.conversation.turns):
        page.line("The messages are the same as in the request before, which this one repeats.")
        _add_other_changes(before.conversation, conversation, page)
        return
    page.line(
        f"{counted(len(added), 'new message')} after {before.common} that the request before "
        f"also had (of {len(before.conversation.turns)})"
    )
    dropped = len(before.conversation.turns) - before.common
    if dropped:
        gone = f"⚠ {dropped} of its messages are changed or gone"
        page.line(f"{gone}: a cache of the prompt ends there")
    _add_other_changes(before.conversation, conversation, page)
    _add_new(added, before.common, page, names_by_call(conversation.turns))


def _add_new(
    turns: Sequence[Turn], start: int, page: Page, names: dict[str, str] | None = None
) -> None:
    page.heading("new messages")
    add_turns(turns, page, _DETAIL, names or names_by_call(tuple(turns)), start + 1)


def _request_before(call: ViewedCall, conversation: Conversation) -> _Earlier | None:
    """Return the earlier request with the most messages in common, the latest one of these."""
    keys = [_key(turn) for turn in conversation.turns]
    best: _Earlier | None = None
    read_bytes = 0
    for earlier in call.earlier()[:CALLS_LIMIT]:
        read_bytes += len(earlier.request.body)
        if read_bytes > READ_LIMIT_BYTES:
            break
        other = earlier.conversation
        if other is None or other.source is not conversation.source:
            continue
        pairs = zip(keys, other.turns, strict=False)
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == _key(pair[1]), pairs))
        if common and (best is None or common > best.common):
            best = _Earlier(earlier, other, common)
            if common == len(other.turns):
                break  # this one continues it
    return best


def _key(turn: Turn) -> int:
    """Return a number that is the same for messages with the same content.

    Members that move from turn to turn, such as marks of caches, are not part of it.
    """
    return hash((turn.role, tuple(_part_key(part) for part in turn.parts)))


def _part_key(part: Part) -> tuple[object, ...]:
    match part:
        case Text(text=text) | Thinking(text=text) | Refusal(text=text):
            return type(part), text
        case Call(name=name, arguments=arguments) | ServerCall(name=name, arguments=arguments):
            return type(part), part.id, name, arguments
        case Result():
            return Result, part.call_id, tuple(_part_key(inner) for inner in part.parts)
        case Media(source=Base64Source(media_type, data)):
            return Media, media_type, data
        case _:
            return (type(part),)


def _add_other_changes(before: Conversation, now: Conversation, page: Page) -> None:
    if system_text(before) != system_text(now):
        page.line("⚠ the system prompt is another one: see the view conversation of both calls")
    if before.model != now.model:
        page.line(f"the model changed: {one_line(before.model, 60)} → {one_line(now.model, 60)}")
    names, old = (
        {(server_of(tool), tool_name(tool)) for tool in one.tools} for one in (now, before)
    )
    for word, changed in (("new", names - old), ("gone", old - names)):
        if changed:
            listed = sorted(".".join(filter(None, name)) for name in changed)
            more = f", … {len(listed) - _NAMES_LIMIT} more" if len(listed) > _NAMES_LIMIT else ""
            shown = ", ".join(one_line(name, 80) for name in listed[:_NAMES_LIMIT])
            page.line(f"tools that are {word}: {shown}{more}", hanging="    ")
