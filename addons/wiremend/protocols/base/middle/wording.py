"""How things are expressed for which a protocol has no word: as text for the model."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.middle.content import (
    Base64Source,
    Citation,
    FileSource,
    Media,
    MediaKind,
    ServerCall,
    ServerResult,
    Source,
    TextSource,
    UrlSource,
)
from wiremend.protocols.base.middle.conversation import Conversation, Role, Tool, ToolKind
from wiremend.protocols.base.middle.losses import Losses, LossKind, NotCarried
from wiremend.protocols.base.middle.target import Target
from wiremend.text import json_value

NO_RESULT = "The tool call has no result: it was interrupted."
NO_CONTENT = "(no content)"
JSON_ONLY = "Answer with a single JSON object, without any other text."
CUSTOM_ARGUMENT = "input"
"""The member of the arguments that contains the input of a custom tool."""
EMPTY_SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {}}
"""The schema of a function without one."""
_MOST_SOURCES = 50


def system_reminder(text: str) -> str:
    """Return system text as a part of a user message."""
    return f"<system-reminder>\n{text}\n</system-reminder>"


def failed_result(text: str) -> str:
    """Return the text of a failed result, for protocols that cannot mark it as failed."""
    if text.lstrip()[:5].lower() == "error":
        return text
    return f"Error: {text}" if text.strip() else "Error"


def media_note(media: Media) -> str:
    """Return the note that is written instead of a medium that a target does not take."""
    kind = {
        MediaKind.IMAGE: "images",
        MediaKind.DOCUMENT: "documents",
        MediaKind.AUDIO: "audio",
        MediaKind.VIDEO: "video",
    }[media.kind]
    title = f"{media.title}, " if media.title else ""
    return f"[{title}{_described(media.source, media.kind)}: this model takes no {kind}]"


def text_document(media: Media, text: str) -> str:
    """Return a document with this text, as text with its title and context."""
    heads = [line for line in (media.title, media.context) if line]
    return "\n".join([*heads, text])


def _described(source: Source, kind: MediaKind) -> str:
    match source:
        case Base64Source():
            kilobytes = max(1, len(source.data) * 3 // 4 // 1000)
            return f"{source.media_type or kind}, {kilobytes} kB"
        case UrlSource():
            return f"{kind} at {source.url}"
        case FileSource():
            return f"{kind}, file {source.file_id}"
        case TextSource():
            return str(kind)


def refuse_media(media: Media, target: Target) -> None:
    """Raise NotCarried for a medium for which no note can be written.

    These are files that only the client's provider has, and audio and video for a target that does
    not take them.
    """
    if isinstance(media.source, FileSource):
        raise NotCarried("file", "the file is stored at the client's provider", media.at)
    is_seen = media.kind in (MediaKind.IMAGE, MediaKind.DOCUMENT)
    if not is_seen and media.kind not in target.traits.media:
        raise NotCarried(media.kind.value, "the provider does not take it", media.at)


def report_prefill(conversation: Conversation, losses: Losses) -> None:
    """Record a last turn of the model for a target that may not continue it."""
    last = conversation.turns[-1] if conversation.turns else None
    if last is not None and last.role is Role.ASSISTANT:
        found = "a last turn of the model"
        losses.add(LossKind.HISTORY, found, "sent; the model may begin a new answer", last.at)


def data_url(source: Base64Source) -> str:
    """Return a `data:` URL with the bytes of a medium."""
    return f"data:{source.media_type};base64,{source.data}"


def source_of_url(url: str) -> Base64Source | UrlSource:
    """Return the source that a URL describes; a `data:` URL contains it."""
    head, comma, data = url.partition(",")
    if comma and head[:5].lower() == "data:" and head[-7:].lower() == ";base64":
        return Base64Source(head[5:-7], data)
    return UrlSource(url)


def server_text(part: ServerCall | ServerResult) -> str:
    """Return a call that the provider ran, or its result, as text for another provider."""
    if isinstance(part, ServerCall):
        return f"({part.name}: {part.arguments})" if part.arguments else f"({part.name})"
    if part.error:
        return f"({part.name} failed: {part.error})"
    return "\n".join([*filter(None, [part.text]), *map(source_line, part.sources[:_MOST_SOURCES])])


def source_line(citation: Citation) -> str:
    """Return title and address of a source on one line."""
    return ": ".join(filter(None, [citation.title, citation.url]))


def arguments_object(text: str) -> dict[str, Any] | None:
    """Return the arguments of a call as an object; None if they are no JSON object."""
    if not text.strip():
        return {}
    try:
        value = json_value.read(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def custom_schema(tool: Tool) -> dict[str, Any]:
    """Return the schema of the function that replaces a custom tool."""
    text: dict[str, Any] = {"type": "string"}
    if tool.grammar:
        text["description"] = f"Text in this {tool.grammar_syntax or 'lark'} grammar."
    return {
        "type": "object",
        "properties": {CUSTOM_ARGUMENT: text},
        "required": [CUSTOM_ARGUMENT],
    }


def function_description(tool: Tool) -> str:
    """Return the description of a tool as a function, with the grammar of a custom tool."""
    if tool.kind is not ToolKind.CUSTOM or not tool.grammar:
        return tool.description
    head = f"The {tool.grammar_syntax or 'lark'} grammar of {CUSTOM_ARGUMENT}:"
    return "\n\n".join(filter(None, [tool.description, f"{head}\n{tool.grammar}"]))
