"""Ends the proxy when the process that started it has ended. `wiremend run -- COMMAND` loads it."""

import asyncio
import os
import sys

from mitmproxy import ctx

_CHUNK_BYTES = 4096


class EndWithLauncher:
    """Watches standard input: a pipe that ends with the launcher, even if that one is killed."""

    name = "wiremend.end_with_launcher"

    def running(self) -> None:
        """Start to watch the pipe."""
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read)

    def _read(self) -> None:
        if not os.read(sys.stdin.fileno(), _CHUNK_BYTES):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            ctx.master.shutdown()


addons = [EndWithLauncher()]
