"""All addons, loaded as `mitmdump -s addons/` loads them, and their hooks.

Import this module before any other that imports wiremend: loading the addons drops the imported
modules of wiremend.
"""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

_MAIN = Path(__file__).resolve().parents[2] / "addons" / "__main__.py"
_HOOKS = ("requestheaders", "request", "responseheaders", "response", "error")


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("all_addons", _MAIN)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_module = _load()


class Addons:
    """All addons with the default configuration, and with state of their own."""

    def __init__(self) -> None:
        shells = [type(addon) for addon in _module.addons[1:]]
        self._addons: list[Any] = _module.suite_of(*shells)

    @property
    def settings(self) -> Any:
        """The engine's settings."""
        return self._addons[0].current.settings

    @property
    def hooks(self) -> dict[str, Callable[[Any], None]]:
        """Functions that call one hook of all addons, by the name of the hook."""
        return {name: partial(self._trigger, name) for name in _HOOKS}

    def plan(self, options: Any) -> None:
        """Call the hook that requests features for a call."""
        self._trigger("wiremend_call", options)

    def _trigger(self, name: str, value: Any) -> None:
        for addon in self._addons:
            if hook := getattr(addon, name, None):
                hook(value)
