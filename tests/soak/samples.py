"""What a proxy uses at one moment: memory, sockets, threads, tasks, objects. Reads /proc."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ANSWER_SECONDS = 30.0
_COUNT_SECONDS = 60.0
_BYTES_PER_KIB = 1024


@dataclass(frozen=True)
class Sample:
    """What the proxy used at one moment of the run."""

    seconds: float
    """Since the first call."""
    rss: int
    """Resident bytes."""
    pss: int
    """Resident bytes, shared pages divided by the number of processes that share them."""
    sockets: int
    files: int
    """Open descriptors that are not sockets."""
    threads: int
    tasks: int
    """asyncio tasks."""
    objects: int
    """Objects that the garbage collector tracked after a full collection, up to a minute ago."""


class Sampler:
    """Takes samples of one process, which runs `report_state.py` on this socket."""

    def __init__(self, pid: int, state_socket: Path) -> None:
        self._proc = Path(f"/proc/{pid}")
        self._state_socket = str(state_socket)
        self.started = time.monotonic()
        """When the first call was made."""
        self._objects = 0
        self._counted_at = -_COUNT_SECONDS

    def take(self) -> Sample:
        """Return a sample. Raises OSError if the process has ended or does not answer."""
        sockets, files = self._descriptors()
        memory = self._fields("smaps_rollup")
        tasks = self.ask("tasks")["tasks"]
        return Sample(
            seconds=time.monotonic() - self.started,
            rss=memory["Rss"] * _BYTES_PER_KIB,
            pss=memory["Pss"] * _BYTES_PER_KIB,
            sockets=sockets,
            files=files,
            threads=self._fields("status")["Threads"],
            tasks=tasks,
            objects=self._live_objects(),
        )

    def _live_objects(self) -> int:
        """Return a recent count: a collection for each sample would change what is measured."""
        now = time.monotonic()
        if now >= self._counted_at + _COUNT_SECONDS:
            self._counted_at = now
            self._objects = self.ask("census")["objects"]
        return self._objects

    def ask(self, command: str) -> Any:
        """Return the answer of `report_state.py`."""
        with socket.socket(socket.AF_UNIX) as connected:
            connected.settimeout(_ANSWER_SECONDS)
            connected.connect(self._state_socket)
            connected.sendall(f"{command}\n".encode())
            with connected.makefile("rb") as answer:
                return json.loads(answer.readline())

    def sockets(self) -> int:
        """Return the number of open sockets."""
        return self._descriptors()[0]

    def _descriptors(self) -> tuple[int, int]:
        sockets = files = 0
        for descriptor in (self._proc / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                is_socket = os.readlink(descriptor).startswith("socket:")
                sockets, files = sockets + is_socket, files + (not is_socket)
        return sockets, files

    def _fields(self, name: str) -> Mapping[str, int]:
        """Return the numbers in a file of /proc, by their names."""
        fields = {}
        for line in (self._proc / name).read_text().splitlines():
            key, _, value = line.partition(":")
            if number := value.split()[:1]:
                with contextlib.suppress(ValueError):
                    fields[key] = int(number[0])
        return fields
