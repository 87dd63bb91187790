"""The registry of workloads: what is measured, and which figures are read from it."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks import metrics
from benchmarks.load import Load
from benchmarks.metrics import Comparison, Metric
from benchmarks.upstream import Play

_QUICK_SECONDS = 0.6


@dataclass(frozen=True)
class RequestSize:
    """The size of a request's body in bytes, and the number of its tools."""

    size: int
    tools: int


SMALL = RequestSize(2_000, 1)
LARGE = RequestSize(1_000_000, 100)


@dataclass(frozen=True)
class Workload:
    """Calls that are made through each contender."""

    name: str
    summary: str
    play: Play
    load: Load
    metrics: tuple[Metric, ...]
    request: RequestSize = SMALL
    new_process: bool = False
    """Whether each measurement starts a new process of the contender, to compare its memory."""

    def quick(self) -> "Workload":
        """Return a shorter form, for a first impression."""
        seconds = min(self.load.seconds, _QUICK_SECONDS)
        return replace(self, load=replace(self.load, seconds=seconds))


def all_workloads() -> dict[str, Workload]:
    """Return all workloads by their names, in the order of the table."""
    workloads = [
        *(_calls(connections) for connections in (1, 16, 64)),
        _burst(300),
        _burst(6000),
        _paced(),
        _streams(200, interval_seconds=0.25, ramp=3.2),
        _streams(500, interval_seconds=0.5, ramp=8.0),
        _large_request(),
        _new_connections(),
    ]
    return {workload.name: workload for workload in workloads}


def _ratio(name: str, unit: str, read: Callable[[metrics.Cell], float | None]) -> Metric:
    return Metric(name, unit, Comparison.RATIO, read)


def _added(name: str, series: str, percentile: str) -> Metric:
    read = metrics.latency(series, percentile)
    return Metric(f"{name}, added {percentile}", "ms", Comparison.ADDED, read)


_CPU_PER_REQUEST = _ratio("CPU per request", "ms", metrics.cpu_per("done", 1e-3))
_REQUESTS = _ratio("requests/s", "", metrics.per_second("done"))


def _calls(connections: int) -> Workload:
    return Workload(
        f"calls-{connections}",
        f"small streaming calls, {connections} at a time, on open connections",
        Play(deltas=3),
        Load(connections=connections, seconds=2.5, warmup=5),
        (
            _REQUESTS,
            _CPU_PER_REQUEST,
            _ratio("latency p50", "ms", metrics.latency("total", "p50")),
            _ratio("latency p99", "ms", metrics.latency("total", "p99")),
        ),
    )


def _burst(deltas: int) -> Workload:
    return Workload(
        f"burst-{deltas}",
        f"responses of {deltas} events that are sent at once, 4 at a time",
        Play(deltas=deltas),
        Load(connections=4, seconds=2.5, warmup=2),
        (
            _ratio("events/s", "", metrics.per_second("marks")),
            _ratio("CPU per event", "µs", metrics.cpu_per("marks", 1e-6)),
        ),
    )


def _paced() -> Workload:
    return Workload(
        "paced",
        "responses of 20 events, one per 10 ms, 4 at a time",
        Play(deltas=20, interval_seconds=0.01),
        Load(connections=4, seconds=5.0, warmup=2),
        (
            _added("first event", "first", "p50"),
            _added("first event", "first", "p99"),
            _added("an event", "event", "p50"),
            _added("an event", "event", "p99"),
            _ratio("CPU per event", "µs", metrics.cpu_per("marks", 1e-6)),
        ),
    )


def _streams(connections: int, interval_seconds: float, ramp: float) -> Workload:
    load = Load(connections, calls=connections, seconds=5.0, ramp=ramp, settled=2.0)
    deltas = round((load.limit + load.settled + load.seconds) / interval_seconds)
    return Workload(
        f"streams-{connections}",
        f"{connections} responses at once, an event per {interval_seconds * 1000:.0f} ms in each",
        Play(deltas, interval_seconds),
        load,
        (
            _added("an event", "event", "p50"),
            _added("an event", "event", "p99"),
            _ratio("CPU per event", "µs", metrics.cpu_per("marks", 1e-6)),
            Metric("peak memory", "MiB", Comparison.VALUE, metrics.peak_memory),
            Metric("memory per stream", "KiB", Comparison.VALUE, metrics.memory_per_call),
        ),
        new_process=True,
    )


def _large_request() -> Workload:
    return Workload(
        "large-request",
        "requests of 1 MB with 100 tools, one at a time",
        Play(deltas=3),
        Load(seconds=3.0, warmup=3),
        (
            _added("response", "total", "p50"),
            _added("response", "total", "p99"),
            _CPU_PER_REQUEST,
        ),
        LARGE,
    )


def _new_connections() -> Workload:
    return Workload(
        "new-connections",
        "small streaming calls, 4 at a time, each on a new connection",
        Play(deltas=3),
        Load(connections=4, seconds=2.5, warmup=3, new_connections=True),
        (_REQUESTS, _CPU_PER_REQUEST, _added("response", "total", "p50")),
    )
