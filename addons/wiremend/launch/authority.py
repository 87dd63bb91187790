"""A certificate authority (CA) that can only sign for the intercepted hosts.

mitmproxy's own CA can sign for every host. This one has X.509 name constraints
(RFC 5280 §4.2.1.10), and is for TLS servers only (§4.2.1.12). It is stored in
the files that mitmproxy reads from its `confdir`.
"""

import base64
import datetime
import fcntl
import ipaddress
import os
import re
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wiremend.launch.certificate_limits import KEY_FILE, constraints_of
from wiremend.launch.private_files import write_private
from wiremend.targets.hosts import NAME_OF_ADDRESSES, domain_of, network_of

CERTIFICATE_FILE = "mitmproxy-ca-cert.pem"
_NAME = "wiremend (this machine only)"
_VALID = datetime.timedelta(days=730)
_RENEW_BEFORE = datetime.timedelta(days=30)
_SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_EVERY_ADDRESS = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)


class Made(Enum):
    """What `make_authority` did."""

    KEPT = auto()
    """The certificate is as it was."""
    REISSUED = auto()
    """Its hosts were changed. The key is the same, so certificates of running proxies stay valid,
    and clients that trust the certificate before trust new ones for the hosts that it permits."""
    NEW = auto()
    """There is a new key."""


def make_authority(directory: Path, globs: Iterable[str], now: datetime.datetime) -> Made:
    """Ensure that `directory` contains a CA for exactly these host globs.

    An existing CA keeps its key, unless it expires within 30 days, or could sign for every host
    and no longer should. Only the user can read the directory and the key. Concurrent processes
    create one CA: the directory is locked.
    """
    required = _constraints(globs)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    with _locked(directory):
        pem = _read_existing(directory / KEY_FILE, now)
        made = _what_is_needed(pem, required)
        if made is not Made.KEPT:
            key = _key_in(pem) if made is Made.REISSUED else _new_key()
            pem = _authority(key, required, now)
            write_private(directory / KEY_FILE, pem)
        certificate = next(_CERTIFICATE.finditer(pem))[0] + b"\n"
        if not _contains(directory / CERTIFICATE_FILE, certificate):
            write_private(directory / CERTIFICATE_FILE, certificate)
    return made


def unlimited(globs: Iterable[str]) -> list[str]:
    """Return the globs that make a CA unconstrained: `*`."""
    return [glob for glob in globs if network_of(glob) is None and domain_of(glob) is None]


def certificates_in(*files: Path) -> list[bytes]:
    """Return the PEM certificates of some files, in order, without duplicates and without our CAs.

    Raises OSError for a file that cannot be read.
    """
    unique: dict[bytes, bytes] = {}
    for file in files:
        for match in _CERTIFICATE.finditer(file.read_bytes()):
            coded = b"".join(match[1].split())
            if not _is_ours(coded):
                unique.setdefault(coded, match[0] + b"\n")
    return list(unique.values())


def write_bundle(path: Path, certificates: Iterable[bytes]) -> Path:
    """Write certificates to a file and return its path. Programs may be reading the file."""
    data = b"".join(certificates)
    if not _contains(path, data):  # a full disk does not matter then
        write_private(path, data, mode=0o644)
    return path


def system_roots() -> Path:
    """Return the file with the roots that this system trusts; if there is none, Mozilla's roots."""
    files = [ssl.get_default_verify_paths().openssl_cafile, *_SYSTEM_ROOTS, certifi.where()]
    return next(Path(path) for path in files if Path(path).is_file())


def _constraints(globs: Iterable[str]) -> x509.NameConstraints | None:
    """Return the name constraints of a CA for these hosts; None if they cannot be limited."""
    globs = list(globs)
    if unlimited(globs):
        return None
    addresses = {network for network in map(network_of, globs) if network is not None}
    named = [domain_of(glob) for glob in globs if network_of(glob) is None]
    domains = {domain for domain in named if domain is not None}
    if addresses:
        domains.add(NAME_OF_ADDRESSES)
    names = [x509.DNSName(domain) for domain in sorted(domains)]
    sorted_addresses = sorted(addresses, key=str)
    return _limited_to([*names, *(x509.IPAddress(network) for network in sorted_addresses)])


def _limited_to(permitted: list[x509.GeneralName]) -> x509.NameConstraints:
    """Return constraints that permit these names only.

    Names of a type without a permitted subtree are unconstrained (RFC 5280), so all addresses of an
    IP version that is not permitted are excluded.
    """
    versions = {name.value.version for name in permitted if isinstance(name, x509.IPAddress)}
    excluded = [
        x509.IPAddress(network) for network in _EVERY_ADDRESS if network.version not in versions
    ]
    return x509.NameConstraints(permitted, excluded or None)


def _what_is_needed(existing: bytes, required: x509.NameConstraints | None) -> Made:
    if not existing:
        return Made.NEW
    certificate = x509.load_pem_x509_certificate(existing)
    present = constraints_of(certificate)
    if not _is_for_servers(certificate) or (present is None) != (required is None):
        return Made.NEW  # the certificate before may still be trusted, for more hosts
    return Made.KEPT if present == required else Made.REISSUED


def _is_for_servers(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def _read_existing(path: Path, now: datetime.datetime) -> bytes:
    """Return key and certificate if they are ours, match, and do not expire soon; else b""."""
    try:
        pem = path.read_bytes()
        key = serialization.load_pem_private_key(pem, None)
        certificate = x509.load_pem_x509_certificate(pem)
    except (OSError, ValueError, TypeError):
        return b""
    is_ours = certificate.subject.rfc4514_string() == f"CN={_NAME}"
    is_fresh = certificate.not_valid_after_utc - now > _RENEW_BEFORE
    is_whole = key.public_key() == certificate.public_key()
    is_usable = is_whole and isinstance(key, ec.EllipticCurvePrivateKey)
    return pem if is_ours and is_fresh and is_usable else b""


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _key_in(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _authority(
    key: ec.EllipticCurvePrivateKey,
    constraints: x509.NameConstraints | None,
    now: datetime.datetime,
) -> bytes:
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    certificate = _certificate(key, constraints, now)
    return key_pem + certificate.public_bytes(serialization.Encoding.PEM)


def _certificate(
    key: ec.EllipticCurvePrivateKey,
    constraints: x509.NameConstraints | None,
    now: datetime.datetime,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    public = key.public_key()
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        # Neither client certificates nor signed mail: names of those kinds have no limits here.
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(key, hashes.SHA256())


def _is_ours(coded: bytes) -> bool:
    try:
        return _NAME.encode() in base64.b64decode(coded)
    except ValueError:
        return False


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock the directory against other processes."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _contains(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False
