"""Who insists on what: every row is met, and a target without a row gets the plain repairs."""

import re

import pytest
from wiremend.adapt.schema_dialects import DIALECTS
from wiremend.protocols.base.name_limits import NAMES_BY_DIALECT, NameLimit
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import TargetTraits
from wiremend.targets.rows import TARGETS, traits_of

ANTHROPIC, CHAT = WireProtocol.ANTHROPIC_MESSAGES, WireProtocol.CHAT_COMPLETIONS
RESPONSES, GEMINI = WireProtocol.RESPONSES, WireProtocol.GEMINI

DIALECT_OF = [
    (ANTHROPIC, "api.anthropic.com", "claude-opus-5", "anthropic"),
    (RESPONSES, "api.openai.com", "gpt-5", "openai"),
    (RESPONSES, "chatgpt.com", "gpt-5-codex", "openai"),
    (GEMINI, "generativelanguage.googleapis.com", "gemini-3-flash", "gemini"),
    (GEMINI, "us-central1-aiplatform.googleapis.com", "gemini-3-flash", "gemini"),
    (GEMINI, "cloudcode-pa.googleapis.com", "gemini-3-pro-preview", "gemini"),
    (GEMINI, "opencode.ai", "gemini-3-flash", "gemini"),
    (CHAT, "generativelanguage.googleapis.com", "gemini-3-flash", "plain"),
    (CHAT, "api.deepseek.com", "deepseek-chat", "deepseek"),
    (CHAT, "openrouter.ai", "deepseek/deepseek-v4", "deepseek"),
    (CHAT, "api.x.ai", "grok-4", "xai"),
    (CHAT, "openrouter.ai", "x-ai/Grok-4", "xai"),
    (CHAT, "api.moonshot.ai", "kimi-k3", "plain"),
    (ANTHROPIC, "api.minimax.io", "MiniMax-M3", "plain"),
    (CHAT, "dashscope.aliyuncs.com", "qwen3-max", "plain"),
    (CHAT, "api.z.ai", "glm-5", "plain"),
    (CHAT, "llm.example.com", "kimi-k3", "plain"),
    (ANTHROPIC, "llm.example.com", "claude-opus-5", "plain"),
]


@pytest.mark.parametrize(("protocol", "host", "model", "dialect"), DIALECT_OF)
def test_a_target_has_the_dialect_of_the_first_row_that_matches(
    protocol: WireProtocol, host: str, model: str, dialect: str
) -> None:
    assert traits_of(protocol, host, model).dialect == dialect


def test_a_target_without_a_row_gets_the_plain_repairs_only() -> None:
    assert traits_of(CHAT, "llm.example.com", "kimi-k3") == TargetTraits()


def test_the_configuration_wins_over_the_table() -> None:
    traits = traits_of(CHAT, "llm.example.com", "x", dialect="moonshot")
    assert (traits.dialect, traits.names) == ("moonshot", NAMES_BY_DIALECT["moonshot"])
    assert traits_of(ANTHROPIC, "api.anthropic.com", "c", dialect="plain").names is None


@pytest.mark.parametrize("row", TARGETS, ids=lambda row: f"{row.hosts[0]} {row.models[0]}")
def test_every_row_says_how_it_is_known(row: object) -> None:
    assert row.traits.dialect in DIALECTS  # type: ignore[attr-defined]
    assert row.reason  # type: ignore[attr-defined]
    for source in row.seen:  # type: ignore[attr-defined]
        assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", source), source


LONG = "mcp__" + "x" * 80
NAMES = [
    # limit, name, what the target gets
    ("openai", "Bash", "Bash"),
    ("openai", "a" * 64, "a" * 64),
    ("openai", LONG, "mcp__" + "x" * 50 + "_5a7a6cb4"),
    ("anthropic", "caldav-mcp.create-event", "caldav-mcp_create-event_"),
    ("gemini", "caldav-mcp.create-event", "caldav-mcp.create-event"),
    ("gemini", "21st_magic", "t21st_magic_"),
    ("moonshot", "21st_magic", "t21st_magic_"),
    ("moonshot", "_private", "t_private_"),
    ("anthropic", "日本", "___"),
]


@pytest.mark.parametrize(("dialect", "name", "start"), NAMES)
def test_a_name_that_is_not_taken_gets_one_that_is(dialect: str, name: str, start: str) -> None:
    limit: NameLimit = NAMES_BY_DIALECT[dialect]
    fitted = limit.fit(name)
    assert fitted.startswith(start[: limit.length - 9])
    assert limit.takes(fitted)
    assert limit.fit(name) == fitted
    assert limit.fit(fitted) == fitted
    assert (fitted == name) == limit.takes(name)


def test_names_that_differ_only_where_they_are_cut_stay_different() -> None:
    limit = NAMES_BY_DIALECT["openai"]
    assert limit.fit(LONG + "_read") != limit.fit(LONG + "_write")
    assert limit.fit("a.b") != limit.fit("a/b")
