"""Installs the agents from npm in the versions of package.json, outside the repository."""

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

_PACKAGE_FILE = Path(__file__).with_name("package.json")
_INSTALL = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
_LIMIT_SECONDS = 600.0
_COMPLETE = "node_modules/complete.json"
"""A copy of package.json, written when npm has ended."""
_NODE = "install Node.js 20 or newer, which brings npm, or leave out --agents"


class NotInstalled(Exception):
    """The agents cannot be installed; the message contains the reason and what to do."""


def folder() -> Path:
    """Return the directory of the agents: below $XDG_CACHE_HOME, else ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "wiremend" / "agents"


def install() -> Path:
    """Install agents that are missing or have another version; return the programs' directory.

    Raises NotInstalled.
    """
    home = folder()
    versions = json.loads(_PACKAGE_FILE.read_text())["dependencies"]
    if not shutil.which("node"):
        raise NotInstalled(f"the agents need node: {_NODE}")
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (home / "install.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two installations at once leave files out
            if not _is_complete(home):
                _run_npm(home)
    except OSError as error:
        raise NotInstalled(f"{home}: {error.strerror}; XDG_CACHE_HOME sets the directory") from None
    for package, version in versions.items():
        if _version(home, package) != version:
            raise NotInstalled(f"npm did not install {package} {version} into {home}")
    return home / "node_modules" / ".bin"


def _run_npm(home: Path) -> None:
    if not shutil.which("npm"):
        raise NotInstalled(f"the agents are installed with npm: {_NODE}")
    shutil.rmtree(home / "node_modules", ignore_errors=True)
    shutil.copy(_PACKAGE_FILE, home)
    try:
        done = subprocess.run(
            _INSTALL, cwd=home, capture_output=True, text=True, timeout=_LIMIT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"npm install took more than {_LIMIT_SECONDS:g} s in {home}") from None
    if done.returncode:
        raise NotInstalled(f"npm install failed in {home}:\n{done.stderr.strip()}")
    shutil.copy(_PACKAGE_FILE, home / _COMPLETE)


def _is_complete(home: Path) -> bool:
    """Return whether an installation of these versions has ended; another may lack files."""
    complete = home / _COMPLETE
    return complete.exists() and complete.read_bytes() == _PACKAGE_FILE.read_bytes()


def _version(home: Path, package: str) -> str:
    manifest = home / "node_modules" / package / "package.json"
    return str(json.loads(manifest.read_text())["version"]) if manifest.exists() else ""
