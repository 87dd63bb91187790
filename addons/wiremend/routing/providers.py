"""Sending a call to another provider: address, path, credentials.

The client's credentials belong to the provider that it addressed. They are not sent to another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from urllib.parse import urlsplit

from wiremend.body_secrets import without_credentials
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.traits import FieldChanges
from wiremend.routing.limits import NO_CHANGES, LimitChanges
from wiremend.rules.rule import Rule
from wiremend.secrets import is_secret_header, may_hold_credential, without_secret_parameters
from wiremend.text.patterns import text_pattern

PROVIDER_ROUTED = Rule(
    code="M002",
    name="provider-routed",
    detects="The configuration routes the requested model to another provider.",
    impact="The client's API key would leak to a provider that it was not issued by.",
    action="Replaces address, path and credentials together; the client's credentials are removed, "
    "also those for MCP servers in the body.",
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

_VERSIONED = text_pattern(r"/v\d++(?:(?:alpha|beta)\d*+)?(?=/)")
_ENDS_IN_VERSION = text_pattern(r"/v\d++(?:(?:alpha|beta)\d*+)?\Z")


@dataclass(frozen=True)
class ProviderAddress:
    """A configured provider: its address, credentials and limits."""

    name: str
    base_url: str
    api_key: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    message_rules: frozenset[str] | None = None
    """Codes of the rules on messages that apply; None means those of the vendor."""
    max_output_tokens: int | None = None
    """The maximum of output tokens that a call may request; None if unknown."""
    schema_dialect: str | None = None
    """The dialect of tool schemas; None means the one that is known for host and model."""
    drops_refused: bool = True
    """Whether harmless fields that it refuses are dropped."""
    changes: FieldChanges = field(default_factory=FieldChanges)
    """Changes of the request's fields."""
    disabled: frozenset[str] = frozenset()
    """Codes of the rules that are disabled for calls to it."""
    leaked_formats: tuple[str, ...] | None = None
    """The formats in which it writes tool calls as text; None means those that are known."""
    protocols: tuple[tuple[str, WireProtocol], ...] = ()
    """Globs on its models, and the protocol of the first that matches; without one, the call's."""
    more_keys: tuple[str, ...] = field(default=(), repr=False)
    """Its keys besides `api_key`."""
    limits: LimitChanges = NO_CHANGES
    """What it changes of the limits on attempts."""
    known_as: str = ""
    """The host whose facts apply to it, if that is not its own."""

    @cached_property
    def host(self) -> str:
        """The host name in its address."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def facts_host(self) -> str:
        """The host under which `targets/` contains what it requires."""
        return self.known_as or self.host

    @property
    def api_keys(self) -> tuple[str, ...]:
        """All its keys, in the order of the configuration."""
        return (self.api_key, *self.more_keys) if self.api_key else ()

    @property
    def has_several_keys(self) -> bool:
        """Whether calls to it can be sent with another key than the first."""
        return bool(self.api_key and self.more_keys)

    def protocol_for(self, model: str) -> WireProtocol | None:
        """Return the protocol in which this model is asked; None for that of the call."""
        name = model.lower()
        return next(
            (protocol for glob, protocol in self.protocols if fnmatchcase(name, glob.lower())), None
        )

    @property
    def has_key(self) -> bool:
        """Whether calls to it are sent with a configured credential."""
        return bool(self.api_key) or any(
            value and may_hold_credential(name) for name, value in self.headers.items()
        )


def redirect(request: OutgoingRequest, provider: ProviderAddress) -> OutgoingRequest:
    """Return the request addressed to another provider, with that provider's key and headers.

    The client's credentials are removed. The path starts with that of the base URL. If that ends in
    a version (`…/api/v1`), it replaces the version of the request; otherwise (`…/zen/go`) the
    request's version follows.
    """
    url = urlsplit(provider.base_url)
    host = url.hostname
    assert host is not None
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
    authority = host if port == default_port else f"{host}:{port}"
    document = request.document
    if host.lower() != request.host.lower():
        document = without_mcp_access(document)
    path = _join(protocol, url.path.rstrip("/"), request.path)
    return OutgoingRequest(
        provider=provider.name,
        model=request.model,
        scheme=scheme,
        host=host,
        port=port,
        document=document.with_headers((("host", authority), *kept), path),
        is_configured=True,
    )


def without_mcp_access(document: RequestDocument) -> RequestDocument:
    """Return the document without credentials for MCP servers; the same object without any.

    The client gave them to its own provider, which connects to those servers.
    """
    edits = without_credentials(document.body, document.fields)
    return document if edits is None else document.edited(edits)


def with_key(request: OutgoingRequest, key: str) -> OutgoingRequest:
    """Return a request to a configured provider with another of the provider's keys."""
    header = request.document.protocol.key_header
    headers = tuple(
        (name, header.value(key) if name == header.name else value)
        for name, value in request.headers
    )
    return replace(request, document=replace(request.document, headers=headers))


def destinations(
    model: str,
    provider: str | None,
    fallback: Sequence[str],
    providers: Mapping[str, ProviderAddress],
) -> list[tuple[str | None, str]]:
    """Return the provider and model of each target, in the order in which they are tried.

    The provider is None for the one that the client addressed. In `fallback`, `PROVIDER/MODEL` with
    the name of a configured provider is a model of that provider; any other name is a model of
    `provider`.
    """
    targets = [(provider, model)]
    for name in fallback:
        prefix, _, rest = name.partition("/")
        targets.append((prefix, rest) if rest and prefix in providers else (provider, name))
    return targets


def uses_key(
    provider: str | None, fallback: Sequence[str], providers: Mapping[str, ProviderAddress]
) -> bool:
    """Return whether a call with these targets may be sent with a configured key."""
    targets = destinations("", provider, fallback, providers)
    return any(name is not None and providers[name].has_key for name, _ in targets)


def _join(protocol: Protocol, base_path: str, path: str) -> str:
    endpoint, _, query = path.partition("?")
    versions = list(_VERSIONED.finditer(endpoint))
    if versions:
        last = versions[-1]
        start = last.end() if _ENDS_IN_VERSION.search(base_path) else last.start()
    else:
        unversioned = protocol.endpoints.unversioned.search(endpoint)
        start = unversioned.start() if unversioned else 0
    query = without_secret_parameters(query)
    return base_path + endpoint[start:] + (f"?{query}" if query else "")
