"""`run --fake-provider`: calls of a command that are answered on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from wiremend.launch.run import shells_directory

CALLS = """
import json, os, sys, urllib.error, urllib.request
def ask(url, body):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as answered:
        return answered.code, ""
    except OSError:
        return 0, ""
message = [{"role": "user", "content": "hi"}]
print(ask("https://api.anthropic.com/v1/messages",
          {"model": "claude-x", "max_tokens": 9, "stream": True, "messages": message}))
print(ask("https://api.openai.com/v1/chat/completions", {"model": "gpt", "messages": message}))
print(ask("https://api.anthropic.com/api/settings", None)[0])
print(ask("https://example.com/", None)[0])
print(os.environ["ANTHROPIC_API_KEY"], os.environ["OPENAI_API_KEY"])
"""


def run(directory: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    hidden = ("_PROXY", "API_KEY", "CERT_FILE")
    others = {name: text for name, text in os.environ.items() if not name.upper().endswith(hidden)}
    users = {f"XDG_{kind}_HOME": str(directory / kind) for kind in ("CONFIG", "STATE")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "wiremend", "run", *arguments],
        cwd=directory,
        env={**others, **users, "PYTHONPATH": str(shells_directory()), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_calls_are_answered_without_a_network_and_without_keys(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CALLS]
    done = run(tmp_path, "--fake-provider", "--", *command, OPENAI_API_KEY="my-own")
    stream, whole, settings, other, keys = done.stdout.splitlines()
    assert stream.startswith("(200, 'event: message_start")
    assert "event: message_stop" in stream
    assert whole.startswith("(200, '{")
    assert "Hello, wide world" in whole
    assert (settings, other) == ("404", "0")
    assert keys == "wiremend-fake-provider-no-real-key my-own"
    assert done.returncode == 0
    assert "wiremend: 2 calls; none repaired" in done.stderr


@pytest.mark.long
def test_faults_of_the_fake_provider_are_repaired(tmp_path: Path) -> None:
    (tmp_path / "faults.toml").write_text('[[faults]]\nkind = "reset"\nat = "before-head"\n')
    options = ["--fake-provider", "--faults", "faults.toml"]
    done = run(tmp_path, *options, "--", sys.executable, "-c", CALLS)
    assert "event: message_stop" in done.stdout
    assert "2 retried" in done.stderr


@pytest.mark.parametrize("arguments", [(), ("--web",)])
def test_it_is_for_a_command(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = run(tmp_path, "--fake-provider", *arguments)
    assert (done.returncode, done.stderr) == (1, "scripts/run: --fake-provider needs -- COMMAND\n")
