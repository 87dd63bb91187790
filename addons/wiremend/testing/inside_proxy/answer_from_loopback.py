"""A mitmproxy script that resolves chosen host names to ports on loopback and refuses all others.

Clients keep their default base URLs and mitmproxy its own connection handling,
but nothing leaves the machine. Loaded with `-s` together with the suite under test.

WIREMEND_TESTING_HOSTS     JSON, host name -> port on 127.0.0.1.
WIREMEND_TESTING_PROVIDER  A port on 127.0.0.1 for all other hosts whose TLS the addons intercept; 0
                           for none.
WIREMEND_TESTING_REFUSALS  A file that contains "COUNT PORT": the next COUNT connections go to that
                           port, where nothing listens, and fail with a real ECONNREFUSED.
WIREMEND_TESTING_ALPN      JSON list: the protocols offered to servers, regardless of the client.
"""

import asyncio
import json
import os
import socket
from pathlib import Path
from typing import Any

from mitmproxy import connection, ctx
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

_LOCAL = ("localhost", "127.0.0.1", "::1")


class AnswerFromLoopback:
    """Replaces name resolution on the proxy's event loop."""

    name = "testing.answer_from_loopback"

    def __init__(self) -> None:
        self._ports: dict[str, int] = json.loads(os.environ.get("WIREMEND_TESTING_HOSTS", "{}"))
        self._provider_port = int(os.environ.get("WIREMEND_TESTING_PROVIDER", "0"))
        self._refusals = Path(os.environ.get("WIREMEND_TESTING_REFUSALS", os.devnull))
        self._alpn = [name.encode() for name in json.loads(os.environ["WIREMEND_TESTING_ALPN"])]
        self._loop: Any = None

    def running(self) -> None:
        """Replace `getaddrinfo` of the event loop."""
        self._loop = asyncio.get_running_loop()
        self._resolve = self._loop.getaddrinfo
        self._loop.getaddrinfo = self._getaddrinfo

    def done(self) -> None:
        """Restore `getaddrinfo`."""
        if self._loop is not None:
            del self._loop.getaddrinfo

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Offer the server the HTTP versions in WIREMEND_TESTING_ALPN."""
        server = data.server
        if isinstance(server, connection.Server) and server.tls and self._alpn:
            server.alpn_offers = self._alpn

    async def _getaddrinfo(self, host: Any, port: Any, **options: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if name in _LOCAL:
            return list(await self._resolve(host, port, **options))
        port = self._ports.get(name) or (self._provider_port if _is_intercepted(name) else 0)
        if not port:
            raise socket.gaierror(socket.EAI_NONAME, f"{name} is not part of this test")
        port = self._refusing_port() or port
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]

    def _refusing_port(self) -> int:
        try:
            count, port = map(int, self._refusals.read_text().split())
        except (OSError, ValueError):
            return 0
        if not count:
            return 0
        self._refusals.write_text(f"{count - 1} {port}")
        return port


def _is_intercepted(host: str) -> bool:
    """Return whether an addon of wiremend intercepts the TLS of this host."""
    configurations = (getattr(one, "current", None) for one in ctx.master.addons.lookup.values())
    return any(one.intercepted.matches(host) for one in configurations if one is not None)


addons = [AnswerFromLoopback()]
