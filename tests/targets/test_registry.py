"""The requirements of each vendor, and their consistency; an unknown target has none."""

import re
from collections import Counter
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import get_args

import pytest
from wiremend.adapt.schema_dialects import DIALECTS
from wiremend.catalogue import catalogue
from wiremend.protocols.base.middle.target import TranslationTraits
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import CallIdLimit, TargetTraits
from wiremend.protocols.registry import MESSAGE_CODES, PROTOCOLS
from wiremend.targets.hosts import OTHER_HOSTS, PROVIDER_HOSTS, REGIONAL_HOSTS
from wiremend.targets.registry import (
    NAMES_BY_DIALECT,
    REJECTIONS,
    VENDORS,
    leaked_formats,
    traits_of,
    translation_traits,
)
from wiremend.targets.vendor import CHAT as IN_CHAT
from wiremend.targets.vendor import Requirement, Vendor, combined
from wiremend.targets.wordings import TaughtKind
from wiremend.text.call_formats import FORMATS

ANTHROPIC, CHAT = WireProtocol.ANTHROPIC_MESSAGES, WireProtocol.CHAT_COMPLETIONS
RESPONSES, GEMINI = WireProtocol.RESPONSES, WireProtocol.GEMINI

each_vendor = pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.name)

PAIRS = {"Q001", "Q002", "Q003"}
CLAUDE = PAIRS | {"Q004", "Q005", "Q006", "Q007", "Q102", "Q103", "Q105"}
ANTHROPICS_OWN = CLAUDE | {"Q110", "Q111", "Q302"}
CLAUDE_5 = ANTHROPICS_OWN | {"Q201", "Q205", "Q208", "Q308"}


@pytest.mark.parametrize(
    ("protocol", "host", "model", "codes"),
    [
        (ANTHROPIC, "api.anthropic.com", "claude-sonnet-4-20250514", ANTHROPICS_OWN | {"Q208"}),
        (ANTHROPIC, "api.anthropic.com", "claude-3-5-sonnet-20241022", ANTHROPICS_OWN),
        (
            ANTHROPIC,
            "api.anthropic.com",
            "claude-opus-4-1-20250805",
            ANTHROPICS_OWN | {"Q201", "Q208"},
        ),
        (ANTHROPIC, "api.anthropic.com", "claude-sonnet-4-5", ANTHROPICS_OWN | {"Q201", "Q208"}),
        (
            ANTHROPIC,
            "api.anthropic.com",
            "claude-sonnet-4-6",
            ANTHROPICS_OWN | {"Q201", "Q207", "Q308"},
        ),
        (ANTHROPIC, "api.anthropic.com", "claude-opus-4-7", CLAUDE_5),
        (ANTHROPIC, "api.anthropic.com", "claude-fable-5", CLAUDE_5),
        (ANTHROPIC, "API.ANTHROPIC.COM", "Claude-Opus-5", CLAUDE_5 | {"Q209"}),
        (ANTHROPIC, "openrouter.ai", "anthropic/claude-haiku-4.5", CLAUDE | {"Q201"}),
        (ANTHROPIC, "openrouter.ai", "anthropic/claude-opus-5", CLAUDE | {"Q201"}),
        (ANTHROPIC, "api.deepseek.com", "deepseek-v4-pro", {"Q109"}),
        (ANTHROPIC, "opencode.ai", "kimi-k3", set()),
        (ANTHROPIC, "api.moonshot.ai", "kimi-k3", set()),
        (ANTHROPIC, "api.minimax.io", "MiniMax-M3", {"Q002", "Q109"}),
        (CHAT, "api.openai.com", "gpt-4o", PAIRS | {"Q103", "Q214"}),
        (CHAT, "api.openai.com", "gpt-5", PAIRS | {"Q103", "Q202", "Q203", "Q214"}),
        (CHAT, "api.openai.com", "gpt-5.2", PAIRS | {"Q103", "Q203", "Q214"}),
        (CHAT, "my.openai.azure.com", "o3-mini", PAIRS | {"Q103", "Q202", "Q203", "Q214"}),
        (CHAT, "openrouter.ai", "openai/gpt-5", PAIRS | {"Q103"}),
        (CHAT, "openrouter.ai", "anthropic/claude-sonnet-4.6", {"Q201"}),
        (CHAT, "openrouter.ai", "mistralai/mistral-small-3.2", {"Q103"}),
        (CHAT, "api.moonshot.cn", "kimi-k2.5", {"Q101", "Q104"}),
        (CHAT, "opencode.ai", "kimi-k2.6", {"Q101", "Q104"}),
        (CHAT, "api.deepseek.com", "deepseek-chat", PAIRS | {"Q113"}),
        (CHAT, "api.deepseek.com", "deepseek-v4-pro", PAIRS | {"Q106", "Q113", "Q211"}),
        (CHAT, "opencode.ai", "DeepSeek-V4-flash", PAIRS | {"Q106"}),
        (CHAT, "api.groq.com", "llama-4", set()),
        (CHAT, "localhost", "gpt-5", set()),
        (CHAT, "api.mistral.ai", "mistral-large", {"Q103", "Q203", "Q308"}),
        (CHAT, "api.minimax.io", "MiniMax-M3", {"Q309"}),
        (
            RESPONSES,
            "api.openai.com",
            "gpt-5.2-codex",
            {"Q001", "Q002", "Q103", "Q108", "Q114", "Q214"},
        ),
        (RESPONSES, "chatgpt.com", "gpt-5.2-codex", {"Q001", "Q002", "Q103", "Q114", "Q214"}),
        (
            GEMINI,
            "generativelanguage.googleapis.com",
            "gemini-3-pro",
            {"Q001", "Q002", "Q005", "Q107"},
        ),
        (GEMINI, "cloudcode-pa.googleapis.com", "gemini-2.5-pro", {"Q001", "Q002", "Q005"}),
        (
            GEMINI,
            "us-central1-aiplatform.googleapis.com",
            "gemini-3-pro",
            {"Q001", "Q002", "Q005", "Q107"},
        ),
        (
            GEMINI,
            "us-central1-aiplatform.googleapis.com",
            "gemini-2.5-pro",
            {"Q001", "Q002", "Q004", "Q005"},
        ),
        (RESPONSES, "api.deepseek.com", "deepseek-v4-pro", {"Q001", "Q002"}),
        (GEMINI, "api.example.com", "gemini-3-pro", set()),
    ],
)
def test_a_target_has_the_rules_of_its_vendor(
    protocol: WireProtocol, host: str, model: str, codes: set[str]
) -> None:
    assert traits_of(protocol, host, model).messages.rules == codes


def test_configured_rules_replace_the_vendors() -> None:
    target = ("api.anthropic.com", "claude-opus-5")
    assert traits_of(ANTHROPIC, *target, rules=frozenset()).messages.rules == set()
    configured = traits_of(CHAT, "localhost", "m", rules=frozenset({"Q104"}))
    assert configured.messages.rules == {"Q104"}


def test_a_configured_limit_is_added() -> None:
    traits = traits_of(CHAT, "api.deepseek.com", "deepseek-chat", max_output_tokens=8192)
    assert traits.messages.rules == PAIRS | {"Q113", "Q204"}
    assert traits.messages.max_output_tokens == 8192


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
def test_ids_of_tool_calls_have_the_limits_of_the_target(
    protocol: WireProtocol, host: str, model: str, longest: int
) -> None:
    assert traits_of(protocol, host, model).messages.call_ids.longest == longest


def test_every_rule_has_a_pass_in_each_of_its_protocols() -> None:
    done = {
        (protocol.name, step.rule.code)
        for protocol in PROTOCOLS.values()
        for step in protocol.history_passes
    }
    rules = [rule for rule in catalogue() if rule.code.startswith("Q")]
    assert done == {(protocol, rule.code) for rule in rules for protocol in rule.protocols}
    assert {rule.code for rule in rules} == MESSAGE_CODES


DIALECT_OF = [
    (ANTHROPIC, "api.anthropic.com", "claude-opus-5", "anthropic"),
    (RESPONSES, "api.openai.com", "gpt-5", "openai"),
    (RESPONSES, "chatgpt.com", "gpt-5-codex", "openai"),
    (WireProtocol.GEMINI, "generativelanguage.googleapis.com", "gemini-3-flash", "gemini"),
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
def test_a_target_has_the_dialect_of_its_vendor(
    protocol: WireProtocol, host: str, model: str, dialect: str
) -> None:
    assert traits_of(protocol, host, model).dialect == dialect


@pytest.mark.parametrize(
    ("model", "thinking_type", "refused_efforts"),
    [
        ("claude-haiku-4-5-20251001", "enabled", ()),
        ("claude-opus-4-20250514", "enabled", ()),
        ("claude-opus-4-6", "", ("xhigh",)),
        ("claude-opus-4-7-20260416", "adaptive", ()),
        ("claude-sonnet-5", "adaptive", ()),
        ("claude-mythos-5", "adaptive", ()),
        ("claude-3-5-haiku-20241022", "", ()),
    ],
)
def test_each_generation_of_claude_has_its_type_of_thinking(
    model: str, thinking_type: str, refused_efforts: tuple[str, ...]
) -> None:
    messages = traits_of(ANTHROPIC, "api.anthropic.com", model).messages
    assert (messages.thinking_type, messages.refused_efforts) == (thinking_type, refused_efforts)


def test_mistral_limits_the_output_by_its_own_name() -> None:
    messages = traits_of(CHAT, "api.mistral.ai", "mistral-large").messages
    assert messages.token_limit_name == "max_tokens"


def test_an_unknown_target_has_no_requirements() -> None:
    assert traits_of(CHAT, "llm.example.com", "kimi-k3") == TargetTraits()


def test_a_configured_dialect_replaces_the_vendors() -> None:
    traits = traits_of(CHAT, "llm.example.com", "x", dialect="moonshot")
    assert (traits.dialect, traits.names) == ("moonshot", NAMES_BY_DIALECT["moonshot"])
    assert traits_of(ANTHROPIC, "api.anthropic.com", "c", dialect="plain").names is None


@pytest.mark.parametrize(
    ("protocol", "host", "model", "formats"),
    [
        (CHAT, "api.deepseek.com", "deepseek-chat", ("dsml",)),
        (ANTHROPIC, "API.deepseek.com", "DeepSeek-V4-Flash", ("dsml",)),
        (CHAT, "openrouter.ai", "deepseek/deepseek-v3.2-exp", ("dsml",)),
        (CHAT, "openrouter.ai", "deepseek/deepseek-r1", ()),
        (CHAT, "api.moonshot.ai", "kimi-k2-thinking", ("kimi",)),
        (CHAT, "opencode.ai", "kimi-k2.6", ("kimi",)),
        (CHAT, "api.moonshot.ai", "kimi-latest", ()),
        (ANTHROPIC, "api.minimax.io", "MiniMax-M2.5", ("minimax",)),
        (CHAT, "openrouter.ai", "z-ai/glm-5", ("glm", "qwen", "hermes")),
        (CHAT, "api.z.ai", "glm-5", ()),
        (CHAT, "openrouter.ai", "qwen/qwen3-coder", ("qwen", "hermes")),
        (CHAT, "dashscope.aliyuncs.com", "qwen3-coder", ()),
        (ANTHROPIC, "api.anthropic.com", "claude-opus-5", ()),
        (CHAT, "api.openai.com", "gpt-5", ()),
        (CHAT, "localhost", "glm-4.6", ()),
    ],
)
def test_the_formats_in_which_a_target_leaks_calls(
    protocol: WireProtocol, host: str, model: str, formats: tuple[str, ...]
) -> None:
    assert leaked_formats(protocol, host, model) == formats


@each_vendor
def test_every_leak_has_evidence_and_a_known_format(vendor: Vendor) -> None:
    for leak in vendor.leaked_calls:
        assert set(leak.formats) <= set(FORMATS)
        assert leak.seen
        for source in leak.seen:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", source), source
        globs = [*leak.models, *(leak.at_gateways or ())]
        assert globs == [glob.lower() for glob in globs]
        assert set(leak.hosts or ()) <= set(vendor.hosts)


@each_vendor
def test_every_requirement_has_evidence(vendor: Vendor) -> None:
    for requirement in vendor.requirements:
        assert requirement.dialect is None or requirement.dialect in DIALECTS
        assert requirement.reason
        for source in requirement.seen:
            assert re.fullmatch(r"[\w.-]+/[\w.-]+#\d+", source), source


@each_vendor
def test_every_code_is_a_rule_of_each_protocol_that_needs_it(vendor: Vendor) -> None:
    for requirement in vendor.requirements:
        for name in requirement.protocols:
            codes = {step.rule.code for step in PROTOCOLS[name].history_passes}
            assert set(requirement.rules) <= codes, (name, requirement.reason)


@each_vendor
def test_every_glob_is_in_lower_case(vendor: Vendor) -> None:
    globs = [*vendor.hosts, *vendor.models]
    for requirement in vendor.requirements:
        globs += [*(requirement.hosts or ()), *requirement.models, *(requirement.at_gateways or ())]
    assert globs == [glob.lower() for glob in globs]


@each_vendor
def test_the_hosts_of_a_requirement_are_hosts_of_its_vendor(vendor: Vendor) -> None:
    for requirement in vendor.requirements:
        assert set(requirement.hosts or ()) <= set(vendor.hosts)


def test_no_fact_belongs_to_two_vendors() -> None:
    counted: Counter[tuple[str, object]] = Counter()
    for vendor in VENDORS:
        counted["vendor", vendor.name] += 1
        counted.update(("host", glob) for glob in vendor.hosts)
        counted.update(("model", glob) for glob in vendor.models)
        counted.update(("dialect", dialect) for dialect in vendor.name_limits)
        counted.update(("code", code) for code in vendor.status_by_code)
        counted.update(("finish reason", reason) for reason in vendor.status_by_finish_reason)
    assert [fact for fact, times in counted.items() if times > 1] == []


def test_every_dialect_with_a_limit_on_names_exists() -> None:
    assert set(NAMES_BY_DIALECT) <= set(DIALECTS)


def test_rejections_teach_only_existing_dialects_and_names() -> None:
    for wording in REJECTIONS:
        assert wording.kind in get_args(TaughtKind)
        if wording.kind == "schema-dialect":
            assert wording.value in DIALECTS
        if wording.kind == "tool-names":
            assert wording.value in NAMES_BY_DIALECT


def test_the_hosts_of_vendors_are_intercepted_unless_they_serve_more_than_models() -> None:
    opened = {glob for vendor in VENDORS if vendor.intercepted for glob in vendor.hosts}
    closed = {glob for vendor in VENDORS if not vendor.intercepted for glob in vendor.hosts}
    written_out = {glob for glob in PROVIDER_HOSTS if glob not in opened | set(OTHER_HOSTS)}
    for host in written_out:
        assert any(fnmatchcase(host, glob) for glob in REGIONAL_HOSTS), host
    missing = (opened | set(OTHER_HOSTS)) - set(PROVIDER_HOSTS)
    assert missing == set(REGIONAL_HOSTS) & (opened | set(OTHER_HOSTS))
    assert closed
    assert opened.isdisjoint(closed)


def test_requirements_are_combined_and_a_later_limit_replaces_an_earlier_one() -> None:
    first = Requirement(
        protocols=IN_CHAT,
        reason="general",
        dialect="openai",
        names=NAMES_BY_DIALECT["openai"],
        unique_names=True,
        refused_betas=("a",),
        rules=("Q001",),
        call_ids=CallIdLimit(longest=9),
    )
    second = Requirement(
        protocols=IN_CHAT,
        reason="specific",
        dialect="moonshot",
        strip_custom_type=True,
        refused_betas=("b",),
        rules=("Q002",),
        call_ids=CallIdLimit(longest=64),
    )
    traits = combined([first, second])
    assert (traits.dialect, traits.names) == ("moonshot", NAMES_BY_DIALECT["openai"])
    assert (traits.unique_names, traits.strip_custom_type) == (True, True)
    assert traits.refused_betas == ("a", "b")
    assert traits.messages.rules == {"Q001", "Q002"}
    assert traits.messages.call_ids == CallIdLimit(longest=64)


def test_only_at_a_gateway_the_requirements_of_the_models_vendor_apply() -> None:
    at_gateway = traits_of(ANTHROPIC, "openrouter.ai", "anthropic/claude-opus-5")
    at_vendor = traits_of(ANTHROPIC, "api.anthropic.com", "claude-opus-5")
    assert replace(at_gateway, messages=at_vendor.messages) == at_vendor
    assert at_gateway.messages.rules < at_vendor.messages.rules
    assert traits_of(ANTHROPIC, "api.groq.com", "claude-opus-5") == TargetTraits()


LONG = "mcp__" + "x" * 80
NAMES = [
    # limit, name, start of the name that is sent
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
def test_a_name_that_is_not_allowed_is_replaced_by_one_that_is(
    dialect: str, name: str, start: str
) -> None:
    limit: NameLimit = NAMES_BY_DIALECT[dialect]
    fitted = limit.fit(name)
    assert fitted.startswith(start[: limit.length - 9])
    assert limit.takes(fitted)
    assert limit.fit(name) == fitted
    assert limit.fit(fitted) == fitted
    assert (fitted == name) == limit.takes(name)


def test_names_that_are_equal_after_truncation_are_made_different() -> None:
    limit = NAMES_BY_DIALECT["openai"]
    assert limit.fit(LONG + "_read") != limit.fit(LONG + "_write")
    assert limit.fit("a.b") != limit.fit("a/b")


KIMI_IDS = CallIdLimit(characters="a-zA-Z0-9_.:-")
UNSIGNED = "skip_thought_signature_validator"


@pytest.mark.parametrize(
    ("protocol", "host", "model", "members"),
    [
        (CHAT, "api.moonshot.ai", "kimi-k3", {"efforts": ("low", "high", "max")}),
        (CHAT, "opencode.ai", "kimi-k3", {"media_urls": False}),
        (CHAT, "opencode.ai", "kimi-k3", {"call_ids": KIMI_IDS}),
        (
            WireProtocol.GEMINI,
            "generativelanguage.googleapis.com",
            "gemini-3-pro",
            {"unsigned_call": UNSIGNED},
        ),
        (
            WireProtocol.GEMINI,
            "generativelanguage.googleapis.com",
            "gemini-2.5-pro",
            {"unsigned_call": None},
        ),
        (CHAT, "api.deepseek.com", "deepseek-v4-pro", {"media": frozenset()}),
        (CHAT, "api.z.ai", "glm-5.2", {"efforts": ("high", "max")}),
        (CHAT, "openrouter.ai", "z-ai/glm-4.6", {"returned_reasoning": "reasoning_content"}),
        (RESPONSES, "api.openai.com", "gpt-5", {"developer_role": True}),
        (RESPONSES, "opencode.ai", "gpt-6-luna", {"developer_role": False}),
        (ANTHROPIC, "api.anthropic.com", "claude-opus-5", {"cache_marks": 3}),
        (ANTHROPIC, "api.moonshot.ai", "kimi-k3", {"cache_marks": 0}),
        (CHAT, "openrouter.ai", "anthropic/claude-opus-5", {"cache_marks": 3}),
        (CHAT, "openrouter.ai", "openai/gpt-5", {"cache_marks": 0}),
        (CHAT, "dashscope-intl.aliyuncs.com", "qwen3.7-plus", {"cache_marks": 3}),
        (CHAT, "dashscope.aliyuncs.com", "kimi-k3", {"cache_marks": 0}),
        (CHAT, "opencode.ai", "qwen3.7-plus", {"cache_marks": 0}),
        (CHAT, "api.moonshot.ai", "kimi-k3", {"cache_marks": 0}),
        (CHAT, "api.z.ai", "glm-5.3", {"cache_marks": 0}),
        (CHAT, "llm.example", "kimi-k3", {"efforts": ()}),
    ],
)
def test_a_translated_request_has_what_its_target_takes(
    protocol: WireProtocol, host: str, model: str, members: dict[str, object]
) -> None:
    traits = translation_traits(protocol, host, model)
    assert {member: getattr(traits, member) for member in members} == members


def test_a_later_fact_on_translation_replaces_an_earlier_one() -> None:
    earlier = translation_traits(CHAT, "api.z.ai", "glm-5.2")
    later = translation_traits(CHAT, "api.z.ai", "glm-5.3")
    assert earlier.thinking.off == {"thinking": {"type": "disabled"}}
    assert later.thinking.off == {}


@each_vendor
def test_every_fact_on_translation_is_about_the_vendors_models(vendor: Vendor) -> None:
    for fact in vendor.translation:
        assert fact.reason
        TranslationTraits(**fact.traits)
        assert set(fact.hosts or ()) <= set(vendor.hosts)
        globs = [*fact.models, *(fact.at_gateways or ())]
        assert globs == [glob.lower() for glob in globs]
