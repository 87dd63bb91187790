"""`scripts/replay FILE -- COMMAND`: exit statuses, and what is printed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from wiremend.launch.replay import main
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.proxy import REPOSITORY
from traffic.recorder import ANTHROPIC, Recorder, calling

CATCHING = "import subprocess, sys; subprocess.run(sys.argv[1:]); sys.exit(0)"
"""A command that ends well although the client that it runs did not."""


@pytest.mark.long
def test_a_command_is_replayed_by_another_user_and_red_when_its_request_changes(
    recorder: Recorder, provider: ScriptedProvider, tmp_path: Path
) -> None:
    broken = faults.streamed(good.stream_with_blocks_from_index(3).events)
    provider.script([faults.reset_before_head(), broken, faults.none(ANTHROPIC)])
    made = recorder.run("session.mitm", command=calling(2))
    assert made.returncode == 0, made.stderr
    asked = len(provider.received)
    recorder.become("berta", tmp_path / "of" / "berta")

    again = recorder.replay("session.mitm", command=calling(2, 5))
    printed = again.stderr.decode()
    assert again.returncode == 5, printed
    assert again.stdout == made.stdout
    assert "wiremend: 2 calls to api.anthropic.com; 1 repaired, 1 retried; " in printed
    assert printed.endswith("wiremend: 2 of 2 recorded calls replayed from session.mitm\n")

    recorder.change_prompt("Say goodbye.")
    red = recorder.replay("session.mitm", command=[sys.executable, "-c", CATCHING, *calling(1)])
    assert red.returncode == 1
    lines = red.stderr.decode().splitlines()
    assert "    messages[0].content" in lines
    assert "      + Say goodbye." in lines
    assert lines[-1] == (
        "wiremend: to record again, on purpose: scripts/record --force session.mitm -- COMMAND"
    )
    unused = recorder.replay("session.mitm", command=["true"])
    assert unused.returncode == 1
    assert b"0 of 2 recorded calls replayed" in unused.stderr
    assert len(provider.received) == asked


def data_of(events: bytes) -> list[object]:
    """Return the data of events, whose bytes differ if they were edited."""
    return [json.loads(line[6:]) for line in events.splitlines() if line.startswith(b"data: ")]


@pytest.mark.long
def test_faults_are_injected_into_recorded_answers(
    recorder: Recorder, provider: ScriptedProvider, tmp_path: Path
) -> None:
    provider.script([faults.none(ANTHROPIC)])
    made = recorder.run("session.mitm", command=calling(1))
    (tmp_path / "faults.toml").write_text('[[faults]]\nkind = "wrong-index"\n')
    repaired = recorder.replay("--faults", "faults.toml", "session.mitm", command=calling(1))
    assert repaired.returncode == 0, repaired.stderr
    assert data_of(repaired.stdout) == data_of(made.stdout)
    assert b"S105 in 1" in repaired.stderr
    plain = recorder.replay(
        "--plain", "--faults", "faults.toml", "session.mitm", command=calling(1)
    )
    assert plain.returncode == 0, plain.stderr
    assert data_of(plain.stdout) != data_of(made.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--", "true"], "a FILE to replay is required"),
        (["x.mitm"], "a command must follow --"),
        (["--match", "exact", "x.mitm", "--", "true"], "invalid choice: 'exact'"),
        (["--map", "/a", "x.mitm", "--", "true"], "'/a' is not OLD=NEW with two folders"),
        (["--speed", "fast", "x.mitm", "--", "true"], "'fast' is no speed"),
        (["--speed", "0", "x.mitm", "--", "true"], "'0' is no speed"),
    ],
)
def test_wrong_arguments_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main("scripts/replay", arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "no such file or folder"),
        (b"", "it is empty"),
        (b"\x89PNG", "it is a PNG image, not a recording"),
        (b"99:abc", "the file ends inside flow 1"),
    ],
)
def test_a_file_that_cannot_be_read_ends_with_2_before_the_command_runs(
    data: bytes | None, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "session.mitm"
    if data is not None:
        file.write_bytes(data)
    assert main("scripts/replay", [str(file), "--", "touch", str(tmp_path / "ran")]) == 2
    assert capsys.readouterr().err == f"scripts/replay: {file}: {reason}\n"
    assert not (tmp_path / "ran").exists()


def test_the_script_prints_the_same_help(capsys: pytest.CaptureFixture[str]) -> None:
    script = [str(REPOSITORY / "scripts" / "replay"), "--help"]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert main("scripts/replay", ["--help"]) == 0
    assert capsys.readouterr().out == printed.replace("set up if needed; ", "")
