"""scripts/environment, with a Python that only simulates installing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from wiremend.seam.installation import TESTED_VERSIONS

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("constraints-12.2.txt", "constraints.txt")
TOOLS = re.findall(r"\S+", "bash cat chmod cksum cp dirname grep ls mkdir rm sed sort")
"""The programs that it may use besides Python. macOS has all of them; it has no flock."""
PYTHON = f"""#!/bin/bash
case "$*" in
*fcntl*) exec {sys.executable} "$@" ;;
*python_version*) echo 3.1x ;;
"-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$0" "$3/bin/mitmdump"; echo "$0" ;;
esac
"""
"""It prints its own path for each .venv that it creates."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout, and a separate folder with all programs on PATH."""
    root = tmp_path / "checkout"
    for name in (
        "pyproject.toml",
        "scripts/constraints.txt",
        "scripts/constraints-12.2.txt",
        "scripts/environment",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes((ROOT / name).read_bytes())
    (root / "scripts" / "startup").mkdir()
    (root / "scripts" / "startup" / "mitmdump_hook.py").touch()
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        program = next(
            Path(folder, tool) for folder in ("/bin", "/usr/bin") if Path(folder, tool).exists()
        )
        (tmp_path / "bin" / tool).symlink_to(program)
    return root


def add_python(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PYTHON)
    path.chmod(0o755)


def start(checkout: Path, *arguments: str) -> "subprocess.Popen[str]":
    home = checkout.parent
    return subprocess.Popen(
        ["/bin/bash", str(checkout / "scripts" / "environment"), *arguments],
        env={"PATH": str(home / "bin"), "HOME": str(home), "LC_ALL": "C"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Return the process's standard output and standard error."""
    try:
        return process.communicate(timeout=30)
    finally:
        process.kill()


def made(process: "subprocess.Popen[str]") -> list[str]:
    """Return the Pythons that created a .venv."""
    printed, errors = finish(process)
    assert process.returncode == 0, errors
    return printed.split()


def test_the_lock_of_a_dead_process_does_not_block(checkout: Path) -> None:
    add_python(checkout.parent / "bin" / "python3")
    (checkout / ".venv.lock").touch()
    assert len(made(start(checkout))) == 1
    assert made(start(checkout)) == []


def test_of_two_concurrent_processes_one_creates_the_environment(checkout: Path) -> None:
    add_python(checkout.parent / "bin" / "python3")
    both = [start(checkout) for _ in range(2)]
    assert sorted(len(made(process)) for process in both) == [0, 1]


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        (("3.12.9", "3.13.2", "3.14.0"), "3.13.2"),
        (("3.13.9", "3.13.10", "3.13.2"), "3.13.10"),
        (("3.12.9", "3.12.10", "3.14.1"), "3.14.1"),
        (("3.11.7", "3.12.9", "3.12.10", "3.15.0"), "3.12.10"),
        (("3.13.5t", "3.13-dev", "3.12.1"), "3.12.1"),
    ],
)
def test_the_best_of_pyenvs_versions_is_used(
    installed: tuple[str, ...], chosen: str, checkout: Path
) -> None:
    versions = checkout.parent / ".pyenv" / "versions"
    for version in installed:
        add_python(versions / version / "bin" / "python3")
    assert made(start(checkout)) == [str(versions / chosen / "bin" / "python3")]


def test_the_older_mitmproxy_has_its_own_environment_and_lock_file(checkout: Path) -> None:
    python = checkout.parent / "bin" / "python3"
    add_python(python)
    older = ("--mitmproxy", "12.2")
    assert made(start(checkout, *older)) == [str(python)]
    assert made(start(checkout)) == [str(python)]
    assert made(start(checkout)) == made(start(checkout, *older)) == []
    (checkout / "scripts" / "constraints-12.2.txt").write_text("changed\n")
    assert made(start(checkout)) == []
    assert made(start(checkout, *older)) == [str(python)]


@pytest.mark.parametrize(("lock", "version"), zip(LOCKS, TESTED_VERSIONS, strict=True))
def test_each_lock_file_contains_its_version_of_mitmproxy(lock: str, version: str) -> None:
    pins = re.findall(r"^mitmproxy==(\S+)(.*)$", (ROOT / "scripts" / lock).read_text(), re.M)
    assert [(re.match(r"\d+\.\d+", pin)[0], rest) for pin, rest in pins] == [(version, " \\")]


def test_the_lock_file_is_complete() -> None:
    """It is installed without resolving dependencies."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_without_a_python_the_message_says_what_to_install(checkout: Path) -> None:
    process = start(checkout)
    _, errors = finish(process)
    assert process.returncode == 1
    assert "install one, for example with 'pyenv install 3.13'" in errors
