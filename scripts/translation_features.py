"""Features of requests and answers, each with what it looks like in the protocols that have it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

type Json = dict[str, Any]

PNG = "iVBORw0K"
PDF = "JVBERi0x"
_IMAGE_URL = "https://img.example/a.png"
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
_ASK = "Hello"


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature, and the members or messages with it, by the short name of the protocol.

    Protocols that are not in `by_protocol` have no word for it.
    """

    name: str
    by_protocol: Mapping[str, Json] = field(hash=False)
    marker: str = ""
    """What is in the translation if the feature is carried; empty: any difference."""
    is_harmless: str = ""
    """Why nothing is reported if it is left out; empty: a finding is required."""


def _a(*content: Json, **more: Any) -> Json:
    message = {"role": "user", "content": [{"type": "text", "text": _ASK}, *content]}
    return {"messages": [message], **more}


def _c(*content: Json, **more: Any) -> Json:
    message = {"role": "user", "content": [{"type": "text", "text": _ASK}, *content]}
    return {"messages": [message], **more}


def _r(*content: Json, **more: Any) -> Json:
    message = {"role": "user", "content": [{"type": "input_text", "text": _ASK}, *content]}
    return {"input": [message], **more}


def _g(*parts: Json, **more: Any) -> Json:
    return {"contents": [{"role": "user", "parts": [{"text": _ASK}, *parts]}], **more}


def _config(**members: Any) -> Json:
    return {"generationConfig": members}


_A_CALL = {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"city": "Paris"}}
_A_CALL_2 = {**_A_CALL, "id": "toolu_2"}
_C_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "read", "arguments": '{"city":"Paris"}'},
}
_R_CALL = {
    "type": "function_call",
    "call_id": "call_1",
    "name": "read",
    "arguments": '{"city":"Paris"}',
}
_G_CALL = {"functionCall": {"id": "c1", "name": "read", "args": {"city": "Paris"}}}


def _a_turn(*results: Json) -> Json:
    calls = [_A_CALL] if len(results) < 2 else [_A_CALL, _A_CALL_2]
    ids = ("toolu_1", "toolu_2")
    blocks = [
        {"type": "tool_result", "tool_use_id": call_id, **result}
        for call_id, result in zip(ids, results, strict=False)
    ]
    ask = {"role": "user", "content": _ASK}
    said = {"role": "assistant", "content": calls}
    return {"messages": [ask, said, {"role": "user", "content": blocks}]}


def _c_turn(*results: str) -> Json:
    ids = [f"call_{number}" for number in range(1, len(results) + 1)]
    said = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{**_C_CALL, "id": call_id} for call_id in ids],
    }
    answers = [
        {"role": "tool", "tool_call_id": call_id, "content": text}
        for call_id, text in zip(ids, results, strict=True)
    ]
    return {"messages": [{"role": "user", "content": _ASK}, said, *answers]}


def _r_turn(*outputs: Any) -> Json:
    ids = [f"call_{number}" for number in range(1, len(outputs) + 1)]
    calls = [{**_R_CALL, "call_id": call_id} for call_id in ids]
    results = [
        {"type": "function_call_output", "call_id": call_id, "output": output}
        for call_id, output in zip(ids, outputs, strict=True)
    ]
    return {"input": [{"role": "user", "content": _ASK}, *calls, *results]}


def _g_turn(*responses: Json, more: tuple[Json, ...] = ()) -> Json:
    ids = [f"c{number}" for number in range(1, len(responses) + 1)]
    calls = [{"functionCall": {**_G_CALL["functionCall"], "id": call_id}} for call_id in ids]
    results = [
        {"functionResponse": {"id": call_id, "name": "read", "response": response}}
        for call_id, response in zip(ids, responses, strict=True)
    ]
    return {
        "contents": [
            {"role": "user", "parts": [{"text": _ASK}]},
            {"role": "model", "parts": calls},
            {"role": "user", "parts": [*results, *more]},
        ]
    }


_A_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
_A_PDF_SOURCE = {"type": "base64", "media_type": "application/pdf", "data": PDF}
_DATA_URL = f"data:image/png;base64,{PNG}"
_PDF_URL = f"data:application/pdf;base64,{PDF}"
_FUNCTION = {"name": "get_weather", "description": "d", "parameters": _SCHEMA}
_A_FUNCTION = {"name": "get_weather", "input_schema": _SCHEMA}
_TOOLS: Mapping[str, Json] = {
    "anthropic": {"tools": [_A_FUNCTION]},
    "chat": {"tools": [{"type": "function", "function": _FUNCTION}]},
    "responses": {"tools": [{"type": "function", **_FUNCTION, "strict": False}]},
    "gemini": {"tools": [{"functionDeclarations": [_FUNCTION]}]},
}


def _with_tools(protocol: str, *more: Json, **members: Any) -> Json:
    return {"tools": [*_TOOLS[protocol]["tools"], *more], **members}


BASES: Mapping[str, Json] = {
    "anthropic": {"model": "m", "max_tokens": 64, **_a()},
    "chat": {"model": "m", **_c()},
    "responses": {"model": "m", **_r()},
    "gemini": _g(),
}
"""The request that every feature is added to."""

REQUESTS = (
    Feature(
        "System text",
        {
            "anthropic": {"system": "MARK"},
            "chat": {"messages": [{"role": "system", "content": "MARK"}, *_c()["messages"]]},
            "responses": {"instructions": "MARK"},
            "gemini": {"systemInstruction": {"parts": [{"text": "MARK"}]}},
        },
        "MARK",
    ),
    Feature(
        "System text behind other messages",
        {
            "anthropic": {"messages": [*_a()["messages"], {"role": "system", "content": "MARK"}]},
            "chat": {"messages": [*_c()["messages"], {"role": "developer", "content": "MARK"}]},
            "responses": {"input": [*_r()["input"], {"role": "developer", "content": "MARK"}]},
        },
        "MARK",
    ),
    Feature(
        "Image",
        {
            "anthropic": _a(_A_IMAGE),
            "chat": _c({"type": "image_url", "image_url": {"url": _DATA_URL}}),
            "responses": _r({"type": "input_image", "image_url": _DATA_URL}),
            "gemini": _g({"inlineData": {"mimeType": "image/png", "data": PNG}}),
        },
        PNG,
    ),
    Feature(
        "Image, by its address",
        {
            "anthropic": _a({"type": "image", "source": {"type": "url", "url": _IMAGE_URL}}),
            "chat": _c({"type": "image_url", "image_url": {"url": _IMAGE_URL}}),
            "responses": _r({"type": "input_image", "image_url": _IMAGE_URL}),
            "gemini": _g({"fileData": {"mimeType": "image/png", "fileUri": _IMAGE_URL}}),
        },
        _IMAGE_URL,
    ),
    Feature(
        "PDF document",
        {
            "anthropic": _a({"type": "document", "source": _A_PDF_SOURCE}),
            "chat": _c({"type": "file", "file": {"filename": "a", "file_data": _PDF_URL}}),
            "responses": _r({"type": "input_file", "filename": "a", "file_data": _PDF_URL}),
            "gemini": _g({"inlineData": {"mimeType": "application/pdf", "data": PDF}}),
        },
        PDF,
    ),
    Feature(
        "File that the client's provider keeps",
        {
            "anthropic": _a({"type": "image", "source": {"type": "file", "file_id": "file_1"}}),
            "chat": _c({"type": "file", "file": {"file_id": "file_1"}}),
            "responses": _r({"type": "input_file", "file_id": "file_1"}),
            "gemini": _g(
                {
                    "fileData": {
                        "mimeType": "image/png",
                        "fileUri": "https://generativelanguage.googleapis.com/v1beta/files/1",
                    }
                }
            ),
        },
    ),
    Feature(
        "Audio",
        {
            "chat": _c({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
            "gemini": _g({"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}),
        },
        "AAAA",
    ),
    Feature("Tools", _TOOLS, "get_weather"),
    Feature(
        "Parallel calls and their results",
        {
            "anthropic": _a_turn({"content": "MARK1"}, {"content": "MARK2"}),
            "chat": _c_turn("MARK1", "MARK2"),
            "responses": _r_turn("MARK1", "MARK2"),
            "gemini": _g_turn({"output": "MARK1"}, {"output": "MARK2"}),
        },
        "MARK2",
    ),
    Feature(
        "Failed result of a tool",
        {
            "anthropic": _a_turn({"content": "MARK", "is_error": True}),
            "gemini": _g_turn({"error": "MARK"}),
        },
        "MARK",
    ),
    Feature(
        "Image in the result of a tool",
        {
            "anthropic": _a_turn({"content": [_A_IMAGE]}),
            "responses": _r_turn([{"type": "input_image", "image_url": _DATA_URL}]),
            "gemini": _g_turn(
                {"output": "x"}, more=({"inlineData": {"mimeType": "image/png", "data": PNG}},)
            ),
        },
        PNG,
    ),
    Feature(
        "Forced call of a named tool",
        {
            "anthropic": _with_tools(
                "anthropic", tool_choice={"type": "tool", "name": "get_weather"}
            ),
            "chat": _with_tools(
                "chat", tool_choice={"type": "function", "function": {"name": "get_weather"}}
            ),
            "responses": _with_tools(
                "responses", tool_choice={"type": "function", "name": "get_weather"}
            ),
            "gemini": _with_tools(
                "gemini",
                toolConfig={
                    "functionCallingConfig": {
                        "mode": "ANY",
                        "allowedFunctionNames": ["get_weather"],
                    }
                },
            ),
        },
        "get_weather",
    ),
    Feature(
        "One call at a time",
        {
            "anthropic": _with_tools(
                "anthropic", tool_choice={"type": "auto", "disable_parallel_tool_use": True}
            ),
            "chat": _with_tools("chat", parallel_tool_calls=False),
            "responses": _with_tools("responses", parallel_tool_calls=False),
        },
        "parallel",
    ),
    Feature(
        "Custom tool (free text)",
        {
            "chat": _with_tools("chat", {"type": "custom", "custom": {"name": "patch"}}),
            "responses": _with_tools("responses", {"type": "custom", "name": "patch"}),
        },
        "patch",
    ),
    Feature(
        "Tool of the vendor that the client runs",
        {
            "anthropic": _with_tools("anthropic", {"type": "bash_20250124", "name": "bash"}),
            "responses": _with_tools("responses", {"type": "local_shell"}),
        },
        "sh",
    ),
    Feature(
        "Namespace of tools",
        {
            "responses": _with_tools(
                "responses",
                {
                    "type": "namespace",
                    "name": "agents",
                    "description": "d",
                    "tools": [{"type": "function", "name": "spawn", "parameters": _SCHEMA}],
                },
            )
        },
        "spawn",
    ),
    Feature(
        "Search of tools that the client runs",
        {
            "responses": _with_tools(
                "responses",
                {
                    "type": "tool_search",
                    "execution": "client",
                    "description": "d",
                    "parameters": _SCHEMA,
                },
            )
        },
        "tool_search",
    ),
    Feature(
        "Web search that the provider runs, beside other tools",
        {
            "anthropic": _with_tools(
                "anthropic", {"type": "web_search_20250305", "name": "web_search"}
            ),
            "responses": _with_tools("responses", {"type": "web_search"}),
            "gemini": _with_tools("gemini", {"googleSearch": {}}),
        },
        "earch",
    ),
    Feature(
        "Web search that is forced",
        {
            "anthropic": _with_tools(
                "anthropic",
                {"type": "web_search_20250305", "name": "web_search"},
                tool_choice={"type": "tool", "name": "web_search"},
            ),
            "responses": _with_tools(
                "responses", {"type": "web_search"}, tool_choice={"type": "web_search"}
            ),
        },
    ),
    Feature(
        "Limit of the output",
        {
            "anthropic": {"max_tokens": 4321},
            "chat": {"max_tokens": 4321},
            "responses": {"max_output_tokens": 4321},
            "gemini": _config(maxOutputTokens=4321),
        },
        "4321",
    ),
    Feature(
        "Temperature",
        {
            "anthropic": {"temperature": 0.25},
            "chat": {"temperature": 0.25},
            "responses": {"temperature": 0.25},
            "gemini": _config(temperature=0.25),
        },
        "0.25",
    ),
    Feature(
        "Temperature above 1",
        {
            "chat": {"temperature": 1.5},
            "responses": {"temperature": 1.5},
            "gemini": _config(temperature=1.5),
        },
        "1.5",
    ),
    Feature(
        "`top_k`",
        {"anthropic": {"top_k": 40}, "gemini": _config(topK=40)},
        "40",
    ),
    Feature(
        "Seed",
        {"chat": {"seed": 4321}, "gemini": _config(seed=4321)},
        "4321",
    ),
    Feature(
        "Stop strings",
        {
            "anthropic": {"stop_sequences": ["MARK"]},
            "chat": {"stop": ["MARK"]},
            "gemini": _config(stopSequences=["MARK"]),
        },
        "MARK",
    ),
    Feature(
        "Output in a JSON Schema",
        {
            "anthropic": {"output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}},
            "chat": {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": _SCHEMA},
                }
            },
            "responses": {
                "text": {"format": {"type": "json_schema", "name": "a", "schema": _SCHEMA}}
            },
            "gemini": _config(responseMimeType="application/json", responseJsonSchema=_SCHEMA),
        },
        "city",
    ),
    Feature(
        "Output in any JSON object",
        {
            "chat": {"response_format": {"type": "json_object"}},
            "responses": {"text": {"format": {"type": "json_object"}}},
            "gemini": _config(responseMimeType="application/json"),
        },
    ),
    Feature(
        "Effort of reasoning",
        {
            "anthropic": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            "chat": {"reasoning_effort": "low"},
            "responses": {"reasoning": {"effort": "low"}},
            "gemini": _config(thinkingConfig={"thinkingLevel": "low"}),
        },
    ),
    Feature(
        "Reasoning off",
        {
            "anthropic": {"thinking": {"type": "disabled"}},
            "chat": {"reasoning_effort": "none"},
            "responses": {"reasoning": {"effort": "none"}},
            "gemini": _config(thinkingConfig={"thinkingBudget": 0}),
        },
    ),
    Feature(
        "Service tier",
        {
            "anthropic": {"service_tier": "auto"},
            "chat": {"service_tier": "auto"},
            "responses": {"service_tier": "auto"},
        },
        "auto",
    ),
    Feature(
        "Marks for the provider's cache",
        {"anthropic": {"cache_control": {"type": "ephemeral"}}},
        "cache_control",
        "most providers cache by prefix; those that need marks get own ones",
    ),
    Feature(
        "State that the provider keeps",
        {
            "responses": {"previous_response_id": "resp_1"},
            "gemini": {"cachedContent": "cachedContents/1"},
        },
    ),
    Feature(
        "Several answers",
        {"chat": {"n": 2}, "gemini": _config(candidateCount=2)},
        "2",
    ),
    Feature(
        "MCP servers that the provider calls",
        {
            "anthropic": {
                "mcp_servers": [{"type": "url", "url": "https://mcp.example", "name": "a"}]
            },
            "responses": _with_tools(
                "responses",
                {"type": "mcp", "server_label": "a", "server_url": "https://mcp.example"},
            ),
        },
        "mcp.example",
    ),
    Feature(
        "Answer in the background",
        {"responses": {"background": True}},
    ),
)
