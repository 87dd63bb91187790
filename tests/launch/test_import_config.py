"""`--import-config`: configurations of other proxies, and where calls go with the result."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from wiremend.catalogue import catalogue
from wiremend.config.load import parse_config
from wiremend.config.settings import settings_of
from wiremend.engine.settings import Settings
from wiremend.launch.importing.command import import_config
from wiremend.launch.importing.result import toml
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import Headers, RequestDocument
from wiremend.routing.match import match_model
from wiremend.routing.providers import destinations
from wiremend.routing.shape import CallShape

SECRET = "sk-do-not-copy-91c2"
CODES = [rule.code for rule in catalogue()]
CLAUDE_CODE = (("user-agent", "claude-cli/2.1.197 (external, cli)"),)
TOOLS = [{"name": "Read", "input_schema": {"type": "object"}}]
SEARCH = [{"type": "web_search_20250305", "name": "web_search"}]
IMAGE = [{"type": "image", "source": {"type": "base64", "data": "", "media_type": "image/png"}}]
LONG = "x" * 400_000


def imported(values: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Return the TOML for a configuration, and what was printed to stderr."""
    file = tmp_path / "config.json"
    file.write_text(values if isinstance(values, str) else json.dumps(values))
    assert import_config("run", file, None) == 0
    printed = capsys.readouterr()
    assert SECRET not in printed.out + printed.err
    return printed.out, printed.err


class Environment(dict[str, str]):
    """Every variable is set."""

    def __missing__(self, name: str) -> str:
        return f"value-of-{name}"

    def __contains__(self, name: object) -> bool:
        return True

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]


def settings(text: str) -> Settings:
    config = parse_config(text, "wiremend.toml", Environment(), CODES)
    return settings_of(config, CODES)


def targets(
    text: str, model: str, *, headers: Headers = CLAUDE_CODE, streaming: bool = True, **fields: Any
) -> list[str]:
    """Return provider and model of each target of a call of Claude Code, in their order."""
    given = settings(text)
    body = {"model": model, "tools": TOOLS, "messages": [], **fields}
    document = RequestDocument.of(ANTHROPIC, "/v1/messages", json.dumps(body).encode(), headers)
    entry = match_model(model, given.routes, lambda: CallShape(document, streaming=streaming))
    if entry is None:
        return []
    found = destinations(entry.model or model, entry.provider, entry.fallback, given.providers)
    return [f"{provider or 'client'}: {name}" for provider, name in found]


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


# claude-code-router

CCR = {
    "APIKEY": SECRET,
    "PROXY_URL": f"http://me:{SECRET}@proxy.example:3128",
    "Providers": [
        {
            "name": "openrouter",
            "api_base_url": "https://openrouter.ai/api/v1/chat/completions",
            "api_key": SECRET,
            "extraHeaders": {"x-team": SECRET},
            "models": ["google/gemini-2.5-pro", "anthropic/claude-sonnet-4"],
            "transformer": {"use": ["openrouter", ["maxtoken", {"max_tokens": 16384}]]},
        },
        {
            "name": "deepseek",
            "api_base_url": "https://api.deepseek.com/chat/completions",
            "api_key": "$DEEPSEEK_API_KEY",
            "models": ["deepseek-chat", "deepseek-reasoner"],
            "transformer": {"use": ["deepseek"], "deepseek-chat": {"use": ["tooluse", "mine"]}},
        },
        {
            "name": "gemini",
            "api_base_url": "https://generativelanguage.googleapis.com/v1beta/models/",
            "api_key": "${GEMINI_API_KEY}",
            "models": ["gemini-2.5-flash"],
            "transformer": {"use": ["gemini"]},
        },
        {
            "name": "ollama",
            "api_base_url": "http://localhost:11434/v1/chat/completions",
            "api_key": "",
            "models": ["qwen2.5-coder:latest"],
        },
        {
            "name": "vertex",
            "api_base_url": "https://aiplatform.googleapis.com",
            "models": ["claude"],
            "transformer": {"use": ["vertex-claude"]},
        },
    ],
    "Router": {
        "default": "deepseek,deepseek-chat",
        "background": "ollama,qwen2.5-coder:latest",
        "think": "deepseek,deepseek-reasoner",
        "longContext": "openrouter,google/gemini-2.5-pro",
        "longContextThreshold": 60000,
        "webSearch": "gemini,gemini-2.5-flash",
    },
    "fallback": {
        "default": [
            "openrouter,anthropic/claude-sonnet-4",
            "vertex,claude",
            "deepseek,deepseek-chat",
        ]
    },
}
THINKING = {"type": "enabled", "budget_tokens": 31999}


@pytest.mark.parametrize(
    ("model", "call", "expected"),
    [
        ("claude-sonnet-4-5", {},
         ["deepseek: deepseek-chat", "openrouter: anthropic/claude-sonnet-4"]),
        ("claude-sonnet-4-5", {"thinking": THINKING}, ["deepseek: deepseek-reasoner"]),
        ("claude-haiku-4-5", {"thinking": THINKING}, ["ollama: qwen2.5-coder:latest"]),
        ("claude-3-5-haiku-latest", {}, ["ollama: qwen2.5-coder:latest"]),
        ("claude-sonnet-4-5", {"tools": SEARCH, "thinking": THINKING},
         ["gemini: gemini-2.5-flash"]),
        ("claude-haiku-4-5", {"messages": user(LONG)}, ["openrouter: google/gemini-2.5-pro"]),
        ("openrouter,google/gemini-2.5-pro", {}, ["openrouter: google/gemini-2.5-pro"]),
        ("gpt-5", {}, []),
    ],
)  # fmt: skip
def test_routes_of_claude_code_router(
    model: str,
    call: dict[str, Any],
    expected: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text, _ = imported(CCR, tmp_path, capsys)
    assert targets(text, model, **call) == expected


def test_providers_of_claude_code_router(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, errors = imported(CCR, tmp_path, capsys)
    assert tomllib.loads(text)["providers"] == {
        "openrouter": {
            "base_url": "https://openrouter.ai/api/v1",
            "protocol": "chat",
            "api_key": "${OPENROUTER_API_KEY}",
            "max_output_tokens": 16384,
        },
        "deepseek": {
            "base_url": "https://api.deepseek.com",
            "protocol": "chat",
            "api_key": "${DEEPSEEK_API_KEY}",
        },
        "gemini": {
            "base_url": "https://generativelanguage.googleapis.com/v1beta",
            "protocol": "gemini",
            "api_key": "${GEMINI_API_KEY}",
        },
        "ollama": {"base_url": "http://localhost:11434/v1", "protocol": "chat"},
    }
    assert errors == (
        "wiremend: the key at Providers[0].api_key is not copied; set OPENROUTER_API_KEY to it: "
        "export OPENROUTER_API_KEY=...\n"
    )
    for comment in (
        "# - Not carried: APIKEY.",
        "# Not carried: extraHeaders. See `headers` and `set`.",
        "# - Not carried: PROXY_URL. Set HTTPS_PROXY to it",
        "# - Not carried: the provider 'vertex': wiremend does not sign requests",
        "# - Not carried: fallback.default: 'vertex,claude' names no provider of the file.",
        "# Not carried: the transformers 'mine' of the model 'deepseek-chat'",
        "# The key was written in the file: set the variable OPENROUTER_API_KEY to it.",
    ):
        assert comment in text


RULES = {
    "Providers": [
        {"name": "Kimi", "type": "anthropic_messages", "baseUrl": "https://api.moonshot.ai/anthropic",
         "credentials": [{"api_key": SECRET}], "models": ["kimi-k3"]},
        {"name": "off", "enabled": False, "baseUrl": "https://a.example", "models": []},
    ],
    "Router": {
        "fallback": {"mode": "model-chain", "models": ["Kimi/kimi-k2"], "retryCount": 0},
        "rules": [
            {"name": "a", "type": "condition", "enabled": True,
             "condition": {"left": "request.body.model", "operator": "starts-with",
                           "right": "claude-opus"},
             "rewrites": [{"key": "request.body.model", "operation": "set",
                           "value": "Kimi/kimi-k3"}]},
            {"name": "b", "type": "condition", "enabled": True,
             "condition": {"left": "request.header.x", "operator": "==", "right": "1"},
             "rewrites": [{"key": "request.body.model", "value": "Kimi/kimi-k3"}]},
            {"name": "c", "type": "script", "enabled": True, "script": {"file": "x.js"}},
            {"name": "d", "type": "condition", "enabled": False,
             "condition": {"left": "request.body.model", "operator": "==", "right": "x"},
             "rewrites": [{"key": "request.body.model", "value": "Kimi/kimi-k3"}]},
        ],
    },
}  # fmt: skip


def test_rules_on_models_of_version_3_are_carried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, _ = imported(RULES, tmp_path, capsys)
    assert targets(text, "claude-opus-5") == ["Kimi: kimi-k3", "Kimi: kimi-k2"]
    assert targets(text, "claude-sonnet-5") == targets(text, "x") == []
    assert tomllib.loads(text)["providers"]["Kimi"]["protocol"] == "anthropic"
    for number, name in ((1, "b"), (2, "c")):
        assert f"Not carried: Router.rules[{number}] '{name}'" in text
    assert "Not carried: the provider 'off': it is switched off." in text


def test_comments_and_trailing_commas_of_json5_are_accepted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = """{
      // the providers
      "Providers": [{"name": "a", "api_base_url": "https://a.example/v1/messages", /* no key */
                     "models": ["m // no comment",],},  // a comma and a comment
      ],
      "Router": {"default": "a,m",}, // the end
    }"""
    made, _ = imported(text, tmp_path, capsys)
    assert targets(made, "claude-x") == ["a: m"]
    assert targets(made, "a,m // no comment") == ["a: m // no comment"]


# oc-go-cc

OC = {
    "api_key": "${OC_GO_CC_API_KEY}",
    "host": "127.0.0.1",
    "models": {
        "background": {"provider": "opencode-go", "model_id": "qwen3.5-plus", "max_tokens": 2048},
        "default": {"provider": "opencode-go", "model_id": "kimi-k2.6", "temperature": 0.7},
        "long_context": {"model_id": "minimax-m3", "context_threshold": 80000},
        "deepseek-v4-pro": {"model_id": "deepseek-v4-pro", "reasoning_effort": "max",
                            "thinking": {"type": "enabled"}},
        "think": {"model_id": "glm-5"},
        "complex": {"model_id": "glm-5.1"},
        "fast": {"model_id": "qwen3.6-plus"},
        "vision": {"provider": "openrouter", "model_id": "google/gemini-3"},
    },
    "fallbacks": {
        "default": [{"provider": "opencode-zen", "model_id": "glm-5"}],
        "fast": [{"model_id": "kimi-k2.6"}, {"model_id": "qwen3.6-plus"}],
        "claude-sonnet-4.5": [],
    },
    "model_overrides": {
        "claude-sonnet-4.5": {"provider": "opencode-zen", "model_id": "claude-sonnet-4.5",
                              "vision": True},
    },
    "model_family_overrides": {"opus": {"model_id": "glm-5.2"}},
    "opencode_go": {"base_url": "https://opencode.ai/zen/go/v1/chat/completions",
                    "anthropic_base_url": "https://opencode.ai/zen/go/v1/messages"},
    "openrouter": {"api_key": SECRET, "timeout_ms": 300000},
    "logging": {"level": "info"},
    "colour": SECRET,
}  # fmt: skip
WITH_SCENARIOS = OC | {"enable_streaming_scenario_routing": True}


@pytest.mark.parametrize(
    ("values", "model", "call", "expected"),
    [
        (OC, "claude-sonnet-5", {}, ["opencode-go: qwen3.6-plus", "opencode-go: kimi-k2.6"]),
        (OC, "claude-sonnet-5", {"streaming": False},
         ["opencode-go: kimi-k2.6", "opencode-zen: glm-5"]),
        (OC, "claude-sonnet-5", {"streaming": False, "tools": []}, ["opencode-go: qwen3.5-plus"]),
        (OC, "claude-sonnet-5", {"messages": user(LONG)}, ["opencode-go: minimax-m3"]),
        (OC, "claude-sonnet-5", {"messages": user(IMAGE)}, ["openrouter: google/gemini-3"]),
        (OC, "claude-sonnet-4.5", {},
         ["opencode-zen: claude-sonnet-4.5", "opencode-go: qwen3.6-plus",
          "opencode-go: kimi-k2.6"]),
        (OC, "Claude-OPUS-5", {"messages": user(LONG)},
         ["opencode-go: glm-5.2", "opencode-zen: glm-5", "opencode-go: qwen3.6-plus",
          "opencode-go: kimi-k2.6"]),
        (OC, "deepseek-v4-pro", {},
         ["opencode-go: deepseek-v4-pro", "opencode-zen: glm-5", "opencode-go: qwen3.6-plus",
          "opencode-go: kimi-k2.6"]),
        (OC | {"respect_requested_model": False}, "deepseek-v4-pro", {}, []),
        (WITH_SCENARIOS, "claude-sonnet-5", {}, ["opencode-go: kimi-k2.6", "opencode-zen: glm-5"]),
        (WITH_SCENARIOS, "claude-sonnet-5", {"tools": []}, ["opencode-go: qwen3.5-plus"]),
        (OC | {"anthropic_first": {"enabled": True}}, "claude-sonnet-5", {},
         ["client: claude-sonnet-5", "opencode-go: qwen3.6-plus", "opencode-go: kimi-k2.6"]),
        (OC, "gpt-5", {}, []),
    ],
)  # fmt: skip
def test_routes_of_oc_go_cc(
    values: Any,
    model: str,
    call: dict[str, Any],
    expected: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text, _ = imported(values, tmp_path, capsys)
    assert targets(text, model, **call) == expected


def test_providers_and_parameters_of_oc_go_cc(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, errors = imported(OC, tmp_path, capsys)
    made = tomllib.loads(text)
    go, router = made["providers"]["opencode-go"], made["providers"]["openrouter"]
    assert (go["base_url"], go["api_key"]) == (
        "https://opencode.ai/zen/go/v1",
        "${OC_GO_CC_API_KEY}",
    )
    assert router["api_key"] == "${OPENROUTER_API_KEY}"
    addresses = settings(text).providers
    assert addresses["opencode-go"].protocol_for("minimax-m3") == "anthropic-messages"
    assert addresses["opencode-go"].protocol_for("kimi-k3") == "chat-completions"
    assert addresses["opencode-zen"].protocol_for("gemini-3-flash") == "gemini"
    by_model = {route["model"]: route for route in made["models"]}
    assert by_model["kimi-k2.6"]["set"] == {"temperature": 0.7}
    assert by_model["deepseek-v4-pro"]["set"] == {
        "reasoning_effort": "max",
        "thinking": {"type": "enabled"},
    }
    assert "set" not in by_model["claude-sonnet-4.5"]
    assert errors.startswith(
        "wiremend: the key at openrouter.api_key is not copied; set OPENROUTER"
    )
    for comment in (
        "# - Not carried: models.think. It took requests with certain words",
        "# - Not carried: models.complex.",
        "# - Not carried: host.",
        "# - Not carried: colour. wiremend does not know this key.",
        "# Not carried: max_tokens.",
        "# Not carried: timeout_ms.",
    ):
        assert comment in text


def test_a_parameter_is_not_set_if_a_target_has_another_protocol(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {
        "models": {"default": {"model_id": "glm-5", "temperature": 0.5}},
        "fallbacks": {"default": [{"model_id": "minimax-m3"}]},
    }
    text, _ = imported(values, tmp_path, capsys)
    assert "set" not in tomllib.loads(text)["models"][0]
    assert "# Not carried: temperature." in text


def test_a_wire_format_of_a_model_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"models": {"default": {"model_id": "qwen3.7-max", "wire_format": "anthropic"}}}
    text, _ = imported(values, tmp_path, capsys)
    provider = settings(text).providers["opencode-go"]
    assert provider.protocol_for("qwen3.7-max") == "anthropic-messages"
    assert provider.protocol_for("qwen3.6-plus") == "chat-completions"
    assert tomllib.loads(text)["providers"]["opencode-go"]["api_key"] == (
        "${ROUTATIC_PROXY_API_KEY}"
    )


def test_several_keys_are_all_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {
        "api_keys": ["${FIRST}", SECRET, "${FIRST}"],
        "models": {"default": {"model_id": "glm-5"}},
    }
    text, errors = imported(values, tmp_path, capsys)
    assert settings(text).providers["opencode-go"].api_key == "value-of-FIRST"
    assert "${OPENCODE_GO_API_KEY_2}" in text
    assert "set OPENCODE_GO_API_KEY_2 to it" in errors


# Anything else

ODD_TEXT = 'a"b\\c\nd\x7f\u2028é😀'


@pytest.mark.parametrize(
    "values",
    [
        {"Providers": [{"name": ODD_TEXT, "api_base_url": "https://a.example/v1/messages",
                        "models": [ODD_TEXT], "api_key": SECRET}],
         "Router": {"default": f"{ODD_TEXT},m", ODD_TEXT: 1}, ODD_TEXT: SECRET},
        {"Providers": [{"name": "a", "api_base_url": f"https://u:{SECRET}@a.example/v1?k={SECRET}",
                        "models": ["m"]}], "Router": {"default": "a,m"}},
        {"Providers": None, "Router": []},
        {"Providers": [None, 7, {"name": 5}], "Router": {"default": 7}},
        {"Providers": [{"name": "a", "api_base_url": "http://[::1"}]},
        {"models": None, "opencode_go": []},
        {"models": {"default": None, ODD_TEXT: {"model_id": ODD_TEXT}}, "fallbacks": {"a": 7}},
        {"models": {"a*": {"model_id": "m"}, "": {"model_id": "m"}}},
        {"models": {"default": {"model_id": "m", "provider": "else"}}},
    ],
)  # fmt: skip
def test_whatever_is_in_the_file_the_result_can_be_loaded(
    values: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, _ = imported(values, tmp_path, capsys)
    settings(text)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{", "line 1: is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"a": 1}', "is no configuration of claude-code-router (Providers, Router)"),
        ("[" * 100_000, "is nested too deeply"),
        ("\udcff", "is not UTF-8"),
    ],
)
def test_another_file_is_refused_with_the_reason(
    content: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert import_config("run", file, None) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert expected in printed.err
    assert import_config("run", tmp_path / "missing.json", None) == 1
    assert "missing.json: no such file" in capsys.readouterr().err


def test_an_output_file_is_written_but_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output = tmp_path / "config.json", tmp_path / "wiremend.toml"
    file.write_text(json.dumps(CCR))
    assert import_config("run", file, output) == 0
    assert settings(output.read_text()).routes
    before = output.read_bytes()
    assert import_config("run", file, output) == 1
    assert output.read_bytes() == before
    assert "exists; remove it, or give another name" in capsys.readouterr().err


@pytest.mark.parametrize(
    "value", [True, 1, 0.5, "a'b", ODD_TEXT, ["a", {"b c": 1}], {"a": {"b": []}}]
)
def test_values_are_written_as_toml(value: Any) -> None:
    assert tomllib.loads(f"value = {toml(value)}")["value"] == value
