"""Reading a key from a file that only its owner can access.

Messages contain the file's path and what to do, and nothing of its content.
"""

import os
import stat
from pathlib import Path

_LIMIT_BYTES = 16 * 1024


def key_file_path(name: str, directory: Path) -> Path:
    """Return the path of a key file; `~` is the home directory.

    A relative name is below `directory`, which contains the configuration file.
    """
    return directory / os.path.expanduser(name)


def read_key_file(path: Path) -> str:
    """Return the key in a file, without surrounding white space.

    Raises ValueError, with a message for the user, if the file cannot be read, can be accessed by
    others, or does not contain a key.
    """
    try:
        # O_NONBLOCK: opening a pipe without a writer must not block.
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            problem = _problem(os.fstat(file.fileno()), path)
            data = b"" if problem else file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        problem, data = f"{str(path)!r} cannot be read: {(error.strerror or '').lower()}", b""
    if problem:
        raise ValueError(problem)
    if not data.strip():
        raise ValueError(f"{str(path)!r} is empty")
    if len(data) > _LIMIT_BYTES or not data.isascii() or len(data.split()) > 1:
        raise ValueError(f"{str(path)!r} contains more than a key: expected one line of ASCII")
    return data.decode().strip()


def _problem(status: os.stat_result, path: Path) -> str:
    if not stat.S_ISREG(status.st_mode):
        return f"{str(path)!r} is not a regular file"
    mode = stat.S_IMODE(status.st_mode)
    if os.name != "nt" and mode & 0o077:
        return f"{str(path)!r} can be accessed by others (mode {mode:04o}); run: chmod 600 {path}"
    return ""
