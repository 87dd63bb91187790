"""The parts of messages as text: thinking, text, calls, results, media."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    FileSource,
    Media,
    Opaque,
    Part,
    Refusal,
    Result,
    ServerCall,
    ServerResult,
    Text,
    TextSource,
    Thinking,
    UrlSource,
)
from wiremend.protocols.base.middle.conversation import Conversation, Role, Turn
from wiremend.text import json_value
from wiremend.views.content.page import MOST_LINES, Page, one_line

_NAME_LIMIT = 80
_PRETTY_LIMIT_CHARACTERS = 200_000
"""Longer arguments are shown as they came."""
_URL_LIMIT = 120


@dataclass(frozen=True, slots=True)
class Detail:
    """How many lines of each kind of part are shown."""

    thinking: int = MOST_LINES
    text: int = MOST_LINES
    call: int = MOST_LINES
    result: int = MOST_LINES


FULL = Detail(100_000, 100_000, 100_000, 100_000)
ANSWER = Detail(thinking=6, text=200, call=60, result=20)
RECENT = Detail(thinking=2, text=12, call=12, result=8)
OLD = Detail(thinking=1, text=1, call=1, result=1)


def add_parts(
    parts: Iterable[Part], page: Page, detail: Detail, names: Mapping[str, str] | None = None
) -> None:
    """Add the parts of a message. `names` are the tools of calls by the ids of the calls."""
    for part in parts:
        if page.is_full:
            page.line()  # so that the page reports that something is left out
            return
        _add_part(part, page, detail, names or {})


def _add_part(part: Part, page: Page, detail: Detail, names: Mapping[str, str]) -> None:
    match part:
        case Text(text=text):
            page.block(text, most_lines=detail.text)
        case Thinking(text=text):
            _add_thinking(text, page, detail)
        case Refusal(text=text):
            page.line("  refusal")
            page.block(text, "    ", detail.text)
        case Call(name=name, arguments=arguments) | ServerCall(name=name, arguments=arguments):
            by = " (run by the provider)" if isinstance(part, ServerCall) else ""
            _add_call(f"→ {one_line(name, _NAME_LIMIT)}{by}", arguments, page, detail)
        case Result():
            _add_result(part, page, detail, names)
        case ServerResult():
            page.line(f"  ← {one_line(part.name, _NAME_LIMIT)} (run by the provider)")
            sources = [" ".join(filter(None, [one.title, one.url])) for one in part.sources]
            text = "\n".join(filter(None, [part.error, part.text, *sources]))
            page.block(text, "    ", detail.result)
        case Media():
            page.line(f"  {media_line(part)}", hanging="    ")
        case Opaque(kind=kind, text=text):
            page.line(f"  [{one_line(kind, _NAME_LIMIT) or 'other content'}]")
            if text:
                page.block(text, "    ", detail.result)
        case _:
            assert_never(part)


def _add_thinking(text: str, page: Page, detail: Detail) -> None:
    if not text.strip():
        page.line("  thinking (encrypted or hidden)")
        return
    if detail.thinking == 1:
        page.rows([f"  thinking ({len(text):,} characters) {one_line(text, page.columns)}"])
        return
    page.line(f"  thinking ({len(text):,} characters)")
    page.block(text, "  ┆ ", detail.thinking)


def _add_call(title: str, arguments: str, page: Page, detail: Detail) -> None:
    if detail.call == 1:
        page.rows([f"  {title} {one_line(arguments, page.columns)}"])
        return
    page.line(f"  {title}")
    page.block(pretty_arguments(arguments), "    ", detail.call)


def pretty_arguments(arguments: str) -> str:
    """Return JSON indented; other text, or long one, as it is."""
    if not arguments.strip():
        return "{}"
    if len(arguments) > _PRETTY_LIMIT_CHARACTERS:
        return arguments
    try:
        value = json_value.read(arguments)
    except ValueError:
        return arguments
    return json_value.write_indented(value) if isinstance(value, dict | list) else arguments


def _add_result(part: Result, page: Page, detail: Detail, names: Mapping[str, str]) -> None:
    name = part.name or names.get(part.call_id, "")
    failed = " failed" if part.is_error else ""
    title = f"  ← {one_line(name, _NAME_LIMIT) or 'result'}{failed}"
    if detail.result == 1:
        page.rows([f"{title} {one_line(text_of(part.parts), page.columns)}"])
        return
    page.line(title)
    for inner in part.parts:
        match inner:
            case Text(text=text):
                page.block(text, "    ", detail.result)
            case Media():
                page.line(f"    {media_line(inner)}", hanging="      ")
            case _:
                page.line(f"    [{type(inner).__name__.lower()}]")


def text_of(parts: Iterable[Part]) -> str:
    """Return the text of parts on one line, with a word for everything else."""
    return " ".join(
        part.text if isinstance(part, Text) else f"[{type(part).__name__.lower()}]"
        for part in parts
    )


def media_line(media: Media) -> str:
    """Return kind, type and size of a medium, such as `image image/png, 12.3 kB`."""
    match media.source:
        case Base64Source(media_type, data):
            described = f"{one_line(media_type, 60)}, {size_text(len(data) * 3 // 4)}"
        case UrlSource(url):
            described = one_line(url, _URL_LIMIT)
        case TextSource(text):
            described = f"text, {size_text(len(text))}"
        case FileSource(file_id):
            described = f"file {one_line(file_id, _NAME_LIMIT)}"
    title = f" {one_line(media.title, _NAME_LIMIT)}" if media.title else ""
    return f"[{media.kind.value}{title}: {described}]"


def size_text(size: int) -> str:
    """Return a number of bytes or characters, such as `12.3 kB`."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1000:.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


_GLYPHS = {Role.USER: "▸", Role.ASSISTANT: "◂", Role.SYSTEM: "§", Role.DEVELOPER: "§"}


def add_turns(
    turns: Sequence[Turn],
    page: Page,
    detail: Detail,
    names: Mapping[str, str],
    first_number: int = 1,
) -> None:
    """Add messages, each below a line with its number and role."""
    for number, turn in enumerate(turns, first_number):
        if page.is_full:
            page.line()
            return
        page.line(f"{_GLYPHS[turn.role]} {number} {_role_of(turn)}")
        add_parts(turn.parts, page, detail, names)


def _role_of(turn: Turn) -> str:
    only_results = bool(turn.parts) and all(isinstance(part, Result) for part in turn.parts)
    return "tool" if only_results else turn.role.value


def system_text(conversation: Conversation) -> str:
    """Return the system prompt outside of the messages."""
    return "\n\n".join(text.text for text in conversation.system)
