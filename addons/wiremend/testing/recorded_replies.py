"""Replies of a provider from a recording: each recorded answer as the steps that send it again."""

import asyncio
from collections.abc import Iterator

from wiremend.recording.recorded_calls import AnswerEnd, RecordedAnswer
from wiremend.testing import steps
from wiremend.testing.exchange import Exchange, Framing, Headers, Reply, Step

_NOT_SENT = frozenset(
    {
        *("transfer-encoding", "content-length", "connection", "keep-alive", "upgrade"),
        *("proxy-connection", "te", "trailer"),
    }
)
"""Headers of one connection, and those that the reply's own framing sets."""
_WITHOUT_BODY = (204, 304)
_CLOSE: Headers = (("connection", "close"),)
"""Each reply has its own connection, so that a lost one is never taken for a stale one."""


def parse_speed(text: str) -> float | None:
    """Read a factor; None for an empty text. Raises ValueError, whose text is for the user."""
    if not text:
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ValueError(f"{text!r} is no speed: expected a factor such as 1 or 2.5")
    return speed


def reply_of(answer: RecordedAnswer, let_proxy_read: Step, *, speed: float | None = None) -> Reply:
    """Return the reply that sends an answer again.

    `speed` is the factor by which recorded times are divided; None: nothing is waited for.
    `let_proxy_read` waits until the proxy has read what was sent, since an end that is read
    together with content hides it.
    """
    return Reply("recorded", tuple(_steps(answer, let_proxy_read, speed)))


def _steps(answer: RecordedAnswer, let_proxy_read: Step, speed: float | None) -> Iterator[Step]:
    elapsed = 0.0
    if answer.status is not None:
        chunks = answer.chunks or ((0.0, len(answer.body)),)
        start = 0
        for number, (seconds, end) in enumerate(chunks):
            if speed:
                yield steps.drip(max(0.0, seconds - elapsed) / speed)
            elapsed = max(elapsed, seconds)
            if number == 0:
                yield steps.head(answer.status, _headers(answer), _framing(answer))
            yield steps.chunks([answer.body[start:end]])
            start = end
    if answer.end is AnswerEnd.COMPLETE:
        yield steps.end
        yield steps.close
        return
    if answer.status is not None:
        yield let_proxy_read
    if answer.end is AnswerEnd.SILENT:
        yield steps.stall
    elif speed:
        yield steps.drip(max(0.0, answer.seconds - elapsed) / speed)
    yield steps.reset


def _framing(answer: RecordedAnswer) -> Framing:
    if answer.status in _WITHOUT_BODY:
        return Framing.NONE
    has_length = any(name.lower() == "content-length" for name, _ in answer.headers)
    is_whole = answer.end is AnswerEnd.COMPLETE
    return Framing.LENGTH if has_length and is_whole else Framing.CHUNKED


def _headers(answer: RecordedAnswer) -> Headers:
    kept = tuple(
        (name, value)
        for name, value in answer.headers
        if name.lower() not in _NOT_SENT and _is_field(name, value)
    )
    if _framing(answer) is Framing.LENGTH:
        kept = (*kept, ("content-length", str(len(answer.body))))
    return (*kept, *_CLOSE)


def _is_field(name: str, value: str) -> bool:
    """Return whether a header can be written: a recording may be edited by hand."""
    return bool(name) and not name.startswith(":") and not set("\r\n\0") & set(name + value)


def reading_on(loop: asyncio.AbstractEventLoop) -> Step:
    """Return a step that waits until the event loop of the proxy has read what arrived.

    The bytes are in the kernel's buffer of the proxy's connection when a chunk was sent, so the
    loop finds them in its next iteration, and passes them on in one of the next.
    """

    async def step(exchange: Exchange) -> None:
        for _ in range(4):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_next_iteration(), loop))

    return step


async def _next_iteration() -> None:
    await asyncio.sleep(0)
