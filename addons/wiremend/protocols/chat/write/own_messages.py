"""Turns that were read from Chat Completions, as the messages that they were."""

from collections.abc import Mapping, Sequence
from typing import Any

from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    CallKind,
    FileSource,
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    Result,
    Source,
    Text,
    Thinking,
    UrlSource,
    own_fields,
)
from wiremend.protocols.base.middle.conversation import Role, Turn
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.wording import data_url
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.chat.read.messages import DETAILS, LEGACY_CALL

_C = WireProtocol.CHAT_COMPLETIONS


def own_message(turn: Turn) -> dict[str, Any]:
    """Return the message that a turn was read from."""
    first = turn.parts[0] if turn.parts else None
    if isinstance(first, Result):
        message: dict[str, Any] = {"role": "tool"}
        message |= without_nothing(tool_call_id=first.call_id, name=first.name)
        own = own_fields(first.own, _C)
        if own.get("role") == "function":  # it has no id
            message.pop("tool_call_id", None)
        return {**message, **_content(first.parts, first.is_plain), **own}
    message = {"role": turn.role.value}
    if turn.role is not Role.ASSISTANT:
        return {**message, **_content(turn.parts, turn.is_plain), **own_fields(turn.own, _C)}
    contents: list[Part] = []
    calls: list[dict[str, Any]] = []
    for part in turn.parts:
        match part:
            case Thinking():
                message |= _reasoning(part)
            case Refusal(own=None, at=at) if at[-1:] == ("refusal",):
                message["refusal"] = part.text
            case Call():
                if LEGACY_CALL in own_fields(part.own, _C):
                    call = without_nothing(name=part.name)
                    message[LEGACY_CALL] = {**call, "arguments": part.arguments}
                else:
                    calls.append(own_call(part))
            case _:
                contents.append(part)
    message |= _content(contents, turn.is_plain)
    message |= without_nothing(tool_calls=calls)
    return {**message, **own_fields(turn.own, _C)}


def _reasoning(part: Thinking) -> dict[str, Any]:
    payload = part.state.payload if part.state is not None else {}
    if not isinstance(payload, dict):
        return {}
    fields: dict[str, Any] = {payload["field"]: part.text} if payload.get("field") else {}
    return fields | without_nothing(**{DETAILS: payload.get("details")})


def own_call(call: Call) -> dict[str, Any]:
    """Return an entry of `tool_calls`."""
    own = dict(own_fields(call.own, _C))
    is_custom = call.kind is CallKind.CUSTOM
    key = "custom" if is_custom else "function"
    inner: dict[str, Any] = without_nothing(name=call.name)
    inner["input" if is_custom else "arguments"] = call.arguments
    fields = {**without_nothing(id=call.id), "type": key, key: {**inner, **own.pop(key, {})}}
    return {**fields, **own}


def _content(parts: Sequence[Part], is_plain: bool) -> dict[str, Any]:
    if not parts:
        return {}
    first = parts[0]
    if is_plain and isinstance(first, Text):
        return {"content": first.text}
    return {"content": [_part(part) for part in parts]}


def _part(part: Part) -> Mapping[str, Any]:
    own = dict(own_fields(part.own, _C))
    match part:
        case Text():
            return {"type": "text", "text": part.text, **own}
        case Refusal():
            return {"type": "refusal", "refusal": part.text, **own}
        case Media(kind=MediaKind.IMAGE):
            url = {"url": url_of(part.source), **without_nothing(detail=part.detail)}
            return {"type": "image_url", "image_url": {**url, **own.pop("image_url", {})}, **own}
        case Media(kind=MediaKind.AUDIO, source=Base64Source() as source):
            form = source.media_type.removeprefix("audio/")
            audio = {"data": source.data, "format": form}
            return {"type": "input_audio", "input_audio": audio, **own}
        case Media():
            return {"type": "file", "file": {**file_of(part), **own.pop("file", {})}, **own}
        case Opaque():
            return own
        case _:
            return {}


def url_of(source: Source) -> str:
    """Return the URL of a medium, which contains its bytes if it has them."""
    match source:
        case Base64Source():
            return data_url(source)
        case UrlSource():
            return source.url
        case _:
            return ""


def file_of(media: Media) -> dict[str, Any]:
    """Return the file of a document."""
    if isinstance(media.source, FileSource):
        return {"file_id": media.source.file_id, **without_nothing(filename=media.title)}
    return without_nothing(filename=media.title, file_data=url_of(media.source))
