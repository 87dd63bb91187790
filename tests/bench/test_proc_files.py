import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import proc_files
from benchmarks.proc_files import CpuSnapshot, ProcessTimes

ROW = "R 12 70 70 0 -1 4194304 90 0 0 0 111 22 3 4 20 0 1 0 5 6 7"


@pytest.mark.parametrize("name", ["python", "a program", "a) S 9 (b"])
def test_a_line_of_a_process_is_parsed_whatever_the_name_of_its_program(name: str) -> None:
    assert proc_files.parse_stat(f"70 ({name}) {ROW}") == ProcessTimes(70, 12, 133, 7)


def test_busy_time_excludes_idle_time_and_counts_guests_once() -> None:
    text = "cpu  1 20 300 4000 50000 6 70 800 9 10\ncpu0 5 5 5 5 5 5 5 5 5 5\n"
    assert proc_files.parse_busy(text) == 1 + 20 + 300 + 6 + 70 + 800


def test_memory_is_in_bytes() -> None:
    text = "Name:\tmitmdump\nVmHWM:\t  123 kB\nVmRSS:\t   45 kB\n"
    assert proc_files.parse_memory(text, "VmHWM") == 123 * 1024
    assert proc_files.parse_memory(text, "VmRSS") == 45 * 1024
    assert proc_files.parse_memory(text, "VmSwap") == 0


def test_a_tree_contains_ended_children_and_no_other_process() -> None:
    processes = {
        one.pid: one
        for one in (
            ProcessTimes(1, 0, 10_000, 10_000),
            ProcessTimes(2, 1, 5, 7),
            ProcessTimes(3, 2, 11, 0),
            ProcessTimes(4, 3, 13, 0),
            ProcessTimes(5, 1, 1000, 0),
        )
    }
    snapshot = CpuSnapshot(50_000, processes)
    assert snapshot.tree(2) == 5 + 7 + 11 + 13
    assert snapshot.tree(99) == 0


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
def test_a_child_is_found_in_the_real_proc() -> None:
    code = "print(sum(range(3_000_000)), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        snapshot = proc_files.cpu_snapshot()
        assert snapshot.processes[child.pid].parent == os.getpid()
        assert 0 < snapshot.tree(child.pid) <= snapshot.tree(os.getpid())
        peak = proc_files.peak_memory(child.pid)
        assert 1024**2 < proc_files.resident_memory(child.pid) <= peak
        child.communicate(b"\n")
