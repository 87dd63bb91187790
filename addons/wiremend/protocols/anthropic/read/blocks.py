"""Content blocks of a Messages request as parts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    Citation,
    FileSource,
    Media,
    MediaKind,
    Opaque,
    Own,
    Part,
    Result,
    ServerCall,
    ServerResult,
    Source,
    Text,
    TextSource,
    Thinking,
    UrlSource,
)
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.middle.state import Origin, State, read_state
from wiremend.protocols.base.names import WireProtocol
from wiremend.text import json_value
from wiremend.text.json_edits import Path
from wiremend.text.json_value import dicts_in

_A = WireProtocol.ANTHROPIC_MESSAGES
RESULT_SUFFIX = "_tool_result"
"""The end of the type of results of tools that the provider runs: `web_search_tool_result`."""


def read_blocks(content: Sequence[Any], at: Path) -> tuple[Part, ...]:
    """Return the parts in a list of blocks; strings among them are texts."""
    parts: list[Part] = []
    for number, block in enumerate(content):
        if isinstance(block, dict):
            parts.append(read_block(block, (*at, number)))
        elif isinstance(block, str):
            parts.append(Text(block, at=(*at, number)))
    return tuple(parts)


def take_content(members: Members, at: Path) -> tuple[tuple[Part, ...], bool]:
    """Take the content of the object at `at`; return its parts, and whether it was one string."""
    content = members.peek("content")
    place = (*at, "content")
    if isinstance(content, str):
        members.drop("content")
        return (Text(content, at=place),), True
    blocks = members.list("content")
    return read_blocks(blocks, place) if blocks is not None else (), False


def read_block(block: Mapping[str, Any], at: Path = ()) -> Part:
    """Return the part in one block."""
    kind = block.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is not None:
        return read(block, at)
    if isinstance(kind, str) and kind.endswith(RESULT_SUFFIX) and "tool_use_id" in block:
        return _server_result(block, at)
    return Opaque(str(kind), _text_for_others(block), own=Own(_A, block), at=at)


def read_text(block: Mapping[str, Any], at: Path, *, is_private: bool = False) -> Text:
    """Return a text block."""
    members = Members(block)
    members.drop("type")
    text = members.text("text")
    citations = members.list("citations") or []
    if not all(isinstance(citation, dict) for citation in citations):
        members.keep("citations", citations)
        citations = []
    read = tuple(map(read_citation, citations))
    _drop_empty(members, "text")
    return Text(text, read, is_private=is_private, own=members.own(_A), at=at)


def _drop_empty(members: Members, *keys: str) -> None:
    """Drop the members whose empty text the writer writes too."""
    for key in keys:
        if members.peek(key) == "":
            members.drop(key)


def read_citation(citation: Mapping[str, Any]) -> Citation:
    """Return the source of a text; locations stay in `own`."""
    members = Members(citation)
    url, title = members.text("url"), members.text("title")
    return Citation(url, title, members.text("cited_text"), own=members.own(_A))


def _text(block: Mapping[str, Any], at: Path) -> Part:
    return read_text(block, at)


def _thinking(block: Mapping[str, Any], at: Path) -> Part:
    members = Members(block)
    members.drop("type")
    text = members.text("thinking")
    state = read_state(members.text("signature"), _A)
    if state is not None and state.is_native:
        state = State(state.origin, {"signature": state.payload}, is_native=True)
    _drop_empty(members, "thinking", "signature")
    return Thinking(text, state, own=members.own(_A), at=at)


def _redacted(block: Mapping[str, Any], at: Path) -> Part:
    members = Members(block)
    members.drop("type")
    state = read_state(members.text("data"), _A)
    if state is not None and state.is_native:
        state = State(Origin(_A), {"data": state.payload}, is_native=True)
    return Thinking("", state, own=members.own(_A), at=at)


def _media(kind: MediaKind) -> Callable[[Mapping[str, Any], Path], Part]:
    def read(block: Mapping[str, Any], at: Path) -> Part:
        members = Members(block)
        source, rest = _source(block.get("source"))
        if source is None:
            return Opaque(str(kind), own=Own(_A, block), at=at)
        members.drop("type")
        members.drop("source")
        if rest:
            members.keep("source", rest)
        title, context = members.text("title"), members.text("context")
        return Media(kind, source, title, context, own=members.own(_A), at=at)

    return read


def _source(source: Any) -> tuple[Source | None, Mapping[str, Any]]:
    """Return a source, and what its members do not express: the rest, or all with its `type`."""
    if not isinstance(source, dict):
        return None, {}
    members = Members(source)
    kind = members.text("type")
    read: Source | None = None
    match kind:
        case "base64":
            read = Base64Source(members.text("media_type"), members.text("data"))
        case "url":
            read = UrlSource(members.text("url"))
        case "file":
            read = FileSource(members.text("file_id"))
        case "text":
            if members.peek("media_type") == "text/plain":
                members.drop("media_type")
            read = TextSource(members.text("data"))
        case "content":
            return TextSource(_joined(source.get("content"))), source
    own = members.own(_A)
    return read, own.fields if own is not None else {}


def _joined(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = [block.get("text") for block in dicts_in(content)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _call(block: Mapping[str, Any], at: Path) -> Part:
    members = Members(block)
    members.drop("type")
    call_id, name = members.text("id"), members.text("name")
    return Call(call_id, name, _arguments(members), own=members.own(_A), at=at)


def _arguments(members: Members) -> str:
    arguments = members.object("input")
    if arguments is not None:
        return json_value.write(arguments).decode()
    value = members.peek("input")
    return "" if value is None else json_value.write(value).decode()


def _server_call(block: Mapping[str, Any], at: Path) -> Part:
    members = Members(block)
    if members.peek("type") == "server_tool_use":
        members.drop("type")
    call_id, name = members.text("id"), members.text("name")
    return ServerCall(call_id, name, _arguments(members), own=members.own(_A), at=at)


def _server_result(block: Mapping[str, Any], at: Path) -> Part:
    """Return the result of a tool that the provider ran; `own` contains type and content too."""
    members = Members(block)
    call_id = members.text("tool_use_id")
    name = str(members.peek("type")).removesuffix(RESULT_SUFFIX)
    content = block.get("content")
    inner = content if isinstance(content, dict) else {}
    error = inner.get("error_code")
    sources = tuple(
        Citation(str(item.get("url") or ""), str(item.get("title") or ""))
        for item in (*dicts_in(content), *([inner] if "url" in inner else []))
        if item.get("url")
    )
    texts = [inner.get(key) for key in ("stdout", "stderr")]
    texts += [item.get("text") for item in dicts_in(content)]
    text = "\n".join(one for one in texts if isinstance(one, str) and one)
    why = error if isinstance(error, str) else ""
    return ServerResult(call_id, name, sources, text, why, own=members.own(_A), at=at)


def _result(block: Mapping[str, Any], at: Path) -> Part:
    members = Members(block)
    members.drop("type")
    call_id = members.text("tool_use_id")
    parts, is_plain = take_content(members, at)
    is_error = members.flag("is_error")
    return Result(call_id, parts, is_error, is_plain=is_plain, own=members.own(_A), at=at)


def _text_for_others(block: Mapping[str, Any]) -> str:
    """Return what other protocols write for a block that only this one has."""
    kind = block.get("type")
    if kind == "tool_reference":
        return f"Tool {block.get('tool_name')} is now available."
    if kind == "search_result":
        heads = [block.get("title"), block.get("source")]
        lines = [line for line in heads if isinstance(line, str) and line]
        return "\n".join([*lines, _joined(block.get("content"))])
    return ""


_READERS: Mapping[str, Callable[[Mapping[str, Any], Path], Part]] = {
    "text": _text,
    "image": _media(MediaKind.IMAGE),
    "document": _media(MediaKind.DOCUMENT),
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _call,
    "tool_result": _result,
    "server_tool_use": _server_call,
    "mcp_tool_use": _server_call,
}
