"""For which hosts the CA in a directory may sign."""

from collections.abc import Callable, Iterable, Set
from pathlib import Path

from cryptography import x509

from wiremend.targets.hosts import Network, domain_of, network_of

KEY_FILE = "mitmproxy-ca.pem"
"""Key and certificate; mitmproxy requires this name. The other file is derived from this one."""


def unvouched_by(directory: Path) -> Callable[[Iterable[str]], Set[str]]:
    """Return a function that returns those host globs for whose hosts a CA may not sign.

    The CA is the one that `directory` contains now. It may sign for every host if it has no limits,
    as mitmproxy's own, and if there is none yet: mitmproxy creates its own then.
    """
    try:
        certificate = x509.load_pem_x509_certificate((directory / KEY_FILE).read_bytes())
    except (OSError, ValueError):
        return lambda _: frozenset()
    limits = constraints_of(certificate)
    if limits is None:
        return lambda _: frozenset()
    domains, networks = _domains_in(limits), _networks_in(limits)
    return lambda globs: {glob for glob in globs if not _is_permitted(glob, domains, networks)}


def _is_permitted(glob: str, domains: Set[str], networks: Iterable[Network]) -> bool:
    network = network_of(glob)
    if network is not None:
        return any(
            network.version == permitted.version and network.subnet_of(permitted)  # type: ignore[arg-type]
            for permitted in networks
        )
    domain = domain_of(glob)
    if domain is None:
        return False
    labels = domain.split(".")
    return any(".".join(labels[start:]) in domains for start in range(len(labels)))


def _domains_in(limits: x509.NameConstraints) -> frozenset[str]:
    permitted = limits.permitted_subtrees or ()
    return frozenset(name.value for name in permitted if isinstance(name, x509.DNSName))


def _networks_in(limits: x509.NameConstraints) -> list[Network]:
    permitted = limits.permitted_subtrees or ()
    values = [name.value for name in permitted if isinstance(name, x509.IPAddress)]
    return [it for it in values if isinstance(it, Network)]


def constraints_of(certificate: x509.Certificate) -> x509.NameConstraints | None:
    """Return the name constraints of a certificate; None if it has no limits."""
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None
