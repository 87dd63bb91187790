"""The shape of a call, read from its request: what routes can depend on besides the model's name.

One walk over the parsed body serves all four protocols, since none gives another's word for an
image or for media a different meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Protocol as Interface

from wiremend.protocols.base.document import RequestDocument

BYTES_PER_TOKEN = 4
"""The usual rule of thumb for English and code; no tokenizer is asked."""
TOKENS_PER_IMAGE = 1500
"""About what Anthropic counts for a large image (width x height / 750, at most 1.15 megapixels)."""

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
"""Members whose strings are no text that a model reads."""
_IMAGE_TYPES = frozenset({"image", "image_url", "input_image"})
"""Anthropic's, Chat's and Responses' names for a part that is an image."""
_OFF = frozenset({"", "none", "disabled", "off"})


@dataclass(frozen=True, slots=True)
class CallShape:
    """What a request looks like, whatever it says."""

    streaming: bool = False
    tools: int = 0
    """How many tools are offered; the functions of Gemini's groups count one by one."""
    input_tokens: int = 0
    """An estimate: UTF-8 bytes of all text, names and schemas over four, images at 1500 each."""
    has_images: bool = False
    """Anywhere in the conversation: a model that cannot see them fails on old ones, too."""
    thinking: bool = False
    """Thinking or reasoning is asked for; a model's own default is not known here."""


class ShapeCondition(Interface):
    """Anything that accepts some shapes."""

    def accepts(self, shape: CallShape) -> bool:
        """Whether a call of this shape is meant."""
        ...


def shape_of(document: RequestDocument, *, streaming: bool) -> CallShape:
    """The shape of a request; a body that is not a JSON object has none.

    `streaming` is the caller's: a count of tokens does not name it.
    """
    request = document.fields
    if request is None:
        return CallShape(streaming=streaming)
    for wrapper in document.protocol.request_wrappers:
        if isinstance(request.get(wrapper), dict):
            request = request[wrapper]
    walk = _Walk()
    walk.take(request)
    return CallShape(
        streaming=streaming,
        tools=_count_tools(request),
        input_tokens=walk.text_bytes // BYTES_PER_TOKEN + walk.images * TOKENS_PER_IMAGE,
        has_images=walk.images > 0,
        thinking=_asks_for_thinking(request),
    )


class _Walk:
    """Adds up text and images, without recursion: a client may nest as it likes."""

    def __init__(self) -> None:
        self.text_bytes = 0
        self.images = 0

    def take(self, request: Any) -> None:
        waiting = [request]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                if not value.startswith("data:"):
                    self.text_bytes += len(value.encode("utf-8", "surrogatepass"))
            elif isinstance(value, list):
                waiting += value
            elif isinstance(value, dict):
                self.images += _is_image(value)
                for name, inner in value.items():
                    self.text_bytes += len(name)
                    if name not in _UNCOUNTED or not isinstance(inner, str):
                        waiting.append(inner)


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
    """Each vendor's switch for it; what is missing is not asked for."""
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
    if "thinkingBudget" in config:  # 0 is off, -1 leaves it to the model
        return bool(config["thinkingBudget"])
    return bool(config.get("includeThoughts") or _is_on(config.get("thinkingLevel")))


def _is_on(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() not in _OFF
    return bool(value)
