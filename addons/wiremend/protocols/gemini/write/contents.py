"""The turns of a conversation of another protocol, as contents."""

from collections.abc import Iterator, Sequence
from typing import Any

from wiremend.protocols.base.middle.call_ids import SentIds
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
    TextSource,
    Thinking,
    UrlSource,
)
from wiremend.protocols.base.middle.conversation import AUTHORITIES, Role, Turn
from wiremend.protocols.base.middle.function_tools import FunctionTools
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.state import State
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.middle.wording import (
    NO_CONTENT,
    arguments_object,
    media_note,
    refuse_media,
    server_text,
    system_reminder,
    text_document,
)
from wiremend.protocols.gemini.read.parts import ON, SIGNATURE, media_type_at
from wiremend.protocols.gemini.write.own_parts import native_signature
from wiremend.text.json_value import is_blank

CONTINUE = "Continue."
"""What is added behind a last turn of the model, which this protocol does not continue."""
ATTACHED = "The content is attached."
"""The output of a result that has only media."""


class Contents:
    """The contents of one request: they alternate, and begin and end with the user's."""

    def __init__(self, target: Target, tools: FunctionTools, losses: Losses) -> None:
        self._target = target
        self._tools = tools
        self._losses = losses
        self._ids = SentIds(target.traits.call_ids)
        self._contents: list[dict[str, Any]] = []
        self._names: dict[str, str] = {}
        """The names of the calls so far, as they were sent, by id."""

    def add(self, turn: Turn) -> None:
        """Add a turn; it joins the last content if that is of the same role."""
        if turn.role in AUTHORITIES:
            texts = [part.text for part in turn.parts if isinstance(part, Text)]
            found = f"{turn.role} message"
            self._losses.add(LossKind.POSITION, found, "sent as user text", turn.at)
            self._add("user", [{"text": system_reminder(text)} for text in texts])
        elif turn.role is Role.ASSISTANT:
            self._add("model", list(self._of_model(turn.parts)))
        else:
            self._add("user", list(self._of_user(turn.parts)))

    def written(self) -> list[dict[str, Any]]:
        """Return the contents."""
        if not self._contents or self._contents[-1]["role"] == "model":
            if self._contents:
                self._losses.add(LossKind.HISTORY, "a last turn of the model", "continued by text")
            self._add("user", [{"text": CONTINUE if self._contents else NO_CONTENT}])
        return self._contents

    def _add(self, role: str, parts: list[dict[str, Any]]) -> None:
        if not parts:
            return
        if not self._contents and role == "model":
            self._add("user", [{"text": NO_CONTENT}])
        if self._contents and self._contents[-1]["role"] == role:
            self._contents[-1]["parts"] += parts
        else:
            self._contents.append({"role": role, "parts": parts})

    # The model's

    def _of_model(self, parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
        pending: str | None = None
        unsigned = self._target.traits.unsigned_call  # only the first call is signed
        for part in parts:
            if isinstance(part, Thinking):
                signature, on = self._returned_state(part)
                if on == "functionCall":
                    pending = signature
                elif signature is not None:
                    thought = {"thought": True} if on == "thought" else {}
                    text = part.text if thought else ""
                    yield {"text": text, **thought, SIGNATURE: signature}
            elif isinstance(part, Call):
                signature = self._signature(part.state) or pending or unsigned
                pending = unsigned = None
                signed = {} if signature is None else {SIGNATURE: signature}
                yield {"functionCall": self._call(part), **signed}
            else:
                yield from self._other(part)

    def _returned_state(self, part: Thinking) -> tuple[str | None, str]:
        """Return the signature in reasoning of this target, and the kind of part it was on."""
        state = part.state
        if state is None or not state.is_for(self._target.origin):
            found = "reasoning of another provider"
            self._losses.add_once(LossKind.REASONING, found, path=part.at)
            return None, ""
        signature = native_signature(state)  # none: a thought, which need not return
        return signature, str(state.payload.get(ON)) if signature is not None else ""

    def _signature(self, state: State | None) -> str | None:
        is_for_target = state is not None and state.is_for(self._target.origin)
        return native_signature(state) if is_for_target else None

    def _call(self, call: Call) -> dict[str, Any]:
        name, text = self._tools.sent_call(call)
        self._names[call.id] = name
        args = arguments_object(text)
        if args is None:
            found = f"arguments of {name!r} that are no JSON object"
            self._losses.add(LossKind.HISTORY, found, "sent as text", call.at)
            args = {"text": text}
        return {**without_nothing(id=self._call_id(call.id)), "name": name, "args": args}

    def _call_id(self, call_id: str) -> str:
        return self._ids.of(call_id) if call_id else ""

    # The user's

    def _of_user(self, parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
        """Yield the results, the media in them, and the other parts."""
        results = [part for part in parts if isinstance(part, Result)]
        for result in results:
            yield self._result(result)
        for result in results:
            yield from self._media_of(result, is_labelled=len(results) > 1)
        for part in parts:
            if not isinstance(part, Result):
                yield from self._other(part)

    def _result(self, result: Result) -> dict[str, Any]:
        texts = [text for part in result.parts for text in self._texts(part)]
        text = "\n".join(texts)
        if not text and any(isinstance(part, Media) for part in result.parts):
            text = ATTACHED
        key = "error" if result.is_error else "output"
        name = self._names.get(result.call_id) or self._tools.sent_name(result.name or "unknown")
        identity = without_nothing(id=self._call_id(result.call_id))
        return {"functionResponse": {**identity, "name": name, "response": {key: text}}}

    def _texts(self, part: Part) -> list[str]:
        """Return the text of a part of a result; none for media, which are beside it."""
        if isinstance(part, Media):
            return []
        return [one["text"] for one in self._other(part)]

    def _media_of(self, result: Result, *, is_labelled: bool) -> Iterator[dict[str, Any]]:
        media = [part for part in result.parts if isinstance(part, Media)]
        if not media:
            return
        found = f"media of the result {result.call_id!r}"
        self._losses.add(LossKind.POSITION, found, "moved behind the results", result.at)
        if is_labelled:
            name = self._names.get(result.call_id, result.name)
            yield {"text": f"[from the result of {name} ({self._call_id(result.call_id)})]"}
        for part in media:
            yield from self._media(part)

    # Both

    def _other(self, part: Part) -> Iterator[dict[str, Any]]:
        match part:
            case Text() | Refusal():
                if not is_blank(part.text):
                    yield {"text": part.text}
            case Media():
                yield from self._media(part)
            case ServerCall() | ServerResult():
                found = f"{part.name} in the history"
                self._losses.add_once(LossKind.SERVER_TOOL, found, "sent as text", part.at)
                text = server_text(part)
                if not is_blank(text):
                    yield {"text": text}
            case Opaque():
                done = "sent as text" if part.text else "not sent"
                self._losses.add(LossKind.CONTENT, part.kind, done, part.at)
                if not is_blank(part.text):
                    yield {"text": part.text}
            case _:  # a call of the user's, a result of the model's: no client sends them
                self._losses.add(LossKind.CONTENT, type(part).__name__.lower(), path=part.at)

    def _media(self, media: Media) -> Iterator[dict[str, Any]]:
        """Yield a medium, behind its title: beside functions, `displayName` is not taken."""
        traits = self._target.traits
        source = media.source
        if media.detail:
            self._losses.add_once(LossKind.PARAMETER, "detail", path=media.at)
        if isinstance(source, TextSource):
            yield {"text": text_document(media, source.text)}
            return
        refuse_media(media, self._target)
        is_url = isinstance(source, UrlSource)
        if media.kind not in traits.media or (is_url and not traits.media_urls):
            note = media_note(media)
            self._losses.add(LossKind.MEDIA, note, "a note is sent instead", media.at)
            yield {"text": note}
            return
        head = text_document(media, "").strip()
        if head:
            yield {"text": head}
        if isinstance(source, Base64Source):
            yield {"inlineData": {"mimeType": source.media_type, "data": source.data}}
        elif isinstance(source, UrlSource):
            media_type = source.media_type or media_type_at(source.url)
            yield {"fileData": {**without_nothing(mimeType=media_type), "fileUri": source.url}}
