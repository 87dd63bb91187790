"""The hosts whose TLS is intercepted."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence, Set
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
    "api.cohere.com",
    "api.perplexity.ai",
    "ark.*.volces.com",
    "api.stepfun.com",
    "api.hunyuan.cloud.tencent.com",
    "qianfan.baidubce.com",
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

_AWS = (
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2", "us-gov-east-1", "us-gov-west-1"),
    *("ca-central-1", "ca-west-1", "mx-central-1", "sa-east-1", "af-south-1"),
    *("eu-central-1", "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2"),
    *("eu-west-1", "eu-west-2", "eu-west-3", "il-central-1", "me-central-1", "me-south-1"),
    *("ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3"),
    *("ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3"),
    *("ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7"),
)
"""https://docs.aws.amazon.com/bedrock/latest/userguide/endpoints-region-availability.html"""
_GOOGLE = (
    *("africa-south1", "asia-east1", "asia-east2", "asia-northeast1", "asia-northeast2"),
    *("asia-northeast3", "asia-south1", "asia-south2", "asia-southeast1", "asia-southeast2"),
    *("asia-southeast3", "australia-southeast1", "australia-southeast2", "europe-central2"),
    *("europe-north1", "europe-north2", "europe-southwest1", "europe-west1", "europe-west2"),
    *("europe-west3", "europe-west4", "europe-west6", "europe-west8", "europe-west9"),
    *("europe-west10", "europe-west12", "me-central1", "me-central2", "me-west1"),
    *("northamerica-northeast1", "northamerica-northeast2", "northamerica-south1"),
    *("southamerica-east1", "southamerica-west1", "us-central1", "us-east1", "us-east4"),
    *("us-east5", "us-south1", "us-west1", "us-west2", "us-west3", "us-west4", "us-west8"),
)
"""https://docs.cloud.google.com/vertex-ai/docs/general/locations"""
_GOOGLE_MULTI_REGIONS = ("us", "eu")
_VOLCENGINE = ("cn-beijing", "cn-shanghai", "cn-guangzhou", "ap-southeast-1")
_DASHSCOPE = ("", "-intl", "-us", "-finance")

REGIONAL_HOSTS: Mapping[str, tuple[str, ...]] = {
    "bedrock-runtime.*.amazonaws.com": tuple(
        f"bedrock-runtime.{region}.amazonaws.com" for region in _AWS
    ),
    "bedrock-mantle.*.api.aws": tuple(f"bedrock-mantle.{region}.api.aws" for region in _AWS),
    "*-aiplatform.googleapis.com": tuple(
        f"{region}-aiplatform.googleapis.com" for region in (*_GOOGLE, *_GOOGLE_MULTI_REGIONS)
    ),
    "aiplatform.*.rep.googleapis.com": tuple(
        f"aiplatform.{region}.rep.googleapis.com" for region in (*_GOOGLE, *_GOOGLE_MULTI_REGIONS)
    ),
    "ark.*.volces.com": tuple(f"ark.{region}.volces.com" for region in _VOLCENGINE),
    "dashscope*.aliyuncs.com": tuple(f"dashscope{name}.aliyuncs.com" for name in _DASHSCOPE),
    "api.*.githubcopilot.com": (),  # below `*.githubcopilot.com`
}
"""By the glob in the facts about a vendor, its hosts, written out.

A certificate's name constraints permit whole domains only: a CA for
`bedrock-runtime.*.amazonaws.com` would vouch for every host of amazonaws.com. A region that is
missing here is tunnelled, and `[intercept] hosts` adds its host.
"""

PROVIDER_HOSTS: tuple[str, ...] = tuple(
    host
    for glob in (
        *(glob for vendor in VENDORS if vendor.intercepted for glob in vendor.hosts),
        *OTHER_HOSTS,
    )
    for host in REGIONAL_HOSTS.get(glob, (glob,))
)
"""The hosts whose TLS is intercepted, and the domains. All other connections are tunnelled."""


NAME_OF_ADDRESSES = "localhost"
"""The name in the certificates of hosts that are addressed by IP address.

If a certificate contains no name, OpenSSL checks the common name, which is the address, as a name.
A CA whose name constraints permit addresses only is rejected by rustls for every certificate.
"""

_WILDCARDS = "*?["
_TOP_DOMAINS = frozenset(
    {
        *("com", "net", "org", "edu", "gov", "mil", "int", "info", "biz", "arpa"),
        *("ai", "app", "aws", "cloud", "co", "dev", "io", "me", "tech", "xyz"),
    }
)
_SECOND_LEVELS = frozenset({"ac", "co", "com", "edu", "gov", "net", "org"})

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def domain_of(glob: str) -> str | None:
    """Return the domain to which a CA must be limited for this glob; None if there is none.

    It is the name itself, or what follows `*.`. Any other wildcard stands inside the name, and a
    CA cannot be limited to such names.
    """
    name = glob.lower().rstrip(".").removeprefix("*.")
    return name if name and not any(sign in name for sign in _WILDCARDS) else None


def network_of(glob: str) -> Network | None:
    """Return the IP network of a glob, or None if it matches names: `10.0.*` is `10.0.0.0/16`."""
    labels = glob.strip("[]").split(".")
    fixed = labels[: labels.index("*")] if "*" in labels else labels
    if fixed and len(fixed) < len(labels) <= 4 and set(labels) - set(fixed) == {"*"}:
        fixed, length = fixed + ["0"] * (4 - len(fixed)), 8 * len(fixed)
        text = f"{'.'.join(fixed)}/{length}"
    else:
        text = glob.strip("[]")
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def problem_with_glob(glob: str) -> str:
    """Return why hosts cannot be intercepted by this glob; empty if they can.

    `*` alone is possible: the CA is then not limited at all.
    """
    if glob == "*" or network_of(glob) is not None:
        return ""
    domain = domain_of(glob)
    if domain is None:
        return (
            "the CA can be limited to hosts and to whole domains such as '*.example.com', but not "
            f"to names with a wildcard inside: list the hosts that {glob!r} stands for"
        )
    labels = domain.split(".")
    is_top = len(labels) == 1 and (domain in _TOP_DOMAINS or glob.startswith("*"))
    is_second = len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _SECOND_LEVELS
    if is_top or is_second:
        return f"the CA could sign for every host below .{domain}: name a domain, or hosts"
    return ""


class InterceptedHosts:
    """The hosts whose TLS is intercepted: those of known providers, and configured ones.

    In a glob, `*` matches any text, including dots.
    """

    def __init__(self, more: Sequence[str] = ()) -> None:
        """`more` are the globs of configured hosts."""
        self.globs: tuple[str, ...] = tuple(
            dict.fromkeys((*PROVIDER_HOSTS, *(glob.lower() for glob in more)))
        )
        self._names, self._patterns = _sorted(self.globs)

    def without(self, globs: Set[str]) -> "InterceptedHosts":
        """Return the hosts without those of these globs; itself if there are none."""
        if not globs:
            return self
        rest = InterceptedHosts()
        rest.globs = tuple(glob for glob in self.globs if glob not in globs)
        rest._names, rest._patterns = _sorted(rest.globs)
        return rest

    def matches(self, host: str) -> bool:
        """Return whether a host, with or without a port, is one of them."""
        name = _without_port(host.strip().lower()).rstrip(".")
        return name in self._names or any(fnmatchcase(name, glob) for glob in self._patterns)


def _sorted(globs: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the globs without wildcards, and the others."""
    patterns = tuple(glob for glob in globs if any(sign in glob for sign in _WILDCARDS))
    return frozenset(globs) - set(patterns), patterns


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].split("]", 1)[0]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host
