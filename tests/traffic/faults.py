"""The catalogue of faults: what an unreliable provider does, named by what its victim sees.

Each function returns a `Reply`. The steps at the top are what replies are made of;
`broken` breaks any good stream at any place in any way. Connection faults (refused, TLS
failure, reset on accept) are in exchange.py, since they happen before there is a request.
"""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import brotli
import zstandard
from wiremend.protocols.base.names import WireProtocol

from . import good
from .exchange import Exchange, Framing, Headers, Reply, Step

EVENT_STREAM: Headers = (("content-type", "text/event-stream; charset=utf-8"),)
MadeFor = Callable[[WireProtocol], Reply]

JSON: Headers = (("content-type", "application/json"),)

WRAPPED_ERROR = (
    b'{"error":{"code":"","message":"","type":"server_error"},"request_id":""}'  # opencode#21979
)

_PATIENCE_SECONDS, _PATIENCE_STEPS = 30.0, 6000

NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 0x0, 0x2, 0x7, 0x8
"""HTTP/2 error codes."""


# Steps.


def head(
    status: int = 200, headers: Headers = EVENT_STREAM, framing: Framing = Framing.CHUNKED
) -> Step:
    """The response's head."""

    async def step(exchange: Exchange) -> None:
        await exchange.head(status, headers, framing)

    return step


def chunks(parts: Iterable[bytes]) -> Step:
    """Bytes of the body, each part in a chunk, a TLS record and a segment of its own."""
    kept = tuple(parts)

    async def step(exchange: Exchange) -> None:
        for part in kept:
            if part:
                await exchange.body(part)

    return step


def raw(data: bytes) -> Step:
    """Bytes outside any HTTP framing."""

    async def step(exchange: Exchange) -> None:
        await exchange.raw(data)

    return step


async def wrapped_error(exchange: Exchange) -> None:
    """An error object in place of an event, then the proper end of the body."""
    await exchange.body(b"data: " + WRAPPED_ERROR + b"\n\n")
    await exchange.end()


async def end(exchange: Exchange) -> None:
    """The proper end of the body; the connection stays open for the next request."""
    await exchange.end()


def end_with_trailers(trailers: Headers) -> Step:
    """The proper end of the body, with trailers behind it."""

    async def step(exchange: Exchange) -> None:
        await exchange.end_with_trailers(trailers)

    return step


async def pass_on(exchange: Exchange) -> None:
    """Nothing: go on with the next step."""


async def stall(exchange: Exchange) -> None:
    """Silence, until the test releases the provider or the peer leaves."""
    await exchange.hold()


async def reset(exchange: Exchange) -> None:
    """A TCP RST."""
    await exchange.reset()


async def close(exchange: Exchange) -> None:
    """TLS close_notify and FIN, whatever was promised."""
    await exchange.close()


async def cut(exchange: Exchange) -> None:
    """A FIN without TLS close_notify."""
    await exchange.cut()


def reset_stream(code: int = INTERNAL_ERROR) -> Step:
    """HTTP/2 RST_STREAM: this request alone is over, the connection lives on."""

    async def step(exchange: Exchange) -> None:
        await exchange.reset_stream(code)

    return step


def go_away(code: int = NO_ERROR, last_stream: int | None = 0) -> Step:
    """HTTP/2 GOAWAY: requests above `last_stream` were not processed, and the connection ends."""

    async def step(exchange: Exchange) -> None:
        await exchange.go_away(code, last_stream)

    return step


def farewell(*, processed: bool) -> Step:
    """HTTP/2 GOAWAY of a server that stops: what runs may finish, this request if `processed`."""

    async def step(exchange: Exchange) -> None:
        await exchange.say_farewell(processed=processed)

    return step


def interim(status: int = 103) -> Step:
    """A head before the response's own: RFC 9110, 15.2."""

    async def step(exchange: Exchange) -> None:
        await exchange.informational(status, (("link", "</style.css>; rel=preload"),))

    return step


def once(condition: Callable[[], bool]) -> Step:
    """Go on once the test sees this: so that what was sent before has reached the client.

    The proxy shows nothing of a read that also brings a failure which it can hide.
    """

    async def step(exchange: Exchange) -> None:
        for _ in range(_PATIENCE_STEPS):
            if condition():
                return
            await asyncio.sleep(_PATIENCE_SECONDS / _PATIENCE_STEPS)

    return step


def drip(seconds: float) -> Step:
    """Let this much time pass: for slow but healthy streams, the one place that waits for time."""

    async def step(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)

    return step


# Good answers: the fault called none.


def whole(
    data: bytes, headers: Headers = JSON, status: int = 200, parts: Iterable[bytes] = ()
) -> Reply:
    """A response with a content-length."""
    full = (*headers, ("content-length", str(len(data))))
    return Reply(
        f"{status} whole",
        (head(status, full, Framing.LENGTH), chunks(tuple(parts) or (data,)), end),
    )


def streamed(events: Iterable[bytes], headers: Headers = EVENT_STREAM) -> Reply:
    """A response whose body is written event by event and ends properly."""
    return Reply("streamed", (head(headers=headers), chunks(events), end))


def none(protocol: WireProtocol, stream: bool = True) -> Reply:
    """The good answer of good.py: what it means that nothing is wrong."""
    if stream:
        return streamed(good.text_stream(protocol).events)
    return whole(good.json_body(protocol))


# Before the head.


def reset_before_head() -> Reply:
    """The request is read, then the connection is reset: ECONNRESET, "socket hang up"."""
    return Reply("reset before head", (reset,))


def close_before_head() -> Reply:
    """The request is read, then the connection is closed without an answer."""
    return Reply("close before head", (close,))


def cut_before_head() -> Reply:
    """As `close_before_head`, without TLS close_notify: "unexpected EOF"."""
    return Reply("cut before head", (cut,))


def stall_before_head() -> Reply:
    """The request is read, then nothing at all."""
    return Reply("stall before head", (stall,))


# Answers that are errors and say so.


def status(
    code: int, error: Any, headers: Headers = (), content_type: str = "application/json"
) -> Reply:
    """An error status with a body: an object as JSON, bytes as they are."""
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
    """529, Anthropic's own status for an overload."""
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
    """The 200 head, then a reset: the client believed that the call had begun."""
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
    """Some content, then nothing: the one fault on which every measured agent hung."""
    stream = good.text_stream(protocol)
    count = stream.places["mid_content"] if after is None else after
    return broken(stream, count, stall, name="stall mid-stream")


def cut_without_terminal_event(protocol: WireProtocol, after: int | None = None) -> Reply:
    """Some content, then a proper end of the body, but no terminal event."""
    stream = good.text_stream(protocol)
    count = stream.places["mid_content"] if after is None else after
    return broken(stream, count, end, name="cut without terminal event")


def empty_stream() -> Reply:
    """A 200 event stream without a single event."""
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
"""What may come before a wrapped error, by name."""


def wrapped_error_first(protocol: WireProtocol, preceded_by: str = "nothing") -> Reply:
    """A 200 stream whose first event with a meaning is an error object, then a proper end."""
    events = (*PRECEDING[preceded_by](protocol), b"data: " + WRAPPED_ERROR + b"\n\n")
    return Reply(f"wrapped error after {preceded_by}", (head(), chunks(events), end))


def wrapped_error_mid_stream(protocol: WireProtocol, after: int | None = None) -> Reply:
    """Some content, then an error object in place of an event, then a proper end."""
    stream = good.text_stream(protocol)
    count = stream.places["mid_content"] if after is None else after
    return broken(stream, count, wrapped_error, name="wrapped error mid-stream")


def hold_open_after_end(protocol: WireProtocol) -> Reply:
    """Every event, the terminal one included, then silence in place of the body's end."""
    stream = good.text_stream(protocol)
    return broken(stream, len(stream.events), stall, name="held open after the terminal event")


def reset_after_end(protocol: WireProtocol) -> Reply:
    """Every event, the terminal one included, then a reset in place of the body's end."""
    stream = good.text_stream(protocol)
    return broken(stream, len(stream.events), reset, name="reset after the terminal event")


# Odd but legal, or illegal but common, ways of writing a body.


def chunked_204() -> Reply:
    """204 that announces a chunked body and sends one, as servers on streaming adapters do."""
    return Reply("chunked 204", (head(204, ()), end))


def bodiless_204() -> Reply:
    """The 204 of the book."""
    return Reply("204", (head(204, (), Framing.NONE),))


def stalled_chunked_204() -> Reply:
    """204 that announces a chunked body and never sends its end (opencode#16180)."""
    return Reply("204 without an end", (head(204, ()), stall))


def coded_stream(protocol: WireProtocol, coding: str, size: int = 64) -> Reply:
    """A good stream in a content coding, written in parts that ignore the events' boundaries."""
    coded = encode(good.text_stream(protocol).data, coding)
    parts = [coded[start : start + size] for start in range(0, len(coded), size)]
    return streamed(parts, (*EVENT_STREAM, ("content-encoding", coding)))


def coded_json(protocol: WireProtocol, coding: str) -> Reply:
    """A good JSON body in a content coding."""
    return whole(encode(good.json_body(protocol), coding), (*JSON, ("content-encoding", coding)))


def expanding(protocol: WireProtocol, coding: str, decoded_bytes: int) -> Reply:
    """A stream that decodes to many more bytes than it has (Envoy's CVE-2022-29225)."""
    headers = (*EVENT_STREAM, ("content-encoding", coding))
    start = good.text_stream(protocol).events[0]
    return streamed([encode(start + b" " * decoded_bytes, coding)], headers)


CODINGS = ("gzip", "deflate", "br", "zstd")


def encode(data: bytes, coding: str) -> bytes:
    """The data in a content coding."""
    if coding == "gzip":
        return gzip.compress(data, mtime=0)
    if coding == "deflate":
        return zlib.compress(data)
    if coding == "br":
        return bytes(brotli.compress(data))
    return zstandard.ZstdCompressor().compress(data)


def stream_with_content_length(protocol: WireProtocol) -> Reply:
    """A good stream whose length was known before it began."""
    stream = good.text_stream(protocol)
    return whole(stream.data, EVENT_STREAM, parts=stream.events)


def stream_until_close(protocol: WireProtocol) -> Reply:
    """A good stream without framing: the end of the connection is the end of the body."""
    stream = good.text_stream(protocol)
    steps = (head(framing=Framing.CLOSE), chunks(stream.events), end)
    return Reply("stream until close", steps)


# HTTP/2 only.


def stream_reset_before_head() -> Reply:
    """RST_STREAM in place of a head."""
    return Reply("stream reset before head", (reset_stream(),))


def stream_reset_mid_stream(protocol: WireProtocol) -> Reply:
    """Some content, then RST_STREAM."""
    stream = good.text_stream(protocol)
    return broken(
        stream, stream.places["mid_content"], reset_stream(), name="stream reset mid-stream"
    )


def go_away_before_head() -> Reply:
    """GOAWAY that says the request was not processed."""
    return Reply("GOAWAY before head", (go_away(),))
