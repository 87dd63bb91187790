"""Large buffers do not stay in the heap of the C library once they are freed."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1024 * 1024
ADDONS = Path(__file__).resolve().parents[2] / "addons"
SCRIPT = f"""
import ctypes, sys
from pathlib import Path
sys.path.insert(0, {str(ADDONS)!r})
from wiremend.seam.process.freed_memory import return_large_buffers

if sys.argv[1] == "set":
    return_large_buffers()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p

def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

bytes(20 * {MIB})  # freed at once: by default, buffers up to this size are parts of the heap now
before = resident()
buffers = []
for _ in range(40):
    buffers.append(bytearray({MIB}))
    library.malloc(50_000)  # never freed; too large for a gap that is left in the heap
del buffers
print((resident() - before) // {MIB})
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="glibc on Linux only"
)
def test_freed_buffers_are_returned_to_the_system() -> None:
    def kept(mode: str) -> int:
        command = [sys.executable, "-c", SCRIPT, mode]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert kept("default") > 30
    assert kept("set") < 5
