"""Contract 33: a CA of mitmproxy that cannot be used is reported in one sentence."""

import os
import subprocess
from pathlib import Path

import pytest
import wiremend
from wiremend.launch.run import mitmproxy_program

ADDONS = Path(wiremend.__path__[0]).parent
CERTIFICATE = "mitmproxy-ca.pem"


def start(program: str, directory: Path, home: Path) -> "subprocess.CompletedProcess[str]":
    """Run one of mitmproxy's programs, without a server, until it ends."""
    return subprocess.run(
        [mitmproxy_program(program), "-s", str(ADDONS / "__main__.py"), "-n"],
        cwd=directory,
        env={
            **os.environ,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "PYTHONPATH": str(directory),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("program", ["mitmdump", pytest.param("mitmweb", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("files", "limit_bytes", "reason"),
    [
        ({".mitmproxy": ""}, 0, "/.mitmproxy: file exists); choose a directory"),
        (
            {f".mitmproxy/{CERTIFICATE}": "-----BEGIN"},
            0,
            f"/{CERTIFICATE}: not a private key with its certificate); remove this file",
        ),
        ({}, 1000, "file too large); choose a directory"),
    ],
    ids=["not a folder", "a cut file", "a full disk"],
)
def test_a_ca_that_cannot_be_used(
    files: dict[str, str], limit_bytes: int, reason: str, program: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for name, text in files.items():
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(text)
    if limit_bytes:
        (tmp_path / "sitecustomize.py").write_text(
            f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes},) * 2)\n"
        )
    done = start(program, tmp_path, home)
    [line] = done.stderr.splitlines()
    assert line.startswith(f"wiremend: mitmproxy cannot create or read its CA in {home}/.mitmproxy")
    assert reason in line
    assert line.endswith("with --set confdir=DIRECTORY, or use scripts/run")
    assert "Traceback" not in done.stdout
    assert done.returncode == 1
    if limit_bytes:  # a half-written file would be refused at the next start
        assert not (home / ".mitmproxy" / CERTIFICATE).exists()
