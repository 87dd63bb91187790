"""A certificate authority that is good for providers' hosts and for nothing else.

mitmproxy's own CA may sign for every host on earth. This one bears X.509 name constraints
(RFC 5280 §4.2.1.10) for the intercepted hosts, in the files that mitmproxy looks for.
"""

import base64
import datetime
import fcntl
import ipaddress
import os
import re
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from wiremend.targets.hosts import NAME_OF_ADDRESSES

KEY_FILE = "mitmproxy-ca.pem"
"""Key and certificate, as mitmproxy names them. The other file is made from this one."""
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
    """See that the directory holds a CA for these host globs; True if it was made anew.

    A CA that covers them and is not about to expire is kept. One that is made because a host is
    new covers what its predecessor did, so that two configurations do not fight over it. Only the
    user can read the directory and the key. Of several processes, one makes it.
    """
    wanted = _constraints(globs)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    with _locked(directory):
        pem = _read_kept(directory / KEY_FILE, now)
        kept = x509.load_pem_x509_certificate(pem) if pem else None
        has_to_be_made = kept is None or not _allows(_constraints_of(kept), wanted)
        if has_to_be_made:
            if kept is not None and wanted is not None:
                wanted = _with_permitted(wanted, _constraints_of(kept))
            pem = _new_authority(wanted, now)
            _write(directory / KEY_FILE, pem)
        certificate = next(_CERTIFICATE.finditer(pem))[0] + b"\n"
        if not _holds(directory / CERTIFICATE_FILE, certificate):
            _write(directory / CERTIFICATE_FILE, certificate)
    return has_to_be_made


def unlimited(globs: Iterable[str]) -> list[str]:
    """The globs that no DNS subtree holds: `*`. A CA for them may sign for every host."""
    return [glob for glob in globs if network_of(glob) is None and not domain_of(glob)]


def domain_of(glob: str) -> str:
    """The DNS subtree that holds every host of a glob: what follows its last wildcard.

    `*.openai.azure.com` gives `openai.azure.com`; a name without a wildcard stands for itself.
    """
    glob = glob.lower().rstrip(".").replace("?", "*")
    rest = glob.rsplit("*", 1)[-1]
    if "*" in glob and not rest.startswith("."):
        rest = rest.partition(".")[2]  # `*-aiplatform.googleapis.com`: a star inside a label
    return rest.lstrip(".")


def network_of(glob: str) -> Network | None:
    """The IP addresses of a glob: `10.0.*` gives `10.0.0.0/16`; None if it is about names."""
    labels = glob.strip("[]").split(".")
    known = labels[: labels.index("*")] if "*" in labels else labels
    if known and len(known) < len(labels) <= 4 and set(labels) - set(known) == {"*"}:
        known, length = known + ["0"] * (4 - len(known)), 8 * len(known)
        text = f"{'.'.join(known)}/{length}"
    else:
        text = glob.strip("[]")
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def certificates_in(*files: Path) -> list[bytes]:
    """The PEM certificates of some files, each once, in order; none of our own.

    Raises OSError for a file that cannot be read.
    """
    found: dict[bytes, bytes] = {}
    for file in files:
        for match in _CERTIFICATE.finditer(file.read_bytes()):
            coded = b"".join(match[1].split())
            if not _is_ours(coded):
                found.setdefault(coded, match[0] + b"\n")
    return list(found.values())


def write_bundle(path: Path, certificates: Iterable[bytes]) -> Path:
    """Write certificates to a file that programs may be reading; its path."""
    _write(path, b"".join(certificates), mode=0o644)
    return path


def system_roots() -> Path:
    """The file of the roots that this system trusts, or else of those that Mozilla does."""
    known = [ssl.get_default_verify_paths().openssl_cafile, *_SYSTEM_ROOTS, certifi.where()]
    return next(Path(path) for path in known if Path(path).is_file())


def _constraints(globs: Iterable[str]) -> x509.NameConstraints | None:
    """What a CA for these hosts may sign for; None: everything."""
    globs = list(globs)
    if unlimited(globs):
        return None
    addresses = {network for network in map(network_of, globs) if network is not None}
    domains = {domain_of(glob) for glob in globs if network_of(glob) is None}
    if addresses:
        domains.add(NAME_OF_ADDRESSES)
    names = [x509.DNSName(domain) for domain in sorted(domains)]
    return _limited_to([*names, *(x509.IPAddress(one) for one in sorted(addresses, key=str))])


def _limited_to(permitted: list[x509.GeneralName]) -> x509.NameConstraints:
    """Addresses of a kind that is not mentioned would be free: they are excluded."""
    versions = {name.value.version for name in permitted if isinstance(name, x509.IPAddress)}
    excluded = [x509.IPAddress(every) for every in _EVERY_ADDRESS if every.version not in versions]
    return x509.NameConstraints(permitted, excluded or None)


def _with_permitted(
    wanted: x509.NameConstraints, had: x509.NameConstraints | None
) -> x509.NameConstraints:
    names = [*(wanted.permitted_subtrees or ()), *((had and had.permitted_subtrees) or ())]
    return _limited_to(list(dict.fromkeys(names)))


def _allows(had: x509.NameConstraints | None, wanted: x509.NameConstraints | None) -> bool:
    """Whether a CA serves: it may sign for all that is wanted, and not for everything else."""
    if had is None or wanted is None:
        return had is wanted
    permitted = set(had.permitted_subtrees or ())
    is_limited = _limited_to(list(permitted)).excluded_subtrees == had.excluded_subtrees
    return is_limited and permitted.issuperset(wanted.permitted_subtrees or ())


def _constraints_of(certificate: x509.Certificate) -> x509.NameConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def _read_kept(path: Path, now: datetime.datetime) -> bytes:
    """Key and certificate, if they are ours, belong together, and do not expire soon; else b""."""
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
    """One process at a time."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file at one stroke. Its mode does not depend on the umask."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
