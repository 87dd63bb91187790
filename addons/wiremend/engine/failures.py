"""What a failed attempt is called: the error that a client may get to read.

Clients read these texts, too: OpenCode tries an error event of Anthropic again only when its
text has words such as "connection lost", "connection error" or "request timeout".
"""

from collections.abc import Mapping
from dataclasses import replace

import orjson

from wiremend.engine.actions import Head
from wiremend.engine.answers import request_id_of
from wiremend.engine.retry import read_retry_after
from wiremend.protocols.errors import ProviderError, error_of_text, make_error, read_error

_MISSING_BY_LIMIT: Mapping[str, str] = {
    "connect": "did not accept a connection",
    "first_byte": "sent no first byte",
    "answer": "sent no complete answer",
    "idle": "sent nothing more",
    "progress": "sent no content, only keep-alives,",
    "total": "did not finish",
}


def connect_error(host: str, reason: str) -> ProviderError:
    """The provider could not be connected to."""
    return _transport_error(f"Connection error: {host} could not be connected to: {reason}")


def lost_error(host: str, reason: str, *, had_answered: bool) -> ProviderError:
    """The connection was reset, or closed too early."""
    moment = "before its response was complete" if had_answered else "before answering"
    return _transport_error(f"Connection lost: {host} closed it {moment}: {reason}")


def timeout_error(host: str, limit: str, seconds: float) -> ProviderError:
    """A limit of `[timeouts]` passed; the error names it and its seconds."""
    missing = f"{_MISSING_BY_LIMIT[limit]} within {seconds:g} s (limit: {limit})"
    message = f"Request timeout: {host} {missing}."
    return make_error(status=504, type="timeout_error", message=message)


def placed(error: ProviderError, head: Head | None, wall_clock_seconds: float) -> ProviderError:
    """The error with the request id and the wait that the response's head names."""
    if head is None:
        return error
    wait = read_retry_after(head, wall_clock_seconds)
    return replace(
        error,
        request_id=error.request_id or request_id_of(head),
        retry_after_seconds=wait if wait is not None else error.retry_after_seconds,
    )


def error_of_status(head: Head, body: bytes) -> ProviderError:
    """The error that an HTTP error response reports; its status is the response's."""
    try:
        error = read_error(orjson.loads(body))
    except orjson.JSONDecodeError:
        error = None
    if error is None:
        text = body[:500].decode("utf-8", "replace").strip()
        error = error_of_text(text, status=head.status)
    return replace(error, status=head.status)


def _transport_error(message: str) -> ProviderError:
    return make_error(status=502, type="api_error", message=message)
