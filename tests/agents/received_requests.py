"""What a request contains, read without the code under test, and whether it is a valid one."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from anthropic.types import message_create_params
from google.genai import types as gemini_types
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from pydantic import TypeAdapter
from traffic import good
from wiremend.protocols.base.names import WireProtocol

A, C, R, G = good.ANTHROPIC, good.CHAT, good.RESPONSES, good.GEMINI
_TYPED = {
    A: TypeAdapter[Any](message_create_params.MessageCreateParams),
    C: TypeAdapter[Any](completion_create_params.CompletionCreateParams),
    R: TypeAdapter[Any](response_create_params.ResponseCreateParams),
}


@dataclass(frozen=True)
class Entry:
    """A piece of the conversation: text of a role, a call, a result, an image, or reasoning."""

    kind: str
    """`system`, `user`, `assistant`, `call`, `result`, `image` or `reasoning`."""
    text: str
    id: str = ""


def entries(protocol: WireProtocol, body: Mapping[str, Any]) -> list[Entry]:
    """Return the conversation in a request, in order."""
    return list(_READERS[protocol](body))


def messages(protocol: WireProtocol, body: Mapping[str, Any]) -> list[Any]:
    """Return the messages, without the marks for prompt caches, which move."""
    key = {A: "messages", C: "messages", R: "input", G: "contents"}[protocol]
    return [_without_marks(message) for message in body[key]]


def tool_names(protocol: WireProtocol, body: Mapping[str, Any]) -> list[str]:
    """Return the names of the tools that the request offers."""
    tools = body.get("tools", ())
    if protocol is C:
        return [tool["function"]["name"] for tool in tools]
    if protocol is G:
        return [it["name"] for tool in tools for it in tool.get("functionDeclarations", ())]
    return [tool["name"] for tool in tools if "name" in tool]


def validate(protocol: WireProtocol, body: Mapping[str, Any]) -> None:
    """Validate a request with the types of the vendor's SDK; raises pydantic.ValidationError."""
    if protocol is R:
        body = {**body, "input": [_with_id(item) for item in body["input"]]}
    if protocol is not G:
        _read_iterables(_TYPED[protocol].validate_python(body))
        return
    fields = dict(body)
    contents = TypeAdapter(list[gemini_types.Content])
    contents.validate_python(fields.pop("contents"))
    settings = dict(fields.pop("generationConfig", {}))
    if "toolConfig" in fields:
        gemini_types.ToolConfig.model_validate(fields.pop("toolConfig"))
    TypeAdapter(list[gemini_types.Tool]).validate_python(fields.pop("tools", []))
    system = fields.pop("systemInstruction", None)
    if system is not None:
        gemini_types.Content.model_validate(system)
    gemini_types.GenerateContentConfig.model_validate(settings | fields)


def _with_id(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item of reasoning with an id: the types require it, OpenAI does not.

    Codex sends reasoning without its id, too: with one, OpenAI checks what follows the item.
    """
    return {"id": "rs_1", **item} if item.get("type") == "reasoning" else item


def _read_iterables(value: Any) -> None:
    """Read all iterators: pydantic validates the items of `Iterable` when they are read."""
    if isinstance(value, Mapping):
        for item in value.values():
            _read_iterables(item)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for item in value:
            _read_iterables(item)


def _without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_marks(v) for k, v in value.items() if k != "cache_control"}
    return [_without_marks(item) for item in value] if isinstance(value, list) else value


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _messages_api(body: Mapping[str, Any]) -> Iterator[Entry]:
    for block in _blocks(body.get("system")):
        yield Entry("system", block["text"])
    for message in body["messages"]:
        for block in _blocks(message["content"]):
            yield from _block(message["role"], block)


def _block(role: str, block: dict[str, Any]) -> Iterator[Entry]:
    match block["type"]:
        case "text":
            yield Entry(role, block["text"])
        case "image":
            yield Entry("image", block["source"]["data"])
        case "thinking":
            yield Entry("reasoning", block["signature"])
        case "tool_use":
            yield Entry("call", f"{block['name']} {json.dumps(block['input'])}", block["id"])
        case "tool_result":
            inner = _blocks(block.get("content"))
            text = "".join(it["text"] for it in inner if it["type"] == "text")
            yield Entry("result", text, block["tool_use_id"])
            yield from (it for part in inner for it in _block(role, part) if it.kind == "image")
        case other:
            yield Entry(other, json.dumps(block))


def _completions(body: Mapping[str, Any]) -> Iterator[Entry]:
    for message in body["messages"]:
        role = message["role"]
        if message.get("reasoning_content"):
            yield Entry("reasoning", message["reasoning_content"])
        parts = _blocks(message.get("content"))
        if role == "tool":
            text = "".join(part["text"] for part in parts)
            yield Entry("result", text, message["tool_call_id"])
            continue
        for part in parts:
            if part["type"] == "image_url":
                yield Entry("image", part["image_url"]["url"].partition("base64,")[2])
            elif part["text"]:
                yield Entry(role, part["text"])
        for call in message.get("tool_calls", ()):
            function = call["function"]
            yield Entry("call", f"{function['name']} {function['arguments']}", call["id"])


def _responses_api(body: Mapping[str, Any]) -> Iterator[Entry]:
    if body.get("instructions"):
        yield Entry("system", body["instructions"])
    for item in body["input"]:
        match item.get("type", "message"):
            case "message":
                yield from _input_parts(item["role"], _blocks(item["content"]))
            case "reasoning":
                yield Entry("reasoning", item.get("encrypted_content") or "")
            case "function_call" | "custom_tool_call":
                text = item.get("arguments") or item.get("input")
                yield Entry("call", f"{item['name']} {text}", item["call_id"])
            case "function_call_output" | "custom_tool_call_output":
                parts = _blocks(item["output"])
                text = "".join(part.get("text", "") for part in parts)
                yield Entry("result", text, item["call_id"])
                yield from (it for it in _input_parts("user", parts) if it.kind == "image")
            case other:
                yield Entry(other, json.dumps(item))


def _input_parts(role: str, parts: list[dict[str, Any]]) -> Iterator[Entry]:
    for part in parts:
        if part["type"] == "input_image":
            yield Entry("image", part["image_url"].partition("base64,")[2])
        else:
            yield Entry(role, part["text"])


def _gemini_api(body: Mapping[str, Any]) -> Iterator[Entry]:
    for part in body.get("systemInstruction", {}).get("parts", ()):
        yield Entry("system", part["text"])
    for content in body["contents"]:
        role = {"model": "assistant"}.get(content["role"], content["role"])
        for part in content["parts"]:
            yield from _part(role, part)


def _part(role: str, part: dict[str, Any]) -> Iterator[Entry]:
    if part.get("thoughtSignature"):
        yield Entry("reasoning", part["thoughtSignature"])
    if "functionCall" in part:
        call = part["functionCall"]
        yield Entry("call", f"{call['name']} {json.dumps(call.get('args'))}", call.get("id", ""))
    elif "functionResponse" in part:
        found = part["functionResponse"]
        yield Entry("result", json.dumps(found["response"]), found.get("id", ""))
        for inner in found.get("parts", ()):
            yield from _part(role, inner)
    elif "inlineData" in part:
        yield Entry("image", part["inlineData"]["data"])
    elif part.get("text") and not part.get("thought"):
        yield Entry(role, part["text"])


_READERS = {A: _messages_api, C: _completions, R: _responses_api, G: _gemini_api}
