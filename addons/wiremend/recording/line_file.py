"""A file of lines that is written by a thread of its own, so that no call waits for the disk."""

import os
import queue
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wiremend.text.counted import counted

WAITING_LIMIT = 1_000
"""How many lines wait for the disk. Further ones are dropped, and counted."""
SIZE_LIMIT_BYTES = 20 * 2**20
"""A file that is larger is renamed to FILE.1, FILE.1 to FILE.2 and so on."""
OLD_FILES = 5
"""How many of these are kept."""
_CLOSE_SECONDS = 2.0


class LineFile:
    """Appends lines to a file that only its owner can read.

    `report` is called with messages for the user, also from the writing thread: one when lines are
    lost, and one when lines are written again.
    """

    def __init__(
        self, path: Path, report: Callable[[str], None], size_limit_bytes: int = SIZE_LIMIT_BYTES
    ) -> None:
        self.path = path
        self._report = report
        self._size_limit_bytes = size_limit_bytes
        self._waiting: queue.Queue[bytes | None] = queue.Queue(WAITING_LIMIT)
        self._lost = 0
        self._descriptor: int | None = None
        self._size = 0
        self._ends_in_part = False
        """Whether the disk was full in the middle of a line."""
        self._thread = threading.Thread(target=self._write_all, name="wiremend log", daemon=True)
        self._thread.start()

    def add(self, line: bytes) -> None:
        """Write a line, which contains no line feed, later. It never waits."""
        try:
            self._waiting.put_nowait(line + b"\n")
        except queue.Full:
            self._lose("it is not written fast enough")

    def close(self) -> None:
        """Write what is waiting; give up after two seconds."""
        with suppress(queue.Full):
            self._waiting.put(None, timeout=_CLOSE_SECONDS)
        self._thread.join(_CLOSE_SECONDS)

    def _write_all(self) -> None:
        while (line := self._waiting.get()) is not None:
            try:
                self._write(line)
            except OSError as problem:
                self._lose((problem.strerror or type(problem).__name__).lower())
                self._close_file()
            else:
                self._recovered()
        self._close_file()

    def _write(self, line: bytes) -> None:
        if self._descriptor is None:
            self._descriptor, self._size = _opened(self.path)
        elif self._size > 0 and self._size + len(line) > self._size_limit_bytes:
            self._close_file()
            _rotate(self.path)
            self._descriptor, self._size = _opened(self.path)
        if self._ends_in_part:
            line = b"\n" + line
        while line:
            written = os.write(self._descriptor, line)
            line = line[written:]
            self._ends_in_part = bool(line)
            self._size += written

    def _close_file(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)

    def _lose(self, reason: str) -> None:
        self._lost += 1
        if self._lost == 1:
            self._report(f"{self.path} lacks lines: {reason}. Calls go on.")

    def _recovered(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            self._report(f"{self.path} is written again; {counted(lost, 'line')} missing.")


def _opened(path: Path) -> tuple[int, int]:
    """Return the descriptor and the size of a file. One that others can read becomes private."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        with suppress(OSError):
            os.fchmod(descriptor, 0o600)
    return descriptor, status.st_size


def _rotate(path: Path) -> None:
    if not path.is_file():
        return
    for number in range(OLD_FILES - 1, 0, -1):
        with suppress(FileNotFoundError):
            os.replace(f"{path}.{number}", f"{path}.{number + 1}")
    os.replace(path, f"{path}.1")
