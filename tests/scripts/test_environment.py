"""Tests of scripts/environment with a fake Python that installs nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from wiremend.requirements import TESTED_VERSIONS

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("constraints-12.2.txt", "constraints.txt")
TOOLS = re.findall(r"\S+", "bash cat chmod cksum cp dirname grep ls mkdir rm sed sort")
"""The tools that the script may use besides Python; macOS has no flock."""
PYTHON = f"""#!/bin/bash
case "$*" in
*fcntl*) exec {sys.executable} "$@" ;;
*python_version*) echo 3.1x ;;
*--requirement*)
    for ((number = 0; number < 45; number++)); do echo "Collecting package-$number==1"; done
    echo "Installing collected packages: package-0, package-1"
    exit 0
    ;;
"-m venv "*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$0" "$3/bin/mitmdump"; echo "$0" ;;
esac
"""
"""The fake prints its own path for each .venv that it creates."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout, and beside it the only directory on PATH."""
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
    """Return stdout and stderr of the ended process."""
    try:
        return process.communicate(timeout=30)
    finally:
        process.kill()


def creators(process: "subprocess.Popen[str]") -> list[str]:
    """Return the paths of the Pythons that created a .venv."""
    printed, errors = finish(process)
    assert process.returncode == 0, errors
    return printed.split()


def test_a_stale_lock_file_blocks_no_process(checkout: Path) -> None:
    add_python(checkout.parent / "bin" / "python3")
    (checkout / ".venv.lock").touch()
    assert len(creators(start(checkout))) == 1
    assert creators(start(checkout)) == []


def test_of_two_concurrent_runs_only_one_creates_the_environment(checkout: Path) -> None:
    add_python(checkout.parent / "bin" / "python3")
    both = [start(checkout) for _ in range(2)]
    assert sorted(len(creators(process)) for process in both) == [0, 1]


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
def test_the_preferred_pyenv_version_is_used(
    installed: tuple[str, ...], chosen: str, checkout: Path
) -> None:
    versions = checkout.parent / ".pyenv" / "versions"
    for version in installed:
        add_python(versions / version / "bin" / "python3")
    assert creators(start(checkout)) == [str(versions / chosen / "bin" / "python3")]


def test_the_older_mitmproxy_has_its_own_environment_and_lock(checkout: Path) -> None:
    python = checkout.parent / "bin" / "python3"
    add_python(python)
    older = ("--mitmproxy", "12.2")
    assert creators(start(checkout, *older)) == [str(python)]
    assert creators(start(checkout)) == [str(python)]
    assert creators(start(checkout)) == creators(start(checkout, *older)) == []
    (checkout / "scripts" / "constraints-12.2.txt").write_text("changed\n")
    assert creators(start(checkout)) == []
    assert creators(start(checkout, *older)) == [str(python)]


@pytest.mark.parametrize(("lock", "version"), zip(LOCKS, TESTED_VERSIONS, strict=True))
def test_each_constraints_file_pins_its_mitmproxy(lock: str, version: str) -> None:
    pins = re.findall(r"^mitmproxy==(\S+)(.*)$", (ROOT / "scripts" / lock).read_text(), re.M)
    assert [(re.match(r"\d+\.\d+", pin)[0], rest) for pin, rest in pins] == [(version, " \\")]


def test_the_constraints_are_complete() -> None:
    """They are installed without resolving dependencies."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


def test_without_a_python_the_error_names_what_to_install(checkout: Path) -> None:
    process = start(checkout)
    _, errors = finish(process)
    assert process.returncode == 1
    assert "install one, for example with 'pyenv install 3.13'" in errors


def test_the_progress_is_printed(checkout: Path) -> None:
    add_python(checkout.parent / "bin" / "python3.13")
    process = start(checkout)
    output, errors = finish(process)
    assert process.returncode == 0
    assert "Collecting" not in output + errors
    lines = (ROOT / "scripts" / "constraints.txt").read_text().splitlines()
    count = sum("==" in line for line in lines)
    assert [line for line in errors.splitlines() if "fetched" in line] == [
        f"wiremend:   fetched 20 of {count}",
        f"wiremend:   fetched 40 of {count}",
        "wiremend:   fetched all; unpacking ...",
    ]


def test_packages_that_cannot_be_installed_leave_no_environment(checkout: Path) -> None:
    add_python(checkout.parent / "bin" / "python3.13")
    python = checkout.parent / "bin" / "python3.13"
    python.write_text(python.read_text().replace("    exit 0", "    exit 1"))
    process = start(checkout)
    finish(process)
    assert process.returncode != 0
    assert not (checkout / ".venv").exists()
