"""CPU time and memory of processes, from Linux's /proc."""

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_RESET_PEAK = "5"
"""Written to `clear_refs`, it sets the peak of the resident memory to its present value."""


@dataclass(frozen=True)
class ProcessTimes:
    """One line of `/proc/PID/stat`; times in clock ticks."""

    pid: int
    parent: int
    own: int
    """User and system time of the process."""
    reaped: int
    """User and system time of its children that have ended, and of their ended children."""


@dataclass(frozen=True)
class CpuSnapshot:
    """The CPU time used since the start of the machine, in clock ticks."""

    busy: int
    """Of all processes and of the system."""
    processes: Mapping[int, ProcessTimes]

    def tree(self, root: int) -> int:
        """Return the CPU time of a process and its descendants."""
        return sum(
            self.processes[pid].own + self.processes[pid].reaped
            for pid in descendants(root, self.processes)
        )


def parse_stat(line: str) -> ProcessTimes:
    """Parse `/proc/PID/stat`. The name of the program may contain spaces and parentheses."""
    pid, _, rest = line.partition(" (")
    fields = rest.rpartition(") ")[2].split()
    utime, stime, cutime, cstime = map(int, fields[11:15])
    return ProcessTimes(int(pid), int(fields[1]), utime + stime, cutime + cstime)


def parse_busy(text: str) -> int:
    """Return the busy time of all CPUs in `/proc/stat`, in clock ticks, without waiting for I/O.

    The time of guests is part of user time and is not added again; time that the hypervisor gave to
    other machines (steal) counts as busy.
    """
    fields = text.partition("\n")[0].split()
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
    return user + nice + system + irq + softirq + steal


def parse_memory(text: str, field: str) -> int:
    """Return a field of `/proc/PID/status` such as `VmRSS`, in bytes; 0 if there is none."""
    match = re.search(rf"^{field}:\s*(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def descendants(root: int, processes: Mapping[int, ProcessTimes]) -> Iterator[int]:
    """Return the process ids of `root`, if it exists, and of its descendants."""
    children = defaultdict(list)
    for process in processes.values():
        children[process.parent].append(process.pid)
    waiting = [root] if root in processes else []
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children[pid]


def cpu_snapshot() -> CpuSnapshot:
    """Return the CPU time used so far by all processes that exist."""
    processes = {}
    for file in PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            times = parse_stat(file.read_text(errors="replace"))
            processes[times.pid] = times
    return CpuSnapshot(parse_busy((PROC / "stat").read_text()), processes)


def ticks_per_second() -> int:
    """Return the unit of the times."""
    return os.sysconf("SC_CLK_TCK")


def resident_memory(root: int) -> int:
    """Return the resident memory of a process and its descendants, in bytes."""
    return _sum_of_memory(root, "VmRSS")


def peak_memory(root: int) -> int:
    """Return the peak of the resident memory since `reset_peak_memory`, in bytes.

    With descendants it is the sum of their peaks, even if these were not at the same time.
    """
    return _sum_of_memory(root, "VmHWM")


def reset_peak_memory(root: int) -> None:
    """Let the peak of a process and its descendants start at their present memory."""
    for pid in descendants(root, cpu_snapshot().processes):
        with contextlib.suppress(OSError):
            (PROC / str(pid) / "clear_refs").write_text(_RESET_PEAK)


def _sum_of_memory(root: int, field: str) -> int:
    total = 0
    for pid in descendants(root, cpu_snapshot().processes):
        with contextlib.suppress(OSError):
            total += parse_memory((PROC / str(pid) / "status").read_text(), field)
    return total
