"""The end of `run -- COMMAND`: calls that still run, and mitmweb's page."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from traffic import faults, good
from wiremend.launch import run
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

RUN = (sys.executable, "-P", "-m", "wiremend", "run")
CLIENT = """
import json, sys, urllib.request
body = {"model": "claude-x", "max_tokens": 9, "stream": True,
        "messages": [{"role": "user", "content": "hi"}]}
request = urllib.request.Request("https://api.anthropic.com/v1/messages", json.dumps(body).encode())
request.add_header("content-type", "application/json")
with urllib.request.urlopen(request) as response, open("received", "wb") as received:
    is_begun = False
    while line := response.readline():
        received.write(line)
        if b"content_block_delta" in line and not is_begun:
            is_begun = True
            print("received", flush=True)
open("complete", "wb").close()
"""
COMMAND = """
import subprocess, sys
client = subprocess.Popen([sys.executable, "client.py"], stdout=subprocess.PIPE)
client.stdout.readline()
print("the command ends", flush=True)
"""
"""It ends while a call of a process that it started is running."""


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[ScriptedProvider]:
    authority = Authority(tmp_path / "authority")
    with ScriptedProvider(authority.leaf("127.0.0.1"), tmp_path) as scripted:
        scripted.script([faults.stall_mid_stream(good.ANTHROPIC)])
        yield scripted


@pytest.mark.long
@pytest.mark.parametrize("presses_ctrl_c", [False, True], ids=["after its time", "on Ctrl-C"])
def test_a_call_that_outlives_the_command_ends_in_its_protocols_error(
    presses_ctrl_c: bool, provider: ScriptedProvider, tmp_path: Path
) -> None:
    (tmp_path / "client.py").write_text(CLIENT)
    (tmp_path / "team.toml").write_text(
        f'[providers.p]\nbase_url = "https://127.0.0.1:{provider.port}"\n'
        '[[models]]\nmatch = "*"\nprovider = "p"\nmodel = "m"\n'
    )
    process = started(tmp_path, "--config", "team.toml", "--", sys.executable, "-c", COMMAND)
    with process:
        assert process.stderr is not None
        lines = [""]
        while presses_ctrl_c and not lines[-1].startswith("wiremend: waiting"):
            lines.append(process.stderr.readline())
            assert lines[-1], "".join(lines)
        if presses_ctrl_c:
            process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        _, errors = process.communicate(timeout=60)
        seconds = time.monotonic() - begun
    assert process.returncode == 0
    assert not presses_ctrl_c or seconds < 5
    printed = "".join(lines) + errors
    assert "waiting for running calls, at most 10 s; Ctrl-C ends them" in printed
    assert "1 call to p; 1 failed" in printed
    assert b"event: error" in (tmp_path / "received").read_bytes()
    assert (tmp_path / "complete").exists()


def started(directory: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*RUN, *arguments],
        cwd=directory,
        env=environment(directory),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def environment(directory: Path) -> dict[str, str]:
    proxies = {"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"}
    users = {f"XDG_{kind}_HOME": str(directory / kind) for kind in ("CONFIG", "STATE")}
    authority = directory / "authority" / "authority.pem"
    trusted = {"SSL_CERT_FILE": str(authority)} if authority.exists() else {}
    others = {name: value for name, value in os.environ.items() if name not in proxies}
    return {**others, **users, **trusted, "PYTHONPATH": str(run.shells_directory())}


@pytest.mark.parametrize("ends_it", [b"\n", b"\x03"], ids=["Enter", "Ctrl-C"])
def test_mitmweb_stays_open_on_a_terminal_until_a_key_is_pressed(
    ends_it: bytes, tmp_path: Path
) -> None:
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        command = [*RUN, "--web", "--", sys.executable, "-c", "raise SystemExit(7)"]
        os.execve(command[0], command, environment(tmp_path))
    printed = b""
    ended_by = time.monotonic() + 60
    while b"press Enter to end mitmweb too" not in printed:
        printed += os.read(terminal, 4096)
    assert os.waitpid(process, os.WNOHANG) == (0, 0)
    os.write(terminal, ends_it)
    while (ended := os.waitpid(process, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < ended_by, printed
        if select.select([terminal], [], [], 0.1)[0]:
            with contextlib.suppress(OSError):  # it was closed
                printed += os.read(terminal, 4096)
    _, status = ended
    assert os.waitstatus_to_exitcode(status) == 7
    os.close(terminal)
