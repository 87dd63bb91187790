"""Contracts 9, 12 and 30: listeners and clients' connections, in a real mitmdump."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from traffic import faults, good
from traffic.clients import HTTP_VERSIONS, model_call
from traffic.proxy import SUITE, Proxy
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider


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


@pytest.mark.parametrize("http_version", HTTP_VERSIONS)
def test_a_running_call_in_a_tunnel_is_ended_before_its_connection(
    tmp_path: Path, http_version: str
) -> None:
    """Contract 30."""
    authority = Authority(tmp_path / "authority")
    host = good.HOSTS[good.ANTHROPIC]
    with ScriptedProvider(authority.leaf(host), tmp_path) as provider:
        provider.script([faults.stall_mid_stream(good.ANTHROPIC)])
        with (
            Proxy(tmp_path / "proxy", authority, {host: provider.port}) as running,
            model_call(running, good.ANTHROPIC, True, http_version=http_version) as call,
        ):
            call.read_until(b"content_block_delta")
            os.kill(running.pid, signal.SIGINT)
            assert call.response().ended == "complete"
            assert running.wait(10) == 0
