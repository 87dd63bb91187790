"""Tests of bodies that are written as streams, and of streams that are written as bodies."""

from typing import Any

import orjson
import pytest
from framings import FRAMINGS, bytes_of
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.registry import PROTOCOLS
from wiremend.repair.body import fold_stream
from wiremend.testing import answers

USAGE = {"input_tokens": 9, "output_tokens": 4}
ANTHROPIC = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "text", "text": "Let me look."},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}},
        {"type": "tool_use", "id": "toolu_2", "name": "read", "input": {"a": ["\u2713", 1.5]}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": USAGE,
}
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Let me look.",
                "reasoning_content": "Hm.",
                "tool_calls": [
                    {
                        "id": f"call_{number}",
                        "type": "function",
                        "function": {"name": "read", "arguments": '{"a":1}'},
                    }
                    for number in (1, 2)
                ],
            },
            "finish_reason": "tool_calls",
        },
        {
            "index": 1,
            "message": {"role": "assistant", "content": "No."},
            "finish_reason": "length",
        },
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
}
RESPONSES = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "m",
    "output": [
        {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "x"},
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
        },
        {
            "id": "fc_1",
            "type": "function_call",
            "status": "completed",
            "call_id": "call_1",
            "name": "read",
            "arguments": '{"a":1}',
        },
        {"id": "ws_1", "type": "web_search_call", "status": "completed"},
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": None,
}
GEMINI = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Hm.", "thought": True},
                    {"text": "Let me look."},
                    {"functionCall": {"name": "read", "args": {}}, "thoughtSignature": "c2ln"},
                ],
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {"promptTokenCount": 9},
    "modelVersion": "m",
    "responseId": "r",
}
RICH: dict[WireProtocol, dict[str, Any]] = {
    answers.ANTHROPIC: ANTHROPIC,
    answers.CHAT: CHAT,
    answers.RESPONSES: RESPONSES,
    answers.GEMINI: GEMINI,
}
BODIES = [
    (protocol, body)
    for protocol in answers.PROTOCOLS
    for body in (
        orjson.loads(answers.json_body(protocol)),
        orjson.loads(answers.json_tool_body(protocol)),
        RICH[protocol],
    )
]


@pytest.mark.parametrize(("protocol", "body"), BODIES)
def test_a_body_is_the_same_after_it_was_a_stream(
    protocol: WireProtocol, body: dict[str, Any]
) -> None:
    framing = next(one for one in FRAMINGS.values() if one.protocol.name is protocol)
    events = PROTOCOLS[protocol].unfold(body)
    stream = bytes_of(framing.repaired([b"".join(events)], framing.context()))
    assert framing.violations(stream) == []
    folded = fold_stream(PROTOCOLS[protocol], stream, framing.context())
    assert folded.error is None
    result = orjson.loads(folded.data)
    assert _without_empty(result) == _without_empty(body)


def _without_empty(value: Any) -> Any:
    """Return the value without members that are null or false, which need not be written."""
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, False)}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


def test_the_pieces_of_a_chat_stream_are_joined() -> None:
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"content": "Hel"},
        {"content": "lo", "reasoning_details": [{"index": 0, "text": "a"}]},
        {"reasoning_details": [{"index": 0, "text": "b"}], "images": ["x"]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"a'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '":1}'}}], "images": ["y"]},
    ]
    chunks = [
        {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    folded = PROTOCOLS[answers.CHAT].fold(chunks)
    assert folded is not None
    message = folded["choices"][0]["message"]
    assert message["content"] == "Hello"
    assert message["reasoning_details"] == [{"index": 0, "text": "ab"}]
    assert message["images"] == ["x", "y"]
    calls = [(call["id"], call["function"]["arguments"]) for call in message["tool_calls"]]
    assert sorted(calls) == [("a", '{"a":1}'), ("b", "{}")]


@pytest.mark.parametrize("protocol", answers.PROTOCOLS)
def test_a_stream_without_a_response_is_none(protocol: WireProtocol) -> None:
    assert PROTOCOLS[protocol].fold([]) is None
