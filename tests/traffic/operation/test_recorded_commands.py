"""`scripts/record FILE -- COMMAND`: a real command behind a real proxy, and the file it leaves."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow
from wiremend.check.command import main as check
from wiremend.launch.record import finish, main, new_partial
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.proxy import KEY, REPOSITORY
from traffic.recorder import ACCOUNT, ANTHROPIC, CLIENT, REQUEST_ID, USER, Recorder, calling


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
    assert "recorded 2 calls (3 attempts) in session.mitm (" in printed
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


def test_a_command_that_does_not_exist_leaves_no_file(recorder: Recorder, tmp_path: Path) -> None:
    done = recorder.run("session.mitm", command=["no-such-command"])
    assert (done.returncode, done.stderr.decode().splitlines()[-1]) == (
        127,
        "scripts/record: no-such-command: command not found",
    )
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("session")]


@pytest.mark.long
def test_without_calls_there_is_no_file(recorder: Recorder, tmp_path: Path) -> None:
    done = recorder.run("session.mitm", command=["true"])
    assert done.returncode == 1
    assert b"no calls were recorded; session.mitm was not written" in done.stderr
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("session")]


KILL_THE_PROXY = """
import os, pathlib, signal
me = os.getppid()
for entry in pathlib.Path("/proc").iterdir():
    if entry.name.isdecimal():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        is_mine = int(fields[1]) == me and int(entry.name) != os.getpid()
        if is_mine and b"record_traffic.py" in words:
            os.kill(int(entry.name), signal.SIGKILL)
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the proxy in /proc")
def test_after_a_crash_of_the_proxy_the_calls_so_far_are_in_the_partial_file(
    recorder: Recorder,
    provider: ScriptedProvider,
    tmp_path: Path,
) -> None:
    provider.script([faults.none(ANTHROPIC)])
    done = recorder.run(
        "session.mitm",
        command=[
            sys.executable,
            "-c",
            CLIENT.rpartition("sys.exit")[0] + KILL_THE_PROXY,
            "1",
            "0",
        ],
    )
    assert done.returncode == 1, done.stderr
    [partial] = tmp_path.glob("session.mitm*")
    assert partial.name.endswith(".partial")
    assert f"the recording is incomplete: {partial}" in done.stderr.decode()
    assert stat.S_IMODE(partial.stat().st_mode) == 0o600
    assert check("scripts/check", [str(partial)]) == 0
    assert KEY.encode() not in partial.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--", "true"], "a FILE to record into is required"),
        (["x.mitm"], "a command must follow --"),
        (["x.mitm", "--"], "a command must follow --"),
        (["--append", "x.mitm", "--", "true"], "unrecognized arguments: --append"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main("scripts/record", arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_refused_before_the_command_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "no/x.mitm", "there is no folder"),
    ):
        assert main("scripts/record", [str(file), "--", "touch", str(tmp_path / "ran")]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


def test_a_file_that_was_created_meanwhile_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "session.mitm"
    partial = new_partial(file)
    with partial.open("wb") as written:
        FlowWriter(written).add(tflow.tflow(resp=True))
    file.write_text("of another run")
    assert not finish("scripts/record", partial, file, force=False)
    assert file.read_text() == "of another run"
    assert f"session.mitm was not written (it exists); see {partial}" in capsys.readouterr().err
    assert finish("scripts/record", partial, file, force=True)
    assert not partial.exists()
    assert f"recorded 1 call (0 attempts) in {file} (1 kB)\n" in capsys.readouterr().err


def test_the_script_prints_the_same_help(capsys: pytest.CaptureFixture[str]) -> None:
    script = [str(REPOSITORY / "scripts" / "record"), "--help"]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert main("scripts/record", ["--help"]) == 0
    assert capsys.readouterr().out == printed.replace("set up if needed; ", "")
