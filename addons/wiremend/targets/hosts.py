"""The hosts whose TLS is intercepted."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from wiremend.targets.registry import VENDORS

OTHER_HOSTS: tuple[str, ...] = (
    # Gateways to many models
    "ai-gateway.vercel.sh",
    "gateway.ai.cloudflare.com",
    "router.huggingface.co",
    "router.requesty.ai",
    "models.github.ai",
    "models.inference.ai.azure.com",
    "api.cline.bot",
    "api.portkey.ai",
    "gateway.pydantic.dev",
    "hyper.charm.land",
    # Clouds
    "*.cognitiveservices.azure.com",
    "*.services.ai.azure.com",
    "*.models.ai.azure.com",
    "bedrock-runtime.*.amazonaws.com",
    "bedrock-mantle.*.api.aws",
    "*.inference.heroku.com",
    # Vendors
    "api.ai21.com",
    "api.cohere.com",
    "api.perplexity.ai",
    "ark.*.volces.com",
    "api.stepfun.com",
    "api.hunyuan.cloud.tencent.com",
    "qianfan.baidubce.com",
    "api.xiaomimimo.com",
    "api.longcat.chat",
    "api.inceptionlabs.ai",
    # Hosts of open models
    "api.cerebras.ai",
    "api.avian.io",
    "api.doubleword.ai",
    "api.inference.crusoecloud.com",
    "api.together.ai",
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
    "ollama.com",
)
"""Globs of further providers, of which only the host is known.

Hosts that serve much besides models are left out, because a child process of an agent that does not
trust our certificate would fail there: api.cloudflare.com, *.snowflakecomputing.com and
*.azuredatabricks.net. `[intercept] hosts` adds them.
"""

PROVIDER_HOSTS: tuple[str, ...] = (
    *(glob for vendor in VENDORS for glob in vendor.hosts),
    *OTHER_HOSTS,
)
"""Globs of the hosts whose TLS is intercepted. All other connections are tunnelled."""


NAME_OF_ADDRESSES = "localhost"
"""The name in the certificates of hosts that are addressed by IP address.

If a certificate contains no name, OpenSSL checks the common name, which is the address, as a name.
A CA whose name constraints permit addresses only is rejected by rustls for every certificate.
"""


class InterceptedHosts:
    """The hosts whose TLS is intercepted: those of known providers, and configured ones.

    In a glob, `*` matches any text, including dots.
    """

    def __init__(self, more: Sequence[str] = ()) -> None:
        """`more` are the globs of configured hosts."""
        globs = (*PROVIDER_HOSTS, *(glob.lower() for glob in more))
        self.globs: tuple[str, ...] = tuple(dict.fromkeys(globs))

    def matches(self, host: str) -> bool:
        """Return whether a host, with or without a port, is one of them."""
        name = _without_port(host.strip().lower()).rstrip(".")
        return any(fnmatchcase(name, glob) for glob in self.globs)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].split("]", 1)[0]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host
