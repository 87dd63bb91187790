"""Another provider: address, path and credentials change together."""

import pytest
from wiremend.protocols.names import WireProtocol
from wiremend.rules.routing import redirect, without_credentials

ANTHROPIC = WireProtocol.ANTHROPIC_MESSAGES
CHAT = WireProtocol.CHAT_COMPLETIONS
RESPONSES = WireProtocol.RESPONSES
GEMINI = WireProtocol.GEMINI
SECRET = "sk-client-secret"


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
            id="a version is not said twice",
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
def test_paths(protocol: WireProtocol, path: str, base_url: str, expected: str) -> None:
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
def test_the_client_keeps_its_credentials(
    protocol: WireProtocol, expected: tuple[str, str]
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
    assert SECRET not in repr(there)
    assert expected in there.headers
    assert ("anthropic-version", "2023-06-01") in there.headers


def test_a_provider_without_a_key_gets_none() -> None:
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
def test_without_credentials(query: str, expected: str) -> None:
    assert without_credentials(query) == expected
