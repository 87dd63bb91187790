"""Events of the middle form as a Gemini stream in server-sent events.

Every event is a response with one part. The finish reason and the counts are in the last one.

Gemini's clients drop thoughts, but return the `thoughtSignature` of texts and calls. So reasoning
of another provider, with its state, is sealed into the signature of the part behind it.
"""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.middle.answer import (
    CUT_REASONS,
    OwnEvent,
    PartCitation,
    PartDelta,
    PartEnd,
    PartStart,
    PartState,
    Start,
    StopReason,
    UsageCounts,
    reason_to_write,
)
from wiremend.protocols.base.middle.call_ids import client_id
from wiremend.protocols.base.middle.content import (
    Base64Source,
    Call,
    CallKind,
    Citation,
    Media,
    Opaque,
    Part,
    Refusal,
    ServerCall,
    ServerResult,
    Text,
    Thinking,
    UrlSource,
    own_fields,
)
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.state import State, seal_base64
from wiremend.protocols.base.middle.wording import CUSTOM_ARGUMENT, arguments_object
from wiremend.protocols.base.middle.writer import AnswerWriter
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import ProviderError, own_error
from wiremend.protocols.base.usage import Usage
from wiremend.protocols.gemini.errors import error_event
from wiremend.protocols.gemini.own_form import form_of, restored
from wiremend.protocols.gemini.read.parts import CARRIED, SIGNATURE
from wiremend.protocols.gemini.read.stream import (
    CANDIDATE,
    OTHER_CANDIDATE,
    RESPONSE,
    WRAPPER,
)
from wiremend.protocols.gemini.request import request_path
from wiremend.protocols.gemini.stop_reasons import FAILED, FINISH_REASONS
from wiremend.protocols.gemini.write.own_parts import signature_of, write_own_part
from wiremend.text import json_value, sse

_G = WireProtocol.GEMINI
BETWEEN = "\n\n"
"""Between the texts of two messages; clients join the texts of an answer."""
_BROKEN_CALL = {
    "finishReason": "MALFORMED_FUNCTION_CALL",
    "finishMessage": "The model called a tool with arguments that are no JSON object.",
}
"""How Gemini itself ends such an answer; its clients know it."""
_BROKEN_ERROR = own_error(_BROKEN_CALL["finishMessage"], code=_BROKEN_CALL["finishReason"])


class GeminiWriter(AnswerWriter):
    """Writes one stream for a client."""

    def __init__(self, context: AnswerContext, losses: Losses) -> None:
        super().__init__(context, losses)
        self._is_own = context.origin.protocol is _G
        self._is_wrapped = bool(request_path(context.request))
        """Whether the client reads each response in Code Assist's wrapper."""
        self._head: dict[str, Any] = {}
        """The members that identify the answer; they are in each event."""
        self._wrapper: Mapping[str, Any] = {}
        self._part: PartStart | None = None
        """The open part."""
        self._state: State | None = None
        """The state of the open part."""
        self._text: list[str] = []
        """The text of a part that is written whole, or is carried in a signature."""
        self._is_written = False
        """Whether something of the open part was written."""
        self._carried: list[list[Any]] = []
        """Reasoning, as text and payload, for the signature of the next part."""
        self._sources: dict[str, Citation] = {}
        self._own_usage: dict[str, Any] = {}
        self._has_text = False
        self._has_calls = False
        self._has_refusal = False
        self._has_broken_call = False

    def _keep_state(self, event: PartState) -> None:
        self._state = event.state

    def _count(self, event: UsageCounts) -> None:
        super()._count(event)
        self._own_usage |= own_fields(event.own, _G)

    # Events

    def _begin_answer(self, event: Start) -> None:
        answer_id = event.id if self._is_own else self._context.answer_id
        model = event.model if self._is_own else self._context.model
        self._head = without_nothing(modelVersion=model, responseId=answer_id)

    def _response(self, fields: Mapping[str, Any]) -> None:
        """Write an event with these members."""
        response = {**fields, **self._head}
        value: Mapping[str, Any] = response
        if self._is_wrapped:
            value = {"response": response, **self._wrapper}
        self._out += sse.encode(json_value.write(value))

    def _candidate(self, fields: Mapping[str, Any], **others: Any) -> None:
        self._response({"candidates": [{**fields, "index": 0}], **others})

    def _write_part(self, part: Mapping[str, Any]) -> None:
        self._is_written = True
        self._candidate({"content": {"parts": [part], "role": "model"}})

    def _write_own(self, event: OwnEvent) -> None:
        if event.protocol is not _G:
            return
        if event.type == WRAPPER:
            self._wrapper = event.data
        elif event.type == RESPONSE:
            self._response(event.data)
        elif event.type == CANDIDATE:
            self._candidate(event.data)
        elif event.type == OTHER_CANDIDATE:
            self._response({"candidates": [event.data]})

    # Parts

    def _begin(self, event: PartStart) -> None:
        self._part, self._state = event, None
        self._text = []
        self._is_written = False
        part = event.part
        match part:
            case Text() | Call() | Thinking():
                self._state = part.state
            case Refusal():
                self._has_refusal = True
            case ServerCall() | ServerResult() if self._is_own and part.own is None:
                pass  # the grounding, which is written as it came
            case _ if self._is_own:
                self._write_part(write_own_part(part))
            case ServerResult(sources=sources) if sources:
                for source in sources:
                    self._add_source(source)
            case Media(source=Base64Source() as source):
                inline = {"mimeType": source.media_type, "data": source.data}
                self._write_part({"inlineData": inline})
            case Media(source=UrlSource() as source):
                typed = without_nothing(mimeType=source.media_type)
                self._write_part({"fileData": {**typed, "fileUri": source.url}})
            case Opaque(text=text) if text:
                self._write_part({"text": text})
            case ServerCall(name="web_search"):
                pass  # its sources follow
            case _:
                self._losses.add_in_answer(LossKind.ANSWER_CONTENT, _name_of(part))

    def _add(self, event: PartDelta) -> None:
        text = event.text
        part = self._part.part if self._part is not None else None
        match part:
            case Text():
                signed = {} if self._is_own else self._signed()
                if part.begins_message and self._has_text and not self._is_written:
                    text = BETWEEN + text
                self._has_text = True
                self._write_part(restored({"text": text, **signed}, part.own))
            case Refusal():
                self._write_part({"text": text, **self._signed()})
            case Thinking():
                if not self._is_own:
                    self._text.append(text)
                self._write_part(restored({"text": text, "thought": True}, part.own))
            case Call():
                self._text.append(text)

    def _close(self, event: PartEnd) -> None:
        opened, state = self._part, self._state
        self._part, self._state = None, None
        match opened:
            case PartStart(part=Text() as part):
                self._close_text(part, state)
            case PartStart(part=Thinking() as part) if self._is_own:
                signed = signature_of(state)
                if signed or (part.own is not None and not self._is_written):
                    thought = {"text": "", "thought": True, **signed}
                    self._write_part(restored(thought, part.own))
            case PartStart(part=Thinking()):
                self._carry("".join(self._text), state)
            case PartStart(part=Call() as part, number=number):
                self._call(part, number, state)
        self._text = []

    def _close_text(self, part: Text, state: State | None) -> None:
        if not self._is_own:
            if state is not None:
                self._carry("", state)
            return
        if state is None and (part.own is None or self._is_written):
            return
        empty: dict[str, Any] = {} if form_of(part.own).get("no_text") else {"text": ""}
        self._write_part(restored({**empty, **signature_of(state)}, part.own))

    def _call(self, part: Call, number: int, state: State | None) -> None:
        text = "".join(self._text)
        is_text = part.kind is CallKind.CUSTOM
        arguments = {CUSTOM_ARGUMENT: text} if is_text else arguments_object(text)
        if arguments is None:
            self._has_broken_call = True
            return
        self._has_calls = True
        if self._is_own:
            written = {"functionCall": _own_call(part, text, arguments), **signature_of(state)}
            self._write_part(restored(written, part.own))
            return
        if state is not None:
            self._carry("", state)
        sent = self._context.tools.get(part.name)
        call_id = client_id("call", self._context.answer_id, number, part.id)
        name = sent.name if sent is not None else part.name
        call = {"id": call_id, "name": name, "args": arguments}
        self._write_part({"functionCall": call, **self._signed()})

    # Reasoning of another provider

    def _carry(self, text: str, state: State | None) -> None:
        """Keep reasoning for the signature of the next part."""
        if text or state is not None:
            self._carried.append([text, state.payload if state is not None else None])

    def _signed(self) -> dict[str, Any]:
        """Return the signature of a part, with the reasoning before it."""
        if not self._carried:
            return {}
        entries, self._carried = self._carried, []
        sealed = seal_base64(State(self._context.origin, {CARRIED: entries}))
        if sealed is None:
            bare = [["", payload] for _, payload in entries if payload is not None]
            sealed = seal_base64(State(self._context.origin, {CARRIED: bare})) if bare else None
            found = "reasoning of the provider" if sealed else "state of the provider"
            self._losses.add_in_answer(LossKind.ANSWER_STATE, found, "too large to carry")
        return {} if sealed is None else {SIGNATURE: sealed}

    # Sources

    def _cite(self, event: PartCitation) -> None:
        if not self._is_own:
            self._add_source(event.citation)

    def _add_source(self, citation: Citation) -> None:
        if citation.url:
            self._sources.setdefault(citation.url, citation)

    def _grounding(self) -> dict[str, Any]:
        chunks = [
            {"web": without_nothing(uri=one.url, title=one.title)} for one in self._sources.values()
        ]
        return {"groundingMetadata": {"groundingChunks": chunks}} if chunks else {}

    # The end

    def _write_error(self, error: ProviderError) -> None:
        if self._is_own and error.code in FAILED:
            self._candidate({"finishReason": error.code}, **self._counts())
            return
        self._out += error_event(error)

    def _finish(self) -> None:
        stop = self._stop
        own = own_fields(stop.own, _G)
        if own:
            self._response({**own, **self._counts()})
            return
        if stop.reason is StopReason.PAUSED:
            self._losses.add_in_answer(LossKind.ANSWER_STOP, stop.word or "pause", "STOP")
        reason = StopReason.REFUSED if self._has_refusal else stop.reason
        word = FINISH_REASONS[reason_to_write(reason, self._has_calls)]
        if self._is_own and stop.word:
            word = stop.word
        signed = self._signed()
        last = {"content": {"parts": [{"text": "", **signed}], "role": "model"}} if signed else {}
        finish: dict[str, Any] = {"finishReason": word}
        if self._has_broken_call:
            self._losses.add_in_answer(LossKind.ANSWER_CALL, "a call without valid arguments")
            if stop.reason not in CUT_REASONS:
                finish = _BROKEN_CALL
                self._failure = _BROKEN_ERROR
        self._candidate({**last, **finish, **self._grounding()}, **self._counts())

    def _counts(self) -> dict[str, Any]:
        if self._is_own:
            return self._own_usage
        return without_nothing(usageMetadata=_written_usage(self._counted()))


def _name_of(part: Part) -> str:
    if isinstance(part, Opaque):
        return part.kind
    if isinstance(part, ServerCall | ServerResult):
        return part.name
    return type(part).__name__.lower()


def _own_call(part: Call, text: str, arguments: dict[str, Any]) -> dict[str, Any]:
    call = without_nothing(id=part.id, name=part.name)
    return {**call, "args": arguments} if text else call


def _written_usage(usage: Usage) -> dict[str, Any]:
    """Return the known counts. Thoughts are not in the count of the candidates."""
    prompt, output, thoughts = usage.input_tokens, usage.output_tokens, usage.reasoning_tokens
    counts = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": usage.cached_tokens,
        "candidatesTokenCount": None if output is None else max(0, output - (thoughts or 0)),
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": None if prompt is None else prompt + (output or 0),
    }
    return {key: count for key, count in counts.items() if count is not None}
