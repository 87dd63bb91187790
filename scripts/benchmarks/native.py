"""Compiling the C programs of the bench on demand."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.processes import BenchError

SOURCES = Path(__file__).with_name("native")
_FLAGS = ("-O2", "-Wall", "-Wextra")
_LIBRARIES = ("-lssl", "-lcrypto")
_ADVICE = (
    "The bench needs a C compiler and OpenSSL's headers; on Debian: apt-get install gcc libssl-dev"
)


def cache_directory() -> Path:
    """Return where the bench keeps programs and peers: in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "wiremend" / "bench"


def compiled(name: str) -> Path:
    """Return the program of `native/NAME.c`; compile it if its sources changed.

    Raises BenchError if that fails.
    """
    program = cache_directory() / f"{name}-{_digest()}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as directory:
            output = Path(directory) / name
            _compile(SOURCES / f"{name}.c", output)
            output.rename(program)
    return program


def _digest() -> str:
    digest = hashlib.sha256(" ".join(_FLAGS).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def _compile(source: Path, output: Path) -> None:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BenchError(f"There is no gcc or cc. {_ADVICE}")
    done = subprocess.run(
        [compiler, *_FLAGS, "-o", output, source, *_LIBRARIES], capture_output=True, text=True
    )
    if done.returncode:
        raise BenchError(f"{source.name} does not compile. {_ADVICE}\n{done.stderr}")
