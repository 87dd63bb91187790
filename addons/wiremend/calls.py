"""What a call is, and recognising one: by host, method, path and content type."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson

from wiremend.protocols.names import WireProtocol

PROVIDER_HOSTS: tuple[str, ...] = (
    # The vendors of the agents' own models
    "api.anthropic.com",
    "api.openai.com",
    "*.api.openai.com",  # regions: eu.api.openai.com
    "chatgpt.com",  # Codex with an account; only its …/codex/responses is a call
    "generativelanguage.googleapis.com",
    "aiplatform.googleapis.com",
    "*-aiplatform.googleapis.com",
    "aiplatform.*.rep.googleapis.com",
    "cloudcode-pa.googleapis.com",  # Gemini CLI with an account
    # Gateways to many models
    "opencode.ai",
    "openrouter.ai",
    "ai-gateway.vercel.sh",
    "gateway.ai.cloudflare.com",
    "router.huggingface.co",
    "router.requesty.ai",
    "models.github.ai",
    "models.inference.ai.azure.com",
    "api.githubcopilot.com",
    "*.githubcopilot.com",
    # Clouds
    "*.openai.azure.com",
    "*.cognitiveservices.azure.com",
    "*.services.ai.azure.com",
    "*.models.ai.azure.com",
    "bedrock-runtime.*.amazonaws.com",
    "bedrock-mantle.*.api.aws",
    # Vendors
    "api.x.ai",
    "api.mistral.ai",
    "codestral.mistral.ai",
    "api.cohere.com",
    "api.perplexity.ai",
    "api.deepseek.com",
    "api.moonshot.ai",
    "api.moonshot.cn",
    "api.kimi.com",
    "api.z.ai",
    "open.bigmodel.cn",
    "api.minimax.io",
    "api.minimaxi.com",
    "dashscope*.aliyuncs.com",
    "*.dashscope.aliyuncs.com",
    "portal.qwen.ai",
    "ark.*.volces.com",
    "api.stepfun.com",
    "api.hunyuan.cloud.tencent.com",
    "qianfan.baidubce.com",
    "api.xiaomimimo.com",
    "api.longcat.chat",
    "api.inceptionlabs.ai",
    # Hosts of open models
    "api.groq.com",
    "api.cerebras.ai",
    "api.together.xyz",
    "api.fireworks.ai",
    "api.deepinfra.com",
    "api.sambanova.ai",
    "api.novita.ai",
    "api.hyperbolic.xyz",
    "api.siliconflow.cn",
    "api.siliconflow.com",
    "api.synthetic.new",
    "api.venice.ai",
    "api.studio.nebius.com",
    "api.tokenfactory.nebius.com",
    "inference.baseten.co",
    "integrate.api.nvidia.com",
    "llm.chutes.ai",
)
"""Hosts whose TLS is opened, as globs. Everything else is tunnelled."""

_ENDPOINTS: tuple[tuple[re.Pattern[str], WireProtocol], ...] = (
    (re.compile(r"/v1/messages/?\Z"), WireProtocol.ANTHROPIC_MESSAGES),
    (re.compile(r"/chat/completions/?\Z"), WireProtocol.CHAT_COMPLETIONS),
    (re.compile(r"/responses/?\Z"), WireProtocol.RESPONSES),
    (re.compile(r"(?::|%3a)(?:streamG|g)enerateContent\Z", re.IGNORECASE), WireProtocol.GEMINI),
)
_STREAMING_METHOD = re.compile(r"(?::|%3a)streamGenerateContent\Z", re.IGNORECASE)
_GEMINI_MODEL = re.compile(r".*/(?:models/|(?=tunedModels/))([^?]+?)(?::|%3[Aa])[A-Za-z]+\Z")
"""The name comes without `models/`, but with `tunedModels/`."""
_CLIENTS: tuple[tuple[str, str], ...] = (
    ("claude-cli/", "claude-code"),
    ("opencode/", "opencode"),
    ("codex", "codex"),
    ("geminicli/", "gemini-cli"),
)
_SDKS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("x-goog-api-client", re.compile(r"google-genai-sdk/\S+ gl-python/"), "python-genai"),
    ("x-stainless-lang", re.compile(r"python\Z"), "openai-python"),
)
"""Agents put their own name into the user agent, but leave these headers alone."""


NAME_OF_ADDRESSES = "localhost"
"""The name in the certificates of hosts that are addressed by IP address.

With no name in the certificate, OpenSSL checks the common name, which is the address, as a name. A
name constraint for addresses alone makes rustls refuse every certificate.
"""


class InterceptedHosts:
    """The hosts whose TLS is opened: the built-in providers and what the configuration adds.

    In a glob `*` stands for anything, dots included.
    """

    def __init__(self, more: Sequence[str] = ()) -> None:
        every = (*PROVIDER_HOSTS, *(glob.lower() for glob in more))
        self.globs: tuple[str, ...] = tuple(dict.fromkeys(every))

    def matches(self, host: str) -> bool:
        """Whether this host name, with or without a port, is one of them."""
        name = _without_port(host.strip().lower()).rstrip(".")
        return any(fnmatchcase(name, glob) for glob in self.globs)


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


def client_family(headers: Mapping[str, str]) -> str:
    """Who sent this, as far as rules care: an agent, else the SDK it is made with, else empty.

    claude-code, opencode, codex, gemini-cli; openai-python (Anthropic's has the same header, and
    other streams), python-genai.
    """
    known = {name.lower(): value.lower() for name, value in headers.items()}
    if known.get("originator", "").startswith("codex"):
        return "codex"
    agent = known.get("user-agent", "")
    for start, family in _CLIENTS:
        if agent.startswith(start):
            return family
    for header, pattern, family in _SDKS:
        if pattern.match(known.get(header, "")):
            return family
    return ""


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


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].split("]", 1)[0]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host


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
