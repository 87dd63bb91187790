"""Contracts 9 and 12: listeners and clients' connections, in a real mitmdump."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from traffic.proxy import SUITE, Proxy
from wiremend.testing.certificates import Authority


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(tmp_path, Authority(tmp_path / "authority"), {}, scripts=(SUITE,)) as running:
        yield running


def test_the_proxy_listens_on_loopback_only(proxy: Proxy) -> None:
    """Contract 12."""
    assert proxy.host == "127.0.0.1"
    assert sum("listening at" in line for line in proxy.lines) == 1


def test_a_clients_connection_is_closed_with_the_proxy_without_a_traceback(proxy: Proxy) -> None:
    """Contract 9."""
    with socket.create_connection((proxy.host, proxy.port), timeout=10) as client:
        client.sendall(b"CONNECT example.invalid:443 HTTP/1.1\r\n\r\n")
        assert b" 200 " in client.recv(1024)
        proxy.terminate()
        assert client.recv(1024) == b""
    assert proxy.wait(10) == 0
