"""A build hook of hatchling that adds the shells to the wheel, as `wiremend/_addons/`.

An editable install contains no copy of them. It uses those of the checkout, like the library.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShellsInWheel(BuildHookInterface[Any]):
    """Adds every `addons/*.py`, so that no list of them is needed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the shells to a wheel. `version` is `editable` for an editable install."""
        if version == "editable":
            return
        for shell in Path(self.root, "addons").glob("*.py"):
            build_data["force_include"][str(shell)] = f"wiremend/_addons/{shell.name}"
