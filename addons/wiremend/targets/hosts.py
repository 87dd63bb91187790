"""The hosts of providers, and which hosts are intercepted."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

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


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].split("]", 1)[0]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host


GOOGLE_HOSTS = (
    "generativelanguage.googleapis.com",
    "aiplatform.googleapis.com",
    "*-aiplatform.googleapis.com",
    "aiplatform.*.rep.googleapis.com",
    "cloudcode-pa.googleapis.com",
)
"""Google's own, with a key, at Vertex, and behind Gemini CLI's login (Code Assist)."""


GATEWAYS = ("opencode.ai", "openrouter.ai")
"""Hosts that pass a call on to the model's own vendor: there the model decides."""
