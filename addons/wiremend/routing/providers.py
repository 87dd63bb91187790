"""Sending a call to another provider of the same protocol: address, path, credentials.

The client's credentials belong to the provider that it addressed and never travel further.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from wiremend.protocols.base.document import OutgoingRequest
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.routing.model_name import rewrite_model
from wiremend.rules.rule import Notes, Rule
from wiremend.secrets import is_secret_header, is_secret_parameter, may_hold_credential

PROVIDER_ROUTED = Rule(
    code="M002",
    name="provider-routed",
    detects="The configuration routes the requested model to another provider.",
    impact="The client's API key would leak to a provider that it was not issued by.",
    action="Replaces address, path and credentials together; the client's credentials are removed.",
    protocols=tuple(WireProtocol),
)
FELL_BACK = Rule(
    code="M003",
    name="fell-back",
    detects="All attempts with a model failed, its circuit breaker is open, the model is unknown, "
    "or its quota is used up.",
    impact="The turn is lost although another model could complete it.",
    action="Requests the next model of the route's `fallback`, if nothing was sent to the client "
    "yet.",
    protocols=tuple(WireProtocol),
)
RULES = (PROVIDER_ROUTED, FELL_BACK)

_VERSIONED = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?(?=/)")
_ENDS_IN_VERSION = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?\Z")


@dataclass(frozen=True, slots=True)
class ProviderAddress:
    """A configured provider: where it is, and what it wants to see."""

    name: str
    base_url: str
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    message_rules: frozenset[str] | None = None
    """Codes of the rules on messages that are on for it; None: those of the table."""
    max_output_tokens: int | None = None
    """The most output tokens that a call may ask for; None: no limit is known."""
    schema_dialect: str | None = None
    """The dialect of its tools' schemas; None: what is known of host and model."""

    @property
    def host(self) -> str:
        """The host name in its address."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def has_key(self) -> bool:
        """Whether calls to it carry a credential of the configuration."""
        return bool(self.api_key) or any(
            value and may_hold_credential(name) for name, value in self.headers.items()
        )


def redirect(request: OutgoingRequest, provider: ProviderAddress) -> OutgoingRequest:
    """The same request, addressed to another provider with that provider's key.

    What a base URL ends in is kept: a version (`…/api/v1`) replaces the request's, anything else
    (`…/zen/go`) goes before it.
    """
    url = urlsplit(provider.base_url)
    assert url.hostname is not None
    scheme = url.scheme.lower()
    replaced = {name.lower() for name in provider.headers} | {"host"}
    kept = [
        (name, value)
        for name, value in request.headers
        if name.lower() not in replaced and not is_secret_header(name)
    ]
    protocol = request.document.protocol
    key = protocol.key_header
    if provider.api_key and key.name not in {name.lower() for name in provider.headers}:
        kept.append((key.name, key.value(provider.api_key)))
    kept += provider.headers.items()
    default_port = 443 if scheme == "https" else 80
    port = url.port or default_port
    authority = url.hostname if port == default_port else f"{url.hostname}:{port}"
    document = replace(
        request.document,
        path=_join(protocol, url.path.rstrip("/"), request.path),
        headers=(("host", authority), *kept),
    )
    return replace(
        request,
        provider=provider.name,
        scheme=scheme,
        host=url.hostname,
        port=port,
        document=document,
    )


def route(
    request: OutgoingRequest,
    *,
    model: str,
    provider: str | None,
    fallback: Sequence[str],
    providers: Mapping[str, ProviderAddress],
) -> list[OutgoingRequest]:
    """Everywhere a call may be sent, first choice first. `request` is the client's own.

    A fallback `PROVIDER/MODEL` with a configured provider's name goes there; any other is a model
    of the route's provider.
    """
    routed = []
    for where, name in destinations(model, provider, fallback, providers):
        document = rewrite_model(request.document, name, Notes())
        outgoing = replace(request, model=name, document=document)
        if where is not None:
            outgoing = redirect(outgoing, providers[where])
        routed.append(outgoing)
    return routed


def destinations(
    model: str,
    provider: str | None,
    fallback: Sequence[str],
    providers: Mapping[str, ProviderAddress],
) -> list[tuple[str | None, str]]:
    """Provider and model of everywhere that `route` sends a call, first choice first.

    The provider is None where the call stays with the one that its client addressed.
    """
    found = [(provider, model)]
    for name in fallback:
        there, _, rest = name.partition("/")
        found.append((there, rest) if rest and there in providers else (provider, name))
    return found


def uses_key(
    provider: str | None, fallback: Sequence[str], providers: Mapping[str, ProviderAddress]
) -> bool:
    """Whether a call that is routed like this can go out with a key of the configuration."""
    found = destinations("", provider, fallback, providers)
    return any(where is not None and providers[where].has_key for where, _ in found)


def without_credentials(query: str) -> str:
    """A query string less the parameters that are credentials; the rest keeps its bytes."""
    parts = query.split("&") if query else []
    return "&".join(part for part in parts if not is_secret_parameter(part.split("=")[0]))


def _join(protocol: Protocol, base_path: str, path: str) -> str:
    endpoint, _, query = path.partition("?")
    versions = list(_VERSIONED.finditer(endpoint))
    if versions:
        last = versions[-1]
        start = last.end() if _ENDS_IN_VERSION.search(base_path) else last.start()
    else:
        unversioned = protocol.endpoints.unversioned.search(endpoint)
        start = unversioned.start() if unversioned else 0
    query = without_credentials(query)
    return base_path + endpoint[start:] + (f"?{query}" if query else "")
