"""The CA signs for providers' hosts; a client refuses what it signs for any other."""

import datetime
import ssl
from pathlib import Path

import pytest
from mitmproxy.certs import CertStore
from wiremend.authority import (
    CERTIFICATE_FILE,
    KEY_FILE,
    domain_of,
    make_authority,
    write_bundle,
)

NOW = datetime.datetime.now(datetime.UTC)
HOSTS = ("api.anthropic.com", "*.openai.azure.com", "*-aiplatform.googleapis.com")


def handshake(directory: Path, host: str, trusted: Path) -> None:
    """A TLS handshake with a leaf that mitmproxy makes for the host. Raises ssl.SSLError."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    store = CertStore.from_store(directory, "mitmproxy", 2048)
    entry = store.get_cert(host, [x509.DNSName(host)])
    key = entry.privatekey.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    chain = directory / "leaf.pem"
    chain.write_bytes(key + entry.cert.to_pem() + b"".join(c.to_pem() for c in entry.chain_certs))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(chain)
    client_context = ssl.create_default_context(cafile=str(trusted))
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
    handshake(tmp_path, host, write_bundle(tmp_path))


@pytest.mark.parametrize("host", ["github.com", "anthropic.com", "api.anthropic.com.example.org"])
def test_a_client_refuses_any_other_host(host: str, tmp_path: Path) -> None:
    make_authority(tmp_path, HOSTS, NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(tmp_path, host, write_bundle(tmp_path))


def test_the_key_is_the_users_alone(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    make_authority(directory, HOSTS, NOW)
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_ca_that_still_serves_is_kept(tmp_path: Path) -> None:
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
def test_a_ca_that_no_longer_serves_is_made_anew(
    hosts: tuple[str, ...], later: datetime.timedelta, tmp_path: Path
) -> None:
    make_authority(tmp_path, HOSTS, NOW)
    assert make_authority(tmp_path, hosts, NOW + later)


def test_a_foreign_or_broken_ca_is_replaced(tmp_path: Path) -> None:
    (tmp_path / CERTIFICATE_FILE).write_text("no certificate")
    (tmp_path / KEY_FILE).write_text("no key")
    assert make_authority(tmp_path, HOSTS, NOW)


def test_the_bundle_holds_the_systems_roots_too(tmp_path: Path) -> None:
    make_authority(tmp_path, HOSTS, NOW)
    assert write_bundle(tmp_path).read_bytes().count(b"BEGIN CERTIFICATE") > 50


@pytest.mark.parametrize(
    ("glob", "domain"),
    [
        ("api.anthropic.com", "api.anthropic.com"),
        ("*.openai.azure.com", "openai.azure.com"),
        ("*-aiplatform.googleapis.com", "googleapis.com"),
        ("bedrock-runtime.*.amazonaws.com", "amazonaws.com"),
        ("LOCALHOST.", "localhost"),
    ],
)
def test_the_subtree_of_a_glob(glob: str, domain: str) -> None:
    assert domain_of(glob) == domain
