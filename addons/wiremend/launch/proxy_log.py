"""The log of the proxy of a command: copies its output to a file, whatever happens to the file.

The proxy writes its log to a pipe. If nothing reads from the pipe, the proxy stops in the middle of
a call as soon as the pipe is full. So reading never waits for the disk: one thread reads into a
bounded queue, another one writes. Lines that cannot be written are dropped and counted.
"""

import fcntl
import itertools
import os
import queue
import threading
from collections import deque
from pathlib import Path
from typing import IO

from wiremend.text.counted import counted

QUEUED_LINES = 4000
"""Lines that wait for a slow disk; more are dropped."""
_KEPT_LINES = 500
LINE_LIMIT_BYTES = 4096
"""The rest of a longer line is a line of its own."""


class ProxyLog:
    """A log file. Its methods do not raise if the file cannot be written."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._lost_lines = 0
        self._threads: list[threading.Thread] = []
        self.last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        """The last lines of the proxy, also if they could not be written."""

    @classmethod
    def of_run(cls, directory: Path) -> "ProxyLog":
        """Open and truncate the first of proxy.log, proxy-2.log, ... that no other run has open."""
        for number in itertools.count(1):
            path = directory / (f"proxy-{number}.log" if number > 1 else "proxy.log")
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
                descriptor = os.open(path, flags, 0o600)
            except OSError:  # a full disk: the calls do not need the log
                return cls(Path(os.devnull), os.open(os.devnull, os.O_WRONLY))
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
            else:
                os.ftruncate(descriptor, 0)
                return cls(path, descriptor)
        raise AssertionError("itertools.count does not end")

    def write(self, line: bytes) -> None:
        """Append one line, preceded by the number of lines that were lost before it, if any."""
        lost = self._lost_lines
        text = f"[{counted(lost, 'line')} missing: no room to write]\n" if lost else ""
        try:
            _write_all(self._descriptor, text.encode() + line)
        except OSError:
            self._lost_lines += 1
        else:
            self._lost_lines = 0

    def follow(self, output: IO[bytes]) -> None:
        """Copy the proxy's output in the background, until it or this process ends."""
        lines: queue.Queue[bytes] = queue.Queue(QUEUED_LINES)
        self._threads = [
            threading.Thread(target=self._read, args=(output, lines), daemon=True),
            threading.Thread(target=self._write_queued, args=(lines,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def finish(self, timeout_seconds: float) -> None:
        """Wait until all output of a proxy that has ended is written, but no longer than this."""
        for thread in self._threads:
            thread.join(timeout_seconds)

    def _read(self, output: IO[bytes], lines: queue.Queue[bytes]) -> None:
        while line := output.readline(LINE_LIMIT_BYTES):
            self.last_lines.append(line.decode(errors="replace"))
            try:
                lines.put_nowait(line)
            except queue.Full:
                self._lost_lines += 1
        lines.put(b"")

    def _write_queued(self, lines: queue.Queue[bytes]) -> None:
        while line := lines.get():
            self.write(line)


def _write_all(descriptor: int, data: bytes) -> None:
    """Write everything. Raises OSError; what was written by then stays."""
    while data:
        data = data[os.write(descriptor, data) :]
