"""Parts as content blocks of a Messages request."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.anthropic.signed_text import DIGEST, TextDigest
from wiremend.protocols.base.middle.call_ids import SentIds
from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    Citation,
    FileSource,
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    Result,
    ServerCall,
    ServerResult,
    Source,
    Text,
    TextSource,
    Thinking,
    UrlSource,
    own_fields,
)
from wiremend.protocols.base.middle.function_tools import FunctionTools
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.state import State
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.middle.wording import (
    arguments_object,
    media_note,
    refuse_media,
    server_text,
)
from wiremend.protocols.base.names import WireProtocol
from wiremend.text.json_value import is_blank

_A = WireProtocol.ANTHROPIC_MESSAGES


class BlockWriter:
    """Writes the parts of one request's messages as blocks."""

    def __init__(
        self, target: Target, tools: FunctionTools, losses: Losses, *, is_own: bool
    ) -> None:
        self._target = target
        self._tools = tools
        self._losses = losses
        self._ids = SentIds(target.traits.call_ids)
        self._is_own = is_own
        """Whether the request was read from this protocol."""

    def blocks(self, parts: tuple[Part, ...]) -> list[dict[str, Any]]:
        """Return the blocks of a message, without those that cannot be carried."""
        return [block for part in parts for block in self._blocks(part)]

    def _blocks(self, part: Part) -> list[dict[str, Any]]:
        own = dict(own_fields(part.own, _A))
        match part:
            case Text():
                return [{**write_text(part), **own}]
            case Refusal():
                return [{"type": "text", "text": part.text}]
            case Thinking():
                block = self._thinking(part)
                return [{**block, **own}] if block is not None else []
            case Media():
                return [self._media(part, own)]
            case Call():
                return [{**self._call(part), **own}]
            case Result():
                return [self._result(part, own)]
            case ServerCall() | ServerResult():
                return self._server(part, own)
            case Opaque():
                return self._opaque(part, own)

    def _thinking(self, part: Thinking) -> dict[str, Any] | None:
        state = part.state
        if state is not None and state.is_for(self._target.origin):
            data = native_state(state, "data")
            if data is not None:
                return {"type": "redacted_thinking", "data": data}
            signature = native_state(state, "signature")
            digest = native_state(state, DIGEST)
            is_signed = digest is None or digest == TextDigest(part.text).value
            if signature is not None and is_signed:
                return {"type": "thinking", "thinking": part.text, "signature": signature}
        elif self._is_own and state is None:
            return {"type": "thinking", "thinking": part.text, "signature": ""}
        found = "reasoning of another provider"
        self._losses.add_once(LossKind.REASONING, found, path=part.at)
        return None

    def _media(self, part: Media, own: dict[str, Any]) -> dict[str, Any]:
        is_taken = part.kind in (MediaKind.IMAGE, MediaKind.DOCUMENT)
        if not self._is_own:
            refuse_media(part, self._target)
            is_taken = is_taken and part.kind in self._target.traits.media
            is_url = isinstance(part.source, UrlSource)
            is_taken = is_taken and (self._target.traits.media_urls or not is_url)
        if not is_taken:
            note = media_note(part)
            self._losses.add(LossKind.MEDIA, note, "a note is sent instead", part.at)
            return {"type": "text", "text": note}
        rest = own.pop("source", {})
        source = rest if "type" in rest else {**_source(part.source), **rest}
        block = {"type": part.kind.value, "source": source}
        if part.kind is MediaKind.DOCUMENT:
            block |= without_nothing(title=part.title, context=part.context)
        return {**block, **own}

    def _call(self, part: Call) -> dict[str, Any]:
        name, text = (part.name, part.arguments)
        if not self._is_own:
            name, text = self._tools.sent_call(part)
        arguments = arguments_object(text)
        if arguments is None:
            found = f"arguments of {name!r} that are no JSON object"
            self._losses.add(LossKind.HISTORY, found, "sent as text", part.at)
            arguments = {"text": text}
        return {"type": "tool_use", "id": self.call_id(part.id), "name": name, "input": arguments}

    def call_id(self, call_id: str) -> str:
        """Return the id that the target receives."""
        return call_id if self._is_own else self._ids.of(call_id)

    def _result(self, part: Result, own: dict[str, Any]) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": self.call_id(part.call_id)}
        first = part.parts[0] if part.parts else None
        if part.is_plain and isinstance(first, Text) and len(part.parts) == 1:
            block["content"] = first.text
        elif part.parts:
            content = self.blocks(part.parts)
            if not self._is_own:
                content = [one for one in content if not is_blank(one.get("text"))]
            block["content"] = content
        if part.is_error is not None:
            block["is_error"] = part.is_error
        return {**block, **own}

    def _server(self, part: ServerCall | ServerResult, own: dict[str, Any]) -> list[dict[str, Any]]:
        if self._is_own and isinstance(part, ServerCall):
            block: dict[str, Any] = {"type": "server_tool_use", "id": part.id, "name": part.name}
            block["input"] = arguments_object(part.arguments) or {}
            return [{**block, **own}]
        if self._is_own and isinstance(part, ServerResult):
            return [{"tool_use_id": part.call_id, **own}]
        self._losses.add_once(LossKind.SERVER_TOOL, part.name, "sent as text", part.at)
        text = server_text(part)
        return [{"type": "text", "text": text}] if text else []

    def _opaque(self, part: Opaque, own: dict[str, Any]) -> list[dict[str, Any]]:
        if own:
            return [own]
        done = "sent as text" if part.text else "not sent"
        self._losses.add_once(LossKind.CONTENT, part.kind, done, part.at)
        return [{"type": "text", "text": part.text}] if part.text else []


def write_text(text: Text) -> dict[str, Any]:
    """Return a text block."""
    block: dict[str, Any] = {"type": "text", "text": text.text}
    citations = [own for own in map(_own_citation, text.citations) if own is not None]
    if citations:
        block["citations"] = citations
    return block


def _own_citation(citation: Citation) -> Mapping[str, Any] | None:
    return write_citation(citation) if own_fields(citation.own, _A) else None


def write_citation(citation: Citation) -> Mapping[str, Any] | None:
    """Return the source of a text; None if it has no address."""
    own = own_fields(citation.own, _A)
    named = without_nothing(url=citation.url, title=citation.title, cited_text=citation.cited_text)
    if own:
        return {**named, **own}
    if not citation.url:
        return None
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title or None,
        "cited_text": citation.cited_text,
        "encrypted_index": "",
    }


def native_state(state: State | None, key: str) -> str | None:
    """Return this member of a state of this protocol: `signature`, or `data` (redacted)."""
    if state is None or state.origin.protocol is not _A or not isinstance(state.payload, dict):
        return None
    value = state.payload.get(key)
    return value if isinstance(value, str) else None


def _source(source: Source) -> dict[str, Any]:
    match source:
        case Base64Source():
            return {"type": "base64", "media_type": source.media_type, "data": source.data}
        case UrlSource():
            return {"type": "url", "url": source.url}
        case TextSource():
            return {"type": "text", "media_type": "text/plain", "data": source.text}
        case FileSource():
            return {"type": "file", "file_id": source.file_id}
