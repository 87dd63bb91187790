"""The CA: clients accept what it signs for intercepted hosts, and refuse all other hosts."""

import datetime
import fcntl
import ipaddress
import os
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
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
    KEY_FILE,
    certificates_in,
    domain_of,
    make_authority,
    network_of,
    system_roots,
    unlimited,
    write_bundle,
)

NOW = datetime.datetime.now(datetime.UTC)
HOSTS = ("api.anthropic.com", "*.openai.azure.com", "*-aiplatform.googleapis.com")


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


def handshake(directory: Path, host: str) -> None:
    """Perform a TLS handshake as a client that trusts the CA. Raises ssl.SSLError."""
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
    client_context = ssl.create_default_context(cafile=str(directory / CERTIFICATE_FILE))
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
    assert make_authority(tmp_path, HOSTS, NOW)
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
    assert make_authority(tmp_path, (*HOSTS, glob), NOW)
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
        assert later.result() is False
    handshake(tmp_path, HOSTS[0])


def test_a_certificate_file_that_does_not_match_the_key_is_replaced(tmp_path: Path) -> None:
    make_authority(tmp_path, HOSTS, NOW)
    make_authority(tmp_path / "other", HOSTS, NOW)
    os.replace(tmp_path / "other" / CERTIFICATE_FILE, tmp_path / CERTIFICATE_FILE)
    assert not make_authority(tmp_path, HOSTS, NOW)
    handshake(tmp_path, HOSTS[0])


def test_a_ca_that_covers_the_hosts_is_kept(tmp_path: Path) -> None:
    make_authority(tmp_path, HOSTS, NOW)
    before = (tmp_path / CERTIFICATE_FILE).read_bytes()
    assert not make_authority(tmp_path, HOSTS[:1], NOW)
    assert (tmp_path / CERTIFICATE_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("hosts", "later"),
    [
        pytest.param((*HOSTS, "llm.example.com"), datetime.timedelta(0), id="another host"),
        pytest.param(HOSTS, datetime.timedelta(days=710), id="about to expire"),
    ],
)
def test_a_ca_that_lacks_a_host_or_expires_soon_is_replaced(
    hosts: tuple[str, ...], later: datetime.timedelta, tmp_path: Path
) -> None:
    make_authority(tmp_path, HOSTS, NOW)
    assert make_authority(tmp_path, hosts, NOW + later)


def test_two_configurations_do_not_replace_each_others_ca(tmp_path: Path) -> None:
    for hosts in (["llm.example.com"], ["10.0.0.1"]):
        assert make_authority(tmp_path, [*HOSTS, *hosts], NOW)
    for hosts in (["llm.example.com"], ["10.0.0.1"], []):
        assert not make_authority(tmp_path, [*HOSTS, *hosts], NOW)


def test_a_ca_without_limits_is_replaced_when_the_configuration_no_longer_needs_it(
    tmp_path: Path,
) -> None:
    assert make_authority(tmp_path, [*HOSTS, "*"], NOW)
    assert not make_authority(tmp_path, [*HOSTS, "*"], NOW)
    assert make_authority(tmp_path, HOSTS, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree violation"):
        handshake(tmp_path, "github.com")


def test_a_foreign_or_broken_ca_is_replaced(tmp_path: Path) -> None:
    (tmp_path / CERTIFICATE_FILE).write_text("no certificate")
    (tmp_path / KEY_FILE).write_text("no key")
    assert make_authority(tmp_path, HOSTS, NOW)
    CertStore.from_store(tmp_path / "mitmproxys", "mitmproxy", 2048)
    os.replace(tmp_path / "mitmproxys" / KEY_FILE, tmp_path / KEY_FILE)
    assert make_authority(tmp_path, HOSTS, NOW)
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
        ("*-aiplatform.googleapis.com", "googleapis.com"),
        ("bedrock-runtime.*.amazonaws.com", "amazonaws.com"),
        ("LOCALHOST.", "localhost"),
        ("llm?.example.com", "example.com"),
        ("*", ""),
    ],
)
def test_the_subtree_of_a_glob(glob: str, domain: str) -> None:
    assert domain_of(glob) == domain


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


def test_globs_without_a_fixed_domain_are_unlimited() -> None:
    globs = ["api.anthropic.com", "*", "llm*", "*-gateway", "10.*", "*.com"]
    assert unlimited(globs) == ["*", "llm*", "*-gateway"]


def test_addresses_are_not_among_the_permitted_dns_names(tmp_path: Path) -> None:
    make_authority(tmp_path, [*HOSTS, "127.0.0.1", "10.0.*"], NOW)
    certificate = x509.load_pem_x509_certificate((tmp_path / CERTIFICATE_FILE).read_bytes())
    limits = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = limits.permitted_subtrees or ()
    names = [name.value for name in permitted if isinstance(name, x509.DNSName)]
    assert names == ["api.anthropic.com", "googleapis.com", "localhost", "openai.azure.com"]
