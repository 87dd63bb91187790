"""`--faults` and `--plain` of commands: a real command behind a real proxy, and the report."""

import json
from pathlib import Path

import pytest
from wiremend.check.command import main as check
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.recorder import Recorder, calling

ANTHROPIC = good.ANTHROPIC
FAULTS = """
[[faults]]
kind = "reset"
call = 1

[[faults]]
kind = "wrong-index"
call = 2
"""


@pytest.fixture
def fault_file(tmp_path: Path) -> Path:
    path = tmp_path / "faults.toml"
    path.write_text(FAULTS)
    return path


def test_a_command_survives_and_the_report_lists_the_calls(
    recorder: Recorder,
    provider: ScriptedProvider,
    fault_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    provider.script([faults.none(ANTHROPIC)])
    options = ("--faults", "faults.toml", "--faults-report", "report.json")
    done = recorder.run(*options, "session.mitm", command=calling(3))
    printed = done.stderr.decode()
    assert done.returncode == 0, printed
    assert "wiremend: faults: injected into 2 of 3 calls: 1 repaired, 1 retried" in printed
    place = "api.anthropic.com/v1/messages: attempt 1: fault"
    assert f"wiremend: faults: call 1, {place} 1, reset before-head → retried" in printed
    assert f"wiremend: faults: call 2, {place} 2, wrong-index → repaired (S105)" in printed
    report = json.loads((tmp_path / "report.json").read_text())
    assert [(call["number"], call["ending"]) for call in report["faulty"]] == [
        (1, "retried"),
        (2, "repaired"),
    ]
    capsys.readouterr()
    status = check("scripts/check", [str(tmp_path / "session.mitm")])
    printed = capsys.readouterr().out
    assert "S105" not in printed
    assert status == 0, printed


@pytest.mark.long
def test_a_plain_command_receives_the_faults(
    recorder: Recorder, provider: ScriptedProvider, fault_file: Path
) -> None:
    provider.script([faults.none(ANTHROPIC)])
    done = recorder.run("--plain", "--faults", "faults.toml", "session.mitm", command=calling(1))
    printed = done.stderr.decode()
    assert done.returncode == 1, printed
    assert "injected into 1 of 1 calls: 1 cut" in printed
    assert not provider.received


@pytest.mark.parametrize(
    ("text", "options", "problem"),
    [
        ("[[faults]]\nkind = 'rest'", ("--faults", "faults.toml"), "faults[0].kind: expected"),
        (FAULTS, ("--faults", "none.toml"), "none.toml: no such file"),
        (FAULTS, ("--faults-report", "r.json"), "--faults-report needs --faults FILE.toml"),
    ],
)
def test_a_mistake_is_reported_before_the_command_runs(
    recorder: Recorder, fault_file: Path, text: str, options: tuple[str, ...], problem: str
) -> None:
    fault_file.write_text(text)
    done = recorder.run(*options, "session.mitm", command=calling(1))
    assert done.returncode == 1
    assert problem in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
    assert not done.stdout
