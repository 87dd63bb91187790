"""`--check-config`: what it says about routes and providers, and the call of `--probe`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from wiremend.config.current import CurrentConfig
from wiremend.launch.check_config import check_config
from wiremend.testing.certificates import Authority
from wiremend.testing.plays import Play, reply_from
from wiremend.testing.provider import ScriptedProvider

ROOT = Path(__file__).resolve().parents[2]
SECRET = "sk-do-not-show-5d10"
ENVIRONMENT = {
    "KEY": SECRET,
    "OPENCODE_API_KEY": SECRET,
    "MOONSHOT_API_KEY": SECRET,
    "SECOND_KEY": f"{SECRET}-2",
}


def checked(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, probe: bool = False
) -> tuple[int, list[str]]:
    """Return the exit status and the printed lines."""
    file = tmp_path / "team.toml"
    file.write_text(text)
    file.chmod(0o600)
    status = check_config(CurrentConfig(ENVIRONMENT), str(file), allow=False, probe=probe)
    printed = capsys.readouterr().out
    assert SECRET not in printed
    return status, printed.splitlines()


PROVIDERS = """
[providers.go]
base_url = "https://opencode.ai/zen/go"
protocol = { "minimax-*" = "anthropic", "*" = "chat" }
api_key = "${KEY}"
[providers.google]
base_url = "https://generativelanguage.googleapis.com/v1beta"
protocol = "gemini"
[providers.own]
base_url = "http://127.0.0.1:4000"
"""


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ('match = "claude-haiku-*"\nwhen = { background = true, tools_min = 2 }\n'
         'model = "kimi-k3"\nprovider = "go"\nfallback = ["minimax-m3", "google/gemini-3-pro"]',
         ["ok       models[0]: claude-haiku-* when tools_min = 2 and background = true",
          "         to kimi-k3 at go: https://opencode.ai/zen/go/v1/chat/completions",
          "         then minimax-m3 at go: https://opencode.ai/zen/go/v1/messages",
          "         then gemini-3-pro at google: https://generativelanguage.googleapis.com/v1beta"
          "/models/gemini-3-pro:generateContent"]),
        ('match = "claude-*"\nfallback = ["own/m"]',
         ["ok       models[0]: claude-*",
          "         to MODEL at the provider that the client addresses, with the client's key",
          "         then m at own: http://127.0.0.1:4000/v1/messages"]),
    ],
)  # fmt: skip
def test_a_route_is_explained(
    route: str, expected: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines = checked(f"{PROVIDERS}\n[[models]]\n{route}", tmp_path, capsys)
    assert status == 0
    start = lines.index(expected[0])
    assert lines[start : start + len(expected)] == expected


def test_a_provider_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = checked(PROVIDERS, tmp_path, capsys)
    assert status == 0
    assert lines[1:] == [
        "ok       providers.go: https://opencode.ai/zen/go",
        "         protocol: anthropic for minimax-*, chat for *; calls in other protocols are "
        "translated",
        "         with a key",
        "warning  providers.google: https://generativelanguage.googleapis.com/v1beta",
        "         protocol: gemini for *; calls in other protocols are translated",
        "         without a key",
        "         to do: set api_key, unless the provider needs none",
        "ok       providers.own: http://127.0.0.1:4000",
        "         protocol: that of the call; nothing is translated",
        "         without a key",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[retries]", "problem  team.toml: retries: unknown key; did you mean 'retry'?"),
        ('[providers.a]\nbase_url = "https://a.example"\napi_key = "${MISSING}"',
         "problem  team.toml: providers.a.api_key: "),
    ],
)  # fmt: skip
def test_a_configuration_that_is_refused_is_a_problem(
    text: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines = checked(text, tmp_path, capsys)
    assert status == 1
    assert lines[0].startswith(expected)


def test_a_suspicious_setting_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[[models]]\nmatch = "*"\nmodel = "a"\n[[models]]\nmatch = "b"\nmodel = "c"'
    status, lines = checked(text, tmp_path, capsys)
    assert status == 0
    start = lines.index("warning  models[1]: b")
    assert lines[start + 2 : start + 4] == [
        "         models[1] ('b') never applies, because models[0] ('*') precedes it and matches "
        "the same calls",
        "         to do: swap them",
    ]
    assert "".join(lines).count("never applies") == 1


def test_a_warning_about_the_file_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[providers.p]\nbase_url = "http://llm.example"\napi_key = "${KEY}"'
    _, lines = checked(text, tmp_path, capsys)
    start = lines.index(
        "warning  team.toml: providers.p: its key and all prompts are sent unencrypted to "
        "llm.example"
    )
    assert lines[start + 1].startswith("         to do: use https://")


def test_each_problem_is_a_line_and_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "team.toml"
    file.write_text('[retry]\natempts = 3\n[[models]]\nmatch = "*"\nprovider = "p"')
    assert check_config(CurrentConfig({}), str(file), allow=False, probe=False) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "problem  team.toml: retry.atempts: unknown key; did you mean 'attempts'?",
        "problem  team.toml: models[0].provider: there is no [providers.p]",
    ]
    assert printed.err == "\n2 problems\n"


@pytest.mark.parametrize("number", [0, 1])
def test_the_examples_of_the_readme_are_accepted(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    examples = [block for block in blocks if "[providers." in block]
    status, lines = checked(examples[number], tmp_path, capsys)
    assert status == 0
    assert not [line for line in lines if line.startswith("warning")]


# --probe


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedProvider]:
    authority = Authority(tmp_path / "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with ScriptedProvider(authority.leaf("127.0.0.1"), tmp_path) as scripted:
        yield scripted


def probed(port: int, protocol: str = "") -> str:
    return f"""
        [providers.p]
        base_url = "https://127.0.0.1:{port}"
        api_key = "${{KEY}}"
        {protocol}
        [[models]]
        match = "claude-*"
        provider = "p"
        model = "m"
    """


@pytest.mark.parametrize(
    ("protocol", "path", "key", "value"),
    [
        ("", "/v1/messages", "x-api-key", SECRET),
        ('protocol = "anthropic"', "/v1/messages", "x-api-key", SECRET),
        ('protocol = "chat"', "/v1/chat/completions", "authorization", f"Bearer {SECRET}"),
        ('protocol = "responses"', "/v1/responses", "authorization", f"Bearer {SECRET}"),
        ('protocol = "gemini"', "/v1beta/models/m:generateContent", "x-goog-api-key", SECRET),
    ],
)
def test_a_probe_is_one_call_in_the_protocol_of_the_provider(
    protocol: str,
    path: str,
    key: str,
    value: str,
    provider: ScriptedProvider,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    provider.script([reply_from({"json": {}})])
    status, lines = checked(probed(provider.port, protocol), tmp_path, capsys, probe=True)
    assert status == 0
    assert lines[-1].startswith("ok       providers.p: a call to m was answered in ")
    [received] = provider.received
    assert (received.method, received.path) == ("POST", path)
    assert received.header(key) == value
    assert received.json().get("model", "m") == "m"


@pytest.mark.parametrize(
    ("play", "expected", "remedy"),
    [
        ({"status": 401, "json": {"error": f"the key {SECRET} is wrong"}}, "401: {",
         "check api_key"),
        ({"status": 404, "body": "no"}, "404: no",
         "check base_url, protocol and the name of the model"),
        ({"status": 429, "body": "slow down"}, "429: slow down",
         "check the quota of the account"),
        ({"status": 307, "headers": {"location": "/elsewhere"}}, "307:",
         "see what the provider says about the request"),
    ],
)  # fmt: skip
def test_a_refused_probe_is_a_problem_with_a_remedy(
    play: Play,
    expected: str,
    remedy: str,
    provider: ScriptedProvider,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    provider.script([reply_from(play)])
    status, lines = checked(probed(provider.port), tmp_path, capsys, probe=True)
    assert status == 1
    assert lines[-2].startswith(f"problem  providers.p: a call to m was answered with {expected}")
    assert lines[-1] == f"         to do: {remedy}"
    assert len(provider.received) == 1


def test_a_provider_that_resets_the_connection_is_a_problem(
    provider: ScriptedProvider, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.script([reply_from({"connection": "tls-failure"})])
    status, lines = checked(probed(provider.port), tmp_path, capsys, probe=True)
    assert status == 1
    assert "a call to m failed: " in lines[-2]


def test_a_provider_without_a_route_is_not_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '[providers.p]\nbase_url = "http://127.0.0.1:9"'
    status, lines = checked(text, tmp_path, capsys, probe=True)
    assert status == 0
    assert lines[-1] == "warning  providers.p: no route names a model of it, so it is not called"
