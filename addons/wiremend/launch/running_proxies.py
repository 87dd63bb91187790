"""The hosts that running proxies intercept, so that a new certificate of the CA covers them too.

Each proxy has a file with its hosts, which is locked while it runs. The lock is of the open file,
so it ends with the process, and survives when the launcher is replaced by the proxy.
"""

import fcntl
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_DIRECTORY = "running"


def register_proxy(directory: Path, globs: Iterable[str]) -> int:
    """Note the hosts of a proxy that this process is about to start or to become.

    Returns the descriptor of the locked file; it stays open until this process ends. Raises
    OSError.
    """
    folder = directory / _DIRECTORY
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = f"{os.getpid()}-{secrets.token_hex(4)}"
    descriptor = write_locked(folder / name, "\n".join(globs).encode())
    os.set_inheritable(descriptor, True)  # the proxy may replace this process
    return descriptor


def globs_of_running(directory: Path) -> list[str]:
    """Return the host globs of all running proxies. Files of ended ones are removed."""
    found: list[str] = []
    for path in _files(directory / _DIRECTORY):
        with suppress(OSError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found += file.read().decode(errors="replace").split("\n")
            else:
                path.unlink()
    return list(dict.fromkeys(filter(None, found)))


def _files(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def write_locked(path: Path, data: bytes) -> int:
    """Replace a file atomically by one that is locked; return its descriptor.

    The lock is of the open file: it ends when the last process that inherited it ends. Raises
    OSError, and then leaves nothing behind: a full disk takes a part of the data first.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        left = data
        while left:
            left = left[os.write(descriptor, left) :]
        os.rename(temporary, path)
    except OSError:
        os.close(descriptor)
        os.unlink(temporary)
        raise
    return descriptor
