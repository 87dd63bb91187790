"""The view *context*: what fills the context of a request, with shares."""

from collections import Counter
from collections.abc import Iterable

from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    Media,
    Opaque,
    Part,
    Refusal,
    Result,
    ServerCall,
    ServerResult,
    Text,
    Thinking,
)
from wiremend.protocols.base.middle.conversation import Conversation, names_by_call
from wiremend.views.content.messages import size_text
from wiremend.views.content.overview import server_of, tool_name, tool_size
from wiremend.views.content.page import Page, one_line
from wiremend.views.content.viewed import ViewedCall

_SHOWN_ITEMS = 12
_BAR_COLUMNS = 20
_NAME_COLUMNS = 28
_LARGEST = 8


def context_view(call: ViewedCall, page: Page) -> None:
    """Add the size of each kind of content, of tools by server, and of results by tool."""
    conversation = call.conversation
    if conversation is None:
        page.line("This is no request of a conversation.")
        return
    sizes, by_tool = _sizes(conversation)
    total = sum(sizes.values())
    usage = call.record.usage if call.record is not None else None
    tokens = usage.input_tokens if usage is not None else None
    if tokens is None and call.answer is not None:
        tokens = call.answer.usage.input_tokens
    counted = f", counted as {tokens:,} tokens by the provider" if tokens else ""
    page.line(f"{size_text(total)} of text{counted}; media by the size of their bytes")
    _add_shares("by kind", sizes, total, tokens, page)
    servers = Counter[str]()
    for tool in conversation.tools:
        servers[server_of(tool) or "(no server)"] += tool_size(tool)
    _add_shares("definitions of tools, by server", servers, total, tokens, page)
    definitions = Counter({tool_name(tool): tool_size(tool) for tool in conversation.tools})
    _add_shares("largest definitions", definitions, total, tokens, page, _LARGEST)
    _add_shares("results, by tool", by_tool, total, tokens, page)


def _sizes(conversation: Conversation) -> tuple[Counter[str], Counter[str]]:
    """Return the sizes by kind, and those of results by tool, in characters or bytes."""
    sizes, by_tool = Counter[str](), Counter[str]()
    sizes["system"] = sum(len(text.text) for text in conversation.system)
    sizes["tools"] = sum(map(tool_size, conversation.tools))
    names = names_by_call(conversation.turns)
    for turn in conversation.turns:
        for part in turn.parts:
            size = _size(part)
            sizes[_kind(part, turn.role.value)] += size
            if isinstance(part, Result):
                by_tool[part.name or names.get(part.call_id, "") or "(unknown)"] += size
    return Counter({kind: size for kind, size in sizes.items() if size}), by_tool


def _kind(part: Part, role: str) -> str:
    match part:
        case Result() | ServerResult():
            return "tool results"
        case Call() | ServerCall():
            return "tool calls"
        case Thinking():
            return "thinking"
        case Media():
            return "media"
        case _:
            return f"{role} text"


def _size(part: Part) -> int:
    match part:
        case Text(text=text) | Thinking(text=text) | Refusal(text=text) | Opaque(text=text):
            return len(text)
        case Call(arguments=arguments) | ServerCall(arguments=arguments):
            return len(part.name) + len(arguments)
        case Result(parts=parts):
            return _total(parts)
        case ServerResult(text=text, sources=sources):
            return len(text) + sum(len(one.url) + len(one.title) for one in sources)
        case Media(source=Base64Source(_, data)):
            return len(data) * 3 // 4
        case _:
            return 0


def _total(parts: Iterable[Part]) -> int:
    return sum(map(_size, parts))


def _add_shares(
    title: str,
    sizes: Counter[str],
    total: int,
    tokens: int | None,
    page: Page,
    most: int = _SHOWN_ITEMS,
) -> None:
    if not sizes or not total:
        return
    page.heading(title)
    for name, size in sizes.most_common(most):
        share = size / total
        bar = "█" * round(share * _BAR_COLUMNS)
        estimate = f" ≈{round(share * tokens):,} tok" if tokens else ""
        shown = one_line(name, _NAME_COLUMNS)
        page.rows([f"{shown:<{_NAME_COLUMNS}} {size_text(size):>8} {share:5.0%}{estimate} {bar}"])
    if len(sizes) > most:
        rest = total_of_rest(sizes, most)
        page.line(f"… {len(sizes) - most} more, {size_text(rest)}")


def total_of_rest(sizes: Counter[str], most: int) -> int:
    """Return the sum of all sizes but the `most` largest ones."""
    return sum(sizes.values()) - sum(size for _, size in sizes.most_common(most))
