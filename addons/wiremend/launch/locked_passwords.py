"""The files with the passwords of commands' proxies, each locked while its launcher runs."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from wiremend.launch.proxy_password import password_file
from wiremend.launch.running_proxies import write_locked


@contextlib.contextmanager
def kept_password(directory: Path, port: int, password: str) -> Iterator[None]:
    """Keep the password of a command's proxy in its file, which is locked, and remove it then.

    The lock ends with this process, even if it is killed: `remove_leftovers` looks for it. Without
    room for the file, there is none: the command has the password nevertheless.
    """
    try:
        descriptor = write_locked(password_file(directory, port), password.encode())
    except OSError:
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            password_file(directory, port).unlink()
        os.close(descriptor)


def remove_leftovers(directory: Path) -> None:
    """Remove the password files whose launchers have ended without doing so."""
    for file in directory.glob(f"{password_file(directory).name}-*"):
        with contextlib.suppress(OSError), file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.unlink()
