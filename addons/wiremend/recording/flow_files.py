"""Reads mitmproxy's flow files: those of stock mitmproxy, and those that wiremend recorded.

A flow file is a sequence of tnetstrings. mitmproxy's own reader is not used for the framing: it
trusts the lengths, raises unrelated exceptions for damaged files, and quotes the flow in them.
"""

import gc
from collections.abc import Iterator
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from mitmproxy import flow, http
from mitmproxy.io import compat, tnetstring
from mitmproxy.version import FLOW_FORMAT_VERSION

from wiremend.call_record.load import load_record
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.schema import (
    CallRecord,
    KeptBody,
    KeptRequest,
    KeptResponse,
    StoredAttempt,
)
from wiremend.protocols.registry import recognise
from wiremend.recording.exchange import (
    Ending,
    Exchange,
    Headers,
    LiveFindings,
    Message,
    RecordedFlow,
    RecordedFlows,
    RecordedResponse,
    UnusableRecording,
)
from wiremend.recording.limited import ENTRY_LIMIT_BYTES, PeekableFile, too_large
from wiremend.rules.rule import CallPlace, Finding
from wiremend.text import json_value

COLLECT_BYTES = 32 * 1024 * 1024
"""How much is read between two collections of garbage. mitmproxy's flows are in cycles when they
have been loaded, and the collector counts objects, not bytes."""
_LENGTH_DIGITS = 12
_FLOW_TYPE = b"}"
_TRANSPORT = ("R001", "R002", "R004", "R006", "R008")
"""Rules on connections."""
_CLIENT_LEFT = ("client disconnect", "client closed", "by client", "connection killed")
"""Beginnings and parts of mitmproxy's error texts for which no provider is to blame."""


def read_flow_file(file: PeekableFile) -> RecordedFlows:
    """Yield the flows of a file. Raises UnusableRecording."""
    number = uncollected = 0
    while (state := _read_state(file, number + 1)) is not None:
        number += 1
        uncollected += len(state)
        if uncollected > COLLECT_BYTES:
            gc.collect()
            uncollected = len(state)
        original = _flow_of(state, number)
        if isinstance(original, http.HTTPFlow):
            yield _read(original, number)
        else:
            yield RecordedFlow(number, (), original=original)


def records_in(file: BinaryIO) -> Iterator[CallRecord | None]:
    """Yield the record of each flow in a file. Raises UnusableRecording."""
    size = file.seek(0, 2)
    file.seek(0)
    for recorded in read_flow_file(PeekableFile(file, size)):
        original = recorded.original
        yield load_record(original.metadata) if isinstance(original, http.HTTPFlow) else None


def _read_state(file: PeekableFile, number: int) -> bytes | None:
    """Return the next tnetstring without its length; None at the end of the file."""
    prefix = file.peek(_LENGTH_DIGITS + 1)
    if not prefix:
        return None
    digits, colon, _ = prefix.partition(b":")
    if not digits.isdigit() or not colon:
        is_short = digits.isdigit() and len(prefix) <= _LENGTH_DIGITS
        raise UnusableRecording(_cut(number) if is_short else _damaged(number))
    file.read(len(digits) + 1)
    length, left = int(digits), file.left
    if left is not None and length + 1 > left:
        raise UnusableRecording(_cut(number))
    if length > ENTRY_LIMIT_BYTES:
        raise too_large(f"flow {number}")
    data = file.read(length + 1)
    if len(data) <= length:
        raise UnusableRecording(_cut(number))
    if data[-1:] != _FLOW_TYPE:
        raise UnusableRecording(_damaged(number))
    return data[:-1]


def _cut(number: int) -> str:
    after = f"after flow {number - 1}, " if number > 1 else ""
    return f"the file ends {after}inside flow {number}"


def _damaged(number: int) -> str:
    if number == 1:
        return "the first flow is damaged, or this is no flow file of mitmproxy"
    return f"the file is damaged behind flow {number - 1}; what follows cannot be read"


def _flow_of(state: bytes, number: int) -> flow.Flow:
    """Return the flow. The causes of errors are dropped, since they quote the flow."""
    try:
        loaded = tnetstring.parse(ord(_FLOW_TYPE), memoryview(state))
    except Exception:
        raise UnusableRecording(_damaged(number)) from None
    assert isinstance(loaded, dict)
    version = loaded.get("version")
    if isinstance(version, int) and version > FLOW_FORMAT_VERSION:
        raise UnusableRecording(
            f"flow {number} was written by a newer mitmproxy (version {version} of the format; "
            f"this one reads {FLOW_FORMAT_VERSION})"
        )
    try:
        return flow.Flow.from_state(compat.migrate_flow(loaded))
    except Exception:
        text = f"flow {number} is damaged, or too old for this mitmproxy"
        raise UnusableRecording(text) from None


# One flow


def _read(original: http.HTTPFlow, number: int) -> RecordedFlow:
    """Read a flow, whose values may have other types than mitmproxy gives them."""
    try:
        return _recorded(original, number)
    except Exception:
        raise UnusableRecording(f"flow {number} is damaged") from None


def _recorded(original: http.HTTPFlow, number: int) -> RecordedFlow:
    record = load_record(original.metadata)
    exchanges = _stock_exchanges(original) if record is None else _exchanges(original, record)
    return RecordedFlow(number, tuple(exchanges), partial(_messages, original, record), original)


def _stock_exchanges(original: http.HTTPFlow) -> Iterator[Exchange]:
    if original.websocket is None:
        yield _exchange(original, **_response_of(original))


def _exchange(original: http.HTTPFlow, **values: Any) -> Exchange:
    request = original.request
    fields: dict[str, Any] = {
        "method": request.method,
        "scheme": request.scheme,
        "host": request.pretty_host,
        "port": request.port,
        "path": request.path,
        "headers": _text_headers(request.headers.fields),
        "body": request.raw_content,
    }
    return Exchange(**(fields | values))


def _response_of(original: http.HTTPFlow) -> dict[str, Any]:
    response, error = original.response, original.error
    text = error.msg if error is not None else ""
    ending = Ending.COMPLETE
    if text:
        lower = text.lower()
        ending = Ending.LEFT if any(part in lower for part in _CLIENT_LEFT) else Ending.CUT
    elif response is None or response.timestamp_end is None:
        ending = Ending.LEFT
    recorded = None
    if response is not None:
        headers = _text_headers(response.headers.fields)
        recorded = RecordedResponse(response.status_code, headers, response.raw_content)
    return {
        "response": recorded,
        "ending": ending,
        "is_sent": original.server_conn.timestamp_tcp_setup is not None,
        "error": text,
    }


def _text_headers(fields: tuple[tuple[bytes, bytes], ...]) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in fields)


# A flow that wiremend recorded


def _exchanges(original: http.HTTPFlow, record: CallRecord) -> Iterator[Exchange]:
    """Yield what each attempt contains; the client's response is repaired, so it is not used."""
    kept = [attempt for attempt in record.attempts if attempt.response is not None]
    is_routed = record.host not in ("", original.request.pretty_host)
    shared: dict[str, Any] = {"host": record.host or original.request.pretty_host}
    if record.client_request is not None:
        shared |= _client_request(record.client_request)
    if is_routed or record.model_used not in ("", record.model_asked):
        shared["is_checked"] = False
    if not kept:
        live = LiveFindings(
            tuple(finding.finding() for finding in record.request_findings),
            tuple(finding.finding() for finding in record.response_findings),
        )
        note = "upstream's bytes were not kept; the findings are those of the live proxy"
        is_final = record.outcome is None or record.outcome.is_final
        notes = (note,) if is_final else (note, "the call had not ended")
        if record.outcome is not CallState.REFUSED:
            values = {"live_findings": live, "notes": notes, "is_checked": False}
            yield _exchange(original, **(shared | values))
        return
    for attempt in record.attempts:
        if attempt.outcome is not AttemptOutcome.STALE:
            sent = _sent_request(attempt.request, record)
            if attempt.injected:  # it is not the provider's answer
                yield _exchange(original, **(shared | sent | _not_checked(attempt, record)))
                continue
            yield _exchange(original, **(shared | sent | _attempt(attempt, record)))
            shared["is_checked"] = False


def _not_checked(attempt: StoredAttempt, record: CallRecord) -> dict[str, Any]:
    return {
        "attempt": attempt.number if len(record.attempts) > 1 else 0,
        "live_findings": LiveFindings((), ()),
        "notes": (f"the response is not checked: {attempt.injected} was injected",),
        "is_checked": False,
    }


def _client_request(kept: KeptRequest) -> dict[str, Any]:
    values: dict[str, Any] = {"method": kept.method, "headers": tuple(kept.headers)}
    if kept.body is not None and not _is_shortened(kept.body):
        values["body"] = kept.body.data
    return values


def _sent_request(sent: KeptRequest | None, record: CallRecord) -> dict[str, Any]:
    """Return the path of an attempt, whose target may have another protocol than the client.

    The client's request then does not go with the response, and the translated one is used.
    """
    if sent is None:
        return {}
    url = urlsplit(sent.url)
    path = f"{url.path}?{url.query}" if url.query else url.path
    protocol = recognise(sent.method, path, "")
    if protocol is None:
        return {}
    if protocol.name == record.protocol:
        return {"path": path}
    return {"path": path, "is_checked": False, **_client_request(sent)}


def _attempt(attempt: StoredAttempt, record: CallRecord) -> dict[str, Any]:
    is_answered = attempt.outcome in (AttemptOutcome.ANSWERED, AttemptOutcome.REJECTED)
    response = attempt.response
    values: dict[str, Any] = {
        "attempt": attempt.number if len(record.attempts) > 1 else 0,
        "response": None if response is None else _kept_response(response),
        "ending": Ending.COMPLETE,
        "error": "" if is_answered else attempt.detail,
    }
    if attempt.outcome in (AttemptOutcome.CANCELLED, AttemptOutcome.RUNNING, None):
        values["ending"] = Ending.LEFT
    elif response is None:
        values["ending"] = Ending.CUT
        values["is_sent"] = attempt.request is not None
    elif response.body is not None and _is_shortened(response.body):
        values["ending"] = Ending.LEFT
        values["notes"] = (f"only the first {len(response.body.data)} bytes were kept",)
    if transport := _transport_findings(attempt, record):
        values |= {"ending": Ending.LEFT, "transport_findings": transport}
    return values


def _transport_findings(attempt: StoredAttempt, record: CallRecord) -> tuple[Finding, ...]:
    """Return the findings on the connection of an attempt, as findings on its response."""
    return tuple(
        Finding(finding.code, CallPlace.RESPONSE, finding.found, finding.done)
        for finding in record.response_findings
        if finding.code in _TRANSPORT and finding.where == f"attempt {attempt.number}"
    )


def _kept_response(kept: KeptResponse) -> RecordedResponse:
    body = b"" if kept.body is None else kept.body.data
    return RecordedResponse(kept.status, tuple(kept.headers), body)


def _is_shortened(body: KeptBody) -> bool:
    return body.size > len(body.data)


# Everything that is in the file


def _messages(original: http.HTTPFlow, record: CallRecord | None) -> Iterator[Message]:
    request, response = original.request, original.response
    path = request.path
    yield Message(
        "request", _text_headers(request.headers.fields), path, request.raw_content or b""
    )
    if response is not None:
        headers = _text_headers(response.headers.fields)
        yield Message("response", headers, body=response.raw_content or b"")
    if original.error is not None:
        yield Message("error", body=str(original.error.msg).encode("utf-8", "replace"))
    if original.comment:
        yield Message("comment", body=str(original.comment).encode("utf-8", "replace"))
    if record is not None:
        yield from _kept_messages(record)
    metadata = _without_bytes(original.metadata)
    yield Message("metadata", body=json_value.write(metadata))


def _kept_messages(record: CallRecord) -> Iterator[Message]:
    kept: list[tuple[str, KeptRequest | KeptResponse | None]] = [
        ("client's request", record.client_request),
        ("client's response", record.client_response),
    ]
    for attempt in record.attempts:
        name = f"attempt {attempt.number}"
        kept += [(f"{name} request", attempt.request), (f"{name} response", attempt.response)]
    for name, message in kept:
        if message is not None:
            path = message.url if isinstance(message, KeptRequest) else ""
            body = message.body.data if message.body is not None else b""
            yield Message(name, tuple(message.headers), path, body)


def _without_bytes(value: Any) -> Any:
    """Return metadata without bodies and headers, which are messages of their own."""
    if isinstance(value, dict):
        return {
            str(key): _without_bytes(item)
            for key, item in value.items()
            if key not in ("headers", "url")
        }
    if isinstance(value, list | tuple):
        return [_without_bytes(item) for item in value]
    return None if isinstance(value, bytes) else value
