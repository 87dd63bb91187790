"""The load client (`native/load.c`), started for each measurement."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from benchmarks.native import compiled
from benchmarks.processes import BenchError, ending_with_bench


@dataclass(frozen=True)
class Route:
    """How the client reaches a contender on 127.0.0.1."""

    port: int
    target: str = ""
    """What precedes the path in the request: for a plain HTTP proxy the scheme and host."""
    connect: str = ""
    """`HOST:PORT` of a CONNECT request, for a proxy that is to open a tunnel."""
    tls: str = ""
    """The host name of the TLS connection; empty for plain HTTP."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that this contender needs in addition."""


@dataclass(frozen=True)
class Load:
    """What the client does; times in seconds."""

    connections: int = 1
    """Calls at the same time."""
    calls: int = 0
    """The number of calls; 0 for as many as start within `seconds`."""
    seconds: float = 0.0
    warmup: int = 0
    """Calls on each connection before the measurement."""
    new_connections: bool = False
    """Whether each call opens a connection."""
    ramp: float = 0.0
    """The time over which the first calls start."""
    settled: float = 0.0
    """If not 0, there is one call per connection, and events are measured for `seconds`, that long
    after all responses have begun. The responses must be longer; they are broken off."""
    limit: float = 60.0
    """When calls that have not ended are given up."""


class LoadClient:
    """One run of the load client; use as a context manager."""

    def __init__(self, route: Route, load: Load, request: Path, marks: int) -> None:
        options = {
            "port": route.port,
            "connect": route.connect,
            "tls": route.tls,
            "request": request,
            "connections": load.connections,
            "calls": load.calls,
            "seconds": load.seconds,
            "limit": load.limit,
            "warmup": load.warmup,
            "fresh": int(load.new_connections),
            "ramp": load.ramp,
            "settled": load.settled,
            "marks": marks,
        }
        self._arguments = [f"{name}={value}" for name, value in options.items()]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [compiled("load"), *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=ending_with_bench(),
        )
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def warm_up(self) -> None:
        """Wait until the calls of the warm-up have ended."""
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise BenchError("the load client did not start")

    def measure(self, settled: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """Make the calls and return the result of `native/load.c`.

        `settled` is called when a settled measurement begins.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if line == b"settled\n":
            settled()
            line = self._process.stdout.readline()
        if not line:
            raise BenchError("the load client ended without a result")
        result: dict[str, Any] = orjson.loads(line)
        return result
