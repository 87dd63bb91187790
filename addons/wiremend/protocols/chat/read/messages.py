"""The messages of a Chat Completions request as turns."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    CallKind,
    FileSource,
    Media,
    MediaKind,
    Opaque,
    Own,
    Part,
    Refusal,
    Result,
    Text,
    Thinking,
)
from wiremend.protocols.base.middle.conversation import Role, Turn
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.middle.state import Origin, State, is_sealed, unseal
from wiremend.protocols.base.middle.wording import source_of_url
from wiremend.protocols.base.names import WireProtocol
from wiremend.text import json_value
from wiremend.text.json_edits import Path
from wiremend.text.json_value import dicts_in

_C = WireProtocol.CHAT_COMPLETIONS
REASONING_KEYS = ("reasoning_content", "reasoning", "reasoning_text")
"""The members in which providers send reasoning as text."""
DETAILS = "reasoning_details"
"""The member in which OpenRouter sends reasoning with its signatures."""
SEALED_DETAIL = "reasoning.encrypted"
"""The type of the detail that contains an envelope."""
BETWEEN = "\n\n"
"""Between texts that are joined into one."""
LEGACY_CALL = "function_call"
_ROLES = frozenset({"system", "developer", "user", "assistant"})


def read_messages(messages: Sequence[Any]) -> tuple[Turn, ...]:
    """Return one turn for each message."""
    reader = _MessageReader()
    return tuple(
        reader.turn(message, ("messages", number))
        for number, message in enumerate(messages)
        if isinstance(message, dict)
    )


class _MessageReader:
    """Reads messages in order, since results of `function_call` have no id."""

    def __init__(self) -> None:
        self._legacy: dict[str, deque[str]] = {}
        """Ids of the calls that wait for their result, by the name of the function."""
        self._legacy_calls = 0

    def turn(self, message: Mapping[str, Any], at: Path) -> Turn:
        """Return the turn in a message."""
        members = Members(message)
        role = members.peek("role")
        if role in ("tool", "function"):
            return Turn(Role.USER, (self._result(members, at),), at=at)
        own_role = members.word("role", _ROLES) or "user"
        if own_role != "assistant":
            parts, is_plain = _content(members, at)
            return Turn(Role(own_role), parts, is_plain, own=members.own(_C), at=at)
        thinking = tuple(_thinking(members, at))
        parts, is_plain = _content(members, at)
        refusal = members.text("refusal")
        if refusal:
            parts = (*parts, Refusal(refusal, at=(*at, "refusal")))
        calls = (*_calls(members, at), *self._legacy_call(members, at))
        own = members.own(_C)
        return Turn(Role.ASSISTANT, (*thinking, *parts, *calls), is_plain, own=own, at=at)

    def _result(self, members: Members, at: Path) -> Result:
        call_id, name = members.text("tool_call_id"), members.text("name")
        if members.peek("role") == "tool":
            members.drop("role")
        elif self._legacy.get(name):
            call_id = self._legacy[name].popleft()
        parts, is_plain = _content(members, at)
        own = members.own(_C)
        return Result(call_id, parts, name=name, is_plain=is_plain, own=own, at=at)

    def _legacy_call(self, members: Members, at: Path) -> Iterator[Call]:
        call = members.object(LEGACY_CALL)
        if call is None:
            return
        fields = Members(call)
        name, arguments = fields.text("name"), fields.text("arguments")
        call_id = f"function_call_{self._legacy_calls}"
        self._legacy_calls += 1
        self._legacy.setdefault(name, deque()).append(call_id)
        own = Own(_C, {LEGACY_CALL: True})
        yield Call(call_id, name, arguments, own=own, at=(*at, LEGACY_CALL))


def _content(members: Members, at: Path) -> tuple[tuple[Part, ...], bool]:
    """Take the content of a message; return its parts, and whether it was one string."""
    content, place = members.peek("content"), (*at, "content")
    if isinstance(content, str):
        members.drop("content")
        return (Text(content, at=place),), True
    parts = members.list("content")
    if parts is None:
        return (), False
    return tuple(
        _part(part, (*place, number)) for number, part in enumerate(parts) if isinstance(part, dict)
    ), False


def _part(part: Mapping[str, Any], at: Path) -> Part:
    members = Members(part)
    kind = members.text("type")
    match kind:
        case "text":
            text = members.text("text")
            _drop_empty(members, "text")
            return Text(text, own=members.own(_C), at=at)
        case "refusal":
            refusal = members.text("refusal")
            return Refusal(refusal, own=members.own(_C), at=at)
        case "image_url" | "input_audio" | "file":
            read = _media(kind, members, at)
            if read is not None:
                return read
    return Opaque(kind, own=Own(_C, part), at=at)


def _media(kind: str, members: Members, at: Path) -> Media | None:
    inner = members.object(kind)
    if inner is None:
        url = members.text(kind)  # Mistral: a string
        return (
            Media(MediaKind.IMAGE, source_of_url(url), own=members.own(_C), at=at) if url else None
        )
    fields = Members(inner)
    media: Media | None = None
    match kind:
        case "image_url":
            source = source_of_url(fields.text("url"))
            media = Media(MediaKind.IMAGE, source, detail=fields.text("detail"), at=at)
        case "input_audio":
            form, data = fields.text("format"), fields.text("data")
            media = Media(MediaKind.AUDIO, Base64Source(f"audio/{form}", data), at=at)
        case "file":
            file_id, name = fields.text("file_id"), fields.text("filename")
            data = fields.text("file_data")
            file = FileSource(file_id) if file_id else source_of_url(data)
            media = Media(MediaKind.DOCUMENT, file, name, at=at)
    rest = fields.own(_C)
    if rest is not None:
        members.keep(kind, rest.fields)
    own = members.own(_C)
    if media is None:
        return None
    return Media(media.kind, media.source, media.title, detail=media.detail, own=own, at=at)


def _drop_empty(members: Members, key: str) -> None:
    if members.peek(key) == "":
        members.drop(key)


def _thinking(members: Members, at: Path) -> Iterator[Thinking]:
    """Take the reasoning of an assistant message, with the state in its details."""
    key = next((one for one in REASONING_KEYS if isinstance(members.peek(one), str)), "")
    details = dicts_in(members.peek(DETAILS))
    sealed = [one["data"] for one in details if is_sealed(one.get("data"))]
    if not key and not details:
        return
    text = str(members.drop(key)) if key else ""
    place = (*at, key or DETAILS)
    if sealed:
        members.drop(DETAILS)
        first, *others = [unseal(one) for one in sealed]
        texts: list[str] = []
        for state in reversed(others):
            texts.append(state.text or "" if state is not None else "")
            text = text.removesuffix(texts[-1]).removesuffix(BETWEEN)
        yield Thinking(text, first, at=place)
        for state, own in zip(others, reversed(texts), strict=True):
            yield Thinking(own, state, at=place)
        return
    payload: dict[str, Any] = {"field": key}
    if details:
        payload["details"] = members.drop(DETAILS)
    yield Thinking(text, State(Origin(_C), payload, is_native=True), at=place)


def _calls(members: Members, at: Path) -> Iterator[Call]:
    for number, call in enumerate(members.list("tool_calls") or ()):
        if isinstance(call, dict):
            yield _call(call, (*at, "tool_calls", number))


def _call(call: Mapping[str, Any], at: Path) -> Call:
    members = Members(call)
    call_id = members.text("id")
    kind = members.text("type") or "function"
    state = unseal(_signature(members.peek("extra_content")))
    if state is not None:
        members.drop("extra_content")
    inner = Members(members.object(kind) or {})
    name = inner.text("name")
    is_custom = kind == "custom"
    arguments = inner.text("input") if is_custom else _arguments(inner)
    rest = inner.own(_C)
    if rest is not None:
        members.keep(kind, rest.fields)
    own = members.own(_C)
    call_kind = CallKind.CUSTOM if is_custom else CallKind.FUNCTION
    return Call(call_id, name, arguments, call_kind, state=state, own=own, at=at)


def _arguments(inner: Members) -> str:
    value = inner.drop("arguments")
    if value is None or isinstance(value, str):
        return value or ""
    return json_value.write(value).decode()


def _signature(extra: Any) -> Any:
    """Return the signature in `extra_content.google`, where Google's own endpoint has it."""
    google = extra.get("google") if isinstance(extra, dict) else None
    return google.get("thought_signature") if isinstance(google, dict) else None
