"""The scripted provider (`native/upstream.c`), one for the whole bench."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from wiremend.testing.certificates import Leaf

from benchmarks.native import compiled
from benchmarks.processes import BenchError, ending_with_bench


@dataclass(frozen=True)
class Play:
    """An answer: how many deltas it has, and the time between them (0: all at once)."""

    deltas: int
    interval_seconds: float = 0.0


@dataclass(frozen=True)
class AnswerBytes:
    """The bytes of an answer as they are sent; see `native/upstream.c`."""

    prologue: bytes
    delta: bytes
    epilogue: bytes


class Upstream:
    """The scripted provider; use as a context manager."""

    def __init__(self, leaf: Leaf, directory: Path) -> None:
        self._leaf = leaf
        self._directory = directory
        self.plain_port = 0
        self.tls_port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [compiled("upstream"), self._leaf.certificate_file, self._leaf.key_file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=ending_with_bench(),
        )
        assert self._process.stdout is not None
        name, *ports = self._process.stdout.readline().split() or [""]
        if name != "ready":
            raise BenchError("the scripted provider did not start")
        self.plain_port, self.tls_port = map(int, ports)
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def port(self, scheme: str) -> int:
        """Return the port for `http` or `https`."""
        return self.tls_port if scheme == "https" else self.plain_port

    def answer(self, path: str, play: Play, content: AnswerBytes) -> None:
        """Answer requests for paths that end in `path` with `content` from now on."""
        folder = self._directory / "play"
        folder.mkdir(exist_ok=True)
        for name in ("prologue", "delta", "epilogue"):
            (folder / name).write_bytes(getattr(content, name))
        interval = round(play.interval_seconds * 1e9)
        if self._ask(f"play {path} {play.deltas} {interval} {folder}") != "ok":
            raise BenchError("the scripted provider refused a play")

    def requests(self) -> int:
        """Return how many requests it received so far."""
        return int(self._ask("stats").split()[1])

    def _ask(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().rstrip("\n")
