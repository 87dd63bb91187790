"""Open files: the limit on their number, and what happens when it is reached."""

import asyncio
import contextlib
import errno
import logging
import time
from typing import Any

OPEN_FILES = 65_536
"""The soft limit is raised to the hard limit, but not further than this."""
_OPEN_FILES_MACOS = 10_240
"""macOS reports an infinite hard limit and refuses more than its `OPEN_MAX`."""
QUIET_SECONDS = 60.0
"""Further failures to accept a connection are counted, and not logged, for this time."""
_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

type Context = dict[str, Any]

logger = logging.getLogger("wiremend")


def raise_open_files_limit() -> None:
    """Raise the soft limit of open files; each call needs two, and a default is 256 or 1024.

    It is left alone where the system has no such limit, and where it is refused.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (OPEN_FILES, _OPEN_FILES_MACOS):
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft == resource.RLIM_INFINITY or soft >= most:
            return
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            return


class AcceptFailures:
    """Logs failures to accept a connection once a minute; other exceptions as before.

    When a process has no file descriptor left, asyncio reports each of some hundred tries per
    second to accept the waiting connections, with a traceback. It continues once there is one.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._original: Any = None
        self._quiet_until = 0.0
        self._unlogged = 0

    def install(self) -> None:
        """Handle the exceptions of the running loop."""
        self._loop = asyncio.get_running_loop()
        self._original = self._loop.get_exception_handler()
        self._loop.set_exception_handler(self._handle)

    def remove(self) -> None:
        """Restore the handler that was there before."""
        if self._loop is not None and self._loop.get_exception_handler() == self._handle:
            self._loop.set_exception_handler(self._original)

    def _handle(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        exception = context.get("exception")
        is_os_error = isinstance(exception, OSError) and exception.errno in _OUT_OF_RESOURCES
        if is_os_error and "socket" in context:
            self._log(context)
        elif self._original is not None:
            self._original(loop, context)
        else:
            loop.default_exception_handler(context)

    def _log(self, context: Context) -> None:
        now = time.monotonic()
        if now < self._quiet_until:
            self._unlogged += 1
            return
        more = f" ({self._unlogged} more since the last line)" if self._unlogged else ""
        self._quiet_until, self._unlogged = now + QUIET_SECONDS, 0
        logger.error(
            "wiremend: no connection can be accepted until others end: %s%s; raise the limit of "
            "open files (ulimit -n)",
            context["exception"].strerror,
            more,
        )
