"""Small recordings in every format, made from bodies: for tests of readers and of the checker."""

import base64
import io
import lzma
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from mitmproxy import http
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow, tutils
from wiremend.call_record.kept_bytes import plain_body
from wiremend.call_record.outcomes import AttemptOutcome, CallState
from wiremend.call_record.schema import METADATA_KEY, CallRecord

HOST = "api.anthropic.com"
PATH = "/v1/messages"
REQUEST = (
    b'{"model":"claude-sonnet-5","max_tokens":10,"stream":true,'
    b'"messages":[{"role":"user","content":"hi"}]}'
)
EVENTS = "text/event-stream; charset=utf-8"


def event(fields: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (fields["type"].encode(), orjson.dumps(fields))


def stream(
    text: str = "h\u00fc", *, index: int = 0, deltas: int = 1, is_ended: bool = True
) -> bytes:
    """Return a stream of Anthropic. Its first block is numbered `index`: only 0 is valid."""
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    block = {"type": "text", "text": ""}
    delta = {"type": "text_delta", "text": text}
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    events: list[Mapping[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta},) * deltas,
    ]
    if is_ended:
        events += [
            {"type": "content_block_stop", "index": index},
            {"type": "message_delta", "delta": stop, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ]
    return b"".join(map(event, events))


SOUND = stream()
BROKEN = stream(index=1)
"""S105 in events 2 to 4."""
CUT = stream(is_ended=False)


# Flow files


def http_flow(
    body: bytes | None = SOUND,
    *,
    status: int = 200,
    content_type: str = EVENTS,
    request: bytes = REQUEST,
    headers: Iterable[tuple[bytes, bytes]] = (),
    path: str = PATH,
    error: str = "",
) -> http.HTTPFlow:
    flow = tflow.tflow(
        req=tutils.treq(
            host=HOST,
            port=443,
            scheme=b"https",
            method=b"POST",
            path=path.encode(),
            authority=b"",
            headers=http.Headers(
                [(b"host", HOST.encode()), (b"content-type", b"application/json"), *headers]
            ),
            content=request,
        ),
        resp=tutils.tresp(
            status_code=status,
            headers=http.Headers([(b"content-type", content_type.encode())]),
            content=body,
        ),
    )
    assert flow.response is not None
    if body is None:
        flow.response.data.content = None
    if error:
        flow.error = tflow.terr(error)
    return flow


def flow_file(*flows: http.HTTPFlow) -> bytes:
    file = io.BytesIO()
    writer = FlowWriter(file)
    for flow in flows:
        writer.add(flow)
    return file.getvalue()


def recorded_flow(
    *attempts: Mapping[str, Any], findings: Sequence[Mapping[str, Any]] = (), **fields: Any
) -> http.HTTPFlow:
    """Return a flow as wiremend records it: the response of the flow is the repaired one."""
    flow = http_flow(SOUND)
    record = {
        "version": 1,
        "protocol": "anthropic-messages",
        "model_asked": "claude-sonnet-5",
        "model_used": "claude-sonnet-5",
        "host": HOST,
        "provider": HOST,
        "outcome": CallState.ANSWERED.value,
        "response_findings": list(findings),
        "attempts": [attempt | {"number": n} for n, attempt in enumerate(attempts, 1)],
        **fields,
    }
    CallRecord.model_validate(record)
    flow.metadata[METADATA_KEY] = record
    return flow


def attempt(
    body: bytes | None,
    *,
    status: int = 200,
    outcome: AttemptOutcome = AttemptOutcome.ANSWERED,
    size: int | None = None,
    content_type: str = EVENTS,
    detail: str = "ok",
) -> dict[str, Any]:
    """Return an attempt with what upstream sent; None: there was no response."""
    kept = {"method": "POST", "url": f"https://{HOST}{PATH}", "headers": [], "body": None}
    response = None
    if body is not None:
        headers = [["content-type", content_type]]
        response = {"status": status, "headers": headers, "body": plain_body(body, size=size)}
    fields = {"outcome": outcome.value, "detail": detail, "request": kept, "response": response}
    return fields


# HAR


def har(*entries: Mapping[str, Any], creator: str = "test") -> bytes:
    pages = [{"id": "page_1", "title": 'a "entries": [ title'}]
    log = {"version": "1.2", "creator": {"name": creator}, "pages": pages, "entries": entries}
    return orjson.dumps({"log": log}, option=orjson.OPT_INDENT_2)


def entry(
    content: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Iterable[tuple[str, str]] = (),
    request: bytes = REQUEST,
    response_headers: Iterable[tuple[str, str]] = (("content-type", EVENTS),),
    **more: Any,
) -> dict[str, Any]:
    """Return an entry; `more` are further fields of its response."""
    return {
        "startedDateTime": "2026-01-01T00:00:00.000Z",
        "time": 12.5,
        "request": {
            "method": "POST",
            "url": f"https://{HOST}{PATH}",
            "httpVersion": "h2",
            "headers": [
                {"name": ":authority", "value": HOST},
                {"name": "Content-Type", "value": "application/json"},
                *({"name": name, "value": value} for name, value in headers),
            ],
            "cookies": [],
            "queryString": [],
            "postData": {"mimeType": "application/json", "text": request.decode()},
        },
        "response": {
            "status": status,
            "httpVersion": "",
            "headers": [{"name": n, "value": v} for n, v in response_headers],
            "content": content,
            **more,
        },
        "timings": {"wait": -1},
    }


def chrome(body: bytes) -> dict[str, Any]:
    """Text decoded as Latin-1, and the list of events."""
    text = {"size": len(body), "mimeType": "text/event-stream", "text": body.decode("latin-1")}
    return entry(text | {"_eventSourceMessages": chrome_messages(body)})


def chrome_messages(body: bytes) -> list[dict[str, Any]]:
    messages = []
    for raw in body.decode().strip().split("\n\n"):
        name, data = raw.split("\n")
        name, data = name.removeprefix("event: "), data.removeprefix("data: ")
        messages.append({"time": 1.5, "eventName": name, "eventId": "", "data": data})
    return messages


def chrome_reset(body: bytes) -> dict[str, Any]:
    """No text: the events that arrived, and the error."""
    content = {"size": 0, "mimeType": "text/event-stream"}
    return entry(
        content | {"_eventSourceMessages": chrome_messages(body)},
        _error="net::ERR_CONNECTION_RESET",
    )


def playwright(body: bytes) -> dict[str, Any]:
    text = body.decode("latin-1")
    return entry({"size": len(text.encode()), "mimeType": EVENTS, "text": text})


def playwright_reset() -> dict[str, Any]:
    return entry({"size": -1, "mimeType": EVENTS})


def firefox(body: bytes) -> dict[str, Any]:
    """Text decoded correctly; the same for a stream that was reset."""
    return entry({"size": len(body), "mimeType": EVENTS, "text": body.decode()})


def mitmproxy_har(body: bytes) -> dict[str, Any]:
    return entry({"size": len(body), "mimeType": EVENTS, "text": body.decode()})


def base64_har(body: bytes) -> dict[str, Any]:
    text = base64.b64encode(body).decode()
    return entry({"size": len(body), "mimeType": EVENTS, "text": text, "encoding": "base64"})


HAR_FLAVOURS = {
    "Chrome": chrome,
    "Playwright": playwright,
    "Firefox": firefox,
    "mitmproxy": mitmproxy_har,
    "base64": base64_har,
}


# JSON Lines


def line(body: bytes | None = SOUND, request: bytes | None = REQUEST, **fields: Any) -> bytes:
    """Return a line; a body that is no UTF-8 is written in base64."""
    exchange = {
        "source": "made by hand",
        "host": HOST,
        "path": PATH,
        "protocol": "anthropic-messages",
        "streaming": True,
        "status": 200,
        "content_type": EVENTS,
        "request": _body(request),
        "response": _body(body),
    }
    return orjson.dumps(exchange | fields) + b"\n"


def _body(data: bytes | None) -> dict[str, str] | None:
    if data is None:
        return None
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


# All formats


def in_every_format(body: bytes) -> dict[str, bytes]:
    """Return files with one exchange each, by name."""
    har_files = {
        f"{name.lower()}.har": har(make(body), creator=name) for name, make in HAR_FLAVOURS.items()
    }
    return {
        "stock.mitm": flow_file(http_flow(body)),
        "own.mitm": flow_file(recorded_flow(attempt(body))),
        **har_files,
        "exchanges.jsonl": line(body),
        "exchanges.jsonl.xz": lzma.compress(line(body)),
        "body.sse": body,
    }
