"""The user's own directories, as the XDG base directory specification defines them.

A relative path in one of its variables is ignored, as the specification requires: it would be
below the working directory, which may be an untrusted repository.
"""

import os
from collections.abc import Mapping
from pathlib import Path

_NAME = "wiremend"


def config_directory(environ: Mapping[str, str]) -> Path:
    """Return the directory of the user's configuration, by default `~/.config/wiremend`.

    Raises RuntimeError if there is no home directory.
    """
    return _base(environ.get("XDG_CONFIG_HOME", ""), ".config") / _NAME


def state_directory(environ: Mapping[str, str]) -> Path:
    """Return the directory of the CA, logs and consents, by default `~/.local/state/wiremend`.

    Raises RuntimeError if there is no home directory.
    """
    return _base(environ.get("XDG_STATE_HOME", ""), ".local/state") / _NAME


def _base(configured: str, default: str) -> Path:
    if os.path.isabs(configured):
        return Path(configured)
    home = Path.home()
    if not home.is_absolute():
        raise RuntimeError(f"the home directory {str(home)!r} is not an absolute path")
    return home / default
