"""A certificate authority that is good for providers' hosts and for nothing else.

mitmproxy's own CA may sign for every host on earth. This one bears X.509 name constraints
(RFC 5280 §4.2.1.10) for the intercepted hosts, in the files that mitmproxy looks for.
"""

import datetime
import os
import ssl
from collections.abc import Iterable
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KEY_FILE = "mitmproxy-ca.pem"
"""Key and certificate, as mitmproxy names them."""
CERTIFICATE_FILE = "mitmproxy-ca-cert.pem"
BUNDLE_FILE = "bundle.pem"
_VALID = datetime.timedelta(days=730)
_RENEW_BEFORE = datetime.timedelta(days=30)
_SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def make_authority(directory: Path, globs: Iterable[str], now: datetime.datetime) -> bool:
    """See that the directory holds a CA for these host globs; True if it was made anew.

    A CA that covers them and is not about to expire is kept. The directory and the key are
    readable by the user only.
    """
    wanted = sorted({domain_of(glob) for glob in globs})
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    directory.chmod(0o700)
    if _covers(directory / CERTIFICATE_FILE, wanted, now) and (directory / KEY_FILE).exists():
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key, wanted, now)
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
    _write_private(directory / KEY_FILE, key_pem + certificate_pem)
    (directory / CERTIFICATE_FILE).write_bytes(certificate_pem)
    return True


def write_bundle(directory: Path) -> Path:
    """Write the system's roots and the CA into one file, for SSL_CERT_FILE; its path."""
    roots = _system_roots().read_bytes()
    own = (directory / CERTIFICATE_FILE).read_bytes()
    path = directory / BUNDLE_FILE
    path.write_bytes(roots.rstrip() + b"\n" + own)
    return path


def domain_of(glob: str) -> str:
    """The DNS subtree that holds every host of a glob: what follows its last star.

    `*.openai.azure.com` gives `openai.azure.com`; a name without a star stands for itself.
    """
    rest = glob.lower().rstrip(".").rsplit("*", 1)[-1]
    if "*" in glob and not rest.startswith("."):
        rest = rest.partition(".")[2]  # `*-aiplatform.googleapis.com`: a star inside a label
    return rest.lstrip(".")


def _certificate(
    key: ec.EllipticCurvePrivateKey, domains: list[str], now: datetime.datetime
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "wiremend (this machine only)")])
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
    permitted = [x509.DNSName(domain) for domain in domains if domain]
    return (
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
        .add_extension(x509.NameConstraints(permitted, None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _covers(path: Path, wanted: list[str], now: datetime.datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    names = constraints.permitted_subtrees or []
    permitted = {name.value for name in names if isinstance(name, x509.DNSName)}
    is_fresh = certificate.not_valid_after_utc - now > _RENEW_BEFORE
    return is_fresh and permitted.issuperset(wanted)


def _write_private(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _system_roots() -> Path:
    known = [ssl.get_default_verify_paths().cafile, *_SYSTEM_ROOTS, certifi.where()]
    return next(Path(path) for path in known if path and Path(path).is_file())
