"""The environment variables of a client: the proxy's address, and certificates to trust."""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from wiremend.launch.authority import (
    CERTIFICATE_FILE,
    certificates_in,
    system_roots,
    write_bundle,
)
from wiremend.launch.proxy_password import proxy_address

REPLACING = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "CODEX_CA_CERTIFICATE")
"""Variables that name a file of certificates, which replaces a program's list of roots."""
ADDING = "NODE_EXTRA_CA_CERTS"
"""The variable that names a file of certificates, which is added to a program's roots."""


def trusted_files(directory: Path, users: Mapping[str, str]) -> dict[str, str]:
    """Write bundles with the proxy's CA; return the variables that make a client trust them.

    `directory` contains the CA, and receives the bundles: `bundle.pem` with the system's roots and
    the CA, and for each file named in the user's environment `users`, a copy of that file with the
    CA.
    """
    own = (directory / CERTIFICATE_FILE).read_bytes()
    bundle = write_bundle(directory / "bundle.pem", [*certificates_in(system_roots()), own])

    def with_own(name: str, file: str, otherwise: Path) -> str:
        try:
            certificates = certificates_in(Path(file)) if file else []
        except OSError as problem:
            print(f"wiremend: warning: {name} is not used: {problem}", file=sys.stderr)
            certificates = []
        if not certificates:
            return str(otherwise)
        code = hashlib.sha256(os.path.abspath(file).encode()).hexdigest()[:8]
        return str(write_bundle(directory / f"bundle-{code}.pem", [*certificates, own]))

    roots = with_own("SSL_CERT_FILE", users.get("SSL_CERT_FILE", ""), bundle)
    trust = {name: with_own(name, users.get(name, ""), Path(roots)) for name in REPLACING[1:]}
    extra = with_own(ADDING, users.get(ADDING, ""), directory / CERTIFICATE_FILE)
    return {REPLACING[0]: roots, **trust, ADDING: extra}


def clients_environment(
    proxy_port: int, trust: Mapping[str, str], password: str = ""
) -> dict[str, str]:
    """Return the variables that make a client use the proxy on this port and trust it."""
    address = proxy_address(proxy_port, password)
    return {"HTTPS_PROXY": address, "https_proxy": address, **trust}
