"""Sending a call to another provider: address, path and credentials."""

import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import Headers, OutgoingRequest, RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.routing.providers import (
    ProviderAddress,
    destinations,
    uses_key,
)
from wiremend.routing.providers import redirect as redirect_request
from wiremend.routing.translation import route
from wiremend.secrets import without_secret_parameters

SECRET = "sk-client-secret"


def redirect(
    protocol: Protocol,
    path: str,
    headers: Headers,
    *,
    base_url: str,
    api_key: str,
    extra_headers: dict[str, str],
) -> OutgoingRequest:
    document = RequestDocument.of(protocol, path, b"{}", headers)
    own = OutgoingRequest("own", "m", "https", "own.example.com", 443, document)
    there = ProviderAddress("there", base_url, api_key, extra_headers)
    return redirect_request(own, there)


@pytest.mark.parametrize(
    ("protocol", "path", "base_url", "expected"),
    [
        pytest.param(
            ANTHROPIC,
            "/v1/messages?beta=true",
            "https://opencode.ai/zen/go",
            "/zen/go/v1/messages?beta=true",
            id="a base without a version keeps the request's",
        ),
        pytest.param(
            ANTHROPIC,
            "/v1/messages",
            "https://opencode.ai/zen/go/v1/",
            "/zen/go/v1/messages",
            id="the version is not repeated",
        ),
        pytest.param(
            CHAT,
            "/v1/chat/completions",
            "https://openrouter.ai/api/v1",
            "/api/v1/chat/completions",
            id="OpenAI's habit",
        ),
        pytest.param(
            CHAT,
            "/v1/chat/completions",
            "https://open.bigmodel.cn/api/paas/v4",
            "/api/paas/v4/chat/completions",
            id="another version",
        ),
        pytest.param(
            CHAT,
            "/zen/go/v1/chat/completions",
            "https://api.deepseek.com",
            "/v1/chat/completions",
            id="the first provider's prefix stays behind",
        ),
        pytest.param(
            RESPONSES,
            "/backend-api/codex/responses",
            "https://api.openai.com/v1",
            "/v1/responses",
            id="a path without a version",
        ),
        pytest.param(
            GEMINI,
            "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse&key=AIza",
            "https://gateway.example.com/google",
            "/google/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse",
            id="the key in the query stays behind",
        ),
    ],
)
def test_paths(protocol: Protocol, path: str, base_url: str, expected: str) -> None:
    there = redirect(protocol, path, (), base_url=base_url, api_key="k", extra_headers={})
    assert there.path == expected


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://api.example.com", ("https", "api.example.com", 443, "api.example.com")),
        (
            "https://api.example.com:8443",
            ("https", "api.example.com", 8443, "api.example.com:8443"),
        ),
        ("http://127.0.0.1:11434/v1", ("http", "127.0.0.1", 11434, "127.0.0.1:11434")),
    ],
)
def test_addresses(base_url: str, expected: tuple[str, str, int, str]) -> None:
    there = redirect(
        CHAT,
        "/v1/chat/completions",
        (("Host", "old"),),
        base_url=base_url,
        api_key="k",
        extra_headers={},
    )
    host = dict(there.headers)["host"]
    assert (there.scheme, there.host, there.port, host) == expected
    assert [name for name, _ in there.headers if name.lower() == "host"] == ["host"]


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        (ANTHROPIC, ("x-api-key", "theirs")),
        (CHAT, ("authorization", "Bearer theirs")),
        (RESPONSES, ("authorization", "Bearer theirs")),
        (GEMINI, ("x-goog-api-key", "theirs")),
    ],
)
def test_the_clients_credentials_are_not_sent(
    protocol: Protocol, expected: tuple[str, str]
) -> None:
    headers = (
        ("Authorization", f"Bearer {SECRET}"),
        ("X-Api-Key", SECRET),
        ("x-goog-api-key", SECRET),
        ("Cookie", f"session={SECRET}"),
        ("anthropic-version", "2023-06-01"),
    )
    path = f"/v1/messages?key={SECRET}&beta=true"
    there = redirect(
        protocol,
        path,
        headers,
        base_url="https://b.example.com",
        api_key="theirs",
        extra_headers={},
    )
    assert SECRET not in repr((there.path, there.headers, there.body))
    assert expected in there.headers
    assert ("anthropic-version", "2023-06-01") in there.headers


def test_no_key_is_sent_to_a_provider_without_a_key() -> None:
    there = redirect(
        CHAT,
        "/v1/chat/completions",
        (("authorization", f"Bearer {SECRET}"),),
        base_url="http://127.0.0.1:11434",
        api_key="",
        extra_headers={},
    )
    assert "authorization" not in dict(there.headers)


def test_configured_headers_replace_the_clients() -> None:
    there = redirect(
        CHAT,
        "/v1/chat/completions",
        (("User-Agent", "claude-cli/2"),),
        base_url="https://opencode.ai/zen/go",
        api_key="k",
        extra_headers={"user-agent": "opencode/1.0"},
    )
    assert [value for name, value in there.headers if name.lower() == "user-agent"] == [
        "opencode/1.0"
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ""),
        ("alt=sse", "alt=sse"),
        ("key=abc", ""),
        ("alt=sse&key=abc&x=%20", "alt=sse&x=%20"),
        ("KEY=abc&monkey=1", "monkey=1"),
    ],
)
def test_a_query_without_credentials(query: str, expected: str) -> None:
    assert without_secret_parameters(query) == expected


PROVIDERS = {
    "go": ProviderAddress("go", "https://opencode.ai/zen/go", "key-go", {"x-session": "go-only"}),
    "or": ProviderAddress("or", "https://openrouter.ai/api/v1", "key-or"),
}
OWN = OutgoingRequest(
    "api.anthropic.com",
    "claude-haiku",
    "https",
    "api.anthropic.com",
    443,
    RequestDocument.of(
        ANTHROPIC,
        "/v1/messages",
        b'{ "model" : "claude-haiku", "max_tokens": 1 }',
        (("host", "api.anthropic.com"), ("x-api-key", SECRET)),
    ),
)


def test_each_target_of_a_route_has_its_own_key_and_model() -> None:
    fallback = ["qwen", "or/kimi-k3", "moonshot/kimi"]
    targets = route(OWN, model="minimax-m3", provider="go", fallback=fallback, providers=PROVIDERS)
    routed = [target.request for target in targets]
    assert [(r.provider, r.model, r.host) for r in routed] == [
        ("go", "minimax-m3", "opencode.ai"),
        ("go", "qwen", "opencode.ai"),
        ("or", "kimi-k3", "openrouter.ai"),
        ("go", "moonshot/kimi", "opencode.ai"),
    ]
    assert [dict(r.headers)["x-api-key"] for r in routed] == [
        "key-go",
        "key-go",
        "key-or",
        "key-go",
    ]
    assert routed[2].body == b'{ "model" : "kimi-k3", "max_tokens": 1 }'
    assert "x-session" not in dict(routed[2].headers)
    assert SECRET not in repr([(r.headers, r.path, r.body) for r in routed])


def test_a_route_without_a_provider_keeps_the_clients_provider() -> None:
    targets = route(OWN, model="claude-haiku", provider=None, fallback=["x"], providers={})
    routed = [target.request for target in targets]
    assert routed[0] == OWN
    assert (routed[1].host, dict(routed[1].headers)["x-api-key"]) == ("api.anthropic.com", SECRET)


def test_a_repr_contains_no_secret() -> None:
    routed = route(OWN, model="m", provider="go", fallback=[], providers=PROVIDERS)
    assert "key-go" not in repr((routed, PROVIDERS))
    assert SECRET not in repr(OWN)


CONFIGURED = {
    "keyed": ProviderAddress("keyed", "https://a.example", "sk-key-of-a"),
    "keyless": ProviderAddress("keyless", "https://b.example", "", {"user-agent": "x"}),
}


def test_the_destinations_are_the_model_and_then_the_fallbacks() -> None:
    fallback = ("other", "keyed/model", "vendor/model", "keyed/", "keyed")
    assert destinations("first", "keyless", fallback, CONFIGURED) == [
        ("keyless", "first"),
        ("keyless", "other"),
        ("keyed", "model"),
        ("keyless", "vendor/model"),
        ("keyless", "keyed/"),
        ("keyless", "keyed"),
    ]


@pytest.mark.parametrize(
    ("provider", "fallback", "uses"),
    [
        pytest.param(None, (), False, id="only another model"),
        pytest.param("keyless", (), False, id="a provider without a key"),
        pytest.param("keyed", (), True, id="a provider with a key"),
        pytest.param("keyless", ("x", "keyed/y"), True, id="a fallback with a key"),
        pytest.param(None, ("keyed/y",), True, id="a fallback after the client's provider"),
        pytest.param(None, ("vendor/y", "keyed"), False, id="models with names like providers"),
    ],
)
def test_a_route_uses_a_key_if_any_of_its_providers_has_one(
    provider: str | None, fallback: tuple[str, ...], uses: bool
) -> None:
    assert uses_key(provider, fallback, CONFIGURED) is uses


@pytest.mark.parametrize(
    ("api_key", "headers", "has_key"),
    [
        ("sk-key", {}, True),
        ("", {"Authorization": "Bearer x"}, True),
        ("", {"x-portkey-api-key": "x"}, True),
        ("", {"cf-aig-authorization": "x"}, True),
        ("", {"x-keyring": "x"}, True),
        ("", {"authorization": ""}, False),
        ("", {"user-agent": "opencode/1.0", "x-title": "wiremend"}, False),
        ("", {}, False),
    ],
)
def test_a_provider_has_a_key_in_its_setting_or_in_a_header(
    api_key: str, headers: dict[str, str], has_key: bool
) -> None:
    assert ProviderAddress("p", "https://a.example", api_key, headers).has_key is has_key


def identity_of(provider: ProviderAddress | None) -> object:
    document = RequestDocument.of(ANTHROPIC, "/v1/messages", b"{}", ())
    own = OutgoingRequest("own.example.com", "m", "https", "own.example.com", 443, document)
    return (redirect_request(own, provider) if provider else own).identity


def test_a_configured_provider_is_another_target_than_its_address() -> None:
    """Even if it has the name of a host, and shares its address with others."""
    same_host = "https://OWN.example.com/v1"
    identities = [
        identity_of(None),
        identity_of(ProviderAddress("own.example.com", same_host)),
        identity_of(ProviderAddress("there", same_host)),
        identity_of(ProviderAddress("there", "https://own.example.com:8443")),
        identity_of(ProviderAddress("there", "http://own.example.com:443")),
        identity_of(ProviderAddress("there", "https://other.example.com")),
    ]
    assert len(set(identities)) == len(identities)
    assert identity_of(ProviderAddress("there", same_host.lower())) == identities[2]
