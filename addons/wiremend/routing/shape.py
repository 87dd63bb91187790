"""The shape of a call: the properties of its request that routes can have conditions on.

One traversal of the parsed body serves all four protocols, since the words for images and media
have the same meaning in each protocol that uses them. What marks the calls of an agent is known in
`wiremend.clients`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from typing import Protocol as Interface

from wiremend.clients import client_of
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.protocol import RequestFacts
from wiremend.protocols.base.usage import BYTES_PER_TOKEN
from wiremend.protocols.registry import read_request
from wiremend.routing.thinking import asks_for_thinking, thinking_budget
from wiremend.routing.web_search import offered_tools, offers_web_search

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


@dataclass(frozen=True)
class CallShape:
    """Properties of a request that do not depend on what its text means.

    Each is computed when a condition first asks for it, and then kept. A body that is not a JSON
    object has the properties of an empty one.
    """

    document: RequestDocument
    streaming: bool
    """Given by the caller, since requests that count tokens do not contain it."""

    @cached_property
    def tools(self) -> int:
        """The number of offered tools. Each function in a Gemini group counts."""
        return _count_tools(self._request)

    @cached_property
    def input_tokens(self) -> int:
        """An estimate: UTF-8 bytes of all text, names and schemas divided by 4, plus 1500 per
        image."""
        return self._walk.text_bytes // BYTES_PER_TOKEN + self._walk.images * TOKENS_PER_IMAGE

    @cached_property
    def has_images(self) -> bool:
        """Whether the conversation contains an image. A model without vision fails on old ones,
        too."""
        return self._walk.images > 0

    @cached_property
    def thinking(self) -> bool:
        """Whether the request asks for thinking (reasoning). The model's default is not
        considered."""
        return asks_for_thinking(self._request)

    @cached_property
    def thinking_budget(self) -> int:
        """The tokens that the request allows for thinking; 0 if it does not say, or disables it.

        An effort counts as the budget that usually corresponds to it.
        """
        return thinking_budget(self._request)

    @cached_property
    def web_search(self) -> bool:
        """Whether the request offers a web search that the provider runs."""
        return offers_web_search(self._request)

    @cached_property
    def background(self) -> bool:
        """Whether the request is a side call of a known agent, outside the turns of the
        conversation.

        A compaction whose answer replaces a part of the conversation is none, since only the
        provider that wrote it may be able to read it.
        """
        if self._facts.is_compaction:
            return False
        headers = self._headers
        return client_of(self.document.headers).is_side_call(headers, offers_tools=self.tools > 0)

    @cached_property
    def subagent(self) -> bool:
        """Whether a known agent marked the request as that of a sub-agent."""
        headers = self._headers
        return client_of(self.document.headers).is_subagent(headers, self._facts.tool_names)

    @cached_property
    def _request(self) -> Mapping[str, Any]:
        return _request_in(self.document) or {}

    @cached_property
    def _facts(self) -> RequestFacts:
        return read_request(self.document)

    @cached_property
    def _headers(self) -> Mapping[str, str]:
        return {name.lower(): value.lower() for name, value in self.document.headers}

    @cached_property
    def _walk(self) -> "_Walk":
        walk = _Walk()
        walk.add(self._request)
        return walk


class ShapeCondition(Interface):
    """A condition on shapes."""

    def accepts(self, shape: CallShape) -> bool:
        """Return whether a call of this shape fulfils the condition."""
        ...


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
                    self.text_bytes += (
                        len(value)
                        if value.isascii()
                        else len(value.encode("utf-8", "surrogatepass"))
                    )
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
    for tool in offered_tools(request):
        groups = [
            tool[name]
            for name in ("functionDeclarations", "function_declarations", "tools")
            if isinstance(tool, dict) and isinstance(tool.get(name), list)
        ]
        count += sum(len(group) for group in groups) if groups else 1
    return count
