"""Contract 22: the server name for which upstream TLS is verified."""

import pytest
from mitmproxy.connection import Client
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.layers.http import GetHttpConnection, HttpLayer, HTTPMode
from mitmproxy.test import taddons

ADDRESS = ("api.example.com", 443)
ELSEWHERE = ("other.example.com", 443)


@pytest.mark.parametrize(
    ("mode", "asked", "in_hello", "configured", "expected"),
    [
        (HTTPMode.transparent, ADDRESS, "api.example.com", None, "api.example.com"),
        (HTTPMode.transparent, ADDRESS, "forged.example.com", None, "forged.example.com"),
        (HTTPMode.transparent, ADDRESS, "x.example.com", "set.example.com", "set.example.com"),
        (HTTPMode.transparent, ADDRESS, None, None, "api.example.com"),
        (HTTPMode.transparent, ELSEWHERE, "forged.example.com", None, "other.example.com"),
        (HTTPMode.regular, ADDRESS, "forged.example.com", None, "api.example.com"),
    ],
)
def test_a_tunnels_certificate_is_verified_for_the_name_in_the_clients_hello(
    mode: HTTPMode,
    asked: tuple[str, int],
    in_hello: str | None,
    configured: str | None,
    expected: str,
) -> None:
    with taddons.context() as addons:
        client = Client(peername=("127.0.0.1", 1), sockname=("127.0.0.1", 2), timestamp_start=0.0)
        client.sni = in_hello
        context = Context(client, addons.options)
        context.server.address = ADDRESS
        context.server.sni = configured
        layer = HttpLayer(context, mode)
        next(layer.get_connection(GetHttpConnection(asked, True, None)))
        [connection] = [known for known in layer.connections if known is not client]
        assert connection.sni == expected
