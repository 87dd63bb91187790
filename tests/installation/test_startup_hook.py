"""Tests that the start-up hook resolves `-s addons/` in every spelling and changes nothing else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOOK = ROOT / "scripts" / "startup"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "addons").mkdir()
    (tmp_path / "addons" / "__main__.py").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "one.py").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def argv_after(arguments: list[str], program: str = "mitmdump") -> list[str]:
    """Return `sys.argv[1:]` of a program of this name after the hook ran."""
    code = (
        f"import sys; sys.path.insert(0, {str(HOOK)!r}); sys.argv = {[program, *arguments]!r};"
        "import mitmdump_accepts_directories as hook; hook.main(); print(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(eval(done.stdout))


ENTRY = os.path.join("addons", "__main__.py")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["-s", "addons/"], ["-s", ENTRY]),
        (["-s", "addons"], ["-s", ENTRY]),
        (["-s", "./addons/"], ["-s", os.path.join("./addons", "__main__.py")]),
        (["-saddons/"], [f"-s{ENTRY}"]),
        (["--scripts", "addons/"], ["--scripts", ENTRY]),
        (["--scripts=addons/"], [f"--scripts={ENTRY}"]),
        (["-s", "addons/", "-s", "one.py"], ["-s", ENTRY, "-s", "one.py"]),
        (["-p", "0", "-s", "addons", "~u x"], ["-p", "0", "-s", ENTRY, "~u x"]),
        (["-s", "one.py"], ["-s", "one.py"]),
        (["-s", "empty"], ["-s", "empty"]),
        (["-s", "not-there/"], ["-s", "not-there/"]),
        (["-w", "addons"], ["-w", "addons"]),
        (["-s"], ["-s"]),
        ([], []),
    ],
)
def test_a_script_directory_is_replaced_by_its_entry_file(
    typed: list[str], expected: list[str]
) -> None:
    assert argv_after(typed) == expected


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("program", ["mitmdump", "/x/bin/mitmweb", "mitmproxy", "mitmdump.exe"])
def test_each_mitmproxy_program_is_covered(program: str) -> None:
    assert argv_after(["-s", "addons"], program) == ["-s", ENTRY]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("program", ["pytest", "python", "-c", ""])
def test_other_programs_are_unchanged(program: str) -> None:
    assert argv_after(["-s", "addons"], program) == ["-s", "addons"]


def is_installed() -> bool:
    import importlib.util

    return importlib.util.find_spec("mitmdump_accepts_directories") is not None


@pytest.mark.first_row
@pytest.mark.skipif(not is_installed(), reason="the hook is installed by scripts/environment")
@pytest.mark.parametrize("tool", ["mitmdump", "mitmweb"])
@pytest.mark.parametrize("typed", [("-s", "addons/"), ("--scripts=addons",)])
def test_the_installed_command_accepts_a_directory(
    tool: str, typed: tuple[str, ...], tmp_path: Path
) -> None:
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    web = ["--no-web-open-browser", "--web-port", "0"] if tool == "mitmweb" else []
    process = subprocess.Popen(
        [
            str(Path(sys.executable).parent / tool),
            *(*typed, "--listen-port", "0", *web, "--set", f"confdir={tmp_path}"),
        ],
        cwd=ROOT,
        env=environment | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        printed = []
        for line in process.stdout:
            printed.append(line)
            if re.search(r"proxy listening at 127\.0\.0\.1:\d+", line):
                break
        else:
            pytest.fail("".join(printed))
    finally:
        process.terminate()
        process.wait(15)
        process.stdout.close()
