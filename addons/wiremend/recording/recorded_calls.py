"""What a recording contains for replay: each client's request, and what the provider sent for it.

A recording of wiremend has both sides of each call. Replay serves the provider's side, attempt by
attempt, so that the proxy retries and repairs again; the client's side is what requests are matched
with. Other recordings have one request and one response.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urlsplit

from mitmproxy import http

from wiremend.call_record.load import load_record
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.schema import CallRecord, KeptBody, KeptRequest, StoredAttempt
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.registry import recognise
from wiremend.recording.exchange import (
    BodyAlone,
    Ending,
    Exchange,
    Headers,
    RecordedFlow,
    UnusableRecording,
    header_value,
)
from wiremend.recording.normal_form import AskedRequest
from wiremend.recording.sources import Source, open_recording
from wiremend.text.content_coding import UndecodableBody, decode_whole

DECODED_LIMIT_BYTES = 64 * 1024 * 1024
"""A coded body that is longer than this when it is decoded cannot be replayed."""
_NOT_CLEAN = ("R001", "R002", "R004", "R006", "R008")
"""Rules on attempts that did not end with the end of a body."""


class AnswerEnd(Enum):
    """How an answer ends."""

    COMPLETE = "complete"
    """With the end of the body, whatever that body contains."""
    RESET = "reset"
    """The connection is lost, before the head if there is no status."""
    SILENT = "silent"
    """Nothing more follows: the client left."""


@dataclass(frozen=True, slots=True)
class RecordedAnswer:
    """What a provider sent in one attempt. Times are seconds since the start of the attempt."""

    end: AnswerEnd
    seconds: float = 0.0
    """When the attempt ended; 0 if that was not recorded."""
    status: int | None = None
    """None: no head."""
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    """With the content coding that the headers name."""
    chunks: tuple[tuple[float, int], ...] = ()
    """The time of each chunk, and its end in the body; empty if that was not recorded."""
    protocol: WireProtocol | None = None
    """The protocol of the request that was sent to the provider."""

    @property
    def coding(self) -> str:
        """The content coding of the body."""
        return header_value(self.headers, "content-encoding")


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One request of a client, and everything that the provider sent for it."""

    number: int
    """The number of the flow in the file, from 1."""
    request: AskedRequest
    answers: tuple[RecordedAnswer, ...]
    """One for each attempt, in order; empty if nothing was sent to a provider."""
    problem: str = ""
    """Why the call cannot be replayed; empty if it can."""


def load_calls(path: Path) -> list[RecordedCall]:
    """Return everything in a recording that can be asked for again.

    Raises UnusableRecording, whose text is one line that does not quote the file.
    """
    source = Source(str(path), path)
    no_stdin = cast(BinaryIO, None)
    if path.is_dir():
        raise UnusableRecording("it is a folder; name one recording")
    try:
        with open_recording(source, None, no_stdin) as recording:
            calls = list(recorded_calls(recording.flows))
    except BodyAlone:
        raise UnusableRecording("it is no recording: it contains no requests") from None
    if not calls:
        raise UnusableRecording("it contains no request")
    return calls


def recorded_calls(flows: Iterable[RecordedFlow]) -> Iterator[RecordedCall]:
    """Yield the calls of a recording, in order. Raises UnusableRecording."""
    for flow in flows:
        original = flow.original
        record = load_record(original.metadata) if isinstance(original, http.HTTPFlow) else None
        call: RecordedCall | None = None
        if record is not None and record.client_request is not None:
            call = _call_of_record(record, record.client_request, flow.number)
        elif isinstance(original, http.HTTPFlow) and original.websocket is not None:
            continue
        elif record is not None:
            call = _call_of_flow(original, record, flow.number)
        elif flow.exchanges:
            call = _call_of_exchange(flow.exchanges[0], flow.number)
        if call is not None:
            yield call


# Flows of wiremend


def _call_of_record(record: CallRecord, sent: KeptRequest, number: int) -> RecordedCall:
    url = urlsplit(sent.url)
    body = sent.body.data if sent.body is not None else b""
    path = f"{url.path}?{url.query}" if url.query else url.path
    problem = ""
    if sent.body is not None and _is_shortened(sent.body):
        problem = "its request was too large to be kept"
    decoded = _decoded(body, header_value(tuple(sent.headers), "content-encoding"))
    if decoded is None:
        problem = "its request cannot be decoded"
    request = AskedRequest(sent.method, url.hostname or "", path, decoded or b"")
    answers = tuple(
        _answer_of(attempt, record)
        for attempt in record.attempts
        if attempt.outcome is not AttemptOutcome.STALE
    )
    if any(a.response is not None and _lacks_bytes(a.response.body) for a in record.attempts):
        problem = problem or "its response was too large to be kept"
    return RecordedCall(number, request, answers, problem)


def _answer_of(attempt: StoredAttempt, record: CallRecord) -> RecordedAnswer:
    start = attempt.start_seconds
    end = _end_of(attempt, record)
    seconds = max(0.0, (attempt.end_seconds or start) - start)
    protocol = None
    if attempt.request is not None:
        asked = recognise(attempt.request.method, urlsplit(attempt.request.url).path, "")
        protocol = asked.name if asked is not None else None
    response = attempt.response
    if response is None:
        return RecordedAnswer(end, seconds, protocol=protocol)
    chunks: Iterable[tuple[float, int]] = response.body.chunks if response.body else ()
    return RecordedAnswer(
        end,
        seconds,
        response.status,
        tuple(response.headers),
        bytes(response.body.data) if response.body is not None else b"",
        tuple((max(0.0, time - start), position) for time, position in chunks),
        protocol,
    )


def _end_of(attempt: StoredAttempt, record: CallRecord) -> AnswerEnd:
    if attempt.outcome in (AttemptOutcome.ANSWERED, AttemptOutcome.REJECTED):
        return AnswerEnd.COMPLETE
    if attempt.outcome is AttemptOutcome.CANCELLED:
        return AnswerEnd.SILENT
    if attempt.outcome is not AttemptOutcome.FAILED or attempt.response is None:
        return AnswerEnd.RESET
    place = f"attempt {attempt.number}"
    codes = {found.code for found in record.response_findings if found.where == place}
    return AnswerEnd.COMPLETE if codes.isdisjoint(_NOT_CLEAN) else AnswerEnd.RESET


def _is_shortened(body: KeptBody) -> bool:
    return body.size > len(body.data)


def _lacks_bytes(body: KeptBody | None) -> bool:
    return body is not None and _is_shortened(body)


def _call_of_flow(original: http.HTTPFlow, record: CallRecord, number: int) -> RecordedCall:
    """Return a call whose traffic was not kept: what the client received, repaired."""
    request, response = original.request, original.response
    body = _decoded(request.raw_content or b"", request.headers.get("content-encoding", ""))
    asked = AskedRequest(request.method, request.host, request.path, body or b"")
    is_answered = record.outcome in (CallState.ANSWERED, CallState.PASSED)
    if response is None or response.raw_content is None or not is_answered:
        return RecordedCall(number, asked, (), "its traffic was not kept")
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.fields
    )
    protocol = recognise(request.method, request.path, "")
    answer = RecordedAnswer(
        AnswerEnd.COMPLETE,
        status=response.status_code,
        headers=headers,
        body=response.raw_content,
        protocol=protocol.name if protocol is not None else None,
    )
    return RecordedCall(number, asked, (answer,))


# Other recordings


def _call_of_exchange(exchange: Exchange, number: int) -> RecordedCall:
    if exchange.body is None and exchange.method.upper() == "POST":
        problem = "its request was not recorded"
    else:
        problem = ""
    coding = header_value(exchange.headers, "content-encoding")
    body = _decoded(exchange.body or b"", coding)
    if body is None:  # a HAR file has decoded bodies
        body = exchange.body or b""
    request = AskedRequest(exchange.method, exchange.host, exchange.path, body)
    asked = recognise(exchange.method, exchange.path, "")
    response = exchange.response
    if response is None:
        end = AnswerEnd.SILENT if exchange.ending is Ending.LEFT else AnswerEnd.RESET
        return RecordedCall(number, request, (RecordedAnswer(end),), problem)
    if response.body is None and exchange.ending is Ending.COMPLETE:
        problem = problem or "its response was not recorded"
    ends = {
        Ending.COMPLETE: AnswerEnd.COMPLETE,
        Ending.CUT: AnswerEnd.RESET,
        Ending.LEFT: AnswerEnd.SILENT,
    }
    answer = RecordedAnswer(
        ends[exchange.ending],
        status=response.status,
        headers=response.headers,
        body=response.body or b"",
        protocol=asked.name if asked is not None else exchange.protocol,
    )
    return RecordedCall(number, request, (answer,), problem)


def _decoded(body: bytes, coding: str) -> bytes | None:
    """Return the content of a body; None if it cannot be decoded."""
    if not coding:
        return body
    try:
        return decode_whole(coding, body, DECODED_LIMIT_BYTES)
    except UndecodableBody:
        return None
