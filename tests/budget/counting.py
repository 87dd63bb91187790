"""Counts the work of a piece of code: the same number in every run.

`sys.monitoring` reports every bytecode instruction and every call. Instructions explain the time of
Python code best, and nothing that runs in Python escapes them. They differ a little between minor
versions of Python, so a budget is exact for one version, and a coarse limit for others.

C code counts as a call, and by the length of the bytes or text that it gets as its first argument
(for a method: that it belongs to). So a second parse or another copy of a large body is visible,
although it is one instruction. (`find` from an offset counts as if it read everything: the count is
an upper bound.)

Code of the tests is not counted, code of mitmproxy and of the standard library is: what wiremend
makes them do is a cost, too.
"""

import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

_TESTS = str(Path(__file__).resolve().parents[1])
_TOOL = sys.monitoring.PROFILER_ID
_EVENTS = sys.monitoring.events.INSTRUCTION | sys.monitoring.events.CALL
_STANDARD_LIBRARY = f"python{sys.version_info.major}.{sys.version_info.minor}"
_QUICK = frozenset(
    {"type", "isinstance", "len", "id", "append", "add", "startswith", "endswith", "removeprefix"}
)
"""C functions whose time does not depend on the length of their first argument."""
_TEXTS = (bytes, str, bytearray, memoryview)


@dataclass(frozen=True)
class Counts:
    """What a piece of code cost."""

    instructions: float
    """Bytecode instructions."""
    calls: float
    """Calls of Python and C functions."""
    c_bytes: float
    """Bytes, or characters, that C functions got."""
    peak: float
    """Bytes of memory that were needed at most at one time."""
    kept: float
    """Bytes of memory that are still needed afterwards."""

    def minus(self, other: "Counts") -> "Counts":
        """Return the differences."""
        return Counts(*(getattr(self, n) - getattr(other, n) for n in NAMES))

    def per(self, count: int) -> "Counts":
        """Return the counts divided by a number."""
        return Counts(*(round(getattr(self, name) / count, 1) for name in NAMES))


NAMES = tuple(field.name for field in fields(Counts))
MEMORY = ("peak", "kept")
"""Counts that depend a little on what was counted before: what is in the caches of libraries."""


@dataclass(frozen=True)
class Counted:
    """Counts, and the functions that they come from."""

    counts: Counts
    instructions: Counter[str]
    """By function."""
    c_bytes: Counter[str]
    """By the function that calls C functions."""

    def minus(self, other: "Counted") -> "Counted":
        """Return the differences."""
        return Counted(
            self.counts.minus(other.counts),
            self.instructions - other.instructions,
            self.c_bytes - other.c_bytes,
        )

    def per(self, count: int) -> "Counted":
        """Return everything divided by a number."""
        return Counted(
            self.counts.per(count),
            Counter({name: round(value / count) for name, value in self.instructions.items()}),
            Counter({name: round(value / count) for name, value in self.c_bytes.items()}),
        )


type Work = Callable[[], object]


def count(prepare: Callable[[], Work]) -> Counted:
    """Count the work that `prepare` returns. It is called several times.

    The first time is not counted: it fills caches and specialises instructions.
    """
    prepare()()
    events = _Events()
    events.count(prepare())
    peak, kept = _count_memory(prepare())
    functions = events.instructions
    counts = Counts(functions.total(), events.calls, events.c_bytes.total(), peak, kept)
    return Counted(counts, functions, events.c_bytes)


class _Events:
    """Counts the events of `sys.monitoring`."""

    def __init__(self) -> None:
        self.calls = 0
        self.c_bytes: Counter[str] = Counter()
        self._instructions: dict[int, int] = {}  # by id: the hash of a code object is slow
        self._codes: dict[int, CodeType] = {}

    @property
    def instructions(self) -> Counter[str]:
        """The instructions of each function."""
        functions: Counter[str] = Counter()
        for key, number in self._instructions.items():
            functions[_name_of(self._codes[key])] += number
        return functions

    def count(self, work: Work) -> None:
        """Count what happens in `work`."""
        monitoring = sys.monitoring
        monitoring.use_tool_id(_TOOL, "budget")
        try:
            monitoring.register_callback(_TOOL, monitoring.events.INSTRUCTION, self._instruction)
            monitoring.register_callback(_TOOL, monitoring.events.CALL, self._call)
            monitoring.restart_events()
            with _Uncollected():
                monitoring.set_events(_TOOL, _EVENTS)
                work()
                monitoring.set_events(_TOOL, 0)
        finally:
            monitoring.set_events(_TOOL, 0)
            monitoring.free_tool_id(_TOOL)

    def _instruction(self, code: CodeType, offset: int) -> Any:
        key = id(code)
        try:
            self._instructions[key] += 1
        except KeyError:
            if code.co_filename.startswith(_TESTS):
                return sys.monitoring.DISABLE
            self._codes[key] = code  # so that no other gets its id
            self._instructions[key] = 1
        return None

    def _call(self, code: CodeType, offset: int, function: object, first: object) -> Any:
        if id(code) not in self._codes:
            return None  # of the tests
        self.calls += 1
        if isinstance(first, _TEXTS) and _reads_argument(function):
            self.c_bytes[_name_of(code)] += len(first)
        return None


def _count_memory(work: Work) -> tuple[int, int]:
    with _Uncollected():
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            result = work()  # what it returns is kept until it is counted
            kept, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        del result
    return peak - before, kept - before


def _reads_argument(function: object) -> bool:
    """Return whether it is a C function whose time may grow with its first argument."""
    if isinstance(function, FunctionType | MethodType):
        return False
    if isinstance(function, type) and function.__module__ != "builtins":
        return False  # it stores its argument
    return getattr(function, "__name__", "") not in _QUICK


class _Uncollected:
    """No garbage collection, whose time depends on what ran before."""

    def __enter__(self) -> None:
        gc.collect()
        gc.disable()

    def __exit__(self, *exception: object) -> None:
        gc.enable()


def _name_of(code: CodeType) -> str:
    """Return the module and the name of a function."""
    parts = Path(code.co_filename).with_suffix("").parts
    for top in ("addons", "site-packages", _STANDARD_LIBRARY):
        if top in parts:
            parts = parts[len(parts) - parts[::-1].index(top) :]
            break
    return ".".join([*(part for part in parts if part != "__init__"), code.co_qualname])
