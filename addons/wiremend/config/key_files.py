"""Reading a key from a file that nobody else can read.

The messages name the file and say what to do; they never hold what is in it.
"""

import os
import stat
from pathlib import Path

_LIMIT_BYTES = 16 * 1024


def key_file_path(name: str, directory: Path) -> Path:
    """Where a key file is: `~` is the home directory, a relative name starts at `directory`."""
    return directory / os.path.expanduser(name)


def is_behind_link(name: str, directory: Path) -> bool:
    """Whether a relative name, or one within the directory, leads through a symbolic link.

    The link may come from the same repository as the name, and lead to any file of the user.
    """
    expanded = os.path.expanduser(name)
    path = os.path.normpath(directory / expanded)
    if os.path.isabs(expanded) and not Path(path).is_relative_to(directory):
        return False
    plain = os.path.join(os.path.realpath(directory), os.path.relpath(path, directory))
    return os.path.realpath(directory / expanded) != os.path.normpath(plain)


def read_key_file(path: Path) -> str:
    """The key in a file, without the space around it. Raises ValueError with what is wrong."""
    try:
        # O_NONBLOCK: a pipe without a writer must not stop the start.
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
        raise ValueError(f"{str(path)!r} holds more than a key: expected one line of ASCII")
    return data.decode().strip()


def _problem(status: os.stat_result, path: Path) -> str:
    if not stat.S_ISREG(status.st_mode):
        return f"{str(path)!r} is no regular file"
    mode = stat.S_IMODE(status.st_mode)
    if os.name != "nt" and mode & 0o077:
        return f"{str(path)!r} is open to others (mode {mode:04o}); run: chmod 600 {path}"
    return ""
