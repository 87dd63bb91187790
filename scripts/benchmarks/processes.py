"""Child processes of the bench, which end with it."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.05
_STOP_LIMIT_SECONDS = 10.0
_LOG_LINES_SHOWN = 15


class BenchError(Exception):
    """The bench cannot go on; the message contains the reason and what to do."""


def inherited_environment() -> dict[str, str]:
    """Return the variables that children inherit: no proxies, and nothing of pytest or the bench.

    mitmproxy behaves differently when it detects pytest. The bench sets PYTHONPATH for itself.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("PYTEST_")
        and not name.upper().endswith("_PROXY")
        and name != "PYTHONPATH"
    }


def ending_with_bench() -> Callable[[], None]:
    """Return the `preexec_fn` of a child that Linux kills when this process ends in any way."""
    bench = os.getpid()
    library = ctypes.CDLL(None)

    def prepare_child() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != bench:  # it ended before
            os._exit(1)

    return prepare_child


def free_port() -> int:
    """Return a port on 127.0.0.1 that is not in use, for programs that cannot choose one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Server:
    """A server as a child process in a session of its own; use as a context manager.

    Its output is written to `log`. Leaving the context ends it and its children.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        directory: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._command = list(command)
        self._log = log
        self._directory = directory
        self._environment = {**inherited_environment(), **environment}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command,
                    cwd=self._directory,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C is for the bench, which then ends its children
                    preexec_fn=ending_with_bench(),
                )
        except OSError as error:
            raise BenchError(f"{self._command[0]} does not start: {error}") from None
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process = self._process
        assert process is not None
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_LIMIT_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def wait_for_line(self, pattern: str, limit_seconds: float) -> re.Match[str]:
        """Wait until the log contains `pattern`; return the match.

        Raises BenchError if the process ends before, or at the limit.
        """
        wanted = re.compile(pattern)
        for _ in self._until(limit_seconds):
            if match := wanted.search(self._log.read_text(errors="replace")):
                return match
        raise self._failure("did not report that it listens")

    def wait_for_port(self, port: int, limit_seconds: float) -> None:
        """Wait until a connection to `port` succeeds.

        Raises BenchError if the process ends before, or at the limit.
        """
        for _ in self._until(limit_seconds):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
        raise self._failure(f"does not listen on port {port}")

    def log_end(self) -> str:
        """Return the last lines of the log."""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES_SHOWN:])

    def _until(self, limit_seconds: float) -> "_Waiting":
        return _Waiting(self._process, limit_seconds)

    def _failure(self, problem: str) -> BenchError:
        return BenchError(f"{self._command[0]} {problem}; the end of its log:\n{self.log_end()}")


class _Waiting:
    """Iterates until the process has ended or the time is over."""

    def __init__(self, process: "subprocess.Popen[bytes] | None", limit_seconds: float) -> None:
        self._process = process
        self._until = time.monotonic() + limit_seconds
        self._first = True

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> None:
        if not self._first:
            time.sleep(_POLL_SECONDS)
        self._first = False
        ended = self._process is None or self._process.poll() is not None
        if ended or time.monotonic() > self._until:
            raise StopIteration
