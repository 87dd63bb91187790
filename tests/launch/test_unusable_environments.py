"""What cannot work is reported in one sentence: the environment, and the state directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import wiremend
from wiremend.launch import run
from wiremend.launch.environment import trusted_files
from wiremend.launch.processes import reason_for_end
from wiremend.launch.proxy_log import ProxyLog
from wiremend.launch.running_proxies import globs_of_running, register_proxy
from wiremend.requirements import PACKAGES, problem_with_environment, problem_with_version

ADDONS = Path(wiremend.__path__[0]).parent
RUN = (sys.executable, "-P", "-m", "wiremend", "run", "--", "true")
MITMDUMP = (run.mitmproxy_program("mitmdump"), "-s", str(ADDONS / "__main__.py"), "-n")
COMMANDS = {"scripts/run": RUN, "mitmdump": MITMDUMP}


def output_of(
    command: tuple[str, ...], directory: Path, **variables: str
) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([str(directory), str(ADDONS)])
    users = {f"XDG_{kind}_HOME": str(directory / kind) for kind in ("CONFIG", "STATE")}
    return subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **users, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def assert_one_sentence(done: "subprocess.CompletedProcess[str]", text: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    [line] = done.stderr.splitlines()
    assert text in line


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("package", ["pydantic", "orjson"])
def test_a_missing_package(command: tuple[str, ...], package: str, tmp_path: Path) -> None:
    missing = f"raise ModuleNotFoundError('No module named {package!r}', name={package!r})\n"
    (tmp_path / f"{package}.py").write_text(missing.replace("'No", '"No').replace("', n", '", n'))
    assert package in PACKAGES
    assert_one_sentence(output_of(command, tmp_path), f"-m pip install {package}")


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_another_version_of_mitmproxy(command: tuple[str, ...], tmp_path: Path) -> None:
    """Its modules may lack names that wiremend imports, as those of mitmproxy 11 do."""
    (tmp_path / "sitecustomize.py").write_text(
        "import mitmproxy.version\n"
        "mitmproxy.version.VERSION = '11.1.3'\n"
        "import mitmproxy.proxy.layers.http._events as events\n"
        "del events.ErrorCode\n"
    )
    if command is MITMDUMP:  # mitmproxy itself needs the name
        (tmp_path / "sitecustomize.py").write_text(
            "import mitmproxy.version\nmitmproxy.version.VERSION = '11.1.3'\n"
        )
    assert_one_sentence(output_of(command, tmp_path), "but this is mitmproxy 11.1.3: run pip")


@pytest.mark.parametrize(
    ("version", "is_usable"),
    [("12.2.0", True), ("12.3.1", True), ("12.1.2", False), ("13.0.0", False), ("11.1.3", False)],
)
def test_the_versions_of_mitmproxy(version: str, is_usable: bool) -> None:
    assert (problem_with_version(version) == "") is is_usable


def test_an_older_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 7, "final", 0))
    assert problem_with_environment().startswith("wiremend needs Python 3.12 or newer")


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"XDG_STATE_HOME": "/dev/null"}, "the state directory cannot be written (/dev/null"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/dev/null"}, "cannot be written (/dev/null"),
        ({"XDG_STATE_HOME": "", "HOME": "relative"}, "'relative' is not an absolute path; set"),
    ],
    ids=["a file", "a relative directory, and no home", "a relative home"],
)
def test_a_state_directory_that_cannot_be_made(
    variables: dict[str, str], text: str, tmp_path: Path
) -> None:
    done = output_of(RUN, tmp_path, **variables)
    assert_one_sentence(done, text)
    assert "XDG_STATE_HOME" in done.stderr


def test_a_full_disk_at_the_first_start(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
    )
    done = output_of(RUN, tmp_path)
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("scripts/run: the state directory cannot be")
    assert done.returncode == 1


def test_a_recording_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    log = ProxyLog.of_run(tmp_path)
    log.last_lines.extend(
        [
            "a line\n",
            "Error while writing to out.mitm: [Errno 28] No space left on device[13:05:11.840] x\n",
            "OSError: [Errno 28] No space left on device\n",
        ]
    )
    assert reason_for_end(log) == (
        "mitmproxy ended the proxy, because it could not write out.mitm: No space left on device"
    )


def test_a_file_that_was_written_in_part_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hosts of a running proxy, cut inside a name, would need another certificate."""
    written: list[int] = []
    write = os.write

    def half(descriptor: int, data: bytes) -> int:
        if written:
            raise OSError(28, "No space left on device")
        written.append(len(data))
        return write(descriptor, data[: len(data) // 2])

    monkeypatch.setattr("wiremend.launch.running_proxies.os.write", half)
    with pytest.raises(OSError, match="No space left"):
        register_proxy(tmp_path, ["api.anthropic.com", "llm.example.com"])
    monkeypatch.undo()
    assert written
    assert [*(tmp_path / "running").iterdir()] == []
    assert globs_of_running(tmp_path) == []


@pytest.mark.parametrize("option", ["--doctor", "--check-config"])
def test_an_examination_without_a_home(option: str, tmp_path: Path) -> None:
    command = (*RUN[:-2], option)
    done = output_of(command, tmp_path, XDG_STATE_HOME="", HOME="relative")
    assert_one_sentence(done, "'relative' is not an absolute path; set HOME, or XDG_STATE_HOME")


@pytest.mark.long
def test_files_that_need_no_change_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a full disk does not keep a proxy from starting that has run before."""
    assert output_of(RUN, tmp_path).returncode == 0
    directory = tmp_path / "STATE" / "wiremend"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wiremend.launch.private_files.tempfile.mkstemp", full)
    run.prepare_authority(directory, run.CurrentConfig().intercepted.globs)
    assert trusted_files(directory, {})


def test_without_room_for_a_log_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ProxyLog.of_run(tmp_path / "missing")
    log.write(b"a line\n")
    assert str(log.path) == os.devnull
