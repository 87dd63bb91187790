"""Credentials in bodies: for MCP servers, and keys that providers issue."""

import json
from typing import Any

import pytest
from wiremend.body_secrets import (
    credentials_in,
    issued_secrets,
    issues_keys,
    secrets_in_content,
    secrets_in_request,
    without_credentials,
)
from wiremend.protocols.base.document import RequestBody
from wiremend.rules.rule import BodyPlace

TOKEN = "mcp-0123456789"
JSON = "application/json"
SERVER = {"type": "url", "name": "s", "url": "https://mcp.example.com"}
ANTHROPIC = {"model": "m", "mcp_servers": [SERVER, SERVER | {"authorization_token": TOKEN}]}
TOOL = {"type": "mcp", "server_label": "s", "server_url": "https://mcp.example.com"}
REST = {"model": "m", "mcp_servers": [SERVER, SERVER]}
RESPONSES: dict[str, Any] = {
    "tools": [
        {"type": "function", "name": "mcp", "authorization": "no credential"},
        TOOL | {"authorization": TOKEN},
        TOOL | {"headers": {"Authorization": f"Bearer {TOKEN}", "x-team": "blue-team-1"}},
    ]
}
GEMINI = {
    "tools": [
        {
            "mcpServers": [
                {"name": "s", "streamableHttpTransport": {"url": "u", "headers": {"x": TOKEN}}}
            ]
        }
    ]
}
ADDRESS = {"mcp_servers": [SERVER | {"url": f"https://u:pass-word@h/mcp?a=1&api_key={TOKEN}"}]}
POLICY = {"type": "allowlist", "allowed_domains": ["a.example"]}
SECRET = {"domain": "a.example", "name": "PASS_PHRASE", "value": TOKEN}
SHELL = {"type": "shell", "environment": {"type": "container_auto", "network_policy": POLICY}}
CONTAINER = {
    "tools": [
        SHELL,
        SHELL
        | {
            "environment": {
                "type": "container_auto",
                "network_policy": POLICY | {"domain_secrets": [SECRET]},
            }
        },
    ]
}
GATEWAY = {
    "model": "m",
    "api_key": TOKEN,
    "extra_headers": {"x-key": "other-012345"},
    "providerOptions": {"gateway": {"order": ["a"], "byok": {"anthropic": [{"apiKey": TOKEN}]}}},
}
BATCH = {"requests": [{"custom_id": "1", "params": ANTHROPIC}]}


@pytest.mark.parametrize(
    ("fields", "places", "left"),
    [
        (
            ANTHROPIC,
            ["mcp_servers[1].authorization_token"],
            REST,
        ),
        (
            RESPONSES,
            ["tools[1].authorization", "tools[2].headers"],
            {"tools": [RESPONSES["tools"][0], TOOL, TOOL]},
        ),
        (
            GEMINI,
            ["tools[0].mcpServers[0].streamableHttpTransport.headers"],
            {"tools": [{"mcpServers": [{"name": "s", "streamableHttpTransport": {"url": "u"}}]}]},
        ),
        (
            ADDRESS,
            ["mcp_servers[0].url"],
            {"mcp_servers": [SERVER | {"url": "https://h/mcp?a=1"}]},
        ),
        (
            BATCH,
            ["requests[0].params.mcp_servers[1].authorization_token"],
            {"requests": [{"custom_id": "1", "params": REST}]},
        ),
        (
            CONTAINER,
            ["tools[1].environment.network_policy.domain_secrets"],
            {"tools": [SHELL, SHELL]},
        ),
        (
            GATEWAY,
            ["api_key", "extra_headers", "providerOptions.gateway.byok"],
            {"model": "m", "providerOptions": {"gateway": {"order": ["a"]}}},
        ),
    ],
    ids=["anthropic", "responses", "gemini", "address", "batch", "container", "gateway"],
)
def test_credentials_of_the_clients_own_provider_are_found_and_removed(
    fields: dict[str, Any], places: list[str], left: dict[str, Any]
) -> None:
    body = json.dumps(fields).encode()
    found = credentials_in(fields)
    assert [str(BodyPlace(credential.path)) for credential in found] == places
    assert TOKEN in secrets_in_request("/v1/messages", JSON, body)
    assert secrets_in_content(RequestBody(body)) == secrets_in_request("/", JSON, body)
    edits = without_credentials(body, fields)
    assert edits is not None
    assert json.loads(edits.apply()) == left


@pytest.mark.parametrize(
    "fields",
    [
        {"api_key": TOKEN},
        {"apiKey": TOKEN},
        {"extra_headers": {"x": TOKEN}},
        {"provider_options": {"gateway": {"byok": {"a": [{"apiKey": TOKEN}]}}}},
        {"mcpServers": [{"authorization_token": TOKEN}]},
        {"tools": [{"mcp_servers": [{"headers": {"x": TOKEN}}]}]},
        {"tools": [{"type": "mcp", "authorization_token": TOKEN}]},
        {"tools": [{"type": "mcp", "url": f"https://h/?api_key={TOKEN}"}]},
        {"tools": [{"type": "mcp", "server_url": f"https://h/?api_key={TOKEN}"}]},
        {"tools": [{"container": {"network_policy": {"domain_secrets": [{"value": TOKEN}]}}}]},
        {"requests": [{"params": {"tools": [{"type": "mcp", "headers": {"x": TOKEN}}]}}]},
    ],
    ids=str,
)
def test_each_member_with_a_credential_is_looked_at(fields: dict[str, Any]) -> None:
    assert TOKEN in secrets_in_content(RequestBody(json.dumps(fields).encode()))


def test_the_name_of_a_secret_is_not_redacted() -> None:
    body = json.dumps(CONTAINER).encode()
    found = secrets_in_request("/v1/responses", JSON, body)
    assert TOKEN in found
    assert not found & {"PASS_PHRASE", "a.example"}


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function", "parameters": {"properties": {"api_key": {"type": "s"}}}}]},
        {"messages": [{"role": "user", "content": [{"type": "x", "api_key": TOKEN}]}]},
        {"providerOptions": {"gateway": {"apiKey": 3}}, "tools": [{"container": "auto"}]},
        {"mcp_servers": [SERVER], "tools": [TOOL]},
        {"tools": [{"type": "function", "name": "mcp", "headers": {"a": TOKEN}}]},
        {"mcp_servers": "no list", "tools": ["mcp", None, {"mcpServers": {}}]},
        {"mcp_servers": [SERVER | {"url": "https://[broken?key=abcdefgh"}]},
        {"messages": [{"content": f'"mcp_servers": [{{"authorization_token": "{TOKEN}"}}]'}]},
    ],
)
def test_a_body_without_credentials_is_left_alone(fields: dict[str, Any]) -> None:
    body = json.dumps(fields).encode()
    assert without_credentials(body, fields) is None
    assert secrets_in_request("/v1/messages", JSON, body) == frozenset()
    assert secrets_in_content(RequestBody(body)) == frozenset()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/oauth/claude_cli/create_api_key", True),
        ("/v1/oauth/token", True),
        ("/oauth2/v4/token?x", True),
        ("/api/v1/auth/keys", True),
        ("/v1/organization/admin_api_keys", True),
        ("/v1/realtime/client_secrets", True),
        ("/v1/messages", False),
        ("/v1/messages/count_tokens?beta=true", False),
        ("/v1beta/models/m:countTokens", False),
        ("/v1/responses/input_tokens", False),
        ("/v1/models", False),
    ],
)
def test_endpoints_that_issue_keys_are_recognised_by_their_path(path: str, expected: bool) -> None:
    assert issues_keys(path) is expected


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        (JSON, {"raw_key": "sk-ant-1234567"}, {"sk-ant-1234567"}),
        (
            JSON,
            {
                "access_token": "access-12345",
                "refresh_token": "refresh-1234",
                "scope": "a-scope-1",
            },
            {"access-12345", "refresh-1234"},
        ),
        (JSON, {"key": "sk-or-v1-1234", "user_id": "user_12345"}, {"sk-or-v1-1234"}),
        (JSON, {"api_key": {"value": "sk-svc-12345", "name": "my-service"}}, {"sk-svc-12345"}),
        (JSON, {"accessToken": "access-12345"}, {"access-12345"}),
        (
            JSON,
            {"name": "auth_tokens/0123456789ab"},
            {"auth_tokens/0123456789ab", "auth_tokens%2F0123456789ab"},
        ),
        (JSON, {"next_page_token": "a-page-token"}, set()),
        (
            "application/x-www-form-urlencoded; charset=utf-8",
            "grant_type=refresh_token&refresh_token=refresh%2F1234&client_id=client-1234",
            {"refresh/1234", "refresh%2F1234"},
        ),
        (
            JSON,
            {"code": "code-1234", "code_verifier": "verify-1"},
            {"code-1234", "verify-1"},
        ),
        (JSON, "[" * 5000, set()),
    ],
)
def test_issued_keys_are_found_by_the_names_of_fields(
    content_type: str, body: Any, expected: set[str]
) -> None:
    data = body if isinstance(body, str) else json.dumps(body)
    found = issued_secrets(data.encode(), content_type)
    assert {value for value in found if "\\" not in value and "%5C" not in value} == expected


def test_a_value_is_found_in_each_form_that_json_allows() -> None:
    token = 'tok/"é-12345'
    body = json.dumps({"mcp_servers": [SERVER | {"authorization_token": token}]}).encode()
    found = secrets_in_request("/v1/messages", JSON, body)
    assert {token, 'tok\\/"é-12345', 'tok/\\"\\u00e9-12345', 'tok/\\"é-12345'} <= found
