"""A call that `wiremend.repro` wrote, as a request and a provider's replies, for a test."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from wiremend.call_record.schema import CallRecord, KeptRequest
from wiremend.recording.exchange import UnusableRecording
from wiremend.recording.flow_files import records_in
from wiremend.recording.recorded_calls import load_calls
from wiremend.recording.repro import asked_request
from wiremend.testing.exchange import Reply
from wiremend.testing.proxy import Proxy
from wiremend.testing.recorded_replies import reply_of
from wiremend.testing.steps import drip

_READING_SECONDS = 0.2
"""How long the proxy may take to read what was sent before a connection is lost."""
_TIMEOUT_SECONDS = 120.0
_OF_THE_CONNECTION = frozenset({"host", "content-length", "connection", "transfer-encoding"})


@dataclass(frozen=True)
class Repro:
    """One call."""

    request: KeptRequest
    """What the client sent, or the provider got if the call was routed; keys are `REDACTED`."""
    replies: Sequence[Reply]
    """What the provider sent, attempt by attempt."""
    record: CallRecord
    """What was done when it was recorded."""


@dataclass(frozen=True)
class Answer:
    """What a client received."""

    status: int
    body: bytes
    error: str = ""
    """Why the body is incomplete; empty if it is complete."""


def load_repro(path: Path) -> Repro:
    """Return the call in a recording that contains one. Raises ValueError if it does not."""
    try:
        calls = load_calls(path)
    except UnusableRecording as problem:
        raise ValueError(f"{path}: {problem}") from None
    with path.open("rb") as file:
        records = list(records_in(file))
    if len(calls) != 1 or len(records) != 1 or records[0] is None:
        raise ValueError(f"{path} is no recording of wiremend.repro: it has not one call")
    if calls[0].problem:
        raise ValueError(f"{path}: {calls[0].problem}")
    record = records[0]
    replies = [reply_of(answer, drip(_READING_SECONDS)) for answer in calls[0].answers]
    return Repro(asked_request(record), replies, record)


def send(proxy: Proxy, request: KeptRequest) -> Answer:
    """Send a request through a proxy; return what its client receives."""
    body = request.body.data if request.body is not None else None
    headers = {n: v for n, v in request.headers if n.lower() not in _OF_THE_CONNECTION}
    headers["Host"] = urlsplit(request.url).netloc  # set_proxy would name the proxy
    sent = urllib.request.Request(request.url, body, headers, method=request.method)
    # A ProxyHandler would ignore the proxy for the hosts in NO_PROXY, and reach the real provider.
    sent.set_proxy(f"127.0.0.1:{proxy.port}", "http")
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=proxy.ca_file)),
    )
    status, read = 0, bytearray()
    try:
        try:
            response = opener.open(sent, timeout=_TIMEOUT_SECONDS)
        except urllib.error.HTTPError as refused:
            response = refused
        with response:
            status = response.status
            while part := response.read1(65_536):
                read += part
    except (OSError, HTTPException) as problem:
        return Answer(status, bytes(read), str(problem) or type(problem).__name__)
    return Answer(status, bytes(read))
