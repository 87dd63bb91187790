"""Ends the proxy when the process that started it has ended. `wiremend run -- COMMAND` loads it."""

import asyncio
import os
import stat
from pathlib import Path

from mitmproxy import ctx
from wiremend.launch.proxy_password import VARIABLE, remove_password

_STANDARD_INPUT = 0
_CHUNK_BYTES = 4096


class EndWithLauncher:
    """Watches standard input: a pipe that ends with the launcher, even if that one is killed.

    It then removes the file with the proxy's password, which a killed launcher left behind.
    """

    name = "wiremend.end_with_launcher"

    def running(self) -> None:
        """Start to watch the pipe; do nothing if there is none."""
        if stat.S_ISFIFO(os.fstat(_STANDARD_INPUT).st_mode):
            asyncio.get_running_loop().add_reader(_STANDARD_INPUT, self._read)

    def _read(self) -> None:
        if not os.read(_STANDARD_INPUT, _CHUNK_BYTES):
            asyncio.get_running_loop().remove_reader(_STANDARD_INPUT)
            self._remove_password()
            ctx.master.shutdown()

    def _remove_password(self) -> None:
        for _, port, *_ in ctx.master.addons.get("proxyserver").listen_addrs():
            remove_password(Path(ctx.options.confdir), port, os.environ.get(VARIABLE, ""))


addons = [EndWithLauncher()]
