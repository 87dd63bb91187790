"""Freed buffers are used again at once, and do not stay in the heap of the C library for long."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1024 * 1024
ADDONS = Path(__file__).resolve().parents[3] / "addons"
BEGIN = f"""
import ctypes, resource, sys
from pathlib import Path
sys.path.insert(0, {str(ADDONS)!r})
from wiremend.seam.process.freed_memory import keep_freed_buffers, return_freed_memory

keep_freed_buffers()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p

def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
"""
FREED = f"""
before = resident()
buffers = []
for _ in range(40):
    buffers.append(bytearray({MIB}))
    library.malloc(200_000)  # never freed; too large for most gaps that are left in the heap
del buffers
if sys.argv[1] == "return":
    return_freed_memory()
print((resident() - before) // {MIB})
"""
USED_AGAIN = f"""
bytearray({MIB})
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    bytearray({MIB})
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="glibc on Linux only"
)


def run(script: str, *arguments: str) -> int:
    command = [sys.executable, "-c", BEGIN + script, *arguments]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def test_freed_buffers_are_returned_to_the_system() -> None:
    assert run(FREED, "keep") > 20
    assert run(FREED, "return") < 5


def test_a_freed_buffer_is_used_again_without_page_faults() -> None:
    assert run(USED_AGAIN) < 50
