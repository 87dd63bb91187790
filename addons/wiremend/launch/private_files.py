"""Writing files that only the user can read."""

import fcntl
import os
import tempfile
from pathlib import Path

_PRIVATE = 0o600
"""What `mkstemp` sets."""


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


def write_private(path: Path, data: bytes, mode: int = _PRIVATE) -> None:
    """Replace a file atomically. Its mode does not depend on the umask. Raises OSError."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode != _PRIVATE:
                os.fchmod(descriptor, mode)
            file.write(data)
        os.replace(temporary, path)
    except BaseException as problem:
        os.unlink(temporary)
        if isinstance(problem, OSError) and problem.filename is None:
            problem.filename = str(path)
        raise
