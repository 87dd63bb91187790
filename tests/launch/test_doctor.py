"""`--doctor`: what it finds, and the environment that leads calls past the proxy."""

import json
import os
import socket
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from wiremend.config.current import CurrentConfig
from wiremend.launch.bypassed import bypassing_entries, no_proxy_warning
from wiremend.launch.examining.doctor import examine
from wiremend.launch.probing import is_wiremend
from wiremend.launch.run import prepare_authority
from wiremend.targets.hosts import PROVIDER_HOSTS

SECRET = "do-not-show-3c77"


@pytest.fixture
def doctor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Return a function that examines an environment: the exit status and the printed lines.

    The round trip is tested once, by `test_a_call_is_made_through_a_real_proxy`: without a CA there
    is none.
    """

    def run(
        environment: Mapping[str, str],
        command: tuple[str, ...] = (),
        *,
        port: int = 0,
        configuration: str = "",
        with_round_trip: bool = False,
    ) -> tuple[int, str]:
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        state = home / "state"
        if not with_round_trip:
            state.write_text("a file")
        for name in [*os.environ]:
            if name.upper().endswith(("_PROXY", "_BUNDLE", "_CERTS", "_BASE_URL", "CERT_FILE")):
                monkeypatch.delenv(name)
        given = {"HOME": str(home), "XDG_STATE_HOME": str(state), **environment}
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        option = ""
        if configuration:
            option = str(tmp_path / "team.toml")
            Path(option).write_text(configuration)
        status = examine(
            "scripts/run",
            CurrentConfig(),
            option,
            command,
            port or _free_port(),
            is_wiremend=is_wiremend,
            prepare=prepare_authority,
        )
        printed = capsys.readouterr().out
        assert SECRET not in printed
        return status, printed

    return run


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"NO_PROXY": "localhost,api.anthropic.com"},
         "problem  NO_PROXY contains 'api.anthropic.com': clients call these hosts without"),
        ({"ANTHROPIC_BASE_URL": "http://127.0.0.1:3456"},
         "problem  ANTHROPIC_BASE_URL names 127.0.0.1: calls do not go to a host that is "
         "intercepted\n         to do: unset ANTHROPIC_BASE_URL\n"),
        ({"OPENAI_BASE_URL": "https://llm.example/v1"},
         'to do: unset OPENAI_BASE_URL, or add hosts = ["llm.example"] to [intercept]'),
        ({"OPENAI_BASE_URL": "https://api.openai.com/v1"},
         "ok       OPENAI_BASE_URL names api.openai.com, which is intercepted"),
        ({"HTTPS_PROXY": "socks5://127.0.0.1:1080"},
         "problem  HTTPS_PROXY: socks5:// is not an HTTP proxy"),
        ({"HTTPS_PROXY": f"http://me:{SECRET}@proxy.example:3128"},
         "ok       HTTPS_PROXY is set: http://proxy.example:3128"),
        ({"PATH": "/nowhere"},
         "ok       HTTPS_PROXY is not set here: use scripts/run -- claude, or eval "
         '"$(scripts/run --env)"'),
        ({}, "problem  no CA in "),
        ({}, "ok       Python 3."),
        ({}, ", mitmproxy 12."),
    ],
)  # fmt: skip
def test_the_environment_is_examined(
    environment: dict[str, str], expected: str, doctor: Callable[..., tuple[int, str]]
) -> None:
    status, printed = doctor(environment)
    assert expected in printed
    assert status == 1  # there is no CA


def test_a_refused_configuration_is_a_problem(doctor: Callable[..., tuple[int, str]]) -> None:
    _, printed = doctor({}, configuration="[retries]")
    assert "problem  team.toml: retries: unknown key" in printed


def test_a_port_of_another_program_is_a_warning(doctor: Callable[..., tuple[int, str]]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # it does not listen, so nothing answers
        port = taken.getsockname()[1]
        _, printed = doctor({}, port=port)
    assert f"warning  port {port} is used by another program" in printed


def _program(directory: Path, name: str, text: str = "1.2.3") -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text(f"#!/bin/sh\necho {text}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def test_an_agent_is_examined(doctor: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    _program(programs, "claude", "2.1.197")
    settings = tmp_path / "home" / ".claude" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"env": {"ANTHROPIC_BASE_URL": f"http://{SECRET}:1"}}))
    _, printed = doctor({"PATH": f"{programs}:/bin"}, ("claude", "-p", "hello"))
    assert "ok       claude: Claude Code 2.1.197 trusts SSL_CERT_FILE or NODE_EXTRA_CA" in printed
    assert "ok       claude: calls to api.anthropic.com would be intercepted" in printed
    assert "problem  ~/.claude/settings.json sets ANTHROPIC_BASE_URL" in printed


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("no-such-agent", "problem  no-such-agent: command not found"),
        ("sh", "warning  sh: not measured"),
    ],
)
def test_another_command_is_examined(
    command: str, expected: str, doctor: Callable[..., tuple[int, str]]
) -> None:
    assert expected in doctor({}, (command,))[1]


def test_a_call_is_made_through_a_real_proxy(doctor: Callable[..., tuple[int, str]]) -> None:
    status, printed = doctor({"PATH": "/bin"}, with_round_trip=True)
    assert printed.splitlines()[-1] == (
        "ok       a call to a provider on loopback was intercepted, retried after a reset, and its "
        "stream repaired"
    )
    assert ", valid for " in printed
    assert status == 0, printed


@pytest.mark.long
def test_a_command_is_run(doctor: Callable[..., tuple[int, str]]) -> None:
    path = os.pathsep.join(sys.path)
    _, printed = doctor({"PYTHONPATH": path}, ("true",), with_round_trip=True)
    assert "problem  true was run against a provider on loopback: no call was" in printed or (
        "warning  true was not run: without user namespaces" in printed
    )


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("", []),
        ("localhost,127.0.0.1,::1", []),
        ("*", ["*"]),
        ("api.anthropic.com", ["api.anthropic.com"]),
        (" anthropic.com , example.com", ["anthropic.com"]),
        (".openai.com,.example.com", [".openai.com"]),
        ("*.googleapis.com", ["*.googleapis.com"]),
        ("my-team.openai.azure.com", ["my-team.openai.azure.com"]),
        ("api.anthropic.com:443", ["api.anthropic.com:443"]),
        ("com", []),
        ("10.0.0.0/8,.internal", []),
        ("notanthropic.com", []),
    ],
)
def test_entries_of_no_proxy_that_exclude_a_provider_are_found(
    listed: str, expected: list[str]
) -> None:
    assert bypassing_entries({"NO_PROXY": listed}, PROVIDER_HOSTS) == expected


def test_the_warning_about_no_proxy_names_the_entries_and_the_variables() -> None:
    assert no_proxy_warning({"no_proxy": "localhost"}, PROVIDER_HOSTS) is None
    assert no_proxy_warning({"no_proxy": "api.openai.com,a.b"}, PROVIDER_HOSTS) == (
        "no_proxy contains 'api.openai.com', so clients call these hosts without wiremend; remove "
        "the entry for the command that wiremend is meant for"
    )
