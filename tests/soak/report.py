"""The tables of a soak, and its JSON."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median, quantiles
from typing import Any

from .load import Load, Minute
from .samples import Sample
from .scenarios import End
from .verdict import TOLERANCE, WARM_UP_SECONDS, Verdict

LATE_SHARE = 0.05
"""More calls than this that are late are reported, as a fraction."""
_MEBIBYTE = 1024 * 1024
_TYPES_SHOWN = 12
_COLUMNS = (
    ("minute", 6),
    ("calls", 6),
    ("answer", 7),
    ("error", 6),
    ("other", 6),
    ("failed", 7),
    ("late", 5),
    ("p50 ms", 7),
    ("p99 ms", 7),
    ("RSS MiB", 9),
    ("PSS MiB", 9),
    ("sockets", 8),
    ("tasks", 6),
    ("threads", 8),
    ("objects", 9),
)


def head_line() -> str:
    """Return the head of the table of minutes."""
    return "".join(f"{name:>{width}}" for name, width in _COLUMNS)


def minute_line(number: int, minute: Minute, samples: Sequence[Sample]) -> str:
    """Return the row of one minute. Each figure of the proxy is the median of its samples."""
    total, answers, errors = minute.ends.total(), minute.ends[End.ANSWER], minute.ends[End.ERROR]
    p50, p99 = _percentiles([seconds * 1000 for seconds in minute.clean_seconds])
    cells = [number + 1, total, answers, errors, total - answers - errors, minute.failed]
    cells += [minute.late, round(p50), round(p99)]
    figures = []
    if samples:
        medians = {name: _median(samples, name) for name in asdict(samples[0])}
        figures = [f"{medians[name] / _MEBIBYTE:.1f}" for name in ("rss", "pss")]
        figures += [f"{medians[name]:.0f}" for name in ("sockets", "tasks", "threads", "objects")]
    texts = [*map(str, cells), *figures]
    return "".join(f"{text:>{width}}" for text, (_, width) in zip(texts, _COLUMNS, strict=False))


def progress_line(load: Load, sample: Sample) -> str:
    """Return what is going on, on one short line."""
    return (
        f"{sample.seconds:5.0f} s  {load.made} calls, {load.running} running, {load.failed} failed"
        f"  {sample.rss / _MEBIBYTE:.1f} MiB  {sample.sockets} sockets  {sample.tasks} tasks"
    )


def verdict_lines(verdict: Verdict, load: Load, types: Mapping[str, int]) -> Iterator[str]:
    """Return the verdict as text. `types`: by how many objects each type grew."""
    for failure in load.failures:
        yield f"FAILED {failure}"
    yield from (f"FAILED {complaint}" for complaint in verdict.complaints)
    yield f"calls: {verdict.made}, lost, hung or wrong: {verdict.failed}"
    late = sum(minute.late for minute in load.minutes)
    if late > LATE_SHARE * verdict.made:
        yield (
            f"{late} calls had to wait for others: the machine is too busy for this rate, and an "
            "error that names a limit may be due to that"
        )
    for name in ("sockets", "tasks", "files", "threads"):
        before, after = getattr(verdict.before, name), getattr(verdict.after, name)
        note = "  NOT BACK" if name in verdict.left_over else ""
        yield f"{name}: {before} before the first call, {after} after the last one{note}"
    if not verdict.growths:
        yield (
            f"growth: not judged; it is measured after {WARM_UP_SECONDS / 60:.0f} minutes, so the "
            "run must take at least 8"
        )
    for growth in verdict.growths:
        unit = f"{growth.level / _MEBIBYTE:.1f} MiB" if "ss" in growth.figure else growth.level
        yield (
            f"{growth.figure}: {unit} after {WARM_UP_SECONDS / 60:.0f} minutes; then "
            f"{growth.between_thirds:+.1%} between the thirds, {growth.by_line:+.1%} along the line"
            f" ({'flat' if growth.is_flat else 'GROWS'}: {TOLERANCE:.0%} is allowed)"
        )
    if verdict.load is not None and verdict.load.between_thirds > TOLERANCE:
        yield (
            f"sockets: {verdict.load.between_thirds:+.1%} between the thirds: more calls ran at "
            "once, which takes memory; repeat at a rate that the machine can keep"
        )
    if any(not growth.is_flat for growth in verdict.growths) and types:
        yield "objects that grew most after the warm-up:"
        yield from (f"  {count:+8} {name}" for name, count in _most(types) if count > 0)
    yield "flat" if verdict.is_good and verdict.growths else "good" if verdict.is_good else "FAILED"


def as_json(
    verdict: Verdict, load: Load, samples: Sequence[Sample], types: Mapping[str, int], **run: Any
) -> dict[str, Any]:
    """Return everything that was measured."""
    return {
        "run": run,
        "is_good": verdict.is_good,
        "made": verdict.made,
        "failed": [str(failure) for failure in load.failures],
        "complaints": verdict.complaints,
        "left_over": verdict.left_over,
        "growth": [{**asdict(growth), "is_flat": growth.is_flat} for growth in verdict.growths],
        "before": asdict(verdict.before),
        "after": asdict(verdict.after),
        "scenarios": load.by_scenario,
        "minutes": [{"ends": minute.ends, "late": minute.late} for minute in load.minutes],
        "samples": [asdict(sample) for sample in samples],
        "grown_types": dict(_most(types)),
    }


def _most(types: Mapping[str, int]) -> list[tuple[str, int]]:
    return Counter(types).most_common(_TYPES_SHOWN)


def _median(samples: Sequence[Sample], name: str) -> float:
    return median(float(getattr(sample, name)) for sample in samples)


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return (values[0], values[0]) if values else (0.0, 0.0)
    parts = quantiles(values, n=100, method="inclusive")
    return parts[49], parts[98]
