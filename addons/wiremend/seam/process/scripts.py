"""The scripts that mitmproxy loaded this code from, which change when it is updated.

mitmproxy loads a script again when its file changes, and removes it when the file is gone. An
update (`git pull`, `pip install -U`) writes one file after the other, so what would be loaded is
half old and half new, and calls that are running would lose their addons. The code that was loaded
at the start therefore stays.
"""

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from mitmproxy.addonmanager import AddonManager
from mitmproxy.addons.script import Script

_LIBRARY = Path(__file__).resolve().parents[2]

_Stamp = tuple[int, int] | None


def keep_loaded(addons: AddonManager, directory: Path) -> None:
    """Call this while a script loads: it is watched no further if it is in this directory.

    Contract 23 in `seam/__init__.py`. Other scripts of the directory may have yet to load.
    """
    try:
        loading = asyncio.current_task()
    except RuntimeError:  # it is loaded without a watch
        return
    for addon in addons.lookup.values():
        if isinstance(addon, Script) and loading is not None and addon.reloadtask is loading:
            if Path(addon.fullpath).resolve().parent == directory.resolve():
                loading.cancel()
            return


class LoadedSources:
    """The files of the modules that are loaded from the library and from `directory`."""

    def __init__(self, directory: Path) -> None:
        inside = (str(_LIBRARY), str(directory.resolve()))
        files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
        self._stamps = _stamps_of({file for file in files if file and file.startswith(inside)})

    def have_changed(self) -> bool:
        """Whether a file differs from the one that was there when this value was made."""
        return _stamps_of(self._stamps) != self._stamps


def _stamps_of(files: Iterable[str]) -> Mapping[str, _Stamp]:
    return {file: _stamp_of(file) for file in files}


def _stamp_of(file: str) -> _Stamp:
    """Return the stamp of one of some 400 files, which are examined every second."""
    try:
        status = os.stat(file)  # a Path costs more than the call
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
