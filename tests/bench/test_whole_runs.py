"""`scripts/bench` as a user runs it, without the part that creates the environment."""

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from benchmarks import proc_files

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc and OpenSSL's headers"),
]

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "benchmarks")
LIMIT_SECONDS = 30.0
WITH_SIGINT = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs the command in its arguments, and lets SIGINT end it."""
OWN = "wiremend,translating"
SMALLEST = ("--quick", "--workload", "calls-1", "--only", OWN, "--scheme", "https")


def environment(temporary: Path) -> dict[str, str]:
    path = os.pathsep.join(str(ROOT / name) for name in ("scripts", "addons"))
    return {**os.environ, "PYTHONPATH": path, "TMPDIR": str(temporary)}


def test_the_smallest_run_measures_the_floor_and_both_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    done = subprocess.run(
        [*COMMAND, *SMALLEST, "--rounds", "1", "--json", file],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    result = orjson.loads(file.read_bytes())
    cells = {cell["contender"]: cell for cell in result["cells"]}
    assert set(cells) == {"floor", "wiremend", "translating"}
    assert all(cell["load"]["done"] > 0 and not cell["problem"] for cell in cells.values())
    assert all(cell["cpu_seconds"] > 0 for cell in cells.values())
    [requests, *_] = result["rows"]
    assert requests["figures"]["wiremend"]["compared"] > 0
    assert "| `calls-1` | requests/s" in done.stdout
    assert result["machine"]["mitmproxy"] in done.stdout


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 128 + signal.SIGTERM),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_all_processes_end_with_the_bench_which_prints_what_it_measured(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    terminal, stderr = pty.openpty()
    # A shell without job control starts background commands with SIGINT ignored, and children
    # inherit that: Python then does not raise KeyboardInterrupt.
    words = [sys.executable, "-c", WITH_SIGINT, *COMMAND, *SMALLEST, "--rounds", "50"]
    with subprocess.Popen(
        words, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=stderr, text=True
    ) as bench:
        os.close(stderr)
        shown = b""
        while b"round 2" not in shown:
            shown += os.read(terminal, 4096)
        processes = proc_files.cpu_snapshot().processes
        children = [pid for pid in proc_files.descendants(bench.pid, processes) if pid != bench.pid]
        watched = [os.pidfd_open(pid) for pid in children]
        bench.send_signal(number)
        printed, _ = bench.communicate()
        assert bench.returncode == status
    assert ("requests/s" in printed) == (number != signal.SIGKILL)
    assert len(children) >= 3  # the provider and two proxies
    for descriptor in watched:
        ended, _, _ = select.select([descriptor], [], [], LIMIT_SECONDS)
        assert ended
        os.close(descriptor)
    os.close(terminal)
