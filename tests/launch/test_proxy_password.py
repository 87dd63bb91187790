"""The files with passwords of proxies: who reads them, and when they are removed."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from wiremend.launch.locked_passwords import kept_password, remove_leftovers
from wiremend.launch.proxy_password import password_file, password_of_user, remove_password


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_file_exists_while_the_command_runs(tmp_path: Path) -> None:
    with kept_password(tmp_path, 8080, "word"):
        file = password_file(tmp_path, 8080)
        assert file.read_text() == "word"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        remove_leftovers(tmp_path)  # as a second start does
        assert names(tmp_path) == ["proxy-password-8080"]
    assert names(tmp_path) == []


def test_without_room_there_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wiremend.launch.locked_passwords.os.write", full)
    with kept_password(tmp_path, 8080, "word"):
        assert names(tmp_path) == []


def test_the_file_of_a_killed_launcher_is_removed_at_a_later_start(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from wiremend.launch.locked_passwords import kept_password\n"
        "with kept_password(Path(sys.argv[1]), 8080, 'word'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, timeout=60)
    password_of_user(tmp_path)  # of all proxies that demand one; it stays
    assert names(tmp_path) == ["proxy-password", "proxy-password-8080"]
    with kept_password(tmp_path, 8081, "other"):
        remove_leftovers(tmp_path)
        assert names(tmp_path) == ["proxy-password", "proxy-password-8081"]


@pytest.mark.parametrize(
    ("password", "left"), [("word", []), ("other", ["8080"]), ("", ["8080"])]
)  # fmt: skip
def test_a_proxy_removes_its_own_password_only(
    password: str, left: list[str], tmp_path: Path
) -> None:
    password_file(tmp_path, 8080).write_text("word")
    remove_password(tmp_path, 8080, password)
    assert names(tmp_path) == [f"proxy-password-{port}" for port in left]
