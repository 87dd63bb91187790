"""The proxy that is configured in the user's environment. wiremend sends its calls through it.

The proxy's address and NO_PROXY become options of mitmproxy. The user name and password do not,
since every user of a machine can read command lines; the shell `authenticate_upstream` reads them
from the environment instead.
"""

import base64
import socket
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlsplit

from wiremend.launch.probing import is_wiremend
from wiremend.launch.shells import shells_directory

NAMES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""The first non-empty one is used, as in curl."""
_OWN_MACHINE = ("localhost", "127.0.0.1", "::1")
"""These hosts are not reachable through a proxy on another machine."""
_PROBE_SECONDS = 2.0
"""How long a proxy on this machine may take to show what it is; the start waits for it."""


def mitmproxy_arguments(environment: Mapping[str, str], own_port: int = 0) -> list[str]:
    """Return arguments that make mitmproxy use the proxy of this environment; [] if none is set.

    `own_port` is the port that wiremend will listen on, 0 for any free one. An address with that
    port on this machine is an earlier wiremend, and is not used: calls would return to it for ever.

    Raises ValueError, with a message for the user, if mitmproxy cannot use the proxy.
    """
    name, url = _named(environment)
    listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if not name or listed.strip() == "*":
        return []
    if url.scheme not in ("http", "https"):
        raise ValueError(
            f"{name}: {url.scheme}:// is not an HTTP proxy; set it to an HTTP proxy, or unset it"
        )
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        raise ValueError(f"{name}: expected a port from 1 to 65535") from None
    if not url.hostname:
        raise ValueError(f"{name}: expected an address such as http://proxy.example.com:3128")
    if url.hostname in _OWN_MACHINE and port == own_port:
        return []
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return [
        *("-s", str(shells_directory() / "authenticate_upstream.py")),
        *("--mode", f"upstream:{url.scheme}://{host}:{port}"),
        *("--set", "wiremend_no_proxy=" + ",".join([*_OWN_MACHINE, listed])),
    ]


def outgoing_warning(environment: Mapping[str, str], own_port: int = 0) -> str | None:
    """Return a line about a proxy on this machine that calls should not go through, else None.

    It is another wiremend, or nothing listens there. `environment` and `own_port` are those of
    `mitmproxy_arguments`, which did not raise for them.
    """
    if not mitmproxy_arguments(environment, own_port):
        return None
    name, url = _named(environment)
    host, port = url.hostname or "", url.port or 80
    if host not in _OWN_MACHINE or url.scheme != "http":
        return None
    try:
        socket.create_connection((host, port), _PROBE_SECONDS).close()
    except ConnectionRefusedError:
        return (
            f"{name} names port {port} of this machine, where nothing listens, so calls cannot "
            f"reach their providers; start that proxy, or unset {name}"
        )
    except OSError:
        return None
    if not is_wiremend(port, host=host, limit_seconds=_PROBE_SECONDS):
        return None
    return (
        f"{name} names another wiremend, on port {port} of this machine, so calls pass through "
        f"both and are retried by both; unset {name}, or use that one alone"
    )


def proxy_authorization(environment: Mapping[str, str]) -> str | None:
    """Return the value of `proxy-authorization`; None if the proxy's address has no user name."""
    _, url = _named(environment)
    if not url.username:
        return None
    credentials = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return "Basic " + base64.b64encode(credentials.encode()).decode()


def _named(environment: Mapping[str, str]) -> tuple[str, SplitResult]:
    name = next((name for name in NAMES if environment.get(name)), "")
    text = environment[name] if name else ""
    return name, urlsplit(text if "://" in text else f"http://{text}")
