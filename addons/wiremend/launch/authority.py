"""A certificate authority (CA) that can only sign for the intercepted hosts.

mitmproxy's own CA can sign for every host. This one has X.509 name constraints
(RFC 5280 §4.2.1.10). It is stored in the files that mitmproxy reads from its `confdir`.
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
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wiremend.launch.private_files import write_private
from wiremend.targets.hosts import NAME_OF_ADDRESSES

KEY_FILE = "mitmproxy-ca.pem"
"""Key and certificate; mitmproxy requires this name. The other file is derived from this one."""
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

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def make_authority(directory: Path, globs: Iterable[str], now: datetime.datetime) -> bool:
    """Ensure that `directory` contains a CA for these host globs; return True if it is new.

    An existing CA is kept if it covers the globs and does not expire within 30 days. A new CA also
    covers the hosts of the CA that it replaces, so that two configurations do not replace each
    other's CA again and again. Only the user can read the directory and the key. Concurrent
    processes create one CA: the directory is locked.
    """
    required = _constraints(globs)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    with _locked(directory):
        pem = _read_existing(directory / KEY_FILE, now)
        existing = x509.load_pem_x509_certificate(pem) if pem else None
        is_needed = existing is None or not _allows(_constraints_of(existing), required)
        if is_needed:
            if existing is not None and required is not None:
                required = _with_permitted(required, _constraints_of(existing))
            pem = _new_authority(required, now)
            write_private(directory / KEY_FILE, pem)
        certificate = next(_CERTIFICATE.finditer(pem))[0] + b"\n"
        if not _contains(directory / CERTIFICATE_FILE, certificate):
            write_private(directory / CERTIFICATE_FILE, certificate)
    return is_needed


def unlimited(globs: Iterable[str]) -> list[str]:
    """Return the globs that no DNS subtree limits, such as `*`. They make a CA unconstrained."""
    return [glob for glob in globs if network_of(glob) is None and not domain_of(glob)]


def domain_of(glob: str) -> str:
    """Return the DNS subtree that contains every host of a glob: what follows its last wildcard.

    For `*.openai.azure.com` it is `openai.azure.com`. A name without a wildcard is returned
    unchanged.
    """
    glob = glob.lower().rstrip(".").replace("?", "*")
    rest = glob.rsplit("*", 1)[-1]
    if "*" in glob and not rest.startswith("."):
        rest = rest.partition(".")[2]  # `*-aiplatform.googleapis.com`: a star inside a label
    return rest.lstrip(".")


def network_of(glob: str) -> Network | None:
    """Return the IP network of a glob, or None if it matches names: `10.0.*` is `10.0.0.0/16`."""
    labels = glob.strip("[]").split(".")
    fixed = labels[: labels.index("*")] if "*" in labels else labels
    if fixed and len(fixed) < len(labels) <= 4 and set(labels) - set(fixed) == {"*"}:
        fixed, length = fixed + ["0"] * (4 - len(fixed)), 8 * len(fixed)
        text = f"{'.'.join(fixed)}/{length}"
    else:
        text = glob.strip("[]")
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


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
    write_private(path, b"".join(certificates), mode=0o644)
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
    domains = {domain_of(glob) for glob in globs if network_of(glob) is None}
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


def _with_permitted(
    required: x509.NameConstraints, existing: x509.NameConstraints | None
) -> x509.NameConstraints:
    more = (existing and existing.permitted_subtrees) or ()
    names = [*(required.permitted_subtrees or ()), *more]
    return _limited_to(list(dict.fromkeys(names)))


def _allows(existing: x509.NameConstraints | None, required: x509.NameConstraints | None) -> bool:
    """Return whether a CA can be kept: it permits what is required, and excludes the rest."""
    if existing is None or required is None:
        return existing is required
    permitted = set(existing.permitted_subtrees or ())
    is_limited = _limited_to(list(permitted)).excluded_subtrees == existing.excluded_subtrees
    return is_limited and permitted.issuperset(required.permitted_subtrees or ())


def _constraints_of(certificate: x509.Certificate) -> x509.NameConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


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
    return pem if is_ours and is_fresh and key.public_key() == certificate.public_key() else b""


def _new_authority(constraints: x509.NameConstraints | None, now: datetime.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
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
