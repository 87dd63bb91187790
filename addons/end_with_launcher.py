"""Ends the proxy when the process that started it has ended. `wiremend run -- COMMAND` loads it."""

import asyncio
import os
import stat

from mitmproxy import ctx

_STANDARD_INPUT = 0
_CHUNK_BYTES = 4096


class EndWithLauncher:
    """Watches standard input: a pipe that ends with the launcher, even if that one is killed."""

    name = "wiremend.end_with_launcher"

    def running(self) -> None:
        """Start to watch the pipe; do nothing if there is none."""
        if stat.S_ISFIFO(os.fstat(_STANDARD_INPUT).st_mode):
            asyncio.get_running_loop().add_reader(_STANDARD_INPUT, self._read)

    def _read(self) -> None:
        if not os.read(_STANDARD_INPUT, _CHUNK_BYTES):
            asyncio.get_running_loop().remove_reader(_STANDARD_INPUT)
            ctx.master.shutdown()


addons = [EndWithLauncher()]
