"""Credentials in bodies: those that a provider uses for the client, and keys that it issues.

MCP servers that a provider connects to itself: `mcp_servers[].authorization_token`
(https://docs.claude.com/en/docs/agents-and-tools/mcp-connector), `authorization` and `headers` of a
tool of type `mcp` (https://platform.openai.com/docs/guides/tools-connectors-mcp), and
`mcpServers[].streamableHttpTransport.headers` of a tool (https://ai.google.dev/api/caching#Tool).

Containers with secrets: `network_policy.domain_secrets` of a tool
(https://platform.openai.com/docs/guides/tools-shell).

Gateways that call a provider with the client's key: `api_key` and `extra_headers`
(https://docs.litellm.ai/docs/completion/input), `providerOptions.gateway.byok`
(https://vercel.com/docs/ai-gateway/authentication-and-byok).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from wiremend.protocols.base.document import RequestBody
from wiremend.secrets import (
    REDACTED,
    is_secret_parameter,
    secret_forms,
    without_secret_parameters,
)
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path, parse
from wiremend.text.patterns import text_pattern

_MARKS = (
    *(b'"mcp_servers"', b'"mcp"', b'"mcpServers"'),
    *(b'"domain_secrets"', b'"api_key"', b'"apiKey"', b'"extra_headers"'),
)
"""A call with such a credential contains one of these."""
_OWN_FIELDS = ("api_key", "apiKey", "extra_headers")
_FOR_GATEWAY = "a credential for a gateway"
_CONTAINERS = ("environment", "container")
_OPTIONS = ("providerOptions", "provider_options")
_EPHEMERAL = "auth_tokens/"
"""The `name` of a token that Gemini issues for a session begins so; the name is the token."""
_CREDENTIAL_FIELDS = ("authorization_token", "authorization", "headers")
_ADDRESS_FIELDS = ("url", "server_url")
_SERVER_LISTS = ("mcp_servers", "mcpServers")
_HOLDERS = frozenset({*_SERVER_LISTS, *_OWN_FIELDS, *_OPTIONS})
"""The fields of a request that have credentials, or may contain some."""
_TOOL_HOLDERS = frozenset({*_SERVER_LISTS, *_CONTAINERS})
"""Those of a tool."""
_TRANSPORTS = ("streamableHttpTransport", "streamable_http_transport")
_WORDS = frozenset(
    {*_SERVER_LISTS, *_CREDENTIAL_FIELDS, *_ADDRESS_FIELDS}
    | {*_OWN_FIELDS, *_OPTIONS, *_CONTAINERS}
)
"""A parsed call with such a credential contains one of these words: the members of requests and
tools that are looked at first."""
_KEY_ENDPOINT = text_pattern(
    r"[/_:.-](?:oauth2?|auth|tokens?|(?:api)?keys?|login|secrets?|credentials?|sessions?|device)"
    r"(?![^/_:.?-])",
    ignore_case=True,
)
"""In the paths of endpoints that issue or exchange keys. Examples:
`/api/oauth/claude_cli/create_api_key`, `/v1/oauth/token`, `/api/v1/auth/keys`,
`/v1/organization/admin_api_keys`, `/v1/realtime/client_secrets`."""
_NO_KEY_ENDPOINTS = ("count_tokens", "countTokens", "input_tokens")
_ISSUED_FIELDS = frozenset(
    {"value", "code", "code_verifier", "device_code", "user_code", "state", "jwt", "id_token"}
)
_NO_ISSUED_FIELDS = frozenset({"next_page_token", "page_token", "nextPageToken", "pageToken"})
_ISSUED_LIMIT_BYTES = 1024 * 1024
"""A longer body at such an endpoint is not searched."""
_VALUES_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class BodyCredential:
    """A field of a request with a credential that is for the client's own provider only."""

    path: Path
    value: Any
    """What the field contains: a text, or headers."""
    address: str = ""
    """For an address that contains a credential, the same address without it."""
    what: str = "a credential for an MCP server"
    """What it is, in findings."""


def may_have_credentials(body: bytes) -> bool:
    """Return whether a request may contain such credentials, without parsing it."""
    return any(mark in body for mark in _MARKS)


def credentials_in(fields: Mapping[str, Any] | None) -> list[BodyCredential]:
    """Return the credentials in a request with these parsed fields."""
    return [] if fields is None else list(_in_request(fields))


def without_credentials(body: bytes, fields: Mapping[str, Any] | None) -> Edits | None:
    """Return the edits that remove the credentials; None if there are none.

    MCP servers stay: one that needs no credentials works.
    """
    found = credentials_in(fields)
    if not found:
        return None
    edits = Edits(body)
    for credential in found:
        if credential.address:
            edits.replace(credential.path, json_value.write(credential.address))
        else:
            edits.remove(credential.path)
    return edits


def secrets_in_request(path: str, content_type: str, body: bytes) -> frozenset[str]:
    """Return the credentials in the body of a request, in all forms in which they may occur.

    `body` has no content coding.
    """
    if issues_keys(path):
        return issued_secrets(body, content_type)
    if not may_have_credentials(body):
        return frozenset()
    try:
        fields = parse(body)
    except ValueError:
        return frozenset()
    return secrets_in_call(fields) if isinstance(fields, dict) else frozenset()


def secrets_in_content(content: RequestBody) -> frozenset[str]:
    """Return the credentials in the body of a model call, in all their forms."""
    fields = content.fields
    if fields is None or _WORDS.isdisjoint(content.words):
        return frozenset()
    return secrets_in_call(fields)


def secrets_in_call(fields: Mapping[str, Any]) -> frozenset[str]:
    """Return the credentials for MCP servers in a parsed request, in all their forms."""
    values: list[str] = []
    for credential in _in_request(fields):
        if credential.address:
            values += _parameters_of(credential.value)
        else:
            values += _values_of(credential)
    return secret_forms(values)


def _values_of(credential: BodyCredential) -> list[str]:
    """Return the texts of a credential. In a list of secrets, other fields are their names."""
    texts = _texts(credential.value, "authorization")
    if credential.path[-1] == "domain_secrets":
        return [text for name, text in texts if name == "value"]
    if credential.path[-1] == "byok":
        return [text for name, text in texts if _is_issued(name)]
    return [text for _, text in texts]


def _in_request(fields: Mapping[str, Any]) -> Iterator[BodyCredential]:
    yield from _in_call(fields, ())
    for number, request in enumerate(_list(fields.get("requests"))):  # a batch
        params = request.get("params") if isinstance(request, dict) else None
        if isinstance(params, dict):
            yield from _in_call(params, ("requests", number, "params"))


def _in_call(fields: Mapping[str, Any], at: Path) -> Iterator[BodyCredential]:
    if not _HOLDERS.isdisjoint(fields):
        yield from _in_servers(fields, at)
        yield from _of_gateways(fields, at)
    for number, tool in enumerate(_list(fields.get("tools"))):
        if isinstance(tool, dict) and not (
            _TOOL_HOLDERS.isdisjoint(tool) and tool.get("type") != "mcp"
        ):
            place = (*at, "tools", number)
            yield from _in_servers(tool, place)
            yield from _of_container(tool, place)
            if tool.get("type") == "mcp":
                yield from _in_server(tool, place)


def _of_gateways(fields: Mapping[str, Any], at: Path) -> Iterator[BodyCredential]:
    for name in _OWN_FIELDS:
        if fields.get(name):
            yield BodyCredential((*at, name), fields[name], what=_FOR_GATEWAY)
    for name in _OPTIONS:
        gateway = _member(fields.get(name), "gateway")
        if own := _member(gateway, "byok"):
            yield BodyCredential((*at, name, "gateway", "byok"), own, what=_FOR_GATEWAY)


def _of_container(tool: Mapping[str, Any], at: Path) -> Iterator[BodyCredential]:
    for name in _CONTAINERS:
        policy = _member(tool.get(name), "network_policy")
        if secrets := _member(policy, "domain_secrets"):
            place = (*at, name, "network_policy", "domain_secrets")
            yield BodyCredential(place, secrets, what="a secret for a container")


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


def _in_servers(holder: Mapping[str, Any], at: Path) -> Iterator[BodyCredential]:
    for name in _SERVER_LISTS:
        for number, server in enumerate(_list(holder.get(name))):
            if not isinstance(server, dict):
                continue
            place = (*at, name, number)
            yield from _in_server(server, place)
            for transport in _TRANSPORTS:
                if isinstance(inner := server.get(transport), dict):
                    yield from _in_server(inner, (*place, transport))


def _in_server(server: Mapping[str, Any], at: Path) -> Iterator[BodyCredential]:
    for name in _CREDENTIAL_FIELDS:
        if server.get(name):
            yield BodyCredential((*at, name), server[name])
    for name in _ADDRESS_FIELDS:
        address = server.get(name)
        if isinstance(address, str) and (plain := _without_secrets(address)) != address:
            yield BodyCredential((*at, name), address, plain)


def _without_secrets(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    netloc = parts.netloc.rpartition("@")[2]
    query = without_secret_parameters(parts.query)
    if netloc == parts.netloc and query == parts.query:
        return address
    return urlunsplit(parts._replace(netloc=netloc, query=query))


def _parameters_of(address: str) -> list[str]:
    parts = urlsplit(address)
    values = [value for name, value in parse_qsl(parts.query) if is_secret_parameter(name)]
    return [*values, *filter(None, (parts.username, parts.password))]


def issues_keys(path: str) -> bool:
    """Return whether an endpoint issues or exchanges keys, by the words in its path."""
    found = _KEY_ENDPOINT.search(path)
    if found is None or "?" in path[: found.start()]:
        return False
    endpoint = path.partition("?")[0]
    return not any(name in endpoint for name in _NO_KEY_ENDPOINTS)


def issued_secrets(body: bytes, content_type: str) -> frozenset[str]:
    """Return the values of all fields with the name of a secret, in JSON or in a form.

    For the requests and responses of endpoints that issue keys.
    """
    if not body or len(body) > _ISSUED_LIMIT_BYTES:
        return frozenset()
    if "x-www-form-urlencoded" in content_type.lower():
        fields: Any = dict(parse_qsl(body.decode("utf-8", "replace")))
    else:
        try:
            fields = parse(body)
        except (ValueError, RecursionError):
            return frozenset()
    found = (
        text
        for name, text in _texts(fields, "")
        if _is_issued(name) or (name == "name" and text.startswith(_EPHEMERAL))
    )
    return secret_forms([text for text, _ in zip(found, range(_VALUES_LIMIT), strict=False)])


def _is_issued(name: str) -> bool:
    if name in _NO_ISSUED_FIELDS:
        return False
    separated = "".join(f"_{letter}" if letter.isupper() else letter for letter in name[:100])
    return name in _ISSUED_FIELDS or is_secret_parameter(separated)


def _texts(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield each text in a JSON value with the name of its field; texts in lists have the list's.

    A stack bounds the depth, which the client chooses.
    """
    waiting = [(name, value)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, str):
            if REDACTED not in value:
                yield name, value
        elif isinstance(value, dict):
            waiting += reversed([(str(key), item) for key, item in value.items()])
        elif isinstance(value, list):
            waiting += [(name, item) for item in reversed(value)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
