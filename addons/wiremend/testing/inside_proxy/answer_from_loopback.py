"""A mitmproxy script that connects chosen hosts to ports on loopback and refuses all others.

Clients keep their default base URLs and mitmproxy its own connection handling,
but nothing leaves the machine. Loaded with `-s` together with the suite under test.

Hosts are names or IP addresses. `localhost` and loopback addresses are connected to as they are,
unless they are in WIREMEND_TESTING_HOSTS.

WIREMEND_TESTING_HOSTS     JSON, host -> port on 127.0.0.1.
WIREMEND_TESTING_PROVIDER  A port on 127.0.0.1 for all other hosts whose TLS the addons intercept; 0
                           for none.
WIREMEND_TESTING_REFUSALS  A file that contains "COUNT PORT": the next COUNT connections go to that
                           port, where nothing listens, and fail with a real ECONNREFUSED.
WIREMEND_TESTING_ALPN      JSON list: the protocols offered to servers, regardless of the client.
"""

import asyncio
import ipaddress
import json
import os
import socket
from pathlib import Path
from typing import Any

from mitmproxy import connection, ctx
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

_LOOPBACK = "127.0.0.1"


class AnswerFromLoopback:
    """Replaces name resolution, and connecting to addresses, on the proxy's event loop."""

    name = "testing.answer_from_loopback"

    def __init__(self) -> None:
        self._ports: dict[str, int] = json.loads(os.environ.get("WIREMEND_TESTING_HOSTS", "{}"))
        self._provider_port = int(os.environ.get("WIREMEND_TESTING_PROVIDER", "0"))
        self._refusals = Path(os.environ.get("WIREMEND_TESTING_REFUSALS", os.devnull))
        self._alpn = [name.encode() for name in json.loads(os.environ["WIREMEND_TESTING_ALPN"])]
        self._loop: Any = None

    def running(self) -> None:
        """Replace two methods of the event loop."""
        self._loop = asyncio.get_running_loop()
        self._resolve = self._loop.getaddrinfo
        self._loop.getaddrinfo = self._getaddrinfo
        self._connect = self._loop.create_connection
        self._loop.create_connection = self._create_connection

    def done(self) -> None:
        """Restore the methods."""
        if self._loop is not None:
            del self._loop.getaddrinfo
            del self._loop.create_connection

    def server_connect(self, data: ServerConnectionHookData) -> None:
        """Offer the server the HTTP versions in WIREMEND_TESTING_ALPN."""
        server = data.server
        if isinstance(server, connection.Server) and server.tls and self._alpn:
            server.alpn_offers = self._alpn

    async def _create_connection(
        self, make_protocol: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        # asyncio does not resolve an address.
        if host is not None and _address(host) is not None and (found := self._port_of(host)):
            host, port = _LOOPBACK, found
        return await self._connect(make_protocol, host, port, **options)

    async def _getaddrinfo(self, host: Any, port: Any, **options: Any) -> list[Any]:
        name = host.decode() if isinstance(host, bytes) else host
        if not (found := self._port_of(name)):
            return list(await self._resolve(host, port, **options))
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (_LOOPBACK, found))]

    def _port_of(self, host: str) -> int:
        """Return the port to connect to; 0: this host is connected to as it is.

        Raises `gaierror` for a host that is not part of the test.
        """
        port = self._ports.get(host.lower(), 0)
        if not port and _is_loopback(host):
            return 0
        port = port or (self._provider_port if _is_intercepted(host) else 0)
        if not port:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is not part of this test")
        return self._refusing_port() or port

    def _refusing_port(self) -> int:
        try:
            count, port = map(int, self._refusals.read_text().split())
        except (OSError, ValueError):
            return 0
        if not count:
            return 0
        self._refusals.write_text(f"{count - 1} {port}")
        return port


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _is_intercepted(host: str) -> bool:
    """Return whether an addon of wiremend intercepts the TLS of this host."""
    configurations = (getattr(one, "current", None) for one in ctx.master.addons.lookup.values())
    return any(one.intercepted.matches(host) for one in configurations if one is not None)


addons = [AnswerFromLoopback()]
