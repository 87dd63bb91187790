"""The order of the measurements, and one measurement."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wiremend.testing.certificates import Authority

from benchmarks import messages, proc_files
from benchmarks.contenders import Contender, Running, Setting
from benchmarks.load import Load, LoadClient, Route
from benchmarks.metrics import Cell
from benchmarks.processes import BenchError
from benchmarks.upstream import Play, Upstream
from benchmarks.workloads import SMALL, RequestSize, Workload

SCHEMES = ("http", "https")
_FAILURES_UNTIL_SKIPPED = 2
_FIRST_CALLS = Load(connections=4, calls=40, limit=60.0)
"""Made through each contender that was started, before anything is measured."""


@dataclass(frozen=True)
class Plan:
    """What is to be measured."""

    schemes: Sequence[str]
    workloads: Sequence[Workload]
    contenders: Sequence[Contender]
    rounds: int

    @property
    def cells(self) -> int:
        """The number of measurements."""
        return len(self.schemes) * len(self.workloads) * len(self.contenders) * self.rounds


@dataclass(frozen=True)
class Place:
    """One measurement to make."""

    scheme: str
    workload: Workload
    contender: Contender
    round: int


def places(plan: Plan, scheme: str) -> Iterator[Place]:
    """Return the measurements with one scheme in their order.

    In each round and workload, the contenders follow each other directly, and another one is first.
    """
    for round_number in range(plan.rounds):
        for index, workload in enumerate(plan.workloads):
            first = (round_number + index) % len(plan.contenders)
            for contender in [*plan.contenders[first:], *plan.contenders[:first]]:
                yield Place(scheme, workload, contender, round_number)


class Bench:
    """Runs a plan; use as a context manager, which ends all processes that it started."""

    def __init__(self, plan: Plan, directory: Path, progress: Callable[[Place, int], None]) -> None:
        self._plan = plan
        self._directory = directory
        self._progress = progress
        self._stack = ExitStack()
        self._made = 0
        self._starts = 0

    def __enter__(self) -> "Bench":
        self._authority = Authority(self._directory / "authority", "wiremend bench")
        leaf = self._authority.leaf(messages.HOST, "localhost")
        self._upstream = self._stack.enter_context(Upstream(leaf, self._directory))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def cells(self) -> Iterator[Cell]:
        """Make all measurements. Raises BenchError if a contender does not start."""
        for scheme in self._plan.schemes:
            with ExitStack() as stack:
                running = {
                    contender.name: stack.enter_context(self._started(contender, scheme))
                    for contender in self._plan.contenders
                }
                yield from self._cells_of_scheme(scheme, running)

    def _cells_of_scheme(self, scheme: str, running: dict[str, Running]) -> Iterator[Cell]:
        failures: dict[tuple[str, str], int] = {}
        for place in places(self._plan, scheme):
            self._progress(place, self._made)
            self._made += 1
            key = place.workload.name, place.contender.name
            if failures.get(key, 0) >= _FAILURES_UNTIL_SKIPPED:
                continue
            cell = self._cell(place, running[place.contender.name])
            failures[key] = failures.get(key, 0) + bool(cell.problem)
            yield cell

    def _cell(self, place: Place, running: Running) -> Cell:
        try:
            if not place.workload.new_process or running.pid is None:
                return self._measure(place, running)
            with self._started(place.contender, place.scheme) as another:
                return self._measure(place, another)
        except BenchError as error:
            return self._empty_cell(place, str(error))

    @contextmanager
    def _started(self, contender: Contender, scheme: str) -> Iterator[Running]:
        self._starts += 1
        directory = self._directory / f"{contender.name.replace(' ', '-')}-{self._starts}"
        directory.mkdir()
        authority = self._authority.file.resolve()
        setting = Setting(scheme, self._upstream.port(scheme), authority, directory)
        with contender.start(setting) as running:
            self._make_first_calls(contender, running.route, directory / "log")
            yield running

    def _make_first_calls(self, contender: Contender, route: Route, log: Path) -> None:
        with self._client(route, Play(3), _FIRST_CALLS, SMALL) as client:
            client.warm_up()
            result = client.measure()
        if result["done"] < _FIRST_CALLS.calls:
            end = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise BenchError(f"{contender.name} fails: {result['problem']}\n{end}")

    def _client(self, route: Route, play: Play, load: Load, size: RequestSize) -> LoadClient:
        self._upstream.answer(messages.PATH, play, messages.answer())
        self._upstream.answer(messages.CHAT_PATH, play, messages.chat_answer())
        request = self._directory / "request"
        request.write_bytes(messages.request(route, messages.body(size.size, size.tools)))
        return LoadClient(route, load, request, play.deltas)

    def _measure(self, place: Place, running: Running) -> Cell:
        workload = place.workload
        with self._client(running.route, workload.play, workload.load, workload.request) as client:
            client.warm_up()
            if running.pid is not None:
                proc_files.reset_peak_memory(running.pid)
            before = proc_files.resident_memory(running.pid) if running.pid else 0
            usage = _Usage()
            result = client.measure(usage.begin)
            usage.end()
            return replace(
                self._empty_cell(place, problem_of(result)),
                load=result,
                window_seconds=usage.window_seconds,
                cpu_seconds=usage.of(running.pid) if running.pid else 0.0,
                load_cpu_seconds=usage.of(client.pid),
                upstream_cpu_seconds=usage.of(self._upstream.pid),
                others_cpu_seconds=usage.of_others(),
                memory_before=before,
                memory_peak=proc_files.peak_memory(running.pid) if running.pid else 0,
            )

    @staticmethod
    def _empty_cell(place: Place, problem: str) -> Cell:
        names = place.scheme, place.workload.name, place.contender.name
        return Cell(*names, place.round, load={}, window_seconds=0.0, problem=problem)


class _Usage:
    """The CPU time between two snapshots, in seconds; it begins when it is created."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Take the first snapshot, or replace it."""
        self._before, self._started = proc_files.cpu_snapshot(), time.perf_counter()

    def end(self) -> None:
        """Take the second snapshot."""
        self._after = proc_files.cpu_snapshot()
        self.window_seconds = time.perf_counter() - self._started

    def of(self, root: int) -> float:
        """Return the CPU time of a process and its descendants."""
        return (self._after.tree(root) - self._before.tree(root)) / proc_files.ticks_per_second()

    def of_others(self) -> float:
        """Return the CPU time of everything but this process and its descendants."""
        busy = (self._after.busy - self._before.busy) / proc_files.ticks_per_second()
        return max(0.0, busy - self.of(os.getpid()))


def problem_of(result: Mapping[str, Any]) -> str:
    """Return why a result of the load client has no figures, or an empty string."""
    done, failed, unfinished = result["done"], result["failed"], result["unfinished"]
    reason = str(result["problem"])
    if done and not failed and not unfinished and not reason:
        return ""
    counts = f"{done} calls done, {failed} failed, {unfinished} not finished"
    return f"{counts}: {reason}" if reason else counts
