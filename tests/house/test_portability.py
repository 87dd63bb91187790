"""Tests that shells and library import without the Unix-only modules, as on Windows."""

import subprocess
import sys
from pathlib import Path

ADDONS = Path(__file__).resolve().parents[2] / "addons"
SHELLS = sorted(path.stem for path in ADDONS.glob("*.py"))
MISSING_ON_WINDOWS = ("fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "syslog")
FOR_SCRIPTS = {"wiremend.launch", "wiremend.testing"}
"""Used only by scripts/run, which itself needs a Unix shell, and by the pytest plugin."""
LOAD = """
import importlib, importlib.util, pkgutil, sys, traceback

addons, missing, shells, left_out = sys.argv[1], *map(str.split, sys.argv[2:])

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in missing:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Blocker())
sys.path.insert(0, addons)

import wiremend
library = [module.name for module in pkgutil.walk_packages(wiremend.__path__, "wiremend.")]
for name in [*shells, *(name for name in library if not name.startswith(tuple(left_out)))]:
    try:
        if name == "__main__":
            spec = importlib.util.spec_from_file_location("suite", f"{addons}/__main__.py")
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
        else:
            importlib.import_module(name)
    except Exception:
        print(f"{name}: {traceback.format_exc()}")
    else:
        print(f"{name}: loaded")
"""


def test_shells_and_library_load_without_unix_modules() -> None:
    lists = (" ".join(names) for names in (MISSING_ON_WINDOWS, SHELLS, sorted(FOR_SCRIPTS)))
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(ADDONS), *lists],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert not [line for line in lines if not line.endswith(": loaded")], done.stdout
    assert {f"{name}: loaded" for name in (*SHELLS, "wiremend.seam.installation")} <= set(lines)
