"""A scripted model behind an API of each protocol: its answers, as the vendors send them.

Each answer has reasoning with state that only its vendor issues, text, and calls of tools.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from traffic import faults, good
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Reply

A, C, R, G = good.ANTHROPIC, good.CHAT, good.RESPONSES, good.GEMINI
LOW_USAGE, HIGH_USAGE = 900, 990_000
"""Tokens of the prompt, as reported: few, and more than any context window holds."""


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool; the arguments are a text if the tool takes free text."""

    name: str
    arguments: Mapping[str, Any] | str

    @property
    def object(self) -> Mapping[str, Any]:
        """The arguments where each tool is a function."""
        is_text = isinstance(self.arguments, str)
        return {"input": self.arguments} if is_text else self.arguments  # type: ignore[return-value]


@dataclass(frozen=True)
class Answer:
    """One answer of the model."""

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    prompt_tokens: int = LOW_USAGE


@dataclass(frozen=True)
class Issued:
    """An answer of one vendor; `number` counts its answers in the test."""

    protocol: WireProtocol
    model: str
    number: int
    answer: Answer

    @property
    def thought(self) -> str:
        """The text of its reasoning."""
        return f"Thought {self.number} of {self.model}."

    @property
    def state(self) -> str:
        """The state of its reasoning: a signature, or encrypted content."""
        return state_of(self.model, self.number)

    def call_id(self, number: int) -> str:
        """Return the id of a call, in the form of the vendor."""
        if self.protocol is C:  # as Kimi writes it
            return f"functions.{self.answer.calls[number].name}:{number}"
        prefix = {A: "toolu", R: "call", G: ""}[self.protocol]
        return f"{prefix}_{self.number}x{number}" if prefix else ""

    def reply(self, request: Mapping[str, Any], stream: bool) -> Reply:
        """Return the answer as a stream or as JSON."""
        if self.protocol is R:
            response = _response(self, _custom_names(request))
            if not stream:
                return faults.whole(json.dumps(response).encode())
            return faults.streamed(_response_events(response))
        if stream:
            write = {A: _message_events, C: _chunks, G: _gemini_chunks}[self.protocol]
            return faults.streamed(write(self))
        whole = {A: _message, C: _completion, G: _gemini_response}[self.protocol](self)
        return faults.whole(json.dumps(whole).encode())


def state_of(model: str, number: int) -> str:
    """Return the state of the reasoning in an answer: 96 characters of Base64."""
    return base64.b64encode(f"state {number:03} of {model:58}".encode()).decode()


def _sse(type: str, value: Mapping[str, Any]) -> bytes:
    return f"event: {type}\ndata: {json.dumps(value)}\n\n".encode()


# Anthropic


def _blocks(issued: Issued) -> list[dict[str, Any]]:
    answer = issued.answer
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": issued.thought, "signature": issued.state}
    ]
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for number, call in enumerate(answer.calls):
        call_id = issued.call_id(number)
        blocks.append(
            {"type": "tool_use", "id": call_id, "name": call.name, "input": dict(call.object)}
        )
    return blocks


def _message(issued: Issued) -> dict[str, Any]:
    return {
        "id": f"msg_{issued.number}",
        "type": "message",
        "role": "assistant",
        "model": issued.model,
        "content": _blocks(issued),
        "stop_reason": "tool_use" if issued.answer.calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": issued.answer.prompt_tokens, "output_tokens": 20},
    }


def _message_events(issued: Issued) -> Iterator[bytes]:
    message = _message(issued)
    blocks, stop = message["content"], message["stop_reason"]
    start = message | {"content": [], "stop_reason": None}
    yield _sse("message_start", {"type": "message_start", "message": start})
    for index, block in enumerate(blocks):
        empty, deltas = _block_parts(block)
        place = {"index": index}
        yield _sse(
            "content_block_start",
            {"type": "content_block_start", **place, "content_block": empty},
        )
        for delta in deltas:
            yield _sse(
                "content_block_delta", {"type": "content_block_delta", **place, "delta": delta}
            )
        yield _sse("content_block_stop", {"type": "content_block_stop", **place})
    delta = {"stop_reason": stop, "stop_sequence": None}
    usage = {"output_tokens": 20}
    yield _sse("message_delta", {"type": "message_delta", "delta": delta, "usage": usage})
    yield _sse("message_stop", {"type": "message_stop"})


def _block_parts(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if block["type"] == "thinking":
        return block | {"thinking": "", "signature": ""}, [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    if block["type"] == "text":
        return block | {"text": ""}, [{"type": "text_delta", "text": block["text"]}]
    text = json.dumps(block["input"])
    pieces = [{"type": "input_json_delta", "partial_json": it} for it in (text[:5], text[5:])]
    return block | {"input": {}}, pieces


# Chat Completions


def _chat_calls(issued: Issued) -> list[dict[str, Any]]:
    return [
        {
            "id": issued.call_id(number),
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.object)},
        }
        for number, call in enumerate(issued.answer.calls)
    ]


def _usage(issued: Issued) -> dict[str, Any]:
    tokens = issued.answer.prompt_tokens
    return {"prompt_tokens": tokens, "completion_tokens": 20, "total_tokens": tokens + 20}


def _completion(issued: Issued) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": issued.answer.text or None,
        "reasoning_content": issued.thought,
    }
    if issued.answer.calls:
        message["tool_calls"] = _chat_calls(issued)
    reason = "tool_calls" if issued.answer.calls else "stop"
    return {
        "id": f"chatcmpl-{issued.number}",
        "object": "chat.completion",
        "created": 1760000000,
        "model": issued.model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": _usage(issued),
    }


def _chunks(issued: Issued) -> Iterator[bytes]:
    whole = _completion(issued)
    choice = whole["choices"][0]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in _halves(issued.thought)]
    deltas += [{"content": piece} for piece in _halves(issued.answer.text) if piece]
    for index, call in enumerate(choice["message"].get("tool_calls", ())):
        arguments = call["function"]["arguments"]
        head = {"index": index, **call, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [head]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
            for piece in _halves(arguments)
        ]
    common = {key: whole[key] for key in ("id", "created", "model")}
    common["object"] = "chat.completion.chunk"
    for delta in deltas:
        yield _data({**common, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    end = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    yield _data({**common, "choices": [end]})
    yield _data({**common, "choices": [], "usage": whole["usage"]})
    yield b"data: [DONE]\n\n"


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


def _data(value: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


# Responses


def _custom_names(request: Mapping[str, Any]) -> set[str]:
    return {tool["name"] for tool in request.get("tools", ()) if tool["type"] == "custom"}


def _items(issued: Issued, custom: set[str]) -> list[dict[str, Any]]:
    number = issued.number
    items: list[dict[str, Any]] = [
        {
            "id": f"rs_{number}",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": issued.thought}],
            "encrypted_content": issued.state,
        }
    ]
    if issued.answer.text:
        part = {"type": "output_text", "text": issued.answer.text, "annotations": []}
        items.append(
            {
                "id": f"msg_{number}",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        )
    for at, call in enumerate(issued.answer.calls):
        common = {"status": "completed", "call_id": issued.call_id(at), "name": call.name}
        if call.name in custom:
            kind = {"id": f"ctc_{number}_{at}", "type": "custom_tool_call", "input": call.arguments}
        else:
            arguments = json.dumps(call.object)
            kind = {"id": f"fc_{number}_{at}", "type": "function_call", "arguments": arguments}
        items.append(kind | common)
    return items


def _response(issued: Issued, custom: set[str]) -> dict[str, Any]:
    tokens = issued.answer.prompt_tokens
    return {
        "id": f"resp_{issued.number}",
        "object": "response",
        "created_at": 1760000000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": issued.model,
        "output": _items(issued, custom),
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 20,
            "output_tokens_details": {"reasoning_tokens": 5},
            "total_tokens": tokens + 20,
        },
    }


def _response_events(response: dict[str, Any]) -> list[bytes]:
    started = {
        key: value
        for key, value in (response | {"status": "in_progress", "output": []}).items()
        if key != "usage"
    }
    steps: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": started}),
        ("response.in_progress", {"response": started}),
    ]
    for index, item in enumerate(response["output"]):
        empty, inner = _item_parts(item)
        steps.append(("response.output_item.added", {"output_index": index, "item": empty}))
        place = {"item_id": item["id"], "output_index": index}
        steps += [(type, {**place, **fields}) for type, fields in inner]
        steps.append(("response.output_item.done", {"output_index": index, "item": item}))
    steps.append(("response.completed", {"response": response}))
    return [
        _sse(type, {"type": type, "sequence_number": number, **fields})
        for number, (type, fields) in enumerate(steps)
    ]


def _item_parts(item: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    if item["type"] == "reasoning":
        part = item["summary"][0]
        place = {"summary_index": 0}
        prefix = "response.reasoning_summary"
        return item | {"summary": [], "encrypted_content": "gAAAAplaceholder"}, [
            (f"{prefix}_part.added", {**place, "part": part | {"text": ""}}),
            (f"{prefix}_text.delta", {**place, "delta": part["text"]}),
            (f"{prefix}_text.done", {**place, "text": part["text"]}),
            (f"{prefix}_part.done", {**place, "part": part}),
        ]
    if item["type"] == "message":
        part = item["content"][0]
        place = {"content_index": 0}
        return item | {"status": "in_progress", "content": []}, [
            ("response.content_part.added", {**place, "part": part | {"text": ""}}),
            *(
                ("response.output_text.delta", {**place, "delta": piece, "logprobs": []})
                for piece in _halves(part["text"])
            ),
            ("response.output_text.done", {**place, "text": part["text"], "logprobs": []}),
            ("response.content_part.done", {**place, "part": part}),
        ]
    is_custom = item["type"] == "custom_tool_call"
    field = "input" if is_custom else "arguments"
    prefix = f"response.{'custom_tool_call_input' if is_custom else 'function_call_arguments'}"
    return item | {"status": "in_progress", field: ""}, [
        *((f"{prefix}.delta", {"delta": piece}) for piece in _halves(item[field])),
        (f"{prefix}.done", {field: item[field]}),
    ]


# Gemini


def _gemini_parts(issued: Issued) -> list[dict[str, Any]]:
    """Return the parts; as Gemini 3 does, the first call is signed, or else the text."""
    parts: list[dict[str, Any]] = [{"text": issued.thought, "thought": True}]
    if issued.answer.text:
        parts.append({"text": issued.answer.text})
    calls = [
        {"functionCall": {"name": call.name, "args": dict(call.object)}}
        for call in issued.answer.calls
    ]
    signed = calls[0] if calls else parts[-1]
    signed["thoughtSignature"] = issued.state
    return [*parts, *calls]


def _gemini_answer(
    issued: Issued, parts: list[dict[str, Any]], *, is_last: bool = True
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if is_last:
        candidate["finishReason"] = "STOP"
    tokens = issued.answer.prompt_tokens
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": tokens,
            "candidatesTokenCount": 15,
            "thoughtsTokenCount": 5,
            "totalTokenCount": tokens + 20,
        },
        "modelVersion": issued.model,
        "responseId": f"gemini-{issued.number}",
    }


def _gemini_response(issued: Issued) -> dict[str, Any]:
    return _gemini_answer(issued, _gemini_parts(issued))


def _gemini_chunks(issued: Issued) -> Iterator[bytes]:
    *first, last = _gemini_parts(issued)
    for part in first:
        yield _data(_gemini_answer(issued, [part], is_last=False))
    yield _data(_gemini_answer(issued, [last]))
