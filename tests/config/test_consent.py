"""What a configuration reaches, and which edits add to it."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from wiremend.config import consent
from wiremend.config.consent import content_digest, describe, reach
from wiremend.config.model import SECTIONS, Intercept, Learning
from wiremend.config.providers import Provider
from wiremend.config.routes import ModelRoute

SECRET = "sk-written-in-the-file"
BASE = """
[intercept]
hosts = ["*.example.com"]

[access]
origins = ["https://page.example.com"]

[[models]]
match = "claude-*"
provider = "one"

[providers.one]
base_url = "https://one.example.com/v1"
api_key = "${A}"
headers = { "x-api-token" = "${B}", "user-agent" = "agent/1" }

[providers.two]
base_url = "http://two.example.com:8000"
api_key_file = "key"

[providers.three]
base_url = "https://three.example.com"
api_key = "sk-written-in-the-file"
"""


def read(text: str) -> dict[str, Any]:
    return tomllib.loads(text)


def added(before: str, after: str) -> list[str]:
    """Return the descriptions of what an edit adds to the reach."""
    return describe(reach(read(after)) - reach(read(before)))


def test_the_description_is_complete_and_contains_no_literal_secret() -> None:
    lines = describe(reach(read(BASE)))
    assert lines == [
        "hosts: http://two.example.com:8000 (provider two), "
        "https://one.example.com (provider one), https://three.example.com (provider three)",
        "environment variables: A (to https://one.example.com), B (to https://one.example.com)",
        "key files: key (to http://two.example.com:8000)",
        "keys in the file itself: api_key (to https://three.example.com)",
        "headers: user-agent (to https://one.example.com)",
        "intercepted hosts: *.example.com",
        "web origins that may use the keys: https://page.example.com",
    ]
    assert SECRET not in repr(reach(read(BASE)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[retry]\nattempts = 2",
        "[timeouts]\ntotal = 5",
        "[heartbeat]\nafter = 1",
        "[rules]\ndisable = ['S1']",
        "[[models]]\nmatch = 'a'\nmodel = 'b'\nfallback = ['c']",
        "[[lessons]]\nprovider = 'openrouter.ai'\nkind = 'as-is'",
        "[fire_and_forget]\nack_after = 0",
        "[memory]\nheld = 64",
        "[shutdown]\ngrace = 1",
        "[intercept]\nhosts = []\nwebsocket = 'pass'",
        "[access]\norigins = []",
        "[providers]",
    ],
)
def test_settings_with_an_empty_reach(text: str) -> None:
    assert reach(read(text)) == frozenset()


HARMLESS_EDITS = {
    "another limit": ("[[models]]", "[retry]\nattempts = 9\n[[models]]"),
    "another model": ('"claude-*"', '"claude-haiku-*"'),
    "another of its providers": ('provider = "one"', 'provider = "two"'),
    "a comment": ("[access]", "# about access\n[access]"),
    "a dialect": ('"https://three.example.com"', '"https://three.example.com"\nmessage_rules = []'),
    "no variable any more": ('api_key = "${A}"', ""),
    "no header any more": (', "user-agent" = "agent/1"', ""),
    "no intercepted host any more": ('"*.example.com"', ""),
    "no provider any more": (
        '[providers.three]\nbase_url = "https://three.example.com"\n'
        'api_key = "sk-written-in-the-file"\n',
        "",
    ),
    "another case": ('"user-agent"', '"User-Agent"'),
}


@pytest.mark.parametrize(("old", "new"), HARMLESS_EDITS.values(), ids=HARMLESS_EDITS.keys())
def test_an_edit_that_adds_nothing(old: str, new: str) -> None:
    assert old in BASE
    assert added(BASE, BASE.replace(old, new)) == []


ADDING_EDITS = {
    "a host": ("https://one.example.com", "https://evil.example.org", "https://evil.example.org"),
    "a scheme": ("https://one.", "http://one.", "hosts: http://one.example.com (provider one)"),
    "a port": ("one.example.com/", "one.example.com:444/", "https://one.example.com:444"),
    "a path, which may be another account of a gateway": (
        "example.com/v1",
        "example.com/v2",
        "hosts: https://one.example.com (provider one)",
    ),
    "a provider": (
        "[providers.two]",
        "[providers.four]\nbase_url = 'https://one.example.com/v1'\n[providers.two]",
        "hosts: https://one.example.com (provider four)",
    ),
    "a variable": ("${A}", "${C}", "environment variables: C (to https://one.example.com)"),
    "a variable beside another": ("${A}", "${A}${C}", "C (to https://one.example.com)"),
    "a variable for another provider": (
        SECRET,
        "${A}",
        "environment variables: A (to https://three.example.com)",
    ),
    "a variable in another header": ("x-api-token", "x-auth", "B (to https://one.example.com)"),
    "a key file": (
        '_file = "key"',
        '_file = "~/other key"',
        "key files: '~/other key' (to http://two.example.com:8000)",
    ),
    "a literal key": (SECRET, "sk-another", "keys in the file itself: api_key"),
    "a header": (
        '"user-agent" = "agent/1"',
        '"user-agent" = "agent/1", "helicone-target-url" = "https://evil.example.org"',
        "headers: helicone-target-url (to https://one.example.com)",
    ),
    "a header's value": ("agent/1", "agent/2", "headers: user-agent (to https://one.example.com)"),
    "an intercepted host": ('"*.example.com"', '"*"', "intercepted hosts: *"),
    "an origin": ("https://page.example.com", "*", "web origins that may use the keys: *"),
    "a setting that is not listed as harmless": (
        "[providers.two]",
        "[providers.two]\nplugin = 'x'",
        "other settings: plugin (to http://two.example.com:8000)",
    ),
    "a section that is not listed as harmless": (
        "[access]",
        "[plugins]\nload = 'x'\n[access]",
        "other settings: plugins.load",
    ),
}


@pytest.mark.parametrize(("old", "new", "line"), ADDING_EDITS.values(), ids=ADDING_EDITS.keys())
def test_an_edit_that_adds_something(old: str, new: str, line: str) -> None:
    assert old in BASE
    assert line in "\n".join(added(BASE, BASE.replace(old, new)))


def test_two_providers_that_swap_their_variables_add_both() -> None:
    text = (
        "[providers.x]\nbase_url = 'https://x.example.com'\napi_key = '${A}'\n"
        "[providers.y]\nbase_url = 'https://y.example.com'\napi_key = '${B}'\n"
    )
    swapped = text.replace("${A}", "${C}").replace("${B}", "${A}").replace("${C}", "${B}")
    assert added(text, swapped) == [
        "environment variables: A (to https://y.example.com), B (to https://x.example.com)"
    ]


def test_a_variable_is_recognised_in_every_toml_spelling() -> None:
    text = '[providers.x]\nbase_url = "https://x.example.com"\napi_key = "\\u0024{A}"'
    assert "environment variables: A (to https://x.example.com)" in describe(reach(read(text)))


@pytest.mark.parametrize(
    "text",
    [
        "providers = 5",
        "providers = [1]",
        "intercept = 'x'",
        "access = [1979-05-27]",
        "[providers]\nx = 'y'",
        "[providers.x]\nbase_url = 5",
        "[providers.x]\nbase_url = 'http://[::1'\napi_key = 1979-05-27",
        "[providers.x]\nheaders = 'x'",
        "[providers.x]\napi_key_file = [1]\nheaders = { a = [1] }",
        "[intercept]\nhosts = 'x'",
        "[intercept]\nhosts = [1, [2]]",
    ],
)
def test_values_of_a_wrong_type_belong_to_the_reach_and_do_not_raise(text: str) -> None:
    assert describe(reach(read(text)))


@pytest.mark.parametrize("name", [r"a\u001b[2Jb", r"a\u202eb", "a), https://api.openai.com (b"])
def test_a_name_cannot_change_what_a_terminal_shows(name: str) -> None:
    text = f'[providers."{name}"]\nbase_url = "https://x.example.com"'
    [line] = describe(reach(read(text)))
    assert line.isprintable()
    assert line.endswith("')")
    assert line.startswith("hosts: https://x.example.com (provider '")


@pytest.mark.parametrize(
    "address", ["https://user:sk-1@x.example.com", "https://x.example.com/sk-1"]
)
def test_only_the_origin_of_an_address_is_shown(address: str) -> None:
    lines = describe(reach({"providers": {"x": {"base_url": address}}}))
    assert lines == ["hosts: https://x.example.com (provider x)"]


def test_every_section_and_key_is_either_harmless_or_in_the_reach() -> None:
    """A new section, or a new key of these, must be added here or listed as harmless."""
    partly = {"intercept", "models", "providers", "learning"}
    assert set(SECTIONS) - {"access"} == consent.HARMLESS_SECTIONS | partly
    keys = consent.HARMLESS_KEYS
    assert set(Learning.model_fields) == keys["learning"] | {"file"}
    assert set(Intercept.model_fields) == keys["intercept"] | {"hosts"}
    changes = {"set", "drop", "rename"}
    assert set(ModelRoute.model_fields) == keys["models"] | changes
    counted = {
        "base_url",
        "api_key",
        "api_keys",
        "api_key_file",
        "headers",
        "leaked_calls",
        *changes,
    }
    assert set(Provider.model_fields) == keys["providers"] | counted


def test_what_a_route_sets_needs_consent() -> None:
    route = {"match": "*", "model": "m", "stream": "live"}
    assert reach({"models": [route]}) == frozenset()
    sent_elsewhere = {"mcp_servers": [{"type": "url", "url": "https://elsewhere.example"}]}
    setting = reach({"models": [route, {**route, "set": sent_elsewhere}]})
    assert describe(setting) == ["other settings: models.set"]
    assert setting != reach({"models": [{**route, "set": {"temperature": 0.5}}]})


def test_making_calls_of_text_needs_consent() -> None:
    provider = {"base_url": "https://x.example.com"}
    before = consent.reach({"providers": {"x": provider}})
    after = consent.reach({"providers": {"x": {**provider, "leaked_calls": ["glm"]}}})
    assert consent.describe(after - before) == [
        "other settings: leaked_calls (to https://x.example.com)"
    ]


def digest(text: str, directory: str) -> str:
    return content_digest(text.encode(), read(text), Path(directory))


def test_a_consent_is_valid_in_another_directory_unless_a_key_file_is_relative() -> None:
    anywhere = "[providers.x]\nbase_url = 'https://x.example.com'\napi_key_file = '{}'"
    for name in ("/key", "~/key"):
        assert digest(anywhere.format(name), "/a") == digest(anywhere.format(name), "/b")
    assert digest(anywhere.format("key"), "/a") != digest(anywhere.format("key"), "/b")
    assert digest(anywhere.format("key"), "/a") == digest(anywhere.format("key"), "/a")
    assert digest(BASE, "/a") != digest(BASE + "\n", "/a")
