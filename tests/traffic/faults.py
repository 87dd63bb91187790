"""The catalogue of faults of an unreliable provider, named by what the client sees.

Each function returns a `Reply`. Replies consist of the steps in `wiremend.testing.steps`; `broken`
breaks any good stream at any place. Connection faults (refused, TLS failure, reset on accept) are
in `wiremend.testing.exchange`, since they happen before there is a request.
"""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import zstandard
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Exchange, Framing, Headers, Reply, Step
from wiremend.testing.steps import (
    CANCEL as CANCEL,
)
from wiremend.testing.steps import (
    EVENT_STREAM as EVENT_STREAM,
)
from wiremend.testing.steps import (
    INTERNAL_ERROR as INTERNAL_ERROR,
)
from wiremend.testing.steps import (
    JSON as JSON,
)
from wiremend.testing.steps import (
    NO_ERROR as NO_ERROR,
)
from wiremend.testing.steps import (
    REFUSED_STREAM as REFUSED_STREAM,
)
from wiremend.testing.steps import (
    chunks as chunks,
)
from wiremend.testing.steps import (
    close as close,
)
from wiremend.testing.steps import (
    cut as cut,
)
from wiremend.testing.steps import (
    drip as drip,
)
from wiremend.testing.steps import (
    end as end,
)
from wiremend.testing.steps import (
    end_with_trailers as end_with_trailers,
)
from wiremend.testing.steps import (
    go_away as go_away,
)
from wiremend.testing.steps import (
    graceful_go_away as graceful_go_away,
)
from wiremend.testing.steps import (
    head as head,
)
from wiremend.testing.steps import (
    interim as interim,
)
from wiremend.testing.steps import (
    pass_on as pass_on,
)
from wiremend.testing.steps import (
    raw as raw,
)
from wiremend.testing.steps import (
    reset as reset,
)
from wiremend.testing.steps import (
    reset_stream as reset_stream,
)
from wiremend.testing.steps import (
    stall as stall,
)
from wiremend.testing.steps import (
    streamed as streamed,
)
from wiremend.testing.steps import (
    wait_until as wait_until,
)
from wiremend.testing.steps import (
    whole as whole,
)

from . import good

MadeFor = Callable[[WireProtocol], Reply]

WRAPPED_ERROR = (
    b'{"error":{"code":"","message":"","type":"server_error"},"request_id":""}'  # opencode#21979
)


async def wrapped_error(exchange: Exchange) -> None:
    """An error object instead of an event, then the proper end of the body."""
    await exchange.body(b"data: " + WRAPPED_ERROR + b"\n\n")
    await exchange.end()


def none(protocol: WireProtocol, stream: bool = True) -> Reply:
    """The good answer of good.py, without a fault."""
    if stream:
        return streamed(good.text_stream(protocol).events)
    return whole(good.json_body(protocol))


# Before the head.


def reset_before_head() -> Reply:
    """The request is read, then the connection is reset: ECONNRESET, "socket hang up"."""
    return Reply("reset before head", (reset,))


def close_before_head() -> Reply:
    """The request is read, then the connection is closed without a response."""
    return Reply("close before head", (close,))


def cut_before_head() -> Reply:
    """As `close_before_head`, without TLS close_notify: "unexpected EOF"."""
    return Reply("cut before head", (cut,))


def stall_before_head() -> Reply:
    """The request is read, then nothing is sent."""
    return Reply("stall before head", (stall,))


# Error statuses.


def status(
    code: int, error: Any, headers: Headers = (), content_type: str = "application/json"
) -> Reply:
    """An error status with a body: an object is sent as JSON, bytes unchanged."""
    body = error if isinstance(error, bytes) else json.dumps(error).encode()
    return whole(body, (("content-type", content_type), *headers), code)


def native_error(protocol: WireProtocol, code: int, type: str, message: str) -> Any:
    """The error envelope of a protocol."""
    if protocol is good.ANTHROPIC:
        return {"type": "error", "error": {"type": type, "message": message}}
    if protocol is good.GEMINI:
        return {"error": {"code": code, "message": message, "status": type}}
    return {"error": {"message": message, "type": type, "param": None, "code": None}}


def rate_limited(protocol: WireProtocol, retry_after: str = "0") -> Reply:
    """429 with Retry-After (seconds, or a date)."""
    error = native_error(protocol, 429, "rate_limit_error", "Too many requests, slow down")
    return status(429, error, (("retry-after", retry_after),))


def unavailable(protocol: WireProtocol) -> Reply:
    """503 in the protocol's envelope."""
    return status(503, native_error(protocol, 503, "service_unavailable", "Try again later"))


def overloaded(protocol: WireProtocol) -> Reply:
    """529, the status of Anthropic for an overload."""
    return status(529, native_error(protocol, 529, "overloaded_error", "Overloaded"))


def html_524() -> Reply:
    """An edge proxy's timeout page: HTML where the client expects JSON."""
    page = (
        b"<!DOCTYPE html>\n<html><head><title>api | 524: A timeout occurred</title></head></html>"
    )
    return status(524, page, (("cf-ray", "8f0test00000000-FRA"),), "text/html; charset=UTF-8")


def error_inside_200(protocol: WireProtocol) -> Reply:
    """HTTP 200 whose JSON body is an error (opencode#41469)."""
    error = native_error(protocol, 500, "server_error", "Provider returned error")
    return whole(json.dumps(error).encode())


# After the head, at any place of a stream.


def broken(
    stream: good.Stream,
    after: int,
    *fault: Step,
    name: str = "broken stream",
    headers: Headers = EVENT_STREAM,
) -> Reply:
    """The head, the first `after` events of a good stream, then the steps of the fault."""
    return Reply(name, (head(headers=headers), chunks(stream.events[:after]), *fault))


def reset_after_head(protocol: WireProtocol) -> Reply:
    """The 200 head, then a reset."""
    return broken(good.text_stream(protocol), 0, reset, name="reset after head")


def close_after_head(protocol: WireProtocol) -> Reply:
    """The 200 head, then a FIN in the middle of the chunked body."""
    return broken(good.text_stream(protocol), 0, close, name="close after head")


def stall_after_head(protocol: WireProtocol) -> Reply:
    """The 200 head, then nothing."""
    return broken(good.text_stream(protocol), 0, stall, name="stall after head")


def reset_mid_stream(protocol: WireProtocol, after: int | None = None) -> Reply:
    """Some content, then a reset."""
    stream = good.text_stream(protocol)
    count = stream.places["mid_content"] if after is None else after
    return broken(stream, count, reset, name="reset mid-stream")


def close_mid_stream(protocol: WireProtocol, after: int | None = None) -> Reply:
    """Some content, then a FIN: "incomplete chunked read"."""
    stream = good.text_stream(protocol)
    count = stream.places["mid_content"] if after is None else after
    return broken(stream, count, close, name="close mid-stream")


def stall_mid_stream(protocol: WireProtocol, after: int | None = None) -> Reply:
    """Some content, then nothing: every measured agent hung on this fault."""
    stream = good.text_stream(protocol)
    count = stream.places["mid_content"] if after is None else after
    return broken(stream, count, stall, name="stall mid-stream")


def cut_without_terminal_event(protocol: WireProtocol, after: int | None = None) -> Reply:
    """Some content, then a proper end of the body, but no terminal event."""
    stream = good.text_stream(protocol)
    count = stream.places["mid_content"] if after is None else after
    return broken(stream, count, end, name="cut without terminal event")


def empty_stream() -> Reply:
    """A 200 event stream without events."""
    return Reply("empty stream", (head(), end))


_META_FRAMES = {
    good.ANTHROPIC: good.text_stream(good.ANTHROPIC).events[:2],
    good.CHAT: good.text_stream(good.CHAT).events[:1],
    good.RESPONSES: good.text_stream(good.RESPONSES).events[:2],
    good.GEMINI: (),
}

PRECEDING: dict[str, Callable[[WireProtocol], tuple[bytes, ...]]] = {
    "nothing": lambda protocol: (),
    "an empty frame": lambda protocol: (b"data:\n\n",),
    "a comment": lambda protocol: (b": OPENROUTER PROCESSING\n\n",),
    "blank lines": lambda protocol: (b"\n", b"\n"),
    "meta frames": lambda protocol: _META_FRAMES[protocol],
}
"""Events that may precede a wrapped error, by name."""


def wrapped_error_first(protocol: WireProtocol, preceded_by: str = "nothing") -> Reply:
    """A 200 stream whose first relevant event is an error object, then a proper end."""
    events = (*PRECEDING[preceded_by](protocol), b"data: " + WRAPPED_ERROR + b"\n\n")
    return Reply(f"wrapped error after {preceded_by}", (head(), chunks(events), end))


def wrapped_error_mid_stream(protocol: WireProtocol, after: int | None = None) -> Reply:
    """Some content, then an error object instead of an event, then a proper end."""
    stream = good.text_stream(protocol)
    count = stream.places["mid_content"] if after is None else after
    return broken(stream, count, wrapped_error, name="wrapped error mid-stream")


def hold_open_after_end(protocol: WireProtocol) -> Reply:
    """All events including the terminal one, then silence instead of the end of the body."""
    stream = good.text_stream(protocol)
    return broken(stream, len(stream.events), stall, name="held open after the terminal event")


def reset_after_end(protocol: WireProtocol) -> Reply:
    """All events including the terminal one, then a reset instead of the end of the body."""
    stream = good.text_stream(protocol)
    return broken(stream, len(stream.events), reset, name="reset after the terminal event")


# Bodies that are unusual but legal, or illegal but common.


def chunked_204() -> Reply:
    """204 that announces a chunked body and sends one, as servers on streaming adapters do."""
    return Reply("chunked 204", (head(204, ()), end))


def bodiless_204() -> Reply:
    """A 204 as RFC 9110 defines it."""
    return Reply("204", (head(204, (), Framing.NONE),))


def stalled_chunked_204() -> Reply:
    """204 that announces a chunked body and never sends its end (opencode#16180)."""
    return Reply("204 without an end", (head(204, ()), stall))


def coded_stream(protocol: WireProtocol, coding: str, size: int = 64) -> Reply:
    """A good stream in a content coding, in parts of `size` bytes."""
    coded = encode(good.text_stream(protocol).data, coding)
    parts = [coded[start : start + size] for start in range(0, len(coded), size)]
    return streamed(parts, (*EVENT_STREAM, ("content-encoding", coding)))


def coded_json(protocol: WireProtocol, coding: str) -> Reply:
    """A good JSON body in a content coding."""
    return whole(encode(good.json_body(protocol), coding), (*JSON, ("content-encoding", coding)))


def expanding(protocol: WireProtocol, coding: str, decoded_bytes: int) -> Reply:
    """A stream that decodes to many more bytes than were sent (as in CVE-2022-29225)."""
    headers = (*EVENT_STREAM, ("content-encoding", coding))
    start = good.text_stream(protocol).events[0]
    return streamed([encode(start + b" " * decoded_bytes, coding)], headers)


CODINGS = ("gzip", "deflate", "br", "zstd")


def encode(data: bytes, coding: str) -> bytes:
    """Encode the data in a content coding."""
    if coding == "gzip":
        return gzip.compress(data, mtime=0)
    if coding == "deflate":
        return zlib.compress(data)
    if coding == "br":
        return bytes(brotli.compress(data))
    return zstandard.ZstdCompressor().compress(data)


def stream_with_content_length(protocol: WireProtocol) -> Reply:
    """A good stream with a content-length."""
    stream = good.text_stream(protocol)
    return whole(stream.data, EVENT_STREAM, parts=stream.events)


def stream_until_close(protocol: WireProtocol) -> Reply:
    """A good stream without framing: the end of the connection is the end of the body."""
    stream = good.text_stream(protocol)
    steps = (head(framing=Framing.CLOSE), chunks(stream.events), end)
    return Reply("stream until close", steps)


# HTTP/2 only.


def stream_reset_before_head() -> Reply:
    """RST_STREAM instead of a head."""
    return Reply("stream reset before head", (reset_stream(),))


def stream_reset_mid_stream(protocol: WireProtocol) -> Reply:
    """Some content, then RST_STREAM."""
    stream = good.text_stream(protocol)
    return broken(
        stream, stream.places["mid_content"], reset_stream(), name="stream reset mid-stream"
    )


def go_away_before_head() -> Reply:
    """GOAWAY that declares the request unprocessed."""
    return Reply("GOAWAY before head", (go_away(),))
