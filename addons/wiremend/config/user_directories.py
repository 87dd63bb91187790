"""The user's own directories, as the XDG base directory specification defines them.

A relative path in one of its variables is ignored, as the specification requires: it would lead
into the working directory, which may belong to somebody else's repository.
"""

import os
from collections.abc import Mapping
from pathlib import Path

_NAME = "wiremend"


def config_directory(environ: Mapping[str, str]) -> Path:
    """The directory of the user's configuration: `~/.config/wiremend` by default.

    Raises RuntimeError when there is no home directory.
    """
    return _base(environ.get("XDG_CONFIG_HOME", ""), ".config") / _NAME


def state_directory(environ: Mapping[str, str]) -> Path:
    """The directory of the CA, the logs and the consents: `~/.local/state/wiremend` by default.

    Raises RuntimeError when there is no home directory.
    """
    return _base(environ.get("XDG_STATE_HOME", ""), ".local/state") / _NAME


def _base(named: str, default: str) -> Path:
    if os.path.isabs(named):
        return Path(named)
    home = Path.home()
    if not home.is_absolute():
        raise RuntimeError(f"the home directory {str(home)!r} is not an absolute path")
    return home / default
