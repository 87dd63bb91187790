"""Node.js and npm packages for tests that run JavaScript clients."""

import fcntl
import json
import shutil
import subprocess
from pathlib import Path

INSTALL = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]


def why_no_node(major: int) -> str | None:
    """Why there is no Node.js of at least this version, or None."""
    if not shutil.which("node"):
        return "node is not installed"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0] or 0) < major:
        return f"node is {version}, and {major} or later is needed"
    return None


def why_not_installed(folder: Path, major: int) -> str | None:
    """Install what the folder's package.json lists; why that failed, or None.

    `major` is the version of Node.js that the packages need.
    """
    if reason := why_no_node(major):
        return reason
    if not shutil.which("npm"):
        return "npm is not installed"
    wanted: dict[str, str] = json.loads((folder / "package.json").read_text())["dependencies"]
    with (folder / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two installations at once leave files out
        if any(_installed(folder, name) != version for name, version in wanted.items()):
            done = subprocess.run(INSTALL, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                return f"npm install failed in {folder}: {done.stderr.strip()[-300:]}"
    return None


def _installed(folder: Path, package: str) -> str | None:
    described = folder / "node_modules" / package / "package.json"
    return json.loads(described.read_text())["version"] if described.exists() else None
