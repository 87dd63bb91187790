"""Minimal valid answers in the four protocols, as the providers send them.

Each is a `Stream` (its events, what a client assembles from it, and the places for faults) or a
JSON body for calls that do not stream.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.base.names import WireProtocol

ANTHROPIC = WireProtocol.ANTHROPIC_MESSAGES
CHAT = WireProtocol.CHAT_COMPLETIONS
RESPONSES = WireProtocol.RESPONSES
GEMINI = WireProtocol.GEMINI
PROTOCOLS = (ANTHROPIC, CHAT, RESPONSES, GEMINI)

HOSTS = {
    ANTHROPIC: "api.anthropic.com",
    CHAT: "api.openai.com",
    RESPONSES: "api.openai.com",
    GEMINI: "generativelanguage.googleapis.com",
}
MODELS = {
    ANTHROPIC: "claude-opus-5",
    CHAT: "gpt-5",
    RESPONSES: "gpt-5",
    GEMINI: "gemini-2.5-pro",
}
PATHS = {
    (ANTHROPIC, True): "/v1/messages",
    (ANTHROPIC, False): "/v1/messages",
    (CHAT, True): "/v1/chat/completions",
    (CHAT, False): "/v1/chat/completions",
    (RESPONSES, True): "/v1/responses",
    (RESPONSES, False): "/v1/responses",
    (GEMINI, True): "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
    (GEMINI, False): "/v1beta/models/gemini-2.5-pro:generateContent",
}

WORDS = ("Hello", ", ", "wide world", " \u2713")
TEXT = "".join(WORDS)
TOOL_NAME = "get_weather"
TOOL_FRAGMENTS = ('{"city', '": "Par', 'is"}')
TOOL_ARGUMENTS = {"city": "Paris"}

TOOL_CALLS = ((TOOL_NAME, TOOL_ARGUMENTS),)


@dataclass(frozen=True)
class Stream:
    """A valid event stream."""

    events: tuple[bytes, ...]
    text: str = ""
    tool_calls: tuple[tuple[str, Any], ...] = ()
    places: Mapping[str, int] = field(default_factory=dict)
    """Name of a place -> number of events before it."""

    @property
    def data(self) -> bytes:
        """The whole body."""
        return b"".join(self.events)


def request_body(protocol: WireProtocol, stream: bool) -> dict[str, Any]:
    """Return a small request for the raw clients."""
    if protocol is GEMINI:
        return {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
    body: dict[str, Any] = {"model": MODELS[protocol]}
    if protocol is RESPONSES:
        body["input"] = "Say hello."
    else:
        body["messages"] = [{"role": "user", "content": "Say hello."}]
    if protocol is ANTHROPIC:
        body["max_tokens"] = 64
    if stream:
        body["stream"] = True
    return body


def text_stream(protocol: WireProtocol) -> Stream:
    """Return a stream with the text `TEXT`."""
    return _TEXT_STREAMS[protocol]()


def tool_stream(protocol: WireProtocol) -> Stream:
    """Return a stream that calls one tool; its arguments are in fragments, except in Gemini."""
    return _TOOL_STREAMS[protocol](TOOL_NAME, TOOL_ARGUMENTS, TOOL_FRAGMENTS)


def json_body(protocol: WireProtocol) -> bytes:
    """Return the JSON answer with the text `TEXT`."""
    return json.dumps(_JSON_BODIES[protocol]()).encode()


def json_tool_body(protocol: WireProtocol) -> bytes:
    """Return the JSON answer with one tool call."""
    return json.dumps(_JSON_TOOL_BODIES[protocol]()).encode()


def stream_with_blocks_from_index(first: int) -> Stream:
    """Return an Anthropic text stream whose content block has the index `first`."""
    good = text_stream(ANTHROPIC)
    moved = b'"index": %d' % first
    events = tuple(event.replace(b'"index": 0', moved) for event in good.events)
    return Stream(events, good.text, good.tool_calls, good.places)


def stream_that_calls(
    name: str, arguments: Mapping[str, Any], protocol: WireProtocol = ANTHROPIC
) -> Stream:
    """Return a stream that calls this tool; its arguments are in fragments, except in Gemini."""
    return _TOOL_STREAMS[protocol](name, arguments, _fragments(json.dumps(arguments)))


def _fragments(text: str) -> tuple[str, ...]:
    """Return the text in three parts."""
    third = len(text) // 3
    return text[:third], text[third : 2 * third], text[2 * third :]


def _anthropic_event(type: str, **fields: Any) -> bytes:
    data = json.dumps({"type": type, **fields})
    return f"event: {type}\ndata: {data}\n\n".encode()


def _anthropic_message(**fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_01Test",
        "type": "message",
        "role": "assistant",
        "model": MODELS[ANTHROPIC],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 1},
    } | fields


def _anthropic_stream(
    block: dict[str, Any], deltas: list[dict[str, Any]], stop_reason: str
) -> tuple[bytes, ...]:
    return (
        _anthropic_event("message_start", message=_anthropic_message()),
        _anthropic_event("ping"),
        _anthropic_event("content_block_start", index=0, content_block=block),
        *(_anthropic_event("content_block_delta", index=0, delta=delta) for delta in deltas),
        _anthropic_event("content_block_stop", index=0),
        _anthropic_event(
            "message_delta",
            delta={"stop_reason": stop_reason, "stop_sequence": None},
            usage={"output_tokens": 7},
        ),
        _anthropic_event("message_stop"),
    )


def _anthropic_text() -> Stream:
    deltas = [{"type": "text_delta", "text": word} for word in WORDS]
    events = _anthropic_stream({"type": "text", "text": ""}, deltas, "end_turn")
    return Stream(events, TEXT, (), {"preamble": 1, "mid_content": 5, "end": len(events)})


def _anthropic_tool(name: str, arguments: Mapping[str, Any], fragments: tuple[str, ...]) -> Stream:
    block = {"type": "tool_use", "id": "toolu_01Test", "name": name, "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": part} for part in fragments]
    events = _anthropic_stream(block, deltas, "tool_use")
    return Stream(
        events, "", ((name, arguments),), {"preamble": 1, "mid_content": 5, "end": len(events)}
    )


def _anthropic_json() -> dict[str, Any]:
    content = [{"type": "text", "text": TEXT}]
    return _anthropic_message(content=content, stop_reason="end_turn")


def _anthropic_tool_json() -> dict[str, Any]:
    block = {"type": "tool_use", "id": "toolu_01Test", "name": TOOL_NAME, "input": TOOL_ARGUMENTS}
    return _anthropic_message(content=[block], stop_reason="tool_use")


def _chat_event(choices: list[dict[str, Any]], **fields: Any) -> bytes:
    chunk = {
        "id": "chatcmpl-test",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": MODELS[CHAT],
        "choices": choices,
    } | fields
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _chat_stream(deltas: list[dict[str, Any]], finish_reason: str) -> tuple[bytes, ...]:
    role = {"role": "assistant", "content": None}
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in [role, *deltas]
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish_reason})
    return (*(_chat_event([choice]) for choice in choices), b"data: [DONE]\n\n")


def _chat_text() -> Stream:
    events = _chat_stream([{"content": word} for word in WORDS], "stop")
    return Stream(events, TEXT, (), {"preamble": 1, "mid_content": 3, "end": len(events)})


def _chat_tool(name: str, arguments: Mapping[str, Any], fragments: tuple[str, ...]) -> Stream:
    function = {"name": name, "arguments": ""}
    first = {"index": 0, "id": "call_test", "type": "function", "function": function}
    deltas = [first, *({"index": 0, "function": {"arguments": p}} for p in fragments)]
    events = _chat_stream([{"tool_calls": [delta]} for delta in deltas], "tool_calls")
    return Stream(
        events, "", ((name, arguments),), {"preamble": 1, "mid_content": 4, "end": len(events)}
    )


def _chat_json() -> dict[str, Any]:
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 1760000000,
        "model": MODELS[CHAT],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16},
    }


def _chat_tool_json() -> dict[str, Any]:
    function = {"name": TOOL_NAME, "arguments": "".join(TOOL_FRAGMENTS)}
    call = {"id": "call_test", "type": "function", "function": function}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls", "logprobs": None}
    return _chat_json() | {"choices": [choice]}


def _response(status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "resp_test",
        "object": "response",
        "created_at": 1760000000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": MODELS[RESPONSES],
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
    }


def _responses_stream(
    item: dict[str, Any], started: dict[str, Any], inner: list[tuple[str, dict[str, Any]]]
) -> tuple[bytes, ...]:
    steps: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": _response("in_progress", [])}),
        ("response.in_progress", {"response": _response("in_progress", [])}),
        ("response.output_item.added", {"output_index": 0, "item": started}),
        *((type, {"item_id": item["id"], "output_index": 0} | fields) for type, fields in inner),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": _response("completed", [item])}),
    ]
    events = []
    for number, (type, fields) in enumerate(steps):
        data = json.dumps({"type": type, "sequence_number": number, **fields})
        events.append(f"event: {type}\ndata: {data}\n\n".encode())
    return tuple(events)


def _responses_message() -> dict[str, Any]:
    part = {"type": "output_text", "text": TEXT, "annotations": []}
    return {
        "id": "msg_test",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def _responses_text() -> Stream:
    item = _responses_message()
    part = item["content"][0]
    inner: list[tuple[str, dict[str, Any]]] = [
        ("response.content_part.added", {"content_index": 0, "part": part | {"text": ""}}),
        *(
            ("response.output_text.delta", {"content_index": 0, "delta": word, "logprobs": []})
            for word in WORDS
        ),
        ("response.output_text.done", {"content_index": 0, "text": TEXT, "logprobs": []}),
        ("response.content_part.done", {"content_index": 0, "part": part}),
    ]
    started = item | {"status": "in_progress", "content": []}
    events = _responses_stream(item, started, inner)
    return Stream(events, TEXT, (), {"preamble": 2, "mid_content": 6, "end": len(events)})


def _responses_call(name: str = TOOL_NAME, arguments: str = "") -> dict[str, Any]:
    return {
        "id": "fc_test",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_test",
        "name": name,
        "arguments": arguments or "".join(TOOL_FRAGMENTS),
    }


def _responses_tool(name: str, arguments: Mapping[str, Any], fragments: tuple[str, ...]) -> Stream:
    item = _responses_call(name, "".join(fragments))
    inner: list[tuple[str, dict[str, Any]]] = [
        *(("response.function_call_arguments.delta", {"delta": part}) for part in fragments),
        ("response.function_call_arguments.done", {"name": name, "arguments": item["arguments"]}),
    ]
    started = item | {"status": "in_progress", "arguments": ""}
    events = _responses_stream(item, started, inner)
    return Stream(
        events, "", ((name, arguments),), {"preamble": 2, "mid_content": 5, "end": len(events)}
    )


def _responses_json() -> dict[str, Any]:
    usage = {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 16,
    }
    return _response("completed", [_responses_message()]) | {"usage": usage}


def _responses_tool_json() -> dict[str, Any]:
    return _responses_json() | {"output": [_responses_call()]}


def _gemini_answer(parts: list[dict[str, Any]], finish_reason: str = "") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish_reason:
        candidate["finishReason"] = finish_reason
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 7,
            "totalTokenCount": 16,
        },
        "modelVersion": MODELS[GEMINI],
        "responseId": "testResponse",
    }


def _gemini_event(parts: list[dict[str, Any]], finish_reason: str = "") -> bytes:
    # Google's server ends its lines with CRLF.
    return b"data: " + json.dumps(_gemini_answer(parts, finish_reason)).encode() + b"\r\n\r\n"


def _gemini_text() -> Stream:
    *first, last = WORDS
    events = (
        *(_gemini_event([{"text": w}]) for w in first),
        _gemini_event([{"text": last}], "STOP"),
    )
    return Stream(events, TEXT, (), {"mid_content": 2, "end": len(events)})


def _gemini_tool(name: str, arguments: Mapping[str, Any], fragments: tuple[str, ...]) -> Stream:
    call = {"functionCall": {"name": name, "args": arguments}}
    events = (_gemini_event([call]), _gemini_event([{"text": ""}], "STOP"))
    return Stream(events, "", ((name, arguments),), {"mid_content": 1, "end": len(events)})


def _gemini_json() -> dict[str, Any]:
    return _gemini_answer([{"text": TEXT}], "STOP")


def _gemini_tool_json() -> dict[str, Any]:
    return _gemini_answer([{"functionCall": {"name": TOOL_NAME, "args": TOOL_ARGUMENTS}}], "STOP")


_TEXT_STREAMS = {
    ANTHROPIC: _anthropic_text,
    CHAT: _chat_text,
    RESPONSES: _responses_text,
    GEMINI: _gemini_text,
}
_TOOL_STREAMS = {
    ANTHROPIC: _anthropic_tool,
    CHAT: _chat_tool,
    RESPONSES: _responses_tool,
    GEMINI: _gemini_tool,
}
_JSON_BODIES = {
    ANTHROPIC: _anthropic_json,
    CHAT: _chat_json,
    RESPONSES: _responses_json,
    GEMINI: _gemini_json,
}
_JSON_TOOL_BODIES = {
    ANTHROPIC: _anthropic_tool_json,
    CHAT: _chat_tool_json,
    RESPONSES: _responses_tool_json,
    GEMINI: _gemini_tool_json,
}
