"""The agents, installed from npm in the versions of package.json, outside the repository."""

import json
import os
import shutil
import subprocess
from pathlib import Path

_WANTED = Path(__file__).with_name("package.json")
_INSTALL = ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
_LIMIT_SECONDS = 600.0
_NODE = "install Node.js 20 or newer, which brings npm, or leave out --agents"


class NotInstalled(Exception):
    """The agents cannot be had here; the message says why, and what to do."""


def folder() -> Path:
    """Where they are: below $XDG_CACHE_HOME, else ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "wiremend" / "agents"


def install() -> Path:
    """Install what is missing or has another version; the folder with the programs.

    Raises NotInstalled.
    """
    home = folder()
    versions = json.loads(_WANTED.read_text())["dependencies"]
    if not shutil.which("node"):
        raise NotInstalled(f"the agents need node: {_NODE}")
    if any(_version(home, package) != version for package, version in versions.items()):
        _run_npm(home)
    for package, version in versions.items():
        if _version(home, package) != version:
            raise NotInstalled(f"npm did not install {package} {version} into {home}")
    return home / "node_modules" / ".bin"


def _run_npm(home: Path) -> None:
    if not shutil.which("npm"):
        raise NotInstalled(f"the agents are installed with npm: {_NODE}")
    try:
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(_WANTED, home)
        done = subprocess.run(
            _INSTALL, cwd=home, capture_output=True, text=True, timeout=_LIMIT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"npm install took more than {_LIMIT_SECONDS:g} s in {home}") from None
    except OSError as error:
        raise NotInstalled(f"{home}: {error.strerror}; XDG_CACHE_HOME chooses its place") from None
    if done.returncode:
        raise NotInstalled(f"npm install failed in {home}:\n{done.stderr.strip()}")


def _version(home: Path, package: str) -> str:
    described = home / "node_modules" / package / "package.json"
    return str(json.loads(described.read_text())["version"]) if described.exists() else ""
