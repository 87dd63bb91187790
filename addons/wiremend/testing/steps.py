"""The steps of a provider's replies, and complete replies.

A `Reply` is a list of these steps (exchange.py).
"""

import asyncio
from collections.abc import Callable, Iterable

from wiremend.testing.exchange import Exchange, Framing, Headers, Reply, Step

EVENT_STREAM: Headers = (("content-type", "text/event-stream; charset=utf-8"),)
JSON: Headers = (("content-type", "application/json"),)

_PATIENCE_SECONDS, _PATIENCE_STEPS = 30.0, 6000

NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL = 0x0, 0x2, 0x7, 0x8
"""HTTP/2 error codes."""


def head(
    status: int = 200, headers: Headers = EVENT_STREAM, framing: Framing = Framing.CHUNKED
) -> Step:
    """The head of the response."""

    async def step(exchange: Exchange) -> None:
        await exchange.head(status, headers, framing)

    return step


def chunks(parts: Iterable[bytes]) -> Step:
    """Bytes of the body, each part in its own chunk, TLS record and segment."""
    copied = tuple(parts)

    async def step(exchange: Exchange) -> None:
        for part in copied:
            if part:
                await exchange.body(part)

    return step


def raw(data: bytes) -> Step:
    """Bytes outside any HTTP framing."""

    async def step(exchange: Exchange) -> None:
        await exchange.raw(data)

    return step


async def end(exchange: Exchange) -> None:
    """The proper end of the body; the connection stays open for the next request."""
    await exchange.end()


def end_with_trailers(trailers: Headers) -> Step:
    """The proper end of the body, with trailers."""

    async def step(exchange: Exchange) -> None:
        await exchange.end_with_trailers(trailers)

    return step


async def pass_on(exchange: Exchange) -> None:
    """No action: continue with the next step."""


async def stall(exchange: Exchange) -> None:
    """Silence, until the test releases the provider or the peer leaves."""
    await exchange.hold()


async def reset(exchange: Exchange) -> None:
    """A TCP RST."""
    await exchange.reset()


async def close(exchange: Exchange) -> None:
    """TLS close_notify and FIN, even in the middle of a body."""
    await exchange.close()


async def cut(exchange: Exchange) -> None:
    """A FIN without TLS close_notify."""
    await exchange.cut()


def reset_stream(code: int = INTERNAL_ERROR) -> Step:
    """HTTP/2 RST_STREAM: only this request ends, the connection stays open."""

    async def step(exchange: Exchange) -> None:
        await exchange.reset_stream(code)

    return step


def go_away(code: int = NO_ERROR, last_stream: int | None = 0) -> Step:
    """HTTP/2 GOAWAY: requests above `last_stream` were not processed, and the connection ends."""

    async def step(exchange: Exchange) -> None:
        await exchange.go_away(code, last_stream)

    return step


def graceful_go_away(*, processed: bool) -> Step:
    """HTTP/2 GOAWAY with NO_ERROR: earlier requests may finish, and this one if `processed`."""

    async def step(exchange: Exchange) -> None:
        await exchange.go_away_gracefully(processed=processed)

    return step


def interim(status: int = 103) -> Step:
    """An informational (1xx) head before the final one: RFC 9110, 15.2."""

    async def step(exchange: Exchange) -> None:
        await exchange.informational(status, (("link", "</style.css>; rel=preload"),))

    return step


def wait_until(condition: Callable[[], bool]) -> Step:
    """Wait until the condition is true, for example until the client has read what was sent.

    If one read of the proxy contains content and a failure, it forwards nothing and retries.
    """

    async def step(exchange: Exchange) -> None:
        for _ in range(_PATIENCE_STEPS):
            if condition():
                return
            await asyncio.sleep(_PATIENCE_SECONDS / _PATIENCE_STEPS)

    return step


def drip(seconds: float) -> Step:
    """Sleep, for slow but healthy streams; no other step waits for time."""

    async def step(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)

    return step


# Complete replies.


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
    """A response that is written event by event and ends properly."""
    return Reply("streamed", (head(headers=headers), chunks(events), end))
