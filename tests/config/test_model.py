"""The keys of the configuration: defaults, accepted values, and secrets that are not shown."""

import pickle
import tomllib

import pytest
from pydantic import ValidationError
from wiremend.config.load import parse_config
from wiremend.config.model import HEADINGS, SECTIONS, Config
from wiremend.config.providers import Provider
from wiremend.config.routes import ModelRoute
from wiremend.config.settings import settings_of
from wiremend.config.values import did_you_mean
from wiremend.protocols.base.traits import FieldChanges

SECRET = "sk-do-not-show-7f3a"

DEFAULTS = """
[intercept]
hosts = []
websocket = "refuse"

[retry]
attempts = 4
backoff_initial = 0.5
backoff_max = 8.0
max_elapsed = 120.0
budget = 30
retry_after_max = 60.0
silent_stop = false

[breaker]
failures = 5
pause = 5.0
pause_max = 10.0

[timeouts]
connect = 10.0
first_byte = 300.0
answer = 900.0
idle = 120.0
progress = 600.0
total = 0.0

[heartbeat]
after = 15.0
interval = 15.0

[rules]
mode = "repair"
disable = []

[learning]
file = ""
max_amendments = 40
max_elapsed = 120.0

[access]
origins = []
require_password = false

[fire_and_forget]
paths = ["/session/*/prompt_async", "/*/prompt_async"]
ack_after = 5.0

[memory]
held = 256

[shutdown]
grace = 30.0

[check]
select = []
ignore = []
select_in_files = {}
ignore_in_files = {}
select_from_hosts = {}
ignore_from_hosts = {}
"""

FULL = """
[[models]]
match = "claude-haiku-*"
model = "minimax-m3"
provider = "opencode-go"
fallback = ["qwen3.7-plus"]
stream = "buffered"

[[models]]
match = "*"

[providers.opencode-go]
base_url = "https://opencode.ai/zen/go"
api_key = "${OPENCODE_API_KEY}"
headers = { "user-agent" = "opencode/1.0" }
"""


def test_the_documented_defaults_are_the_defaults() -> None:
    documented = tomllib.loads(DEFAULTS)
    assert parse_config(DEFAULTS, "x", {}) == Config()
    assert Config().model_dump(mode="json") == documented | {
        "models": [],
        "lessons": [],
        "providers": {},
    }


def test_routes_and_providers_are_read_as_written() -> None:
    config = parse_config(FULL, "x", {"OPENCODE_API_KEY": SECRET})
    assert config.models == (
        ModelRoute(
            match="claude-haiku-*",
            model="minimax-m3",
            provider="opencode-go",
            fallback=("qwen3.7-plus",),
            stream="buffered",
        ),
        ModelRoute(match="*", model=None, provider=None, fallback=(), stream="live"),
    )
    provider = config.providers["opencode-go"]
    assert provider.base_url == "https://opencode.ai/zen/go"
    assert provider.api_key.get_secret_value() == SECRET
    assert provider.headers["user-agent"].get_secret_value() == "opencode/1.0"


def test_a_provider_need_not_have_a_key() -> None:
    assert not Provider.model_validate({"base_url": "http://a"}).api_key.get_secret_value()


HOSTS = {
    "https://opencode.ai/zen/go": "opencode.ai",
    "https://API.Example.com/": "api.example.com",
    "http://127.0.0.1:8080/v1": "127.0.0.1",
    "http://[::1]:8080": "::1",
    "http://localhost": "localhost",
}


@pytest.mark.parametrize(("address", "host"), HOSTS.items())
def test_the_host_of_a_provider(address: str, host: str) -> None:
    assert Provider.model_validate({"base_url": address}).host == host


ACCEPTED = {
    "a whole number of seconds": "[timeouts]\nidle = 7",
    "no waiting at all": "[retry]\nbackoff_initial = 0\nbackoff_max = 0",
    "equal backoffs": "[retry]\nbackoff_initial = 3\nbackoff_max = 3",
    "the fewest attempts": "[retry]\nattempts = 1",
    "the most attempts": "[retry]\nattempts = 20",
    "globs and addresses as hosts": (
        '[intercept]\nhosts = ["a.example", "*.b.example", "10.0.*", "::1", "*"]'
    ),
    "origins of pages": '[access]\norigins = ["https://app.example", "tauri://localhost"]',
    "no fire and forget": "[fire_and_forget]\npaths = []",
    "the same model under two routes": '[[models]]\nmatch = "a"\n[[models]]\nmatch = "a"',
    "brackets in a match": '[[models]]\nmatch = "claude-opus-4-8[1m]"',
    "a header in Latin letters": (
        '[providers.p]\nbase_url = "https://a"\nheaders = { x-title = "Café\\t1" }'
    ),
}


@pytest.mark.parametrize("text", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_sensible_values_are_accepted(text: str) -> None:
    assert parse_config(text, "x", {}, known_codes=[]) != Config()


def test_changes_of_fields_are_read_as_written() -> None:
    lines = (
        'set = { temperature = 0.2, reasoning.effort = "high", "tools.*.strict" = false }\n'
        'drop = ["user"]\nrename = { max_tokens = "max_completion_tokens" }\n'
    )
    text = f'[[models]]\nmatch = "*"\n{lines}[providers.p]\nbase_url = "http://a"\n{lines}'
    settings = settings_of(parse_config(text, "x", {}), [])
    wanted = FieldChanges(
        rename={"max_tokens": "max_completion_tokens"},
        drop=("user",),
        set={"temperature": 0.2, "reasoning": {"effort": "high"}, "tools.*.strict": False},
    )
    assert settings.routes[0].changes == settings.providers["p"].changes == wanted
    assert settings.providers["p"].drops_refused
    keeping = parse_config(
        '[providers.p]\nbase_url = "http://a"\non_unsupported = "error"', "x", {}
    )
    assert not settings_of(keeping, []).providers["p"].drops_refused


def test_origins_are_normalized_to_the_form_that_browsers_send() -> None:
    config = parse_config('[access]\norigins = ["HTTPS://App.Example:443"]', "x", {})
    assert config.access.origins == ("https://app.example",)


CODES = ("M001", "S001", "S101", "S102", "T001")
DISABLED = {
    "nothing": ([], set()),
    "a code": (["S101"], {"S101"}),
    "a beginning": (["S1"], {"S101", "S102"}),
    "a family": (["S"], {"S001", "S101", "S102"}),
    "several that overlap": (["S10", "S101", "M"], {"M001", "S101", "S102"}),
    "none that exists": (["X"], set()),
}


@pytest.mark.parametrize(("disable", "codes"), DISABLED.values(), ids=DISABLED.keys())
def test_a_prefix_disables_all_codes_that_begin_with_it(
    disable: list[str], codes: set[str]
) -> None:
    config = Config.model_validate({"rules": {"disable": disable}})
    assert config.disabled_codes(CODES) == codes


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().retry.attempts = 5  # type: ignore[misc]


def test_secrets_are_not_shown() -> None:
    headers = {"authorization": f"Bearer {SECRET}", "user-agent": SECRET}
    provider = {"base_url": "https://a.example", "api_key": SECRET, "headers": headers}
    config = Config.model_validate({"providers": {"p": provider}})
    for shown in (
        repr(config),
        str(config),
        repr(config.model_dump()),
        config.model_dump_json(),
        repr(config.providers["p"].headers),
    ):
        assert SECRET not in shown
    assert SECRET.encode() in pickle.dumps(config)  # it is there all the same


def test_an_error_of_pydantic_contains_no_secret() -> None:
    with pytest.raises(ValidationError) as caught:
        Config.model_validate({"providers": {"p": {"base_url": SECRET, "api_key": SECRET + "\n"}}})
    assert SECRET not in str(caught.value)


def test_every_section_has_a_name_and_a_heading() -> None:
    assert list(SECTIONS) == list(HEADINGS) == list(Config.model_fields)
    assert {HEADINGS["retry"], HEADINGS["models"], HEADINGS["providers"]} == {
        "[retry]",
        "[[models]]",
        "[providers.NAME]",
    }


NEAREST = {
    ("atempts", ("attempts", "idle")): "; did you mean 'attempts'?",
    ("s101", ("S101",)): "; did you mean 'S101'?",
    ("zzz", ("attempts",)): "",
    ("x", ()): "",
}


@pytest.mark.parametrize(("arguments", "hint"), NEAREST.items())
def test_the_nearest_is_suggested(arguments: tuple[str, tuple[str, ...]], hint: str) -> None:
    text, names = arguments
    assert did_you_mean(text, names) == hint
