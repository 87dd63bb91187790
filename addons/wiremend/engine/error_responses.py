"""HTTP error responses in the client's protocol, and reading errors from HTTP responses."""

import math
from collections.abc import Callable
from typing import Any

from wiremend.engine.actions import Head, Respond
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import ProviderError, make_error
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path, parse
from wiremend.text.patterns import FOREIGN_TEXT_LIMIT, text_pattern

_REQUEST_ID_HEADERS = (b"request-id", b"x-request-id", b"cf-ray")
_MESSAGE_PATHS: tuple[Path, ...] = (
    ("error", "message"),
    (0, "error", "message"),
    ("error",),
    ("message",),
    ("detail",),
)
"""Where error bodies have their message; Gemini may wrap an error in the array it began."""
_TITLE = text_pattern(r"<title[^<>]{0,200}+>([^<]{0,2000}+)</title", ignore_case=True)
_CLIENT_CLOSED_REQUEST = 499


def error_response(
    protocol: Protocol, error: ProviderError, *, host: str, attempts: int, head: Head | None
) -> Respond:
    """Return an HTTP error with the protocol's native envelope.

    `head` is the last upstream head, if any: its request id is kept. An empty message is replaced
    by one with the host and the number of attempts.
    """
    error = with_some_message(error, host=host, attempts=attempts)
    status = error.status if error.status != _CLIENT_CLOSED_REQUEST else 502
    body = protocol.error_body(error)
    fields = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-should-retry", b"true" if error.retryable else b"false"),
    ]
    request_id = error.request_id or request_id_of(head)
    if request_id:
        fields.append((b"request-id", _header_value(request_id)))
        fields.append((b"x-request-id", _header_value(request_id)))
    if error.retry_after_seconds is not None:
        fields.append((b"retry-after", b"%d" % math.ceil(error.retry_after_seconds)))
    return Respond(Head(status, tuple(fields)), body)


def stopping_response(protocol: Protocol) -> Respond:
    """Return the response to a call that arrives while the proxy shuts down."""
    error = make_error(
        status=503,
        type="overloaded_error",
        message="wiremend is stopping; try again.",
        retry_after_seconds=1.0,
    )
    return error_response(protocol, error, host="wiremend", attempts=0, head=None)


def too_much_held_response(protocol: Protocol, size_bytes: int, limit_bytes: int) -> Respond:
    """Return the response to a call whose request cannot be held beside those of other calls.

    A retry may succeed when those have ended, unless the request alone, of `size_bytes` as far as
    it was received, exceeds the limit.
    """
    limit = f"{limit_bytes / 2**20:g} MiB, [memory] held"
    if size_bytes > limit_bytes:
        message = f"wiremend cannot hold this request: it exceeds the limit ({limit})."
        error = make_error(status=413, type="request_too_large", message=message)
    else:
        message = f"wiremend holds as much for running calls as it may ({limit}); try again."
        error = make_error(
            status=503, type="overloaded_error", message=message, retry_after_seconds=1.0
        )
    return error_response(protocol, error, host="wiremend", attempts=0, head=None)


def not_recorded_response(protocol: Protocol, message: str) -> Respond:
    """A 400 for a call that is not in the recording that is replayed.

    Agents end at once with a 400, and print the message. With 404 they name the model instead, and
    with 501 most of them hang.
    """
    error = make_error(status=400, type="invalid_request_error", message=message)
    return error_response(protocol, error, host="wiremend", attempts=0, head=None)


def refused_key_response(protocol: Protocol, reason: str) -> Respond:
    """A 403 for a call that may not use the configured key that it is routed to."""
    error = make_error(status=403, message=reason)
    return error_response(protocol, error, host="wiremend", attempts=0, head=None)


def missing_key_response(protocol: Protocol | None, reason: str) -> Respond:
    """A 401 for a request that a user sends again without its key; plain text for no call."""
    return _own_refusal(protocol, 401, reason)


DIRECT_REQUEST = "This is a forward proxy, and the request was sent to it directly"
"""The beginning of the text for a request that is addressed to the proxy itself."""


def direct_request_response(protocol: Protocol | None, proxy: str) -> Respond:
    """A 400 for a request that is addressed to the forward proxy itself, at `HOST:PORT`.

    Plain text if the request is no model call (`protocol` is None).
    """
    message = (
        f"{DIRECT_REQUEST}, as to a server. "
        f"Set HTTPS_PROXY=http://{proxy} and leave the client's base URL as it is, "
        "or start the proxy with --mode reverse:https://PROVIDER."
    )
    return _own_refusal(protocol, 400, message)


CHALLENGE = 'Basic realm="wiremend"'
"""The value of `proxy-authenticate` for a client without the proxy's password."""
_PASSWORD_REQUIRED = (
    "This proxy requires its password: "
    "HTTPS_PROXY=http://wiremend:PASSWORD@HOST:PORT. "
    'On the machine of the proxy, `eval "$(scripts/run --env)"` sets it.'
)


def password_response(protocol: Protocol | None) -> Respond:
    """A 407 for a client without the proxy's password; plain text without a `protocol`."""
    challenge = (b"proxy-authenticate", CHALLENGE.encode())
    return _with_field(_own_refusal(protocol, 407, _PASSWORD_REQUIRED), challenge)


def misdirected_response(protocol: Protocol | None, reason: str) -> Respond:
    """A 400 for a request whose `Host` names another server; plain text without a `protocol`."""
    return _own_refusal(protocol, 400, reason)


def _own_refusal(protocol: Protocol | None, status: int, message: str) -> Respond:
    if protocol is not None:
        error = make_error(status=status, message=message)
        return error_response(protocol, error, host="wiremend", attempts=0, head=None)
    fields = ((b"content-type", b"text/plain; charset=utf-8"),)
    return Respond(Head(status, fields), message.encode() + b"\n")


def _with_field(respond: Respond, field: tuple[bytes, bytes]) -> Respond:
    return Respond(Head(respond.head.status, (*respond.head.fields, field)), respond.body)


def fault_response(protocol: Protocol | None, fault: str) -> Respond:
    """Return what a call gets that failed in the proxy itself.

    `protocol` is None for a call in no model protocol. `fault` is the name of an exception.
    """
    message = f"wiremend failed on this call ({fault}); the proxy's log has the place."
    error = make_error(status=502, type="api_error", message=message)
    if protocol is not None:
        return error_response(protocol, error, host="wiremend", attempts=0, head=None)
    body = json_value.write({"error": {"type": error.type, "message": message}})
    length = b"%d" % len(body)
    fields = ((b"content-type", b"application/json"), (b"content-length", length))
    return Respond(Head(error.status, fields), body)


def with_some_message(error: ProviderError, *, host: str, attempts: int) -> ProviderError:
    """Return the error with a message, because OpenCode takes an empty one for no error."""
    if error.message.strip():
        return error
    name = error.code or error.type or f"an error (status {error.status})"
    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    return error.with_message(f"{host} reported {name} without a message ({tries}).")


def with_explained_message(body: bytes, explain: Callable[[str], str]) -> bytes:
    """Return the error body with `explain(message)` as its message and no other byte changed.

    A message that is JSON itself is not changed, because clients parse it.
    """
    try:
        value = parse(body)
    except ValueError:
        return body
    for path in _MESSAGE_PATHS:
        message: Any = value
        for step in path:
            if isinstance(step, int):
                message = message[step] if isinstance(message, list) and message else None
            else:
                message = message.get(step) if isinstance(message, dict) else None
        if isinstance(message, str) and not message.lstrip().startswith(("{", "[")):
            explained = explain(message)
            if explained == message:
                return body
            edits = Edits(body)
            edits.replace(path, json_value.write(explained))
            return edits.apply()
    return body


def request_id_of(head: Head | None) -> str:
    """Return the request id in a head's headers, or an empty string."""
    if head is None:
        return ""
    return next((value for name in _REQUEST_ID_HEADERS if (value := head.get(name))), "")


def is_html(head: Head, body: bytes) -> bool:
    """Return whether a body is a web page, by its content type or its first bytes."""
    start = body[:512].lstrip().lower()
    if start.startswith((b"{", b"[")):
        return False
    return "html" in head.get(b"content-type").lower() or start.startswith(
        (b"<!doctype html", b"<html")
    )


def html_error(head: Head, body: bytes, host: str) -> ProviderError:
    """Return an error with the status and the title of an edge proxy's web page."""
    title = _TITLE.search(body[:FOREIGN_TEXT_LIMIT].decode("utf-8", "replace"))
    title_text = f": {' '.join(title[1].split())}" if title and title[1].strip() else ""
    return make_error(
        status=head.status if head.status >= 400 else 502,
        message=f"{host} answered with a web page{title_text} (HTTP {head.status}).",
        request_id=request_id_of(head),
    )


def _header_value(text: str) -> bytes:
    printable = [character for character in text[:FOREIGN_TEXT_LIMIT] if "!" <= character <= "~"]
    return "".join(printable)[:256].encode("ascii")
