"""Events of the middle form as a Messages event stream."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.anthropic.errors import error_event
from wiremend.protocols.anthropic.read.blocks import RESULT_SUFFIX
from wiremend.protocols.anthropic.write.blocks import native_state, write_citation
from wiremend.protocols.base.middle.answer import (
    AnswerEvent,
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
    Call,
    CallKind,
    Opaque,
    Part,
    Refusal,
    ServerCall,
    ServerResult,
    Text,
    Thinking,
    own_fields,
)
from wiremend.protocols.base.middle.interface import AnswerContext
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.state import State, seal
from wiremend.protocols.base.middle.wording import CUSTOM_ARGUMENT
from wiremend.protocols.base.middle.writer import AnswerWriter
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.usage import Usage
from wiremend.text import json_value, sse

_A = WireProtocol.ANTHROPIC_MESSAGES
_WORDS: Mapping[StopReason, str] = {
    StopReason.END: "end_turn",
    StopReason.CALLS: "tool_use",
    StopReason.LIMIT: "max_tokens",
    StopReason.WINDOW: "model_context_window_exceeded",
    StopReason.STOP_STRING: "stop_sequence",
    StopReason.REFUSED: "refusal",
    StopReason.PAUSED: "pause_turn",
}


class AnthropicWriter(AnswerWriter):
    """Writes one stream for a client."""

    def __init__(self, context: AnswerContext, losses: Losses) -> None:
        super().__init__(context, losses)
        self._is_own = context.origin.protocol is _A
        self._start: Start | None = None
        """The start that is not written yet: counts may follow it."""
        self._part: Part | None = None
        """The open part."""
        self._is_block_open = False
        """Whether the block of the open part was started."""
        self._state: State | None = None
        """The state of the open part."""
        self._bound: State | None = None
        """The state of the last part, if it is no reasoning; written before the next block."""
        self._text: list[str] = []
        """The text of an open part that is written whole."""
        self._index = -1
        self._own_usage: dict[str, Any] = {}
        self._has_calls = False
        self._has_refusal = False

    def _write(self, event: AnswerEvent) -> None:
        if self._start is not None and not isinstance(event, UsageCounts):
            self._write_start(self._start)
        super()._write(event)

    def _begin_answer(self, event: Start) -> None:
        self._start = event

    def _keep_state(self, event: PartState) -> None:
        self._state = event.state

    def _write_own(self, event: OwnEvent) -> None:
        if event.protocol is _A:
            self._event(event.type, event.data)

    def _write_error(self, error: ProviderError) -> None:
        self._out += error_event(error)

    def _event(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._out += sse.encode(json_value.write({"type": kind, **fields}), kind)

    def _write_start(self, start: Start) -> None:
        self._start = None
        context = self._context
        usage = _written_usage(self._usage)
        if not self._is_own and context.input_tokens is not None:
            usage.setdefault("input_tokens", context.input_tokens)
        message = {
            "id": start.id if self._is_own else f"msg_{context.answer_id}",
            "type": "message",
            "role": "assistant",
            "model": start.model if self._is_own else context.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0, **usage, **self._own_usage},
            **own_fields(start.own, _A),
        }
        self._event("message_start", {"message": message})

    def _count(self, event: UsageCounts) -> None:
        super()._count(event)
        self._own_usage |= own_fields(event.own, _A)

    # Parts

    def _begin(self, event: PartStart) -> None:
        self._part, self._state = event.part, None
        self._is_block_open = False
        self._text = []
        self._write_bound_state(self._bound)
        self._bound = None
        part = event.part
        match part:
            case Text():
                self._write_bound_state(part.state)
                self._open_block({"type": "text", "text": ""})
            case Refusal():
                self._has_refusal = True
                self._open_block({"type": "text", "text": ""})
            case Thinking():
                self._state = part.state  # the block is opened by its first text, or at the end
                if self._is_own and native_state(part.state, "data") is None:
                    self._open_thinking()
            case Call():
                self._write_bound_state(part.state)
                self._begin_call(part, event.number)
            case ServerCall():
                self._open_block(self._server_call(part, event.number))
            case ServerResult():
                self._open_block(self._server_result(part))
            case Opaque(own=own) if own is not None and own.protocol is _A:
                self._open_block({})
            case Opaque(text=text) if text:
                self._open_block({"type": "text", "text": ""})
                self._add_text(text)
            case _:
                kind = part.kind if isinstance(part, Opaque) else type(part).__name__.lower()
                self._losses.add_in_answer(LossKind.ANSWER_CONTENT, kind)

    def _begin_call(self, call: Call, number: int) -> None:
        self._has_calls = True
        sent = self._context.tools.get(call.name)
        name = sent.name if sent is not None else call.name
        call_id = call.id if self._is_own else self._call_id("toolu", call.id, number)
        self._open_block({"type": "tool_use", "id": call_id, "name": name, "input": {}})

    def _call_id(self, prefix: str, provider_id: str, number: int) -> str:
        return client_id(prefix, self._context.answer_id, number, provider_id)

    def _server_call(self, call: ServerCall, number: int) -> dict[str, Any]:
        call_id = call.id if self._is_own else self._server_id(call.id)
        return {"type": "server_tool_use", "id": call_id, "name": call.name, "input": {}}

    def _server_result(self, result: ServerResult) -> dict[str, Any]:
        call_id = result.call_id if self._is_own else self._server_id(result.call_id)
        kind = f"{result.name}{RESULT_SUFFIX}"
        content: Any = [
            {
                "type": "web_search_result",
                "url": source.url,
                "title": source.title,
                "encrypted_content": "",
                "page_age": None,
            }
            for source in result.sources
        ]
        if result.error:
            content = {"type": f"{kind}_error", "error_code": result.error}
        return {"type": kind, "tool_use_id": call_id, "content": content}

    def _server_id(self, provider_id: str) -> str:
        """Return the id of a call that the provider ran; its result has the same one."""
        return client_id("srvtoolu", f"{self._context.answer_id} {provider_id}", 0, "")

    def _open_block(self, block: Mapping[str, Any]) -> None:
        part = self._part
        self._index += 1
        self._is_block_open = True
        fields = own_fields(part.own, _A) if part is not None else {}
        block = {**block, **fields}
        self._event("content_block_start", {"index": self._index, "content_block": block})

    def _open_thinking(self) -> None:
        self._open_block({"type": "thinking", "thinking": "", "signature": ""})

    def _add(self, event: PartDelta) -> None:
        self._add_text(event.text)

    def _writes_alike(self, number: int) -> bool:
        return (
            self._start is None
            and self._is_block_open
            and isinstance(self._part, Text | Refusal | Thinking)
            and self._sequence is not None
            and self._sequence.open_part == number
        )

    def _add_text(self, text: str) -> None:
        match self._part:
            case Call(kind=CallKind.CUSTOM):
                self._text.append(text)
            case Call() | ServerCall():
                self._delta({"type": "input_json_delta", "partial_json": text})
            case Thinking():
                if not self._is_block_open:
                    self._open_thinking()
                self._delta({"type": "thinking_delta", "thinking": text})
            case Text() | Refusal() | Opaque() if self._is_block_open:
                self._delta({"type": "text_delta", "text": text})

    def _cite(self, event: PartCitation) -> None:
        citation = write_citation(event.citation)
        if isinstance(self._part, Text) and citation is not None:
            self._delta({"type": "citations_delta", "citation": citation})

    def _delta(self, delta: Mapping[str, Any]) -> None:
        self._event("content_block_delta", {"index": self._index, "delta": delta})

    def _close(self, event: PartEnd) -> None:
        part, state = self._part, self._state
        match part:
            case Call(kind=CallKind.CUSTOM):
                arguments = json_value.write({CUSTOM_ARGUMENT: "".join(self._text)}).decode()
                self._delta({"type": "input_json_delta", "partial_json": arguments})
            case Thinking():
                self._close_thinking(state)
                state = None
        self._part, self._state = None, None
        self._close_block()
        self._bound = state

    def _close_thinking(self, state: State | None) -> None:
        """Write the state: as a signature behind text, else as a block of its own."""
        data = native_state(state, "data") if self._is_own else None
        if data is None and not self._is_block_open and state is not None:
            data = self._sealed(state)
        if self._is_block_open:
            signature = native_state(state, "signature") if self._is_own else self._sealed(state)
            if signature:
                self._delta({"type": "signature_delta", "signature": signature})
        elif data is not None:
            self._open_block({"type": "redacted_thinking", "data": data})

    def _close_block(self) -> None:
        if self._is_block_open:
            self._is_block_open = False
            self._event("content_block_stop", {"index": self._index})

    def _write_bound_state(self, state: State | None) -> None:
        """Write state that is bound to another part, as a block without text beside that part."""
        data = self._sealed(state) if state is not None else None
        if data is None:
            return
        part, self._part = self._part, None
        self._open_block({"type": "redacted_thinking", "data": data})
        self._close_block()
        self._part = part

    def _sealed(self, state: State | None) -> str | None:
        if state is None:
            return None
        sealed = seal(state)
        if sealed is None:
            self._losses.add_in_answer(LossKind.ANSWER_STATE, "state of the provider", "too large")
        return sealed

    # The end

    def _finish(self) -> None:
        if self._bound is not None:  # `claude -p` prints nothing if the last block is no text
            found = "state of the last part"
            self._losses.add_in_answer(LossKind.ANSWER_STATE, found)
        stop = self._stop
        reason = StopReason.REFUSED if self._has_refusal else stop.reason
        word = _WORDS[reason_to_write(reason, self._has_calls)]
        if self._is_own and stop.word:
            word = stop.word
        delta = {"stop_reason": word, "stop_sequence": stop.stop_string, **own_fields(stop.own, _A)}
        usage = _written_usage(self._usage if self._is_own else self._counted())
        usage = {"output_tokens": 0, **usage, **self._own_usage}
        self._event("message_delta", {"delta": delta, "usage": usage})
        self._event("message_stop", {})


def _written_usage(usage: Usage) -> dict[str, Any]:
    """Return the known counts. Tokens from and for the cache are not in `input_tokens`."""
    fields: dict[str, Any] = {}
    if usage.input_tokens is not None:
        cached = (usage.cached_tokens or 0) + (usage.cache_write_tokens or 0)
        fields["input_tokens"] = max(0, usage.input_tokens - cached)
    if usage.cache_write_tokens is not None:
        fields["cache_creation_input_tokens"] = usage.cache_write_tokens
    if usage.cached_tokens is not None:
        fields["cache_read_input_tokens"] = usage.cached_tokens
    if usage.output_tokens is not None:
        fields["output_tokens"] = usage.output_tokens
    if usage.reasoning_tokens is not None:
        fields["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return fields
