"""The shape of a call: the properties of its request that routes can have conditions on.

One traversal of the parsed body serves all four protocols, since the words for images and media
have the same meaning in each protocol that uses them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Protocol as Interface

from wiremend.protocols.base.document import RequestDocument

BYTES_PER_TOKEN = 4
"""The usual approximation for English and code; no tokenizer is used."""
TOKENS_PER_IMAGE = 1500
"""Anthropic's count for a large image (width x height / 750, at most 1.15 megapixels)."""

_UNCOUNTED = frozenset(
    {
        "data",  # Anthropic, Gemini: base64; also input_audio
        "file_data",
        "encrypted_content",
        "signature",
        "thoughtSignature",
        "thought_signature",
    }
)
"""Members whose strings are not part of the model's text input."""
_IMAGE_TYPES = frozenset({"image", "image_url", "input_image"})
"""The types of image parts in Anthropic, Chat and Responses."""
_OFF = frozenset({"", "none", "disabled", "off"})


@dataclass(frozen=True, slots=True)
class CallShape:
    """Properties of a request that do not depend on what its text means."""

    streaming: bool = False
    tools: int = 0
    """The number of offered tools. Each function in a Gemini group counts."""
    input_tokens: int = 0
    """An estimate: UTF-8 bytes of all text, names and schemas divided by 4, plus 1500 per image."""
    has_images: bool = False
    """Whether the conversation contains an image. A model without vision fails on old ones, too."""
    thinking: bool = False
    """Whether the request asks for thinking (reasoning). The model's default is not considered."""


class ShapeCondition(Interface):
    """A condition on shapes."""

    def accepts(self, shape: CallShape) -> bool:
        """Return whether a call of this shape fulfils the condition."""
        ...


def shape_of(document: RequestDocument, *, streaming: bool) -> CallShape:
    """Return the shape of a request; an empty shape if the body is not a JSON object.

    `streaming` is given by the caller, since requests that count tokens do not contain it.
    """
    request = _request_in(document)
    if request is None:
        return CallShape(streaming=streaming)
    walk = _Walk()
    walk.add(request)
    return CallShape(
        streaming=streaming,
        tools=_count_tools(request),
        input_tokens=walk.text_bytes // BYTES_PER_TOKEN + walk.images * TOKENS_PER_IMAGE,
        has_images=walk.images > 0,
        thinking=_asks_for_thinking(request),
    )


def ends_in_tool_result(document: RequestDocument) -> bool:
    """Return whether the last message of a request is, or contains, the result of a tool."""
    request = _request_in(document) or {}
    for key in ("messages", "input", "contents"):
        messages = request.get(key)
        if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
            last = messages[-1]
            parts = [last]
            for name in ("content", "parts"):
                content = last.get(name)
                parts += content if isinstance(content, list) else ()
            return any(_is_tool_result(part) for part in parts)
    return False


def _is_tool_result(part: Any) -> bool:
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    return (
        part.get("role") in ("tool", "function")
        or (isinstance(kind, str) and kind.endswith(("tool_result", "_output")))
        or "functionResponse" in part
        or "function_response" in part
    )


def _request_in(document: RequestDocument) -> Mapping[str, Any] | None:
    """Return the request in a body, without a wrapper around it; None if it is no object."""
    request = document.fields
    for wrapper in document.protocol.request_wrappers:
        if request is not None and isinstance(request.get(wrapper), dict):
            request = request[wrapper]
    return request


class _Walk:
    """Counts text and images, without recursion since a request may be nested deeply."""

    def __init__(self) -> None:
        self.text_bytes = 0
        self.images = 0

    def add(self, request: Any) -> None:
        pending = [request]
        while pending:
            value = pending.pop()
            if isinstance(value, str):
                if not value.startswith("data:"):
                    self.text_bytes += len(value.encode("utf-8", "surrogatepass"))
            elif isinstance(value, list):
                pending += value
            elif isinstance(value, dict):
                self.images += _is_image(value)
                for name, inner in value.items():
                    self.text_bytes += len(name)
                    if name not in _UNCOUNTED or not isinstance(inner, str):
                        pending.append(inner)


def _is_image(part: Mapping[str, Any]) -> bool:
    kind = part.get("type")
    if isinstance(kind, str) and kind in _IMAGE_TYPES:
        return "source" in part or "image_url" in part or "file_id" in part
    media_type = part.get("mimeType", part.get("mime_type"))  # Gemini: inlineData, fileData
    return isinstance(media_type, str) and media_type.startswith("image/")


def _count_tools(request: Mapping[str, Any]) -> int:
    count = 0
    for key in ("tools", "functions"):
        tools = request.get(key)
        for tool in tools if isinstance(tools, list) else ():
            groups = [
                tool[name]
                for name in ("functionDeclarations", "function_declarations", "tools")
                if isinstance(tool, dict) and isinstance(tool.get(name), list)
            ]
            count += sum(len(group) for group in groups) if groups else 1
    return count


def _asks_for_thinking(request: Mapping[str, Any]) -> bool:
    """Return whether a request enables thinking with any vendor's parameter."""
    thinking = request.get("thinking")  # Anthropic; GLM, Kimi, DeepSeek in Chat
    if isinstance(thinking, dict):
        return _is_on(thinking.get("type", "enabled"))
    if "reasoning_effort" in request:  # Chat
        return _is_on(request["reasoning_effort"])
    reasoning = request.get("reasoning")  # Responses; OpenRouter in Chat
    if isinstance(reasoning, dict):
        if "enabled" in reasoning:
            return reasoning["enabled"] is True
        return any(_is_on(reasoning.get(name)) for name in ("effort", "max_tokens", "summary"))
    if "enable_thinking" in request:  # Qwen in Chat
        return request["enable_thinking"] is True
    generation = request.get("generationConfig", request.get("generation_config"))
    config = generation.get("thinkingConfig") if isinstance(generation, dict) else None
    if not isinstance(config, dict):
        return False
    if "thinkingBudget" in config:  # 0 is off; with -1 the model decides
        return bool(config["thinkingBudget"])
    return bool(config.get("includeThoughts") or _is_on(config.get("thinkingLevel")))


def _is_on(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() not in _OFF
    return bool(value)
