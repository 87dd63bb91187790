"""Sending a call to another provider of the same protocol: address, path, credentials.

The client's credentials belong to the provider that it addressed and never travel further.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from wiremend.protocols.names import WireProtocol
from wiremend.rules.finding import Rule

PROVIDER_ROUTED = Rule(
    code="M002",
    name="provider-routed",
    finds="The configuration sends the requested model to another provider.",
    hurts="The client's own key would leak to a provider that it does not belong to.",
    mends="Address, path and credentials change together; the client's credentials stay behind.",
    protocols=tuple(WireProtocol),
)
FELL_BACK = Rule(
    code="M003",
    name="fell-back",
    finds="A model failed for good: attempts exhausted, breaker open, unknown, or quota used up.",
    hurts="The turn is lost although another model could have done it.",
    mends="The next model of the route's `fallback` is asked, while nothing was shown.",
    protocols=tuple(WireProtocol),
)
RULES = (PROVIDER_ROUTED, FELL_BACK)

CREDENTIAL_HEADERS = frozenset(
    {
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "x-goog-user-project",
        "cookie",
        "chatgpt-account-id",
        "openai-organization",
        "openai-project",
    }
)
CREDENTIAL_QUERY_KEYS = frozenset({"key", "api_key", "api-key", "access_token", "token"})
"""`key=` is Gemini's (https://ai.google.dev/api); the others are gateways'."""

_KEY_HEADER: Mapping[WireProtocol, tuple[str, str]] = {
    WireProtocol.ANTHROPIC_MESSAGES: ("x-api-key", "{}"),
    WireProtocol.CHAT_COMPLETIONS: ("authorization", "Bearer {}"),
    WireProtocol.RESPONSES: ("authorization", "Bearer {}"),
    WireProtocol.GEMINI: ("x-goog-api-key", "{}"),
}
_VERSIONED = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?(?=/)")
_ENDS_IN_VERSION = re.compile(r"/v\d+(?:(?:alpha|beta)\d*)?\Z")
_ENDPOINT = re.compile(r"/(?:messages|chat/completions|responses|models/[^?]*)\Z")

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes, and with which headers."""

    scheme: str
    host: str
    port: int
    path: str
    """With its query."""
    headers: Headers


def redirect(
    protocol: WireProtocol,
    path: str,
    headers: Headers,
    *,
    base_url: str,
    api_key: str,
    extra_headers: Mapping[str, str],
) -> Destination:
    """The same request, addressed to the provider at `base_url` with that provider's key.

    `path` is the request's own, query included. What a base URL ends in is kept: a version
    (`…/api/v1`) replaces the request's, anything else (`…/zen/go`) goes before it.
    """
    url = urlsplit(base_url)
    assert url.hostname is not None
    scheme = url.scheme.lower()
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() not in CREDENTIAL_HEADERS and name.lower() != "host"
    ]
    if api_key:
        name, form = _KEY_HEADER[protocol]
        kept.append((name, form.format(api_key)))
    for name, value in extra_headers.items():
        kept = [(kept_name, v) for kept_name, v in kept if kept_name.lower() != name.lower()]
        kept.append((name, value))
    port = url.port or (443 if scheme == "https" else 80)
    is_default = port == (443 if scheme == "https" else 80)
    authority = url.hostname if is_default else f"{url.hostname}:{port}"
    return Destination(
        scheme=scheme,
        host=url.hostname,
        port=port,
        path=_join(url.path.rstrip("/"), path),
        headers=(("host", authority), *kept),
    )


def without_credentials(query: str) -> str:
    """A query string less the parameters that are credentials; the rest keeps its bytes."""
    parts = query.split("&") if query else []
    return "&".join(
        part for part in parts if part.split("=")[0].lower() not in CREDENTIAL_QUERY_KEYS
    )


def _join(base_path: str, path: str) -> str:
    endpoint, _, query = path.partition("?")
    versions = list(_VERSIONED.finditer(endpoint))
    if versions:
        last = versions[-1]
        start = last.end() if _ENDS_IN_VERSION.search(base_path) else last.start()
    else:
        unversioned = _ENDPOINT.search(endpoint)
        start = unversioned.start() if unversioned else 0
    query = without_credentials(query)
    return base_path + endpoint[start:] + (f"?{query}" if query else "")
