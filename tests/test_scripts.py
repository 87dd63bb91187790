"""scripts/run as a user types it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(directory: Path, *arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "launch.py"), *arguments],
        cwd=directory,
        env=environment | {"XDG_STATE_HOME": str(directory / "state"), "NO_PROXY": "intra.net"},
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_help_shows_what_to_type(tmp_path: Path) -> None:
    done = run(tmp_path, "--help")
    assert done.returncode == 0
    assert 'scripts/run -- claude -p "hello"' in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--prot", "1"), "unrecognized arguments: --prot 1"),
        (("--port", "99999"), "99999 is no port"),
        (("--port", "x"), "invalid port value: 'x'"),
        (("--",), "a command must follow --"),
    ],
)
def test_a_wrong_option_is_refused(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "usage: scripts/run" in done.stderr


def test_a_bad_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wiremend.toml").write_text("[retry]\nattempts = 0\n")
    done = run(tmp_path, "--", "true")
    assert done.returncode == 1
    assert "wiremend.toml: retry.attempts: expected 1 or more, got 0" in done.stderr


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path, "--", "no-such-command-anywhere")
    assert (done.returncode, done.stdout) == (127, "")
    assert "no-such-command-anywhere: no such command" in done.stderr


def test_a_command_gets_proxy_and_trust_and_its_status_is_passed_on(tmp_path: Path) -> None:
    code = (
        "import os, socket, sys\n"
        "port = int(os.environ['HTTPS_PROXY'].rsplit(':', 1)[1])\n"
        "socket.create_connection(('127.0.0.1', port)).close()\n"
        "for name in ('SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS', 'CODEX_CA_CERTIFICATE'):\n"
        "    assert 'BEGIN CERTIFICATE' in open(os.environ[name]).read(), name\n"
        "assert os.environ['https_proxy'] == os.environ['HTTPS_PROXY']\n"
        "assert os.environ['NO_PROXY'] == 'intra.net'\n"
        "print('read', sys.stdin.read())\n"
        "sys.exit(7)\n"
    )
    done = run(tmp_path, "--", sys.executable, "-c", code, text="this")
    assert (done.returncode, done.stdout) == (7, "read this\n"), done.stderr


def test_a_command_that_a_signal_ends(tmp_path: Path) -> None:
    code = f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"
    assert run(tmp_path, "--", sys.executable, "-c", code).returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize(("hosts", "warned"), [('"*"', True), ('"llm.example.com"', False)])
def test_a_ca_without_limits_is_warned_of(hosts: str, warned: bool, tmp_path: Path) -> None:
    (tmp_path / "wiremend.toml").write_text(f"[intercept]\nhosts = [{hosts}]\n")
    done = run(tmp_path, "--", "true")
    assert done.returncode == 0
    assert ("may sign for every host on earth" in done.stderr) == warned
