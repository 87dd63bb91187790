"""Presets of providers: what they fill in, what counts instead, and their tables."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from wiremend.config.consent import describe, reach
from wiremend.config.current import CurrentConfig
from wiremend.config.load import ConfigError, parse_config, parse_document
from wiremend.config.model import Config
from wiremend.config.presets import table_in_markdown, table_in_text
from wiremend.config.settings import settings_of
from wiremend.protocols.base.names import WireProtocol
from wiremend.routing.providers import ProviderAddress
from wiremend.targets.hosts import InterceptedHosts
from wiremend.targets.registry import PRESETS, PRESETS_BY_NAME
from wiremend.targets.vendor import Preset

SECRET = "sk-of-the-environment"
ENVIRONMENT = {preset.key_variable: SECRET for preset in PRESETS} | {"OTHER": "sk-other"}
A, C, R, G = (
    WireProtocol.ANTHROPIC_MESSAGES,
    WireProtocol.CHAT_COMPLETIONS,
    WireProtocol.RESPONSES,
    WireProtocol.GEMINI,
)

each_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)


def parse(lines: str, environ: Mapping[str, str] = ENVIRONMENT) -> Config:
    return parse_config(f"[providers.p]\n{lines}\n", "wiremend.toml", environ)


def address(lines: str) -> ProviderAddress:
    return settings_of(parse(lines), ()).providers["p"]


def problems(lines: str, environ: Mapping[str, str] = ENVIRONMENT) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(lines, environ)
    return list(caught.value.problems)


@each_preset
def test_a_preset_alone_is_a_complete_provider(preset: Preset) -> None:
    for name in (preset.name, *preset.aliases):
        made = address(f'preset = "{name}"')
        assert made.base_url == preset.base_url
        assert made.api_keys == (SECRET,)
        assert made.protocol_for("any-other-model") is not None
        assert InterceptedHosts().matches(made.host)


PROTOCOLS = [
    ("opencode-go", "kimi-k3", C),
    ("opencode-go", "minimax-m3", A),
    ("opencode-go", "qwen3.8-flash", A),
    ("opencode-go", "qwen3.8-max", C),
    ("opencode-go", "grok-4.7", R),
    ("opencode-zen", "claude-opus-5", A),
    ("opencode-zen", "gemini-3-flash", G),
    ("opencode-zen", "gpt-6-luna", R),
    ("opencode-zen", "minimax-m3", C),
    ("kimi", "kimi-k3", C),
    ("glm", "glm-5.3", C),
    ("minimax", "MiniMax-M3", C),
    ("minimax-messages", "MiniMax-M3", A),
    ("openai", "gpt-5.1", R),
    ("openai-chat", "gpt-5.1", C),
    ("grok", "grok-4.7", R),
    ("claude", "claude-opus-5", A),
    ("gemini", "gemini-3-pro", G),
]


@pytest.mark.parametrize(("name", "model", "protocol"), PROTOCOLS)
def test_a_model_is_asked_in_the_protocol_of_its_preset(
    name: str, model: str, protocol: WireProtocol
) -> None:
    assert address(f'preset = "{name}"').protocol_for(model) is protocol


OVERRIDDEN = [
    # lines, address, keys, protocol of kimi-k3, host of the facts
    ('protocol = "anthropic"', "https://api.moonshot.ai/v1", (SECRET,), A, "api.moonshot.ai"),
    ('protocol = { "x" = "chat" }', "https://api.moonshot.ai/v1", (SECRET,), None, None),
    ('api_key = "${OTHER}"', "https://api.moonshot.ai/v1", ("sk-other",), C, None),
    ('api_key = ""', "https://api.moonshot.ai/v1", (), C, None),
    ('api_keys = ["a", "b"]', "https://api.moonshot.ai/v1", ("a", "b"), C, None),
    ('headers = { authorization = "x" }', "https://api.moonshot.ai/v1", (), C, None),
    ('headers = { user-agent = "x" }', "https://api.moonshot.ai/v1", (SECRET,), C, None),
    ('base_url = "https://api.moonshot.ai/v1"', "https://api.moonshot.ai/v1", (SECRET,), C, None),
    ('base_url = "https://mirror.example/v1"', "https://mirror.example/v1", (), C, None),
]


@pytest.mark.parametrize(("lines", "base_url", "keys", "protocol", "host"), OVERRIDDEN)
def test_what_is_written_beside_a_preset_counts(
    lines: str,
    base_url: str,
    keys: tuple[str, ...],
    protocol: WireProtocol | None,
    host: str | None,
) -> None:
    made = address(f'preset = "moonshot"\n{lines}')
    assert (made.base_url, made.api_keys, made.protocol_for("kimi-k3")) == (
        base_url,
        keys,
        protocol,
    )
    assert made.facts_host == (host or "api.moonshot.ai")


LISTED = "the presets are " + ", ".join(preset.name for preset in PRESETS)
WRONG = [
    (
        'preset = "kimmi"',
        [f"providers.p.preset: there is no preset 'kimmi'; did you mean 'kimi'? {LISTED}"],
    ),
    ('preset = "zzzzz"', [f"providers.p.preset: there is no preset 'zzzzz'; {LISTED}"]),
    ("preset = 1", ["providers.p.preset: expected a string, got a number"]),
    ('preset = ""', ["providers.p.preset: expected a name, got an empty string"]),
    (
        'preset = "kimi"\nbase_url = "x"',
        ["providers.p.base_url: expected an address such as 'https://api.example.com'"],
    ),
    (
        'preset = "kimi"\napi_key = "a"\napi_keys = ["b"]',
        ["providers.p.api_keys: cannot be set together with api_key; remove one of them"],
    ),
    (
        'preset = "kimi"\napi_keys = ["b", "b", ""]',
        [
            "providers.p.api_keys[1]: is listed twice",
            "providers.p.api_keys[2]: is empty",
        ],
    ),
    (
        'preset = "kimi"\napi_keys = ["${NOT_SET}"]',
        ["providers.p.api_keys[0]: the environment variable NOT_SET is not set"],
    ),
    (
        'preset = "kimi"\napi_keys = ["a", "b"]\nheaders = { Authorization = "x" }',
        ["providers.p.headers.Authorization: replaces the keys in api_keys; remove one"],
    ),
    (
        'preset = "kimi"\ntimeouts = { idel = 1.0 }',
        ["providers.p.timeouts.idel: unknown key; did you mean 'idle'?"],
    ),
    (
        'preset = "kimi"\nretry = { backoff_initial = 2.0, backoff_max = 1.0 }',
        ["providers.p.retry.backoff_initial: expected backoff_max (1) or less, got 2"],
    ),
]


@pytest.mark.parametrize(("lines", "expected"), WRONG)
def test_a_wrong_value_is_named_with_what_to_do(lines: str, expected: list[str]) -> None:
    assert problems(lines) == expected


def test_twenty_keys_are_the_most() -> None:
    keys = ", ".join(f'"key-{number}"' for number in range(21))
    assert problems(f'preset = "kimi"\napi_keys = [{keys}]') == [
        "providers.p.api_keys: expected at most 20 keys, got 21"
    ]


def test_a_variable_that_only_the_preset_names_is_explained() -> None:
    assert problems('preset = "kimi"', {}) == [
        "providers.p.api_key: the environment variable MOONSHOT_API_KEY is not set; preset 'kimi' "
        "uses it; set it, or api_key"
    ]


def described(text: str) -> list[str]:
    document = parse_document(Path("wiremend.toml"), text.encode())
    return describe(reach(document.values))


REACHED = [
    (
        'preset = "kimi"',
        [
            "hosts: https://api.moonshot.ai (provider p)",
            "environment variables: MOONSHOT_API_KEY (to https://api.moonshot.ai)",
        ],
    ),
    (
        'preset = "kimi"\nbase_url = "https://elsewhere.example"',
        ["hosts: https://elsewhere.example (provider p)"],
    ),
    (
        'preset = "kimi"\napi_keys = ["${A}", "literal"]',
        [
            "hosts: https://api.moonshot.ai (provider p)",
            "environment variables: A (to https://api.moonshot.ai)",
            "keys in the file itself: api_keys[2] (to https://api.moonshot.ai)",
        ],
    ),
]


@pytest.mark.parametrize(("lines", "expected"), REACHED)
def test_what_a_preset_fills_in_needs_consent(lines: str, expected: list[str]) -> None:
    assert described(f"[providers.p]\n{lines}\n") == expected


def test_a_preset_in_the_working_directory_needs_consent(tmp_path: Path) -> None:
    (tmp_path / "wiremend.toml").write_text('[providers.p]\npreset = "kimi"\n')
    environ = {**ENVIRONMENT, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    current = CurrentConfig(environ)
    with pytest.raises(ConfigError, match="MOONSHOT_API_KEY"):
        current.read("", tmp_path)
    current.read("", tmp_path, allow=True)
    assert current.secrets == {SECRET}


def test_every_key_is_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "wiremend.toml"
    path.write_text('[providers.p]\npreset = "kimi"\napi_keys = ["first-key", "second-key"]\n')
    current = CurrentConfig(ENVIRONMENT)
    current.read(str(path), tmp_path)
    assert current.secrets == {"first-key", "second-key"}
    (warning,) = current.warnings
    assert "chmod 600" in warning
    assert not [key for key in current.secrets if key in warning + repr(current.settings)]


def test_names_of_presets_are_distinct() -> None:
    names = [name for preset in PRESETS for name in (preset.name, *preset.aliases)]
    assert sorted(names) == sorted(PRESETS_BY_NAME)


@each_preset
def test_the_tables_mark_what_was_not_measured(preset: Preset) -> None:
    mark = "" if preset.is_measured else " †"
    assert f"  address   {preset.base_url}{mark}\n" in table_in_text()
    assert f"| `{preset.base_url}`{mark} |" in table_in_markdown()
