"""Which requests are admitted, and which calls may use configured keys.

Requests are admitted with the proxy's password, if it demands one, and with a `Host` that agrees
with the server that they are sent to. Configured keys are for calls that cannot come from a web
page.

A web page can reach a port on loopback. Browsers mark the requests of its scripts, forms and
frames: every cross-origin request and every POST has `Origin`, and requests to a trustworthy
address such as 127.0.0.1 have `Sec-Fetch-Site`, `Sec-Fetch-Dest` and `Sec-Fetch-Mode`. A script
cannot remove or change these headers (https://fetch.spec.whatwg.org/#forbidden-request-header).

`Sec-Fetch-Mode` alone does not identify a browser: the `fetch` of Node.js sends it with every
request, without the other headers.
"""

import base64
import hmac
import ipaddress
from collections.abc import Iterable, Set

from wiremend.text.patterns import text_pattern

PROBE_HEADER = "x-wiremend-probe"
"""Marks the request with which `run --env` and `--doctor` look for a running proxy."""
BROWSER_HEADERS = ("origin", "sec-fetch-site", "sec-fetch-dest")

_ORIGIN = text_pattern(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,30}+)://(?P<host>[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?",
    ignore_case=True,
)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def has_password(authorization: str, password: str) -> bool:
    """Return whether a value of `proxy-authorization` contains this password, for any user name."""
    scheme, _, coded = authorization.strip().partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        decoded = base64.b64decode(coded.strip().encode(), validate=True)
    except ValueError:
        return False
    return hmac.compare_digest(decoded.partition(b":")[2], password.encode())


def host_refusal(target: str, tls_name: str | None, host: str | None) -> str | None:
    """Return why a request may not be sent to `target`; None if its `Host` agrees.

    `target` is the host of the client's connection or request target, `tls_name` the name in its
    TLS handshake and `host` the `Host` header, or the authority of HTTP/2. An address without a
    name in TLS agrees with every `Host`. The reason is a text for the user.
    """
    named = _name_in(host or "")
    expected = {_name_in(target)} | ({_name_in(tls_name)} if tls_name else set())
    if not named or named in expected or (not tls_name and _is_address(_name_in(target))):
        return None
    return (
        f"The request is sent to {target!a}, but its Host header names {host!a}. "
        "The proxy forwards calls to providers only if both agree."
    )


def key_refusal(headers: Iterable[tuple[str, str]], origins: Set[str]) -> str | None:
    """Return why a request with these headers may not use a configured key; None if it may.

    `origins` are the allowed ones, as `normalized_origin` returns them. The reason is a text for
    the user.
    """
    marks = [(name.lower(), value) for name, value in headers if name.lower() in BROWSER_HEADERS]
    if not marks:
        return None
    sent = [value for name, value in marks if name == "origin"]
    if sent and all(origin in origins for origin in sent):
        return None
    if not sent:
        return (
            f"The request has the header {_title(marks[0][0])}, which browsers send, so the proxy "
            "does not use a configured key for it. Without an Origin header, no entry of "
            "`[access] origins` can allow it."
        )
    shown = ", ".join(ascii(origin) for origin in sent)
    refused = f"The request comes from a web page (Origin: {shown}), so the proxy does not use a "
    refused += "configured key for it. "
    try:
        allowed = [normalized_origin(origin) for origin in sent]
    except ValueError:
        return refused + "`[access] origins` cannot allow this origin."
    entries = ", ".join(f'"{origin}"' for origin in allowed)
    return f"{refused}To allow this page, set `[access] origins = [{entries}]` in wiremend.toml."


def normalized_origin(text: str) -> str:
    """Return an origin in the form in which browsers send it: lower case, without default port.

    Raises ValueError, with a message for the user, for text that is not one exact origin.
    """
    if text == "*":
        raise ValueError(
            "expected exact origins such as 'https://app.example'; "
            "'*' would let every web page use the keys"
        )
    if text == "null":
        raise ValueError(
            "'null' cannot be allowed: any web page can send it from a sandboxed frame"
        )
    if "@" in text:
        raise ValueError("expected an origin such as 'https://app.example', without a user")
    match = _ORIGIN.match(text)
    if match is None:
        raise ValueError(_expectation(text))
    scheme, host = match["scheme"].lower(), match["host"].lower()
    port = int(match["port"]) if match["port"] else None
    if host.startswith("["):
        host = f"[{_ipv6(host[1:-1], text)}]"
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"expected a port from 1 to 65535, got {text!r}")
    if port == _DEFAULT_PORTS.get(scheme):
        port = None
    origin = f"{scheme}://{host}" if port is None else f"{scheme}://{host}:{port}"
    if match.end() != len(text):
        hint = f"; did you mean {origin!r}?" if text[match.end()] in "/?#" else ""
        raise ValueError(
            f"expected an origin without path or wildcard, in ASCII, got {text!r}{hint}"
        )
    return origin


def _ipv6(address: str, text: str) -> str:
    try:
        return ipaddress.IPv6Address(address).compressed
    except ValueError:
        raise ValueError(f"expected an IPv6 address in brackets, got {text!r}") from None


def _name_in(authority: str) -> str:
    """Return the host in `HOST:PORT`, in the form in which hosts are compared."""
    name = authority.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    if name.count(":") == 1:
        name = name.partition(":")[0]
    return name.rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _expectation(text: str) -> str:
    expected = "expected an origin such as 'https://app.example'"
    if "*" in text:
        return f"{expected}; wildcards are not supported, got {text!r}"
    if not text.isascii():
        return f"{expected}, in ASCII as browsers send it (xn--...), got {text!r}"
    if text and "://" not in text:
        return f"{expected}, with its scheme, got {text!r}"
    return f"{expected}, got {text!r}"


def _title(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))
