"""Writing files that only the user can read."""

import os
import tempfile
from pathlib import Path

_PRIVATE = 0o600
"""What `mkstemp` sets."""


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
