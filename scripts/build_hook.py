"""Puts the shells into the wheel, as `wiremend/_addons/`; hatchling runs it.

An editable install gets no copy of them: there they are used from the checkout, as the library is.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShellsInWheel(BuildHookInterface[Any]):
    """Adds every `addons/*.py`, so that no list has to be kept."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them to the files of a wheel; `version` is `editable` for an editable install."""
        if version == "editable":
            return
        for shell in Path(self.root, "addons").glob("*.py"):
            build_data["force_include"][str(shell)] = f"wiremend/_addons/{shell.name}"
