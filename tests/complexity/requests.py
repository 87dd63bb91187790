"""Small requests of every protocol: the examples of rules, and one with all parts."""

from dataclasses import dataclass
from typing import Any

import orjson
from wiremend.catalogue import catalogue
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.registry import PROTOCOLS

_SCHEMA: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "path": {"type": ["string", "null"], "format": "uri", "description": "A path."},
        "list": {"type": "array"},
        "kind": {"anyOf": [{"const": "a"}, {"enum": [1, 2]}, {"$ref": "#/$defs/x"}]},
    },
    "required": ["path", "list", "missing"],
    "$defs": {"x": {"allOf": [{"type": "string"}, {"minLength": 1}]}},
}


def _anthropic() -> dict[str, Any]:
    call = {"type": "tool_use", "id": "toolu_0", "name": "read", "input": {"path": "a"}}
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_0",
        "content": [{"type": "tool_reference", "tool_name": "read"}],
        "cache_control": {"type": "ephemeral"},
    }
    thinking = {"type": "thinking", "thinking": "Hm", "signature": "x", "cache_control": {}}
    text = {"type": "text", "text": "Hello "}
    image = {"type": "image", "source": {"type": "base64", "data": "aGVsbG8="}}
    return {
        "model": "claude-sonnet-4-5",
        "max_tokens": 100000,
        "temperature": 0.5,
        "top_p": 0.9,
        "thinking": {"type": "enabled", "budget_tokens": 50000},
        "tool_choice": {"type": "tool", "name": "read"},
        "output_config": {"effort": "xhigh"},
        "metadata": {"user_id": "u"},
        "system": [text, {"type": "text", "text": ""}],
        "tools": [
            {"name": "read", "input_schema": _SCHEMA, "cache_control": {}},
            {"name": "a.b", "type": "custom", "input_schema": {}},
            {"name": "", "input_schema": {"type": "object"}},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        "messages": [
            {"role": "user", "content": [text]},
            {"role": "system", "content": [text]},
            {"role": "user", "content": [image, {**text, "cache_control": {"ttl": "1h"}}]},
            {"role": "assistant", "content": [thinking, text, call, {**call, "input": ""}]},
            {"role": "user", "content": [text, result, {"type": "text", "text": " "}]},
            {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]},
            {"role": "user", "content": []},
            {"role": "assistant", "content": "Done. "},
        ],
    }


def _chat() -> dict[str, Any]:
    call = {"id": "call_0", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "call_0", "content": "ok", "cache_control": {}}
    return {
        "model": "gpt-5",
        "max_tokens": 100000,
        "temperature": 0,
        "top_p": 1,
        "reasoning_effort": "xhigh",
        "prompt_cache_key": "k",
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": [
            {"type": "function", "function": {"name": "read"}},
            {"type": "function", "function": {"name": ""}}]}},
        "tools": [
            {"type": "function", "function": {"name": "read", "parameters": _SCHEMA}},
            {"type": "function", "function": {"name": "a.b", "parameters": {"type": "object"}}},
            {"type": "function", "function": {"name": ""}},
        ],
        "functions": [{"name": "old", "parameters": {}}],
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "x"}]},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]},
            {"role": "assistant", "tool_calls": [call, call], "reasoning_details": [{}]},
            {"role": "user", "content": "Go on."},
            result,
            {"role": "assistant", "tool_calls": [call], "reasoning_content": ""},
            result,
            {"role": "assistant", "content": []},
            {"role": "user", "content": "Hello"},
        ],
    }  # fmt: skip


def _responses() -> dict[str, Any]:
    return {
        "model": "gpt-5-mini",
        "max_output_tokens": 100000,
        "temperature": 0,
        "store": False,
        "reasoning": {"effort": "minimal"},
        "tool_choice": {"type": "function", "name": "read"},
        "tools": [
            {"type": "function", "name": "read", "parameters": _SCHEMA},
            {"type": "function", "name": "a.b", "parameters": None},
            {"type": "custom", "name": "patch"},
            {"type": "namespace", "name": "n", "tools": [
                {"type": "function", "name": "inner", "parameters": {"type": "object"}}]},
        ],
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
            {"type": "reasoning", "id": "rs_0", "summary": []},
            {"type": "function_call", "call_id": "call_0", "name": "read", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": ""},
            {"type": "function_call_output", "call_id": "call_0", "output": "ok"},
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": "ok"},
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "id": "item_1", "role": "assistant", "content": [
                {"type": "input_image", "image_url": "data:image/png;base64,aGVsbG8="}]},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": "x"},
            {"type": "message", "id": "msg_1", "role": "assistant", "content": "y"},
        ],
    }  # fmt: skip


def _gemini() -> dict[str, Any]:
    call = {"functionCall": {"id": "c_0", "name": "read", "args": {}}}
    result = {"functionResponse": {"id": "c_0", "name": "read", "response": {}}}
    unnamed = {"functionResponse": {"name": "read", "response": {}}}
    return {
        "generationConfig": {"maxOutputTokens": 100000, "thinkingConfig": {
            "thinkingBudget": 90000, "thinkingLevel": "MINIMAL"}},
        "toolConfig": {"functionCallingConfig": {
            "mode": "ANY", "allowedFunctionNames": ["read", ""]}},
        "tools": [{"functionDeclarations": [
            {"name": "read", "parameters": _SCHEMA},
            {"name": "a b", "parameters": {"type": "OBJECT"}},
            {"name": ""},
        ]}],
        "contents": [
            {"role": "user", "parts": [{"text": "Hello"}, {"text": ""}, {
                "inlineData": {"mimeType": "image/png", "data": "aGVsbG8="}}]},
            {"role": "model", "parts": [{"text": "Hm.", "thoughtSignature": "x"}]},
            {"role": "model", "parts": [call, {"functionCall": {"name": "read"}}]},
            {"role": "user", "parts": [result, unnamed]},
            {"role": "model", "parts": [call]},
            {"role": "user", "parts": [result, {"functionResponse": {"name": "other"}}]},
            {"role": "model", "parts": []},
        ],
    }  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """A request body, and the protocol and name for test ids."""

    protocol: WireProtocol
    name: str
    body: bytes

    def __str__(self) -> str:
        return f"{self.protocol.value}-{self.name}"


_WITH_ALL_PARTS = {
    WireProtocol.ANTHROPIC_MESSAGES: _anthropic,
    WireProtocol.CHAT_COMPLETIONS: _chat,
    WireProtocol.RESPONSES: _responses,
    WireProtocol.GEMINI: _gemini,
}
PATHS = {
    WireProtocol.ANTHROPIC_MESSAGES: "/v1/messages",
    WireProtocol.CHAT_COMPLETIONS: "/v1/chat/completions",
    WireProtocol.RESPONSES: "/v1/responses",
    WireProtocol.GEMINI: "/v1beta/models/gemini-3-pro:generateContent",
}


def samples() -> list[Sample]:
    """Return the requests. A rule whose example is a whole JSON object contributes it."""
    found = [
        Sample(protocol, "all-parts", orjson.dumps(_WITH_ALL_PARTS[protocol]()))
        for protocol in PROTOCOLS
    ]
    for rule in catalogue():
        for protocol in PROTOCOLS:
            body = _object_in(rule.before)
            if rule.code[0] in "QTM" and protocol in rule.protocols and body is not None:
                found.append(Sample(protocol, rule.code, body))
    return found


def _object_in(example: str) -> bytes | None:
    try:
        value = orjson.loads(example)
    except ValueError:
        return None
    is_request = isinstance(value, dict) and not value.keys().isdisjoint(
        {"messages", "contents", "input", "tools", "system"}
    )
    return orjson.dumps(value) if is_request else None
