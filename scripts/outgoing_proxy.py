"""The proxy that the user's own environment names: calls leave through it.

`scripts/run` gives its address and NO_PROXY to mitmproxy as options, and this file as a script: its
password is read here again, since everybody on a machine can read a command line.
"""

import base64
import os
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlsplit

from mitmproxy import http

NAMES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""The first one that says something counts, as with curl."""
_OWN_MACHINE = ("localhost", "127.0.0.1", "::1")
"""No proxy elsewhere can reach these."""


def mitmproxy_arguments(environment: Mapping[str, str]) -> list[str]:
    """What makes mitmproxy leave through the proxy that is named; [] if none is.

    Raises ValueError, whose text says what is wrong, for one that mitmproxy cannot use.
    """
    name, url = _named(environment)
    listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if not name or listed.strip() == "*":
        return []
    if url.scheme not in ("http", "https"):
        raise ValueError(f"{name}: {url.scheme}:// is no HTTP proxy; set it to one, or unset it")
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError:
        raise ValueError(f"{name}: expected a port from 1 to 65535") from None
    if not url.hostname:
        raise ValueError(f"{name}: expected an address like http://proxy.example.com:3128")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return [
        *("-s", __file__),
        *("--mode", f"upstream:{url.scheme}://{host}:{port}"),
        *("--set", "wiremend_no_proxy=" + ",".join([*_OWN_MACHINE, listed])),
    ]


def http_connect_upstream(flow: http.HTTPFlow) -> None:
    """mitmproxy's hook: say to the proxy who asks, if its address does."""
    _, url = _named(os.environ)
    if url.username:
        known = f"{unquote(url.username)}:{unquote(url.password or '')}"
        coded = base64.b64encode(known.encode()).decode()
        flow.request.headers["proxy-authorization"] = f"Basic {coded}"


def _named(environment: Mapping[str, str]) -> tuple[str, SplitResult]:
    name = next((name for name in NAMES if environment.get(name)), "")
    text = environment[name] if name else ""
    return name, urlsplit(text if "://" in text else f"http://{text}")
