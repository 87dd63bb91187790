"""The CA: clients accept what it signs for intercepted hosts, and refuse all other hosts."""

import datetime
import fcntl
import ipaddress
import os
import shutil
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wiremend
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from intercept_providers import InterceptProviders
from load_configuration import Suite
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.certs import CertStore, CertStoreEntry
from mitmproxy.proxy.context import Context
from mitmproxy.test import taddons
from mitmproxy.test.tflow import tclient_conn
from mitmproxy.tls import ClientHelloData
from wiremend.config.current import CurrentConfig
from wiremend.engine.settings import Knowledge
from wiremend.launch.authority import (
    CERTIFICATE_FILE,
    Made,
    certificates_in,
    make_authority,
    system_roots,
    write_bundle,
)
from wiremend.launch.certificate_limits import KEY_FILE, unvouched_by
from wiremend.launch.running_proxies import globs_of_running, register_proxy
from wiremend.targets.hosts import (
    PROVIDER_HOSTS,
    InterceptedHosts,
    domain_of,
    network_of,
    problem_with_glob,
)

NOW = datetime.datetime.now(datetime.UTC)
HOSTS = ("api.anthropic.com", "*.openai.azure.com", "europe-west1-aiplatform.googleapis.com")


def is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def leaf_for(directory: Path, host: str) -> CertStoreEntry:
    """Return the certificate that the proxy presents to a client for this host."""
    current = CurrentConfig()
    (directory / "all-hosts.toml").write_text('[intercept]\nhosts = ["*"]\n')
    current.read("all-hosts.toml", directory)
    config = TlsConfig()
    with taddons.context(config) as running:
        running.configure(config, confdir=str(directory))
        context = Context(tclient_conn(), running.options)
        context.server.address = (host, 443)
        context.client.sni = None if is_address(host) else host
        hello: Any = SimpleNamespace(sni=context.client.sni)
        InterceptProviders(Suite(current, Knowledge())).tls_clienthello(
            ClientHelloData(context, hello)
        )
        return config.get_cert(context)


def handshake(directory: Path, host: str, trusted: Path | None = None) -> None:
    """Perform a TLS handshake as a client that trusts the CA. Raises ssl.SSLError.

    `trusted` is the directory of the certificate that the client trusts, if it is another one.
    """
    entry = leaf_for(directory, host)
    key = entry.privatekey.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    chain = directory / "leaf.pem"
    chain.write_bytes(key + entry.cert.to_pem() + b"".join(c.to_pem() for c in entry.chain_certs))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(chain)
    authority = (trusted or directory) / CERTIFICATE_FILE
    client_context = ssl.create_default_context(cafile=str(authority))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    pending = [client, server]
    while pending:
        for side in list(pending):
            try:
                side.do_handshake()
                pending.remove(side)
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize(
    "host", ["api.anthropic.com", "my.openai.azure.com", "europe-west1-aiplatform.googleapis.com"]
)
def test_a_client_accepts_a_providers_host(host: str, tmp_path: Path) -> None:
    assert make_authority(tmp_path, HOSTS, NOW) is Made.NEW
    handshake(tmp_path, host)


@pytest.mark.parametrize(
    ("host", "glob"),
    [
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("10.0.7.1", "10.0.*"),
        ("::1", "::1"),
        ("github.com", "*"),
        ("192.0.2.1", "*"),
    ],
)
def test_a_client_accepts_a_configured_host(host: str, glob: str, tmp_path: Path) -> None:
    assert make_authority(tmp_path, (*HOSTS, glob), NOW) is Made.NEW
    handshake(tmp_path, host)


@pytest.mark.parametrize(
    ("host", "configured"),
    [
        ("github.com", HOSTS),
        ("anthropic.com", HOSTS),
        ("api.anthropic.com.example.org", HOSTS),
        ("192.0.2.1", HOSTS),
        ("2001:db8::1", HOSTS),
        ("192.0.2.2", (*HOSTS, "192.0.2.1")),
        ("2001:db8::1", (*HOSTS, "192.0.2.1")),
        ("192.0.2.1", (*HOSTS, "2001:db8::1")),
        ("10.1.0.1", (*HOSTS, "10.0.*")),
    ],
)
def test_a_client_refuses_any_other_host(
    host: str, configured: tuple[str, ...], tmp_path: Path
) -> None:
    make_authority(tmp_path, configured, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
        handshake(tmp_path, host)


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_only_the_user_can_read_the_key(umask: int, tmp_path: Path) -> None:
    directory = tmp_path / "state"
    before = os.umask(umask)
    try:
        make_authority(directory, HOSTS, NOW)
        bundle = write_bundle(directory / "bundle.pem", [])
    finally:
        os.umask(before)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert bundle.stat().st_mode & 0o777 == 0o644


def test_of_two_concurrent_first_runs_the_later_one_uses_the_ca_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_authority(tmp_path / "other", HOSTS, NOW)
    waits = threading.Event()

    def wait_for_lock(descriptor: int, operation: int) -> None:
        waits.set()
        fcntl.flock(descriptor, operation)

    monkeypatch.setattr("wiremend.launch.authority.fcntl", SimpleNamespace(**vars(fcntl)))
    monkeypatch.setattr("wiremend.launch.authority.fcntl.flock", wait_for_lock)
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with ThreadPoolExecutor() as pool:
        later = pool.submit(make_authority, tmp_path, HOSTS, NOW)
        assert waits.wait(10)
        os.replace(tmp_path / "other" / KEY_FILE, tmp_path / KEY_FILE)
        os.close(held)
        assert later.result() is Made.KEPT
    handshake(tmp_path, HOSTS[0])


def test_a_certificate_file_that_does_not_match_the_key_is_replaced(tmp_path: Path) -> None:
    make_authority(tmp_path, HOSTS, NOW)
    make_authority(tmp_path / "other", HOSTS, NOW)
    os.replace(tmp_path / "other" / CERTIFICATE_FILE, tmp_path / CERTIFICATE_FILE)
    assert make_authority(tmp_path, HOSTS, NOW) is Made.KEPT
    handshake(tmp_path, HOSTS[0])


def test_a_ca_for_the_same_hosts_is_kept(tmp_path: Path) -> None:
    make_authority(tmp_path, HOSTS, NOW)
    before = (tmp_path / CERTIFICATE_FILE).read_bytes()
    assert make_authority(tmp_path, [*reversed(HOSTS), HOSTS[0]], NOW) is Made.KEPT
    assert (tmp_path / CERTIFICATE_FILE).read_bytes() == before


def test_a_ca_that_expires_soon_is_replaced(tmp_path: Path) -> None:
    make_authority(tmp_path, HOSTS, NOW)
    assert make_authority(tmp_path, HOSTS, NOW + datetime.timedelta(days=710)) is Made.NEW


def certificate_and_key(directory: Path) -> tuple[bytes, bytes]:
    certificate = (directory / CERTIFICATE_FILE).read_bytes()
    return certificate, (directory / KEY_FILE).read_bytes().replace(certificate, b"")


def test_a_host_that_is_added_changes_the_certificate_and_keeps_the_key(tmp_path: Path) -> None:
    """A proxy that started before, and clients that started before, go on."""
    before, after = tmp_path / "before", tmp_path / "after"
    make_authority(before, HOSTS, NOW)
    shutil.copytree(before, after)
    assert make_authority(after, [*HOSTS, "llm.example.com"], NOW) is Made.REISSUED
    old, key = certificate_and_key(before)
    new, same_key = certificate_and_key(after)
    assert old != new
    assert key == same_key
    handshake(before, HOSTS[0], trusted=after)  # an old proxy, a new client
    handshake(after, HOSTS[0], trusted=before)  # a new proxy, an old client
    handshake(after, "llm.example.com")
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
        handshake(after, "llm.example.com", trusted=before)


def test_a_host_that_is_removed_is_no_longer_vouched_for(tmp_path: Path) -> None:
    make_authority(tmp_path, [*HOSTS, "llm.example.com"], NOW)
    assert make_authority(tmp_path, HOSTS, NOW) is Made.REISSUED
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
        handshake(tmp_path, "llm.example.com")


def test_the_hosts_of_a_running_proxy_stay(tmp_path: Path) -> None:
    running = register_proxy(tmp_path, ["llm.example.com", "10.0.0.1"])
    assert globs_of_running(tmp_path) == ["llm.example.com", "10.0.0.1"]
    os.close(running)
    assert globs_of_running(tmp_path) == []
    assert list((tmp_path / "running").iterdir()) == []


def test_a_registration_lasts_as_long_as_the_process_that_replaces_the_launcher(
    tmp_path: Path,
) -> None:
    """`scripts/run` without a COMMAND is replaced by the proxy."""
    become = "import os, sys; os.execv(sys.executable, [sys.executable, '-c', 'input()'])"
    register = (
        "import pathlib; from wiremend.launch.running_proxies import register_proxy;"
        f"register_proxy(pathlib.Path({str(tmp_path)!r}), ['llm.example.com']);"
        f"print('registered', flush=True); {become}"
    )
    addons = str(Path(wiremend.__path__[0]).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", register],
        env=os.environ | {"PYTHONPATH": addons},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "registered\n"
    assert globs_of_running(tmp_path) == ["llm.example.com"]
    process.communicate("\n")
    assert globs_of_running(tmp_path) == []


@pytest.mark.parametrize(("before", "after"), [("*", None), (None, "*")])
def test_a_ca_without_limits_has_its_own_key(
    before: str | None, after: str | None, tmp_path: Path
) -> None:
    assert make_authority(tmp_path, [*HOSTS, *filter(None, [before])], NOW) is Made.NEW
    assert make_authority(tmp_path, [*HOSTS, *filter(None, [after])], NOW) is Made.NEW
    if after is None:
        with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
            handshake(tmp_path, "github.com")


@pytest.mark.parametrize(
    "host",
    [
        *("sts.amazonaws.com", "s3.us-east-1.amazonaws.com", "bedrock.us-east-1.amazonaws.com"),
        *("oauth2.googleapis.com", "storage.googleapis.com", "oss-cn-beijing.aliyuncs.com"),
        *("iam.volces.com", "sts.us-east-1.api.aws", "login.microsoftonline.com", "azure.com"),
    ],
)
def test_the_built_in_hosts_do_not_include_other_services(host: str, tmp_path: Path) -> None:
    make_authority(tmp_path, PROVIDER_HOSTS, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
        handshake(tmp_path, host)


@pytest.mark.parametrize(
    "host",
    [
        *("bedrock-runtime.eu-west-1.amazonaws.com", "bedrock-mantle.us-east-1.api.aws"),
        *("us-central1-aiplatform.googleapis.com", "aiplatform.eu.rep.googleapis.com"),
        *("dashscope-intl.aliyuncs.com", "ark.cn-beijing.volces.com"),
        *("my.openai.azure.com", "api.business.githubcopilot.com"),
    ],
)
def test_the_built_in_hosts_include_every_region_of_a_provider(host: str, tmp_path: Path) -> None:
    assert InterceptedHosts().matches(host)
    make_authority(tmp_path, PROVIDER_HOSTS, NOW)
    handshake(tmp_path, host)


def test_every_built_in_host_can_be_vouched_for() -> None:
    assert [problem for problem in map(problem_with_glob, PROVIDER_HOSTS) if problem] == []


def test_the_ca_is_for_servers_only(tmp_path: Path) -> None:
    make_authority(tmp_path, HOSTS, NOW)
    certificate = tmp_path / CERTIFICATE_FILE
    leaf = leaf_for(tmp_path, HOSTS[0])
    (tmp_path / "leaf.pem").write_bytes(leaf.cert.to_pem())
    for purpose, status in (("sslserver", 0), ("sslclient", 2), ("smimesign", 2)):
        command = ["openssl", "verify", "-CAfile", str(certificate), "-purpose", purpose]
        done = subprocess.run([*command, str(tmp_path / "leaf.pem")], capture_output=True)
        assert done.returncode == status, done.stderr


@pytest.mark.parametrize(
    ("hosts", "unvouched"),
    [
        (HOSTS, []),
        (["x.openai.azure.com", "*.y.openai.azure.com", "10.0.7.1", "10.0.7.*"], []),
        (["llm.example.com", "*.azure.com", "anthropic.com", "10.1.0.1", "::1", "*"], None),
    ],
)
def test_hosts_that_a_reload_adds_are_compared_with_the_ca(
    hosts: list[str], unvouched: list[str] | None, tmp_path: Path
) -> None:
    make_authority(tmp_path, [*HOSTS, "10.0.*"], NOW)
    assert sorted(unvouched_by(tmp_path)(hosts)) == sorted(hosts if unvouched is None else [])


@pytest.mark.parametrize("hosts", [[*HOSTS, "*"], None], ids=["no limits", "no CA"])
def test_a_ca_without_limits_vouches_for_every_host(
    hosts: list[str] | None, tmp_path: Path
) -> None:
    if hosts is not None:
        make_authority(tmp_path, hosts, NOW)
    assert not unvouched_by(tmp_path)(["llm.example.com", "10.0.0.1"])


def test_a_foreign_or_broken_ca_is_replaced(tmp_path: Path) -> None:
    (tmp_path / CERTIFICATE_FILE).write_text("no certificate")
    (tmp_path / KEY_FILE).write_text("no key")
    assert make_authority(tmp_path, HOSTS, NOW)
    CertStore.from_store(tmp_path / "mitmproxys", "mitmproxy", 2048)
    os.replace(tmp_path / "mitmproxys" / KEY_FILE, tmp_path / KEY_FILE)
    assert make_authority(tmp_path, HOSTS, NOW) is Made.NEW
    handshake(tmp_path, HOSTS[0])


def test_certificates_are_collected_without_duplicates_and_without_our_own(tmp_path: Path) -> None:
    make_authority(tmp_path / "own", HOSTS, NOW)
    own = (tmp_path / "own" / CERTIFICATE_FILE).read_bytes()
    [first, second, *_] = certificates_in(system_roots())
    (tmp_path / "one").write_bytes(b"# the company's\n" + first + own)
    (tmp_path / "two").write_bytes(second.replace(b"\n", b"\r\n").rstrip() + first)
    (tmp_path / "odd").write_bytes(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----")
    collected = certificates_in(tmp_path / "one", tmp_path / "two", tmp_path / "odd")
    assert [collected[0], collected[1].replace(b"\r", b"")] == [first, second]


def test_the_systems_roots_do_not_depend_on_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "named.pem"
    named.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    assert len(certificates_in(system_roots())) > 50


@pytest.mark.parametrize(
    ("glob", "domain"),
    [
        ("api.anthropic.com", "api.anthropic.com"),
        ("*.openai.azure.com", "openai.azure.com"),
        ("LOCALHOST.", "localhost"),
        ("*-aiplatform.googleapis.com", None),
        ("bedrock-runtime.*.amazonaws.com", None),
        ("llm?.example.com", None),
        ("*.*.example.com", None),
        ("*", None),
    ],
)
def test_the_domain_of_a_glob(glob: str, domain: str | None) -> None:
    assert domain_of(glob) == domain


INSIDE = "not to names with a wildcard inside"
BELOW = "could sign for every host below"


@pytest.mark.parametrize(
    ("glob", "problem"),
    [
        *((glob, "") for glob in ("llm.example.com", "*.example.com", "localhost", "llm-server")),
        *((glob, "") for glob in ("10.0.*", "::1", "*", "*.example.co.uk")),
        *((glob, INSIDE) for glob in ("llm-*.example.com", "a.*.example.com", "llm*", "*-gateway")),
        *((glob, INSIDE) for glob in ("llm?.example.com", "*.*.com", "example.*")),
        *((glob, BELOW) for glob in ("*.com", "*.dev", "com", "*.co.uk", "com.au", "*.local")),
    ],
)
def test_a_glob_that_the_ca_cannot_be_limited_to_is_refused(glob: str, problem: str) -> None:
    text = problem_with_glob(glob)
    assert problem in text
    assert bool(text) == bool(problem)


@pytest.mark.parametrize(
    ("glob", "network"),
    [
        ("10.1.2.3", "10.1.2.3/32"),
        ("10.0.*", "10.0.0.0/16"),
        ("10.*.*.*", "10.0.0.0/8"),
        ("::1", "::1/128"),
        ("*", None),
        ("10.*.example", None),
        ("api.anthropic.com", None),
    ],
)
def test_the_addresses_of_a_glob(glob: str, network: str | None) -> None:
    assert network_of(glob) == (ipaddress.ip_network(network) if network else None)


def test_addresses_are_not_among_the_permitted_dns_names(tmp_path: Path) -> None:
    make_authority(tmp_path, [*HOSTS, "127.0.0.1", "10.0.*"], NOW)
    certificate = x509.load_pem_x509_certificate((tmp_path / CERTIFICATE_FILE).read_bytes())
    limits = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = limits.permitted_subtrees or ()
    names = [name.value for name in permitted if isinstance(name, x509.DNSName)]
    assert names == [
        *("api.anthropic.com", "europe-west1-aiplatform.googleapis.com"),
        *("localhost", "openai.azure.com"),
    ]
