"""What a call is, and recognising one: by host, method, path and content type."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson

from wiremend.protocols.base.names import WireProtocol

_ENDPOINTS: tuple[tuple[re.Pattern[str], WireProtocol], ...] = (
    (re.compile(r"/v1/messages/?\Z"), WireProtocol.ANTHROPIC_MESSAGES),
    (re.compile(r"/chat/completions/?\Z"), WireProtocol.CHAT_COMPLETIONS),
    (re.compile(r"/responses/?\Z"), WireProtocol.RESPONSES),
    (re.compile(r"(?::|%3a)(?:streamG|g)enerateContent\Z", re.IGNORECASE), WireProtocol.GEMINI),
)
_STREAMING_METHOD = re.compile(r"(?::|%3a)streamGenerateContent\Z", re.IGNORECASE)
_GEMINI_MODEL = re.compile(r".*/(?:models/|(?=tunedModels/))([^?]+?)(?::|%3[Aa])[A-Za-z]+\Z")
"""The name comes without `models/`, but with `tunedModels/`."""


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What a request's body and path say that others need to know."""

    model: str = ""
    streaming: bool = False
    tool_names: tuple[str, ...] = ()
    array: bool = False
    """Gemini without `alt=sse`: the stream is one JSON array."""
    valid: bool = True
    """False: the body is no JSON object."""


def recognise(method: str, path: str, content_type: str) -> WireProtocol | None:
    """The protocol of a request, or None when it is no model call.

    `path` may carry a query. Paths may have a provider's prefix (`/zen/go/v1/messages`).
    """
    if method.upper() != "POST" or not _is_json(content_type):
        return None
    endpoint = path.split("?", 1)[0]
    for pattern, protocol in _ENDPOINTS:
        if pattern.search(endpoint):
            return protocol
    return None


def read_request(protocol: WireProtocol, path: str, body: bytes) -> RequestFacts:
    """The facts of a recognised request. A body that is no JSON object gives `valid=False`.

    A missing `stream` means a whole answer (Claude Code's fallback leaves it out).
    """
    endpoint, _, query = path.partition("?")
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        request = None
    valid = isinstance(request, dict)
    fields: Mapping[str, Any] = request if isinstance(request, dict) else {}
    model = fields.get("model")
    model = model if isinstance(model, str) else ""
    if protocol is WireProtocol.GEMINI:
        streaming = _STREAMING_METHOD.search(endpoint) is not None
        match = _GEMINI_MODEL.search(endpoint)
        inner = fields.get("request")  # Code Assist wraps it: /v1internal:generateContent
        return RequestFacts(
            model=unquote(match[1]) if match else model,
            streaming=streaming,
            tool_names=_gemini_tool_names(inner if isinstance(inner, dict) else fields),
            array=streaming and "sse" not in parse_qs(query).get("alt", []),
            valid=valid,
        )
    return RequestFacts(
        model=model,
        streaming=fields.get("stream") is True,
        tool_names=_tool_names(fields),
        valid=valid,
    )


def is_websocket_upgrade(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Whether this asks for a WebSocket on a model path (Codex: `GET …/responses`)."""
    known = {name.lower(): value.lower() for name, value in headers.items()}
    return (
        method.upper() == "GET"
        and "websocket" in known.get("upgrade", "")
        and recognise("POST", path, "") is not None
    )


def _is_json(content_type: str) -> bool:
    kind = content_type.split(";", 1)[0].strip().lower()
    return not kind or kind in ("application/json", "text/json") or kind.endswith("+json")


def _tool_names(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Of `tools`, of the tools inside a namespace (Codex), and of the older `functions`."""
    names: list[str] = []
    for tool in (*_dicts(fields.get("tools")), *_dicts(fields.get("functions"))):
        for one in (tool, *_dicts(tool.get("tools"))):
            inner = one.get("function", one.get("custom"))
            name = inner.get("name") if isinstance(inner, dict) else one.get("name")
            if isinstance(name, str) and name:
                names.append(name)
    return tuple(names)


def _gemini_tool_names(fields: Mapping[str, Any]) -> tuple[str, ...]:
    names: list[str] = []
    for tool in _dicts(fields.get("tools")):
        for key in ("functionDeclarations", "function_declarations"):
            for function in _dicts(tool.get(key)):
                name = function.get("name")
                if isinstance(name, str) and name:
                    names.append(name)
    return tuple(names)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
