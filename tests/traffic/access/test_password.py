"""Tests that only clients with the proxy's password can use a proxy that demands one."""

import base64
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from wiremend.launch.proxy_password import new_password, password_file
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import clients, faults, good
from traffic.clients import HTTP_VERSIONS, Http1Call, basic, model_call
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import Proxy, ProxyFailed

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]
PASSWORD = "of-the-proxy-DO-NOT-LOG"
LIMIT_SECONDS = 20.0
WRONG = {
    "none": None,
    "another": basic("another-password"),
    "another with the same start": basic(PASSWORD + "x"),
    "an empty one": basic(""),
    "not base64": "Basic *",
    "another scheme": f"Bearer {PASSWORD}",
    "no UTF-8": "Basic " + base64.b64encode(b"wiremend:\xff").decode(),
}


@pytest.fixture
def proxy(start_proxy: Callable[..., Proxy]) -> Proxy:
    return start_proxy(scripts=SHARED, configuration=QUICK_RETRIES, password=PASSWORD)


def raw(proxy: Proxy, head: str, authorization: str | None) -> bytes:
    """Send a request and return the head of the answer."""
    lines = [head, "Host: example.com"]
    lines += [f"Proxy-Authorization: {authorization}"] if authorization is not None else []
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT_SECONDS) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (data := connection.recv(65536)):
            answer += data
    return answer


@pytest.mark.parametrize("authorization", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize(
    "head",
    [
        f"CONNECT {HOST}:443 HTTP/1.1",
        f"CONNECT {ORIGIN_HOST}:443 HTTP/1.1",
        "GET http://example.com/ HTTP/1.1",
        f"POST http://{HOST}/v1/messages HTTP/1.1",
    ],
)
def test_a_request_without_the_password_is_refused(
    proxy: Proxy, provider: ScriptedProvider, head: str, authorization: str | None
) -> None:
    answer = raw(proxy, head, authorization)
    assert answer.startswith(b"HTTP/1.1 407 ")
    assert b'proxy-authenticate: Basic realm="wiremend"\r\n' in answer
    assert provider.received == []


def test_another_user_name_is_accepted(proxy: Proxy, provider: ScriptedProvider) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT_SECONDS) as connection:
        head = f"CONNECT {HOST}:443 HTTP/1.1\r\nProxy-Authorization: {basic(PASSWORD, 'me')}"
        connection.sendall(f"{head}\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("protocol", good.PROTOCOLS)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_an_sdk_sends_the_password_of_the_address(
    proxy: Proxy, provider: ScriptedProvider, protocol: WireProtocol, stream: bool
) -> None:
    provider.script([faults.none(protocol, stream=stream)])
    with clients.environment(clients.behind(proxy)):
        outcome = clients.complete(protocol, stream)
    assert outcome.succeeded, outcome
    [received] = provider.received
    assert received.header("proxy-authorization") == ""


@pytest.mark.parametrize("http_version", HTTP_VERSIONS)
def test_a_tunnel_serves_several_calls(
    proxy: Proxy, provider: ScriptedProvider, http_version: str
) -> None:
    provider.script([faults.none(ANTHROPIC), faults.none(ANTHROPIC)])
    with model_call(proxy, ANTHROPIC, True, http_version=http_version) as client:
        assert client.response().status == 200
        body = b'{"model":"m","stream":true,"messages":[]}'
        client.send("POST", "/v1/messages", {"content-type": "application/json"}, body)
        assert client.response().status == 200


@pytest.mark.parametrize("program", ["curl", "wget"])
def test_children_of_agents_reach_other_hosts(
    proxy: Proxy, origin: ScriptedProvider, authority: Authority, program: str
) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    origin.script([faults.whole(b"tunnelled", faults.JSON)])
    command = {
        "curl": ["curl", "-sS", "--cacert", str(authority.file)],
        "wget": ["wget", "-qO-", f"--ca-certificate={authority.file}"],
    }[program]
    done = subprocess.run(
        [*command, f"https://{ORIGIN_HOST}/"],
        env={"PATH": os.environ["PATH"], "HTTPS_PROXY": proxy.url, "https_proxy": proxy.url},
        capture_output=True,
        timeout=LIMIT_SECONDS,
    )
    assert done.stdout == b"tunnelled", done.stderr


def test_the_password_is_in_no_file_and_in_no_log(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    flows, har = tmp_path / "flows.mitm", tmp_path / "flows.har"
    arguments = ("-w", str(flows), "--set", f"hardump={har}", "--set", "flow_detail=4", "-v")
    password = new_password()
    provider.script([faults.none(ANTHROPIC)])
    hosts = {HOST: provider.port}
    with Proxy(tmp_path, authority, hosts, arguments=arguments, password=password) as proxy:
        with model_call(proxy, ANTHROPIC, True) as client:
            assert client.response().status == 200
        raw(proxy, f"POST http://{HOST}/v1/messages HTTP/1.1", basic(password))
        raw(proxy, f"GET http://{ORIGIN_HOST}/ HTTP/1.1", basic(password))
        raw(proxy, "GET / HTTP/1.1", basic(password))
        raw(proxy, "GET / HTTP/1.1", basic(password + "x"))
    coded = basic(password).split()[1].rstrip("=")
    for name, data in {
        "flows": flows.read_bytes(),
        "HAR": har.read_bytes(),
        "log": "\n".join(proxy.lines).encode(),
        "requests": repr([(r.headers, r.body) for r in provider.received]).encode(),
    }.items():
        assert data, name
        for form in (password, coded, coded[:-4]):
            assert form.encode() not in data, name


@pytest.mark.long
def test_the_configuration_can_demand_one_of_every_client(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    configuration = "[access]\nrequire_password = true\n"
    with Proxy(tmp_path, authority, {HOST: provider.port}, configuration=configuration) as proxy:
        assert raw(proxy, f"CONNECT {HOST}:443 HTTP/1.1", None).startswith(b"HTTP/1.1 407 ")
        file = password_file(tmp_path / "state" / "wiremend")
        assert file.stat().st_mode & 0o777 == 0o600
        sent = basic(file.read_text())
        assert raw(proxy, f"CONNECT {HOST}:443 HTTP/1.1", sent).startswith(b"HTTP/1.1 200 ")


@pytest.mark.long
def test_a_mode_whose_clients_know_no_password_does_not_start(
    authority: Authority, tmp_path: Path
) -> None:
    proxy = Proxy(
        tmp_path,
        authority,
        configuration="[access]\nrequire_password = true\n",
        arguments=("--mode", "reverse:https://api.anthropic.com"),
    )
    with suppress(ProxyFailed):  # unless it listens for a moment
        proxy.start()
        assert proxy.wait(10) == 1
    proxy.stop()
    assert "not in the mode reverse:https://api" in "\n".join(proxy.lines)


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        (HOST, HOST, 200),
        (HOST, HOST.upper() + ":443", 200),
        (HOST, HOST + ".", 200),
        (HOST, "evil.example", 400),
        (HOST, "api.openai.com", 400),
        (HOST, f"{HOST}.evil.example", 400),
    ],
)
@pytest.mark.parametrize("http_version", HTTP_VERSIONS)
def test_the_host_header_of_a_call_must_name_its_target(
    proxy: Proxy,
    provider: ScriptedProvider,
    target: str,
    host: str,
    status: int,
    http_version: str,
) -> None:
    provider.script([faults.none(ANTHROPIC)])
    with HTTP_VERSIONS[http_version](proxy, target) as client:
        client.host = host
        body = b'{"model":"m","stream":true,"messages":[]}'
        client.send("POST", "/v1/messages", {"content-type": "application/json"}, body)
        response = client.response()
    assert response.status == status
    if status == 400:
        assert b"its Host header names" in response.body
        assert provider.received == []


def test_the_host_of_an_absolute_target_must_agree(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    with Http1Call(proxy, "evil.example", tunnel=False) as client:
        headers = {"content-type": "application/json", "proxy-authorization": basic(PASSWORD)}
        client.send("POST", f"http://{HOST}/v1/messages", headers, b"{}")
        assert client.response().status == 400
    assert provider.received == []
