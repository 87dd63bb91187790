"""The errors of failed attempts, as the client may receive them.

Clients match these messages: some retry only if they contain certain words
(`ClientTraits.retried_words`).
"""

import errno
import math
import os
from collections.abc import Mapping
from dataclasses import replace

import orjson

from wiremend.engine.actions import Head
from wiremend.engine.error_responses import request_id_of
from wiremend.engine.health import FailureCause
from wiremend.engine.retry import read_retry_after
from wiremend.protocols.base.event_repairer import DONE
from wiremend.protocols.base.provider_error import (
    ProviderError,
    error_of_text,
    own_error,
    read_error,
)
from wiremend.text import sse
from wiremend.text.body_form import BodyForm, form_of, has_event

_START_BYTES = 64
_MISSING_BY_LIMIT: Mapping[str, str] = {
    "connect": "did not accept a connection",
    "first_byte": "sent no first byte",
    "answer": "sent no complete answer",
    "idle": "sent nothing more",
    "progress": "sent no content, only keep-alives,",
    "total": "did not finish",
}

_OWN_SHORTAGES = tuple(
    os.strerror(code)
    for code in (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM)
)


def is_own_shortage(reason: str) -> bool:
    """Return whether connecting failed because this machine lacks files, ports or memory."""
    return any(text in reason for text in _OWN_SHORTAGES)


def connect_error(host: str, reason: str) -> ProviderError:
    """No connection to the provider could be established."""
    return _transport_error(f"Connection error: {host} could not be connected to: {reason}")


def lost_error(host: str, reason: str, *, had_answered: bool) -> ProviderError:
    """The connection was reset, or closed too early; `had_answered`: after the response head."""
    moment = "before its response was complete" if had_answered else "before answering"
    return _transport_error(f"Connection lost: {host} closed it {moment}: {reason}")


def too_large_error(host: str, reason: str) -> ProviderError:
    """The head of the response exceeds a limit; `reason` contains the limit."""
    return _transport_error(f"{host} sent a response that was refused: {reason}.")


def timeout_error(host: str, limit: str, seconds: float) -> ProviderError:
    """A limit of `[timeouts]` passed; the message contains its name and its seconds."""
    missing = f"{_MISSING_BY_LIMIT[limit]} within {seconds:g} s (limit: {limit})"
    message = f"Request timeout: {host} {missing}."
    return own_error(message, status=504, type="timeout_error")


def unreadable_error(host: str, reason: str) -> ProviderError:
    """The response body has a content coding that cannot be decoded, or is broken."""
    return _transport_error(f"{host} sent a body that cannot be decoded: {reason}")


def untranslatable_error(host: str) -> ProviderError:
    """The response cannot be read, and is in another protocol than the client's."""
    return _transport_error(f"{host} sent a response that cannot be translated.")


def not_a_stream_error(host: str) -> ProviderError:
    """The client was already sent the head of an event stream."""
    return _transport_error(f"{host} sent no event stream.")


def internal_error() -> ProviderError:
    """A bug in this proxy ended the call."""
    return _transport_error("wiremend: internal error")


def stopped_error() -> ProviderError:
    """The proxy ends, and the call with it."""
    message = "wiremend was stopped before the response was complete."
    return own_error(message, status=503, type="overloaded_error")


def refused_error(host: str, seconds: float, last_failure: FailureCause | None) -> ProviderError:
    """The provider's circuit breaker stays open for these seconds.

    The last failure may be that of another client: its status and kind are given, not its text.
    It has no Retry-After: Codex would wait for it before each of its 30 tries, five minutes in
    all, where its own backoff gives up after half a minute.
    """
    last = ""
    if last_failure is not None:
        kind = f" ({last_failure.kind})" if last_failure.kind else ""
        last = f" The last one failed with status {last_failure.status}{kind}."
    message = (
        f"{host} failed several calls in a row and is asked again in {math.ceil(seconds)} s.{last}"
    )
    return own_error(message, status=503, type="overloaded_error")


def with_response_metadata(
    error: ProviderError, head: Head | None, wall_clock_seconds: float
) -> ProviderError:
    """Return the error with the request id and the retry wait of the response head, if any."""
    if head is None:
        return error
    wait = read_retry_after(head, wall_clock_seconds)
    return replace(
        error,
        request_id=error.request_id or request_id_of(head),
        retry_after_seconds=wait if wait is not None else error.retry_after_seconds,
    )


def error_of_status(head: Head, body: bytes) -> ProviderError:
    """Return the error in the body of an HTTP error response, with the response's status.

    The body may be JSON, events, or the plain text of a server in between.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        error = _error_in_events(body)
    else:
        error = read_error(value)
        body = value.encode() if isinstance(value, str) else body
    if error is None:
        text = body[:500].decode("utf-8", "replace").strip()
        error = error_of_text(text, status=head.status)
    return replace(error, status=head.status)


def _error_in_events(body: bytes) -> ProviderError | None:
    """Return the first error in a body of events, else their data as an error; None for others."""
    if form_of(body[:_START_BYTES]) is not BodyForm.EVENTS and not has_event(body):
        return None
    decoder = sse.Decoder()
    texts: list[str] = []
    for event in [*decoder.feed(body), *decoder.end()]:
        if event.data is None:
            continue
        try:
            error = read_error(orjson.loads(event.data))
        except orjson.JSONDecodeError:
            error = None
            if event.data.strip() != DONE:
                texts.append(event.data[:500].decode("utf-8", "replace").strip())
        if error is not None:
            return error
    return error_of_text(" ".join(texts)[:500]) if any(texts) else None


def _transport_error(message: str) -> ProviderError:
    return own_error(message, type="api_error")
