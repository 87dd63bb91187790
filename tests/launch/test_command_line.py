"""`wiremend COMMAND`: the table of commands, and what they print."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import wiremend
from wiremend.__main__ import COMMANDS, Command, main
from wiremend.launch import run, shells

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_of_the_table_can_be_run(command: Command) -> None:
    assert callable(importlib.import_module(command.module).main)


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_every_command(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([option]) == 0
    printed = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command.name} " in printed
        assert command.help in printed


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"wiremend {wiremend.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "wiremend: a command is required"),
        (["rum"], "wiremend: unknown command 'rum'; did you mean 'run'?"),
        (["frobnicate"], "wiremend: unknown command 'frobnicate'\n"),
        (["--verbose", "run"], "wiremend: unknown option '--verbose'"),
    ],
)
def test_an_unknown_command_is_reported_with_a_list_of_the_commands(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(problem)
    assert "commands:\n  run " in printed.err


def test_addons_prints_the_directory_of_the_shells(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["addons"]) == 0
    assert capsys.readouterr().out == f"{ROOT / 'addons'}\n"


def test_addons_takes_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["addons", "repair"])
    assert ended.value.code == 2
    assert "usage: wiremend addons" in capsys.readouterr().err


def test_run_prints_the_same_help_as_its_script(capsys: pytest.CaptureFixture[str]) -> None:
    script = [str(ROOT / "scripts" / "run"), "--help"]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert main(["run", "--help"]) == 0
    assert capsys.readouterr().out == printed.replace("set up if needed; ", "")


def test_mitmproxys_programs_are_located_beside_this_python() -> None:
    assert Path(run.mitmproxy_program("mitmdump")).parent == Path(sys.executable).parent


def test_without_mitmproxy_the_message_says_where_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path))
    with pytest.raises(SystemExit, match=r"no mitmdump beside .*/python; install mitmproxy into"):
        run.mitmproxy_program("mitmdump")


def test_only_existing_files_of_the_checkout_are_returned() -> None:
    assert shells.checkout_file("scripts/run") == ROOT / "scripts" / "run"
    assert shells.checkout_file("scripts/walk") is None
