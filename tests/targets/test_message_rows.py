"""Who needs which rules on messages: what is known, what is opted in, and nothing else."""

import pytest
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.request_rules import RULES
from wiremend.protocols.registry import PROTOCOLS
from wiremend.targets.message_rows import MESSAGE_TARGETS, message_traits_of

ANTHROPIC = WireProtocol.ANTHROPIC_MESSAGES
CHAT = WireProtocol.CHAT_COMPLETIONS
RESPONSES = WireProtocol.RESPONSES
GEMINI = WireProtocol.GEMINI

PAIRS = {"Q001", "Q002", "Q003"}
ANTHROPICS_OWN = PAIRS | {"Q004", "Q005", "Q006", "Q007", "Q102", "Q103", "Q105"}


@pytest.mark.parametrize(
    ("protocol", "host", "model", "codes"),
    [
        (ANTHROPIC, "api.anthropic.com", "claude-sonnet-4-20250514", ANTHROPICS_OWN),
        (ANTHROPIC, "api.anthropic.com", "claude-3-5-sonnet-20241022", ANTHROPICS_OWN),
        (ANTHROPIC, "api.anthropic.com", "claude-opus-4-1-20250805", ANTHROPICS_OWN | {"Q201"}),
        (ANTHROPIC, "api.anthropic.com", "claude-sonnet-4-5", ANTHROPICS_OWN | {"Q201"}),
        (ANTHROPIC, "API.ANTHROPIC.COM", "Claude-Opus-5", ANTHROPICS_OWN | {"Q201"}),
        (ANTHROPIC, "openrouter.ai", "anthropic/claude-haiku-4.5", ANTHROPICS_OWN | {"Q201"}),
        (ANTHROPIC, "opencode.ai", "kimi-k3", set()),
        (ANTHROPIC, "api.moonshot.ai", "kimi-k3", set()),
        (ANTHROPIC, "api.minimax.io", "MiniMax-M3", {"Q002", "Q109"}),
        (CHAT, "api.openai.com", "gpt-4o", PAIRS | {"Q103"}),
        (CHAT, "api.openai.com", "gpt-5", PAIRS | {"Q103", "Q202", "Q203"}),
        (CHAT, "api.openai.com", "gpt-5.2", PAIRS | {"Q103", "Q203"}),
        (CHAT, "my.openai.azure.com", "o3-mini", PAIRS | {"Q103", "Q202", "Q203"}),
        (CHAT, "openrouter.ai", "openai/gpt-5", PAIRS | {"Q103"}),
        (CHAT, "openrouter.ai", "anthropic/claude-sonnet-4.6", {"Q201"}),
        (CHAT, "openrouter.ai", "mistralai/mistral-small-3.2", {"Q103"}),
        (CHAT, "api.moonshot.cn", "kimi-k2.5", {"Q101", "Q104"}),
        (CHAT, "opencode.ai", "kimi-k2.6", {"Q101", "Q104"}),
        (CHAT, "api.deepseek.com", "deepseek-chat", PAIRS),
        (CHAT, "api.deepseek.com", "deepseek-v4-pro", PAIRS | {"Q106"}),
        (CHAT, "opencode.ai", "DeepSeek-V4-flash", PAIRS | {"Q106"}),
        (CHAT, "api.groq.com", "llama-4", set()),
        (CHAT, "localhost", "gpt-5", set()),
        (RESPONSES, "api.openai.com", "gpt-5.2-codex", {"Q001", "Q002", "Q103", "Q108"}),
        (RESPONSES, "chatgpt.com", "gpt-5.2-codex", {"Q001", "Q002", "Q103"}),
        (
            GEMINI,
            "generativelanguage.googleapis.com",
            "gemini-3-pro",
            {"Q001", "Q002", "Q004", "Q005", "Q107"},
        ),
        (GEMINI, "cloudcode-pa.googleapis.com", "gemini-2.5-pro", {"Q001", "Q002", "Q004", "Q005"}),
        (GEMINI, "api.example.com", "gemini-3-pro", set()),
    ],
)
def test_a_target_gets_the_rules_that_it_is_known_to_need(
    protocol: WireProtocol, host: str, model: str, codes: set[str]
) -> None:
    assert message_traits_of(protocol, host, model).rules == codes


def test_the_configuration_replaces_what_is_known() -> None:
    known = ("api.anthropic.com", "claude-opus-5")
    assert message_traits_of(ANTHROPIC, *known, opted=frozenset()).rules == set()
    opted = message_traits_of(CHAT, "localhost", "m", opted=frozenset({"Q104"}))
    assert opted.rules == {"Q104"}


def test_a_limit_of_the_configuration_is_heeded_besides() -> None:
    traits = message_traits_of(CHAT, "api.deepseek.com", "deepseek-chat", max_output_tokens=8192)
    assert traits.rules == PAIRS | {"Q204"}
    assert traits.max_output_tokens == 8192


@pytest.mark.parametrize(
    ("protocol", "host", "model", "longest"),
    [
        (CHAT, "api.openai.com", "gpt-4o", 40),
        (RESPONSES, "api.openai.com", "gpt-5", 64),
        (CHAT, "api.mistral.ai", "mistral-large", 9),
        (ANTHROPIC, "api.anthropic.com", "claude-opus-5", 256),
        (CHAT, "localhost", "m", 40),
    ],
)
def test_ids_are_limited_as_the_target_limits_them(
    protocol: WireProtocol, host: str, model: str, longest: int
) -> None:
    assert message_traits_of(protocol, host, model).call_ids.longest == longest


def test_every_rule_is_done_in_each_protocol_that_it_names() -> None:
    done = {
        (protocol.name, rule.code)
        for protocol in PROTOCOLS.values()
        for rule, _ in protocol.history_passes
    }
    assert done == {(protocol, rule.code) for rule in RULES for protocol in rule.protocols}


def test_a_row_names_only_rules_of_its_protocols() -> None:
    for row in MESSAGE_TARGETS:
        for rule in row.rules:
            assert set(rule.protocols) & row.protocols, (row.hosts, rule.code)
        assert row.reason
