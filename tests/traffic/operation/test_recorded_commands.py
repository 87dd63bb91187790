"""`scripts/record FILE -- COMMAND`: a real command behind a real proxy, and the file it leaves."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader
from wiremend.check.command import main as check
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.proxy import KEY, REPOSITORY

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]
USER = "alicia"
ACCOUNT = "3f2c1a9e-1111-2222-3333-444455556666"
REQUEST_ID = "req_011CSHoEeqs5C35K2UUqR7Fy"
CLIENT = """
import json, os, ssl, sys, urllib.request
home = os.environ["HOME"]
body = json.loads(os.environ["BODY"])
body["metadata"] = {"user_id": json.dumps({"account_uuid": os.environ["ACCOUNT"]})}
body["messages"][0]["content"] = (
    f"I am {os.environ['USER']} <alicia@corp.acme.io>, in {home}/project on {os.uname().nodename}")
headers = {"content-type": "application/json", "x-api-key": os.environ["KEY"]}
for _ in range(int(sys.argv[1])):
    request = urllib.request.Request(os.environ["URL"], json.dumps(body).encode(), headers)
    sys.stdout.buffer.write(urllib.request.urlopen(request).read())
sys.exit(int(sys.argv[2]))
"""


class Recorder:
    """Runs `record` in a subprocess whose proxy reaches only the scripted provider."""

    def __init__(self, directory: Path, authority: Authority, provider: ScriptedProvider) -> None:
        self.directory = directory
        self.home = directory / USER
        self.home.mkdir()
        inside = REPOSITORY / "addons/wiremend/testing/inside_proxy/answer_from_loopback.py"
        code = (
            "import sys\n"
            "from wiremend.launch import record, run\n"
            "original = run.proxy_command\n"
            f"run.proxy_command = lambda *a: [*original(*a), '-s', {str(inside)!r}]\n"
            "sys.exit(record.main('scripts/record', sys.argv[1:]))\n"
        )
        self._command = [sys.executable, "-P", "-c", code]
        self._environment = {
            **{name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
            "PYTHONPATH": str(REPOSITORY / "addons"),
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_STATE_HOME": str(directory / "state"),
            "HOME": str(self.home),
            "USER": USER,
            "SSL_CERT_FILE": str(authority.file),
            "WIREMEND_TESTING_HOSTS": json.dumps({HOST: provider.port}),
            "WIREMEND_TESTING_PROVIDER": str(provider.port),
            "WIREMEND_TESTING_ALPN": json.dumps(["http/1.1"]),
            "WIREMEND_TESTING_REFUSALS": os.devnull,
            "BODY": json.dumps(good.request_body(ANTHROPIC, True)),
            "ACCOUNT": ACCOUNT,
            "KEY": KEY,
            "URL": f"https://{HOST}{good.PATHS[ANTHROPIC, True]}",
        }
        self._environment.pop("PYTEST_CURRENT_TEST", None)

    def run(self, *arguments: str, command: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [*self._command, *arguments, "--", *command],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
        )


@pytest.fixture
def recorder(authority: Authority, provider: ScriptedProvider, tmp_path: Path) -> Recorder:
    return Recorder(tmp_path, authority, provider)


def calling(times: int, status: int = 0) -> list[str]:
    return [sys.executable, "-c", CLIENT, str(times), str(status)]


def broken_answer() -> Reply:
    events = good.stream_with_blocks_from_index(3).events
    headers = (*faults.EVENT_STREAM, ("request-id", REQUEST_ID), ("set-cookie", "a=secret-1234567"))
    return Reply("broken", (faults.head(headers=headers), faults.chunks(events), faults.end))


def test_a_recording_has_upstreams_faults_and_no_identities(
    recorder: Recorder,
    provider: ScriptedProvider,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    provider.script([faults.reset_before_head(), broken_answer(), broken_answer()])
    path = tmp_path / "session.mitm"
    done = recorder.run("session.mitm", command=calling(2, 5))
    printed = done.stderr.decode()
    assert done.returncode == 5, printed
    assert "recorded 2 calls (3 attempts), " in printed
    assert b'"index":0' in done.stdout
    assert b'"index":3' not in done.stdout
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("*.partial"))

    data = path.read_bytes()
    identities = [
        *(USER, str(recorder.home), "alicia@corp.acme.io"),
        *(ACCOUNT, REQUEST_ID, KEY, "secret-1234567"),
    ]
    assert USER.encode() in provider.received[-1].body
    for identity in identities:
        assert identity.encode() not in data, identity
    with path.open("rb") as file:
        flows = list(FlowReader(file).stream())
    assert len(flows) == 2
    for flow in flows:
        assert isinstance(flow, http.HTTPFlow)
        assert flow.response is not None
        assert flow.request.content is not None
        sent = json.loads(flow.request.content)
        assert "I am name" in sent["messages"][0]["content"]

    assert check("scripts/check", [str(path), "--output-format", "concise"]) == 1
    report = capsys.readouterr().out
    assert "S105" in report
    assert "R002" in report
    assert check("scripts/check", [str(path), "--secrets"]) == 0, capsys.readouterr().out

    refused = recorder.run("session.mitm", command=calling(1))
    assert refused.returncode == 1
    assert b"session.mitm exists; use --force to replace it" in refused.stderr
    assert path.read_bytes() == data
    provider.script([faults.none(ANTHROPIC)])
    forced = recorder.run("--force", "session.mitm", command=calling(1))
    assert forced.returncode == 0, forced.stderr
    assert path.read_bytes() != data
    assert check("scripts/check", [str(path)]) == 0


def test_without_calls_there_is_no_file(recorder: Recorder, tmp_path: Path) -> None:
    done = recorder.run("session.mitm", command=["true"])
    assert done.returncode == 1
    assert b"no calls were recorded; session.mitm was not written" in done.stderr
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("session")]
