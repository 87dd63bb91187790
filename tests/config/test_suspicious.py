"""Suspicious settings: which are reported, and which are not."""

import os
from pathlib import Path

import pytest
from wiremend.config.current import CurrentConfig
from wiremend.config.suspicious import listening_warning

SECRET = "sk-do-not-show-7f3a"
ENVIRONMENT = {"KEY": SECRET}


def warnings_of(directory: Path, text: str, mode: int = 0o600) -> list[str]:
    """Return the warnings about a configuration, without the file's name."""
    file = directory / "team.toml"
    file.write_text(text)
    file.chmod(mode)
    current = CurrentConfig(ENVIRONMENT)
    current.read(str(file), directory)
    assert SECRET not in "".join(current.warnings)
    return [warning.removeprefix("team.toml: warning: ") for warning in current.warnings]


def routes(*entries: str) -> str:
    return "\n".join(f"[[models]]\nmodel = 'm'\nmatch = {entry}" for entry in entries)


def provider(address: str, *lines: str) -> str:
    return "\n".join(["[providers.p]", f"base_url = '{address}'", *lines])


@pytest.mark.parametrize(
    "entries",
    [
        ("'*'", "'claude-*'"),
        ("'CLAUDE-*'", "'claude-haiku-*'"),
        ("'claude-*'", "'claude-?'"),
        ("'claude-*'", "'claude-[ab]*'"),
        ("'*-mini'", "'gpt-*-mini'"),
        ("'a?'", "'A?'"),
        ("'a*'\nwhen = { streaming = true }", "'a*'\nwhen = { streaming = true }"),
        ("'a*'", "'a'\nwhen = { streaming = true }"),
        ("'a*'\nwhen = { tools_min = 1 }", "'a'\nwhen = { tools_min = 3, streaming = true }"),
    ],
)
def test_a_route_that_never_applies_is_reported(entries: tuple[str, str], tmp_path: Path) -> None:
    [warning] = warnings_of(tmp_path, routes(*entries))
    assert warning.startswith("models[1] (")
    assert "never applies, because models[0] (" in warning


def test_each_route_is_reported_once_with_the_first_reason(tmp_path: Path) -> None:
    assert warnings_of(tmp_path, routes("'b'", "'a*'", "'*a'", "'aa'", "'a*b'")) == [
        "models[3] ('aa') never applies, because models[1] ('a*') precedes it and matches the same "
        "calls; swap them",
        "models[4] ('a*b') never applies, because models[1] ('a*') precedes it and matches the "
        "same calls; swap them",
    ]


@pytest.mark.parametrize(
    "entries",
    [
        ("'claude-haiku-*'", "'claude-*'"),
        ("'a?'", "'a*'"),
        ("'a?'", "'ab'"),  # it is not decided whether a glob with other wildcards includes another
        ("'a*b'", "'a*'"),
        ("'a*'\nwhen = { streaming = true }", "'a*'"),
        ("'a*'\nwhen = { streaming = true }", "'a*'\nwhen = { streaming = false }"),
    ],
)
def test_a_route_that_may_apply_is_not_reported(entries: tuple[str, str], tmp_path: Path) -> None:
    assert warnings_of(tmp_path, routes(*entries)) == []


@pytest.mark.parametrize(
    "line", ["api_key = '${KEY}'", "headers = { authorization = 'Bearer ${KEY}' }"]
)
def test_a_key_that_is_sent_unencrypted_is_reported(line: str, tmp_path: Path) -> None:
    assert warnings_of(tmp_path, provider("http://llm.example.com:8000/v1", line)) == [
        "providers.p: its key and all prompts are sent unencrypted to llm.example.com; "
        "use https:// in base_url if the provider supports it"
    ]


@pytest.mark.parametrize(
    ("address", "lines"),
    [
        ("https://llm.example.com", ["api_key = '${KEY}'"]),
        ("http://llm.example.com", ["headers = { user-agent = 'x' }"]),
        ("http://127.0.0.1:4000", ["api_key = '${KEY}'"]),
        ("http://[::1]:4000", ["api_key = '${KEY}'"]),
        ("http://LOCALHOST:4000", ["api_key = '${KEY}'"]),
    ],
)
def test_other_addresses_are_not_reported(address: str, lines: list[str], tmp_path: Path) -> None:
    assert warnings_of(tmp_path, provider(address, *lines)) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.parametrize(
    ("line", "mode", "is_reported"),
    [
        (f"api_key = '{SECRET}'", 0o644, True),
        (f"headers = {{ Authorization = 'Bearer {SECRET}' }}", 0o640, True),
        (f"api_key = '{SECRET}'", 0o600, False),
        ("api_key = '${KEY}'", 0o644, False),
        ("headers = { user-agent = 'x' }", 0o644, False),
    ],
)
def test_a_file_with_a_key_that_others_can_read_is_reported(
    line: str, mode: int, is_reported: bool, tmp_path: Path
) -> None:
    expected = [
        f"contains a key, and others can read it (mode {mode:04o}); "
        f"run: chmod 600 {tmp_path / 'team.toml'}"
    ]
    text = provider("https://llm.example.com", line)
    assert warnings_of(tmp_path, text, mode) == (expected if is_reported else [])


def test_the_defaults_have_no_warnings(tmp_path: Path) -> None:
    current = CurrentConfig({"XDG_CONFIG_HOME": str(tmp_path)})
    current.read("", tmp_path)
    assert current.warnings == ()


@pytest.mark.parametrize(
    ("listen_host", "modes", "exposed"),
    [
        ("127.0.0.1", ["regular"], None),
        ("localhost", ["reverse:https://api.anthropic.com"], None),
        ("::1", ["regular", "regular@127.0.0.1:8081", "regular@8082", "regular@[::1]:1"], None),
        ("", ["local"], None),
        ("0.0.0.0", ["regular"], "0.0.0.0"),
        ("::", ["regular"], "::"),
        ("192.168.1.5", ["regular"], "192.168.1.5"),
        ("127.0.0.1", ["regular", "regular@0.0.0.0:8081"], "0.0.0.0"),
        ("127.0.0.1", ["regular@[::]:8081"], "::"),
    ],
)
def test_a_proxy_that_other_machines_can_reach_is_reported(
    listen_host: str, modes: list[str], exposed: str | None
) -> None:
    warning = listening_warning(listen_host, modes)
    if exposed is None:
        assert warning is None
    else:
        assert warning is not None
        assert warning.startswith(f"the proxy listens on {exposed}, so other machines can")
        assert "127.0.0.1" in warning


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("' claude-*'", "no model's name begins or ends with a space; remove the space"),
        ("'a'\nwhen = { thinking = false, thinking_budget_over = 0 }",
         "a call that does not ask for thinking allows no tokens for it"),
    ],
)  # fmt: skip
def test_a_route_that_can_match_no_call_is_reported(
    entry: str, reason: str, tmp_path: Path
) -> None:
    [warning] = warnings_of(tmp_path, routes(entry))
    assert warning.startswith("models[0] (")
    assert f"never applies, because {reason}" in warning


@pytest.mark.parametrize(
    "entries",
    [
        ("'a*'\nwhen = { tools_min = 3 }", "'a'\nwhen = { tools_min = 1 }"),
        ("'a*'\nwhen = { streaming = true, tools_min = 1 }", "'a'\nwhen = { streaming = true }"),
    ],
)
def test_a_route_with_other_conditions_is_not_reported(
    entries: tuple[str, ...], tmp_path: Path
) -> None:
    assert warnings_of(tmp_path, routes(*entries)) == []


def test_routes_without_their_rule_are_reported(tmp_path: Path) -> None:
    text = "[rules]\ndisable = ['M']\n" + routes("'a'")
    assert warnings_of(tmp_path, text) == [
        "[rules] disable contains M001, so no entry of [[models]] applies; remove it, or the "
        "entries"
    ]


def test_a_protocol_that_is_never_used_is_reported(tmp_path: Path) -> None:
    table = "protocol = { '*' = 'chat', 'minimax-*' = 'anthropic' }"
    assert warnings_of(tmp_path, provider("https://a.example", table)) == [
        "providers.p: the protocol of 'minimax-*' is never used, because '*' precedes it; swap them"
    ]
