"""Recorded answers as replies: framing, ends, and recorded times."""

import asyncio
from typing import Any

import pytest
from wiremend.recording.recorded_calls import AnswerEnd, RecordedAnswer
from wiremend.testing import steps
from wiremend.testing.recorded_replies import parse_speed, reply_of

LENGTH = (("Content-Length", "99"), ("content-type", "application/json"))


class Written:
    """An exchange that notes what is done with it."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    async def head(self, status: int, headers: Any, framing: Any) -> None:
        self.done.append((status, dict(headers), framing.name))

    async def body(self, data: bytes) -> None:
        self.done.append(data)

    def __getattr__(self, name: str) -> Any:
        async def step() -> None:
            self.done.append(name)

        return step


async def read(exchange: Any) -> None:
    exchange.done.append("read")


def played(answer: RecordedAnswer, speed: float | None, monkeypatch: Any) -> list[Any]:
    exchange = Written()

    async def sleep(seconds: float) -> None:
        exchange.done.append(seconds)

    monkeypatch.setattr(steps.asyncio, "sleep", sleep)
    asyncio.run(reply_of(answer, read, speed=speed).play(exchange))  # type: ignore[arg-type]
    return exchange.done


CLOSE = {"connection": "close"}
STREAM = {
    "status": 200,
    "headers": (("content-type", "text/event-stream"), ("transfer-encoding", "chunked")),
    "body": b"abcd",
    "chunks": ((0.5, 1), (2.0, 4)),
    "seconds": 4.0,
}
HEAD = (200, {"content-type": "text/event-stream"} | CLOSE, "CHUNKED")


@pytest.mark.parametrize(
    ("fields", "end", "speed", "done"),
    [
        (STREAM, AnswerEnd.COMPLETE, None, [HEAD, b"a", b"bcd", "end", "close"]),
        (STREAM, AnswerEnd.COMPLETE, 2.0, [0.25, HEAD, b"a", 0.75, b"bcd", "end", "close"]),
        (STREAM, AnswerEnd.RESET, None, [HEAD, b"a", b"bcd", "read", "reset"]),
        (STREAM, AnswerEnd.RESET, 1.0, [0.5, HEAD, b"a", 1.5, b"bcd", "read", 2.0, "reset"]),
        (STREAM, AnswerEnd.SILENT, None, [HEAD, b"a", b"bcd", "read", "hold", "reset"]),
        ({"seconds": 4.0}, AnswerEnd.RESET, None, ["reset"]),
        ({"seconds": 4.0}, AnswerEnd.RESET, 2.0, [2.0, "reset"]),
        (
            {"status": 200, "headers": LENGTH, "body": b"{}"},
            AnswerEnd.COMPLETE,
            None,
            [
                (
                    200,
                    {"content-type": "application/json", "content-length": "2"} | CLOSE,
                    "LENGTH",
                ),
                *(b"{}", "end", "close"),
            ],
        ),
        ({"status": 204}, AnswerEnd.COMPLETE, None, [(204, CLOSE, "NONE"), "end", "close"]),
        (
            {"status": 200, "headers": (("a", "b\r\nc: d"), (":status", "200"))},
            *(AnswerEnd.COMPLETE, None, [(200, CLOSE, "CHUNKED"), "end", "close"]),
        ),
    ],
)
def test_the_steps_of_a_reply(
    fields: dict[str, Any],
    end: AnswerEnd,
    speed: float | None,
    done: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert played(RecordedAnswer(end, **fields), speed, monkeypatch) == done


@pytest.mark.parametrize(("text", "speed"), [("", None), ("1", 1.0), ("2.5", 2.5)])
def test_a_speed_is_read(text: str, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast"])
def test_another_speed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no speed"):
        parse_speed(text)
