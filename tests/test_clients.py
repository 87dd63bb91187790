"""How clients are recognised, and that other code uses their traits and not their names."""

import ast
from pathlib import Path

import pytest
from wiremend.clients import CLIENTS, client_of, traits_of_client
from wiremend.protocols.base.client_traits import UNKNOWN_CLIENT

LIBRARY = Path(__file__).resolve().parents[1] / "addons" / "wiremend"
FAMILIES = [client.family for client in CLIENTS]

HEADERS = {
    "Claude Code": ({"user-agent": "claude-cli/2.1.197 (external, cli)"}, "claude-code"),
    "OpenCode": ({"user-agent": "opencode/1.18.33 ai-sdk/provider-utils/3.0"}, "opencode"),
    "Codex": ({"user-agent": "codex_cli_rs/0.169.0 (Ubuntu 24.4.0; x86_64)"}, "codex"),
    "codex exec": ({"user-agent": "codex_exec/0.169.0"}, "codex"),
    "Codex behind another agent's name": (
        {"user-agent": "Mozilla/5.0", "originator": "codex_vscode"},
        "codex",
    ),
    "Gemini CLI": ({"user-agent": "GeminiCLI/0.61.0/gemini-3-pro (linux; x64)"}, "gemini-cli"),
    "Gemini CLI on a terminal": (
        {"user-agent": "GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal)"},
        "gemini-cli",
    ),
    "Google's SDK in Python": (
        {"user-agent": "my-agent/1", "x-goog-api-client": "google-genai-sdk/3.4.0 gl-python/3.13"},
        "python-genai",
    ),
    "OpenAI's SDK in Python": (
        {"user-agent": "my-agent/1", "x-stainless-lang": "python"},
        "openai-python",
    ),
    "Anthropic's SDK in Python": (
        {"user-agent": "AsyncAnthropic/Python 0.70.0", "x-stainless-lang": "python"},
        "anthropic-python",
    ),
    "Anthropic's SDK in JavaScript": (
        {"user-agent": "Anthropic/JS 0.65.0", "x-stainless-lang": "js"},
        "anthropic-node",
    ),
    "OpenAI's SDK in JavaScript": ({"x-stainless-lang": "js"}, "openai-node"),
    "Mistral's SDK": ({"user-agent": "mistral-client-python/1.9.11"}, "mistral"),
    "Google's SDK in JavaScript": (
        {"x-goog-api-client": "google-genai-sdk/1.30.0 gl-node/v20.20.2"},
        "",
    ),
    "an agent made with an SDK": (
        {"user-agent": "opencode/1.18.33", "x-stainless-lang": "python"},
        "opencode",
    ),
    "the name of a header in other letters": ({"User-Agent": "claude-cli/2"}, "claude-code"),
    "an SDK that is not known": ({"user-agent": "Acme/Python 2.11.0"}, ""),
    "an agent that speaks of another": ({"user-agent": "my-proxy for claude-cli/2"}, ""),
    "another originator": ({"originator": "someone"}, ""),
    "no headers": ({}, ""),
}


@pytest.mark.parametrize(("headers", "family"), HEADERS.values(), ids=HEADERS.keys())
def test_a_client_is_recognised_by_its_headers(headers: dict[str, str], family: str) -> None:
    assert client_of(headers.items()) == traits_of_client(family)


def test_an_unknown_client_has_no_traits() -> None:
    assert client_of([("user-agent", "curl/8")]) is UNKNOWN_CLIENT
    assert traits_of_client("") is UNKNOWN_CLIENT


def test_a_family_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(KeyError):
        traits_of_client("unknown")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_unique_and_is_recognised(family: str) -> None:
    assert family
    assert FAMILIES.count(family) == 1
    assert family in {expected for _, expected in HEADERS.values()}


@pytest.mark.parametrize("part", ["protocols", "repair", "adapt", "engine"])
def test_code_uses_traits_and_not_the_names_of_clients(part: str) -> None:
    for path in (LIBRARY / part).rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        read = [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)]
        assert not [name for name in read if name.endswith("client.family")], path
