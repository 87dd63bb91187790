"""Progress on a terminal: one line, which is removed before anything else is written."""

from typing import TextIO

_EVERY_FLOWS = 50
_ERASE = "\r\x1b[K"


class ProgressLine:
    """Writes how far a run is."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._is_shown = False

    def update(self, file: str, flows: int, fraction: float | None) -> None:
        """Show the number of flows read, and the fraction of the file if it is known."""
        if flows % _EVERY_FLOWS:
            return
        share = f", {fraction:.0%}" if fraction is not None else ""
        self._terminal.write(f"{_ERASE}{file[-60:]}: {flows:,} flows{share}")
        self._terminal.flush()
        self._is_shown = True

    def clear(self) -> None:
        """Remove the line."""
        if self._is_shown:
            self._terminal.write(_ERASE)
            self._terminal.flush()
            self._is_shown = False
