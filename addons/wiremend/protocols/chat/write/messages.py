"""Turns of other protocols as Chat Completions messages.

Content is a plain string wherever it can be: models imitate the form of lists.
"""

from collections.abc import Sequence
from typing import Any

from wiremend.protocols.base.middle.call_ids import SentIds
from wiremend.protocols.base.middle.content import (
    Call,
    Media,
    MediaKind,
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
from wiremend.protocols.base.middle.conversation import AUTHORITIES, Role, Turn
from wiremend.protocols.base.middle.function_tools import FunctionTools
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.middle.wording import (
    failed_result,
    media_note,
    refuse_media,
    server_text,
    system_reminder,
    text_document,
)
from wiremend.protocols.chat.read.messages import BETWEEN, DETAILS
from wiremend.protocols.chat.write.own_messages import file_of, url_of
from wiremend.text.json_value import is_blank, parses


class MessageWriter:
    """The messages of one request."""

    def __init__(self, target: Target, tools: FunctionTools, losses: Losses) -> None:
        self._target = target
        self._traits = target.traits
        self._tools = tools
        self._losses = losses
        self._ids = SentIds(target.traits.call_ids)
        self.messages: list[dict[str, Any]] = []

    def add_system(self, texts: Sequence[str], more: str) -> None:
        """Add the system message: one, at the head."""
        text = BETWEEN.join([*texts, *filter(None, [more])])
        if text:
            self.messages.append({"role": self._system_role, "content": text})

    @property
    def _system_role(self) -> str:
        return "developer" if self._traits.developer_role else "system"

    def add(self, turn: Turn) -> None:
        """Add the messages of a turn."""
        if turn.role in AUTHORITIES:
            self._add_system_in_place(turn)
        elif turn.role is Role.ASSISTANT:
            self._add_assistant(turn)
        else:
            results = [part for part in turn.parts if isinstance(part, Result)]
            self._add_results(results)
            self._add_user([part for part in turn.parts if not isinstance(part, Result)])

    def _add_system_in_place(self, turn: Turn) -> None:
        text = BETWEEN.join(part.text for part in turn.parts if isinstance(part, Text))
        if not text:
            return
        if self._traits.system_in_place:
            self.messages.append({"role": self._system_role, "content": text})
            return
        self._losses.add(LossKind.POSITION, "system message", "sent as user text", turn.at)
        self.messages.append({"role": "user", "content": system_reminder(text)})

    # The user's messages

    def _add_user(self, parts: Sequence[Part]) -> None:
        content = [written for part in parts for written in self._content(part)]
        if content:
            self.messages.append({"role": "user", "content": _plain(content)})

    def _content(self, part: Part) -> list[dict[str, Any]]:
        match part:
            case Text() | Refusal():
                return _text(part.text)
            case Media():
                return [self._media(part)]
            case ServerCall() | ServerResult():
                return _text(self._server_text(part))
            case Opaque():
                return _text(self._opaque_text(part))
            case _:
                kind = type(part).__name__.lower()
                self._losses.add_once(LossKind.CONTENT, f"{kind} of the user", path=part.at)
                return []

    def _media(self, media: Media) -> dict[str, Any]:
        if media.kind is MediaKind.DOCUMENT and isinstance(media.source, TextSource):
            return {"type": "text", "text": text_document(media, media.source.text)}
        refuse_media(media, self._target)
        is_taken = media.kind in self._traits.media
        is_taken &= self._traits.media_urls or not isinstance(media.source, UrlSource)
        if is_taken and media.kind is MediaKind.IMAGE:
            url = {"url": url_of(media.source), **without_nothing(detail=media.detail)}
            return {"type": "image_url", "image_url": url}
        if is_taken and not isinstance(media.source, UrlSource):
            file = {"filename": media.title or "document", **file_of(media)}
            return {"type": "file", "file": file}
        note = media_note(media)
        self._losses.add(LossKind.MEDIA, note, "a note is sent instead", media.at)
        return {"type": "text", "text": note}

    def _server_text(self, part: ServerCall | ServerResult) -> str:
        self._losses.add_once(LossKind.SERVER_TOOL, part.name, "sent as text", part.at)
        return server_text(part)

    def _opaque_text(self, part: Opaque) -> str:
        done = "sent as text" if part.text else "not sent"
        self._losses.add_once(LossKind.CONTENT, part.kind, done, part.at)
        return part.text

    # Results

    def _add_results(self, results: Sequence[Result]) -> None:
        """Add the results of one turn; what they contain besides text follows all of them."""
        media: list[dict[str, Any]] = []
        for result in results:
            media += self._add_result(result)
        if media:
            self.messages.append({"role": "user", "content": media})

    def _add_result(self, result: Result) -> list[dict[str, Any]]:
        call_id = self._ids.of(result.call_id)
        content = [written for part in result.parts for written in self._content(part)]
        media = [one for one in content if one["type"] != "text"]
        text = "\n".join(one["text"] for one in content if one["type"] == "text")
        if media and is_blank(text):
            text = "(see the next message)"
        if result.is_error:
            done = "expressed in the text"
            self._losses.add_once(LossKind.ERROR_FLAG, "is_error", done, result.at)
            text = failed_result(text)
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": text})
        if not media:
            return []
        done = "moved behind the results"
        self._losses.add_once(LossKind.POSITION, "media in a result", done, result.at)
        return [{"type": "text", "text": f"[from the result of {call_id}]"}, *media]

    # The assistant's messages

    def _add_assistant(self, turn: Turn) -> None:
        calls = [self._call(part) for part in turn.parts if isinstance(part, Call)]
        text = self._assistant_text(turn)
        if not text and not calls:
            return
        message: dict[str, Any] = {"role": "assistant"}
        message["content"] = text or (None if self._traits.null_content else "")
        message |= self._reasoning(turn, has_calls=bool(calls))
        message |= without_nothing(tool_calls=calls)
        self.messages.append(message)

    def _assistant_text(self, turn: Turn) -> str:
        pieces: list[str] = []
        is_text = is_cited = False
        for part in turn.parts:
            match part:
                case Text() | Refusal():
                    text = part.text
                case Media():
                    refuse_media(part, self._target)
                    text = media_note(part)
                    done = "a note is sent instead"
                    self._losses.add(LossKind.MEDIA, text, done, part.at)
                case ServerCall() | ServerResult():
                    text = self._server_text(part)
                case Opaque():
                    text = self._opaque_text(part)
                case _:
                    continue
            if not text:
                continue
            has_sources = isinstance(part, Text) and bool(part.citations)
            continues = isinstance(part, Text) and is_text and (is_cited or has_sources)
            if pieces and not continues:
                pieces.append(BETWEEN)
            pieces.append(text)
            is_text, is_cited = isinstance(part, Text), has_sources
        return "".join(pieces)

    def _call(self, call: Call) -> dict[str, Any]:
        name, arguments = self._tools.sent_call(call)
        if is_blank(arguments):
            arguments = "{}"
        elif not parses(arguments):
            found = f"arguments of {name!r} that are no JSON"
            self._losses.add(LossKind.HISTORY, found, "sent as they are", call.at)
        function = {"name": name, "arguments": arguments}
        written = {"id": self._ids.of(call.id), "type": "function", "function": function}
        state = call.state
        if state is not None and state.is_for(self._target.origin):
            payload = state.payload if isinstance(state.payload, dict) else {}
            written |= without_nothing(extra_content=payload.get("extra_content"))
        return written

    def _reasoning(self, turn: Turn, *, has_calls: bool) -> dict[str, Any]:
        """Return the reasoning that the target issued and wants back."""
        texts: list[str] = []
        details: list[Any] = []
        for part in turn.parts:
            if not isinstance(part, Thinking):
                continue
            state = part.state
            if state is None or not state.is_for(self._target.origin):
                found = "reasoning of another provider"
                self._losses.add_once(LossKind.REASONING, found, path=part.at)
                continue
            texts.append(part.text)
            if isinstance(state.payload, dict) and isinstance(state.payload.get("details"), list):
                details += state.payload["details"]
        fields: dict[str, Any] = without_nothing(**{DETAILS: details})
        key, placeholder = self._traits.returned_reasoning, self._traits.reasoning_placeholder
        if not key:
            return fields
        text = BETWEEN.join(filter(None, texts))
        if not text and has_calls and placeholder is not None:
            found = "reasoning that the provider requires"
            self._losses.add_once(LossKind.REASONING, found, "a placeholder is sent", turn.at)
            text = placeholder
            return {**fields, key: text}
        return {**fields, **without_nothing(**{key: text})}


def _text(text: str) -> list[dict[str, Any]]:
    return [] if is_blank(text) else [{"type": "text", "text": text}]


def _plain(content: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return texts as one string; other content as a list."""
    if any(part["type"] != "text" for part in content):
        return content
    return BETWEEN.join(part["text"] for part in content)
