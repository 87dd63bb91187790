"""Features of answers, each as a whole answer of the protocols that have it."""

from collections.abc import Mapping
from typing import Any

from translation_features import PNG, Feature, Json

_URL = "https://page.example/a"


def _choice(reason: str = "stop", **message: Any) -> Json:
    said = {"role": "assistant", "content": "Hi", **message}
    return {"choices": [{"index": 0, "message": said, "finish_reason": reason}]}


def _parts(*parts: Json, reason: str = "STOP", **candidate: Any) -> Json:
    content = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"content": content, "finishReason": reason, "index": 0, **candidate}]}


def _message(*content: Json, **more: Any) -> Json:
    parts = content or ({"type": "output_text", "text": "Hi", "annotations": []},)
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    return {"output": [{**item, "content": list(parts)}], **more}


_TEXT = {"type": "text", "text": "Hi"}
_CALL = {"name": "read", "arguments": '{"city":"MARK"}'}
_R_TEXT = _message()["output"]
_R_CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed"}
HEADS: Mapping[str, Json] = {
    "anthropic": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 2},
    },
    "chat": {"id": "c", "object": "chat.completion", "created": 1, "model": "m"},
    "responses": {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": "completed",
    },
    "gemini": {"modelVersion": "m", "responseId": "r"},
}
"""The members of every answer."""
BASE_ANSWERS: Mapping[str, Json] = {
    "anthropic": {"content": [_TEXT]},
    "chat": _choice(),
    "responses": _message(),
    "gemini": _parts({"text": "Hi"}),
}

ANSWERS = (
    Feature(
        "Text",
        {
            "anthropic": {"content": [{"type": "text", "text": "MARK"}]},
            "chat": _choice(content="MARK"),
            "responses": _message({"type": "output_text", "text": "MARK", "annotations": []}),
            "gemini": _parts({"text": "MARK"}),
        },
        "MARK",
    ),
    Feature(
        "Reasoning",
        {
            "anthropic": {
                "content": [{"type": "thinking", "thinking": "MARK", "signature": "EqQB"}, _TEXT]
            },
            "chat": _choice(reasoning_content="MARK"),
            "responses": {
                "output": [
                    {
                        "type": "reasoning",
                        "id": "rs_1",
                        "summary": [{"type": "summary_text", "text": "MARK"}],
                    },
                    *_R_TEXT,
                ]
            },
            "gemini": _parts({"text": "MARK", "thought": True}, {"text": "Hi"}),
        },
        "MARK",
    ),
    Feature(
        "State of reasoning that has no text",
        {
            "anthropic": {"content": [{"type": "redacted_thinking", "data": "EqQB"}, _TEXT]},
            "responses": {
                "output": [
                    {
                        "type": "reasoning",
                        "id": "rs_1",
                        "summary": [],
                        "encrypted_content": "gAAAAB",
                    },
                    *_R_TEXT,
                ]
            },
            "gemini": _parts({"text": "Hi", "thoughtSignature": "VGV4"}),
        },
    ),
    Feature(
        "Calls of tools",
        {
            "anthropic": {
                "content": [
                    {"type": "tool_use", "id": "t1", "name": "read", "input": {"city": "MARK"}},
                    {"type": "tool_use", "id": "t2", "name": "read", "input": {}},
                ],
                "stop_reason": "tool_use",
            },
            "chat": _choice(
                "tool_calls",
                content=None,
                tool_calls=[
                    {"id": "c1", "type": "function", "function": _CALL},
                    {"id": "c2", "type": "function", "function": {**_CALL, "arguments": "{}"}},
                ],
            ),
            "responses": {
                "output": [
                    {**_R_CALL, **_CALL},
                    {**_R_CALL, **_CALL, "id": "fc_2", "call_id": "call_2", "arguments": "{}"},
                ]
            },
            "gemini": _parts(
                {"functionCall": {"name": "read", "args": {"city": "MARK"}}},
                {"functionCall": {"name": "read", "args": {}}},
            ),
        },
        "MARK",
    ),
    Feature(
        "Image",
        {
            "chat": _choice(
                images=[
                    {
                        "type": "image_url",
                        "image_url": {"url": f"data:image/png;base64,{PNG}"},
                    }
                ]
            ),
            "responses": {
                "output": [
                    *_R_TEXT,
                    {
                        "type": "image_generation_call",
                        "id": "ig_1",
                        "status": "completed",
                        "result": PNG,
                    },
                ]
            },
            "gemini": _parts(
                {"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": PNG}}
            ),
        },
        PNG,
    ),
    Feature(
        "Sources of the text",
        {
            "anthropic": {
                "content": [
                    {
                        **_TEXT,
                        "citations": [
                            {
                                "type": "web_search_result_location",
                                "url": _URL,
                                "title": "A",
                                "cited_text": "x",
                                "encrypted_index": "e",
                            }
                        ],
                    }
                ]
            },
            "chat": _choice(
                annotations=[
                    {
                        "type": "url_citation",
                        "url_citation": {
                            "url": _URL,
                            "title": "A",
                            "start_index": 0,
                            "end_index": 2,
                        },
                    }
                ]
            ),
            "responses": _message(
                {
                    "type": "output_text",
                    "text": "Hi",
                    "annotations": [
                        {
                            "type": "url_citation",
                            "url": _URL,
                            "title": "A",
                            "start_index": 0,
                            "end_index": 2,
                        }
                    ],
                }
            ),
            "gemini": _parts(
                {"text": "Hi"},
                groundingMetadata={"groundingChunks": [{"web": {"uri": _URL, "title": "A"}}]},
            ),
        },
        _URL,
    ),
    Feature(
        "Refusal",
        {
            "anthropic": {"content": [_TEXT], "stop_reason": "refusal"},
            "chat": _choice("stop", content=None, refusal="MARK"),
            "responses": _message({"type": "refusal", "refusal": "MARK"}),
            "gemini": _parts({"text": "Hi"}, reason="SAFETY"),
        },
    ),
    Feature(
        "Cut by the limit of the output",
        {
            "anthropic": {"content": [_TEXT], "stop_reason": "max_tokens"},
            "chat": _choice("length"),
            "responses": _message(
                status="incomplete", incomplete_details={"reason": "max_output_tokens"}
            ),
            "gemini": _parts({"text": "Hi"}, reason="MAX_TOKENS"),
        },
    ),
    Feature(
        "Paused tool of the provider",
        {"anthropic": {"content": [_TEXT], "stop_reason": "pause_turn"}},
    ),
    Feature(
        "Tokens read from the provider's cache",
        {
            "anthropic": {
                "content": [_TEXT],
                "usage": {
                    "input_tokens": 1,
                    "cache_read_input_tokens": 4321,
                    "output_tokens": 2,
                },
            },
            "chat": {
                **_choice(),
                "usage": {
                    "prompt_tokens": 4322,
                    "completion_tokens": 2,
                    "total_tokens": 4324,
                    "prompt_tokens_details": {"cached_tokens": 4321},
                },
            },
            "responses": _message(
                usage={
                    "input_tokens": 4322,
                    "input_tokens_details": {"cached_tokens": 4321},
                    "output_tokens": 2,
                    "output_tokens_details": {"reasoning_tokens": 0},
                    "total_tokens": 4324,
                }
            ),
            "gemini": {
                **_parts({"text": "Hi"}),
                "usageMetadata": {
                    "promptTokenCount": 4322,
                    "cachedContentTokenCount": 4321,
                    "candidatesTokenCount": 2,
                    "totalTokenCount": 4324,
                },
            },
        },
        "4321",
    ),
)
