"""The addresses on which the proxy listens, and closing its clients' connections."""

import asyncio
import sys
from typing import Any

from mitmproxy.master import Master


class LoopbackListener:
    """Makes mitmproxy listen on 127.0.0.1 if no address is configured; its default is all."""

    def __init__(self, master: Master) -> None:
        self._master = master
        self._pending = False

    def hold(self) -> None:
        """While scripts load: choose the address, and prevent servers from binding to another."""
        if self._master.options.listen_host:
            return
        self._master.options.update(listen_host="127.0.0.1")
        for task in asyncio.all_tasks():
            if task.get_name() == "setup_servers":
                task.cancel()
        self._pending = True

    def listen(self) -> None:
        """Once scripts are loaded: start the delayed servers. A failure ends the process."""
        if self._pending:
            self._pending = False
            self._task = asyncio.get_running_loop().create_task(self._start_servers())

    async def _start_servers(self) -> None:
        proxyserver: Any = self._master.addons.get("proxyserver")
        if proxyserver.listen_addrs():  # it was faster, and bound to all addresses
            await proxyserver.servers.update([])
        proxyserver.servers._instances = {}
        if not await proxyserver.setup_servers():
            # An exception in a task would be logged with a traceback.
            self._master.event_loop.call_soon(sys.exit, 1)


def close_client_connections(master: Master) -> None:
    """Close every client's connection as if it had timed out.

    mitmproxy keeps them open until the event loop ends, and then Python 3.12 prints a traceback
    for each.
    """
    proxyserver: Any = master.addons.get("proxyserver")
    for connection in list(proxyserver.connections.values()):
        transport = connection.transports.get(connection.client)
        if transport is not None and transport.handler is not None:
            transport.handler.cancel("the proxy stops")
