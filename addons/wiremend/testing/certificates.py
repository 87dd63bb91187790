"""A certificate authority for one test run, and leaf certificates for any host names."""

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = datetime.timedelta(days=2)
_NO_NAME = "localhost"


@dataclass(frozen=True)
class Leaf:
    """A server certificate with its key, both in PEM files."""

    certificate_file: Path
    key_file: Path
    der: bytes
    """The certificate alone, as `ssl.SSLSocket.getpeercert(True)` returns it."""

    def server_context(self, alpn: Sequence[str] = ()) -> ssl.SSLContext:
        """Return the context of a TLS server with this certificate and these ALPN protocols."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate_file, self.key_file)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


class LeafPerName:
    """Server certificates made on demand, for the host name that each client asks for.

    A client that connects to an IP address sends no name: its certificate is for `localhost` and
    for `addresses`.
    """

    def __init__(self, authority: "Authority", addresses: Sequence[str] = ()) -> None:
        self._authority = authority
        self._leaves = {_NO_NAME: authority.leaf(_NO_NAME, *addresses)}

    def server_context(self, alpn: Sequence[str] = ()) -> ssl.SSLContext:
        """Return the context of a TLS server with these ALPN protocols."""

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            if name:
                connection.context = self._leaf(name).server_context(alpn)

        context = self._leaf(_NO_NAME).server_context(alpn)
        context.sni_callback = choose
        return context

    def _leaf(self, name: str) -> Leaf:
        if name not in self._leaves:
            self._leaves[name] = self._authority.leaf(name)
        return self._leaves[name]


class Authority:
    """Signs leaf certificates; its own certificate is `file`."""

    def __init__(self, directory: Path, name: str = "wiremend test authority") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._leaves = 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = directory / "authority.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def leaf(self, *hosts: str) -> Leaf:
        """Return a new certificate for these hosts, in files that no other one has."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
        certificate = (
            self._builder(subject, key.public_key())
            .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
            .sign(self._key, hashes.SHA256())
        )
        self._leaves += 1
        stem = f"{self._leaves}-{hosts[0].replace('*', '_')}"
        certificate_file = self._directory / f"{stem}.pem"
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file = self._directory / f"{stem}.key"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        der = certificate.public_bytes(serialization.Encoding.DER)
        return Leaf(certificate_file, key_file, der)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _VALID)
            .not_valid_after(now + _VALID)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(issuer_key, critical=False)
        )


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
