"""Tests with HTTP/2 frames that are invalid, or invalid at that time.

The proxy must not crash, and each call must get its whole answer or an error.
"""

import random
from collections import Counter

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from wiremend.testing.exchange import Exchange, Received, Reply, Step
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.assembled import read_answer
from traffic.clients import Http2Call
from traffic.numbered_calls import number_of, response, send
from traffic.proxy import Proxy

ANTHROPIC = good.ANTHROPIC
GOOD = good.text_stream(ANTHROPIC)
CALLS = 10
OK_HEAD = b"\x88"
"""HPACK for `:status: 200`."""
UNKNOWN_FRAME = bytes([0, 0, 3, 0xBB, 0, 0, 0, 0, 0]) + b"abc"
LAST = 2**31 - 1


def odd_frames(generator: random.Random, stream: int) -> list[Frame]:
    """Return one frame of each kind, for this stream, another one, or one that does not exist."""
    other = generator.choice([stream, max(1, stream - 2), stream + 20, 1, 3])
    last = generator.choice([0, max(0, stream - 2), stream, LAST])
    limits = generator.choice(
        [{3: 1}, {3: 100}, {5: 16_384}, {5: 1}, {1: 0}, {4: LAST + 1}, {99: 7}]
    )
    end = generator.choice([[], ["END_STREAM"]])
    return [
        GoAwayFrame(0, last_stream_id=last, error_code=0),
        GoAwayFrame(0, last_stream_id=last, error_code=generator.choice([0, 2, 11])),
        RstStreamFrame(other, error_code=generator.choice([0, 1, 7, 8, 11, 13])),
        WindowUpdateFrame(
            generator.choice([0, other]), window_increment=generator.choice([1, LAST])
        ),
        SettingsFrame(0, settings=limits),
        PingFrame(0, b"8 octets"),
        DataFrame(other, b"x" * generator.choice([0, 5]), flags=end),
        ContinuationFrame(other, OK_HEAD),
        HeadersFrame(other, OK_HEAD, flags=["END_HEADERS", *end]),
        PushPromiseFrame(stream, 2, OK_HEAD, flags=["END_HEADERS"]),
        PriorityFrame(other, stream_weight=3),
    ]


def interrupted(generator: random.Random) -> Reply:
    """Return a good reply with odd frames at a random place; the connection may end after them."""

    async def odd(exchange: Exchange) -> None:
        frames = odd_frames(generator, exchange.stream)
        written = [
            frame.serialize() for frame in generator.choices(frames, k=generator.choice([1, 3]))
        ]
        await exchange.raw(b"".join([*written, generator.choice([b"", UNKNOWN_FRAME])]))

    async def close(exchange: Exchange) -> None:
        await exchange.close()

    steps = faults.none(ANTHROPIC).steps
    place = generator.choice([0, 1, 2, len(steps)])
    rest: tuple[Step, ...] = generator.choice([steps[place:], steps[place:], (close,)])
    return Reply("odd frames", (*steps[:place], odd, *rest))


@pytest.mark.parametrize("code", [0, 2], ids=["graceful", "an error"])
def test_a_stream_that_is_reset_with_a_go_away_is_retried(
    proxy: Proxy, provider: ScriptedProvider, code: int
) -> None:
    async def go_away_and_reset(exchange: Exchange) -> None:
        number = exchange.stream
        frames = (GoAwayFrame(0, 0, error_code=code), RstStreamFrame(number, error_code=7))
        await exchange.raw(b"".join(frame.serialize() for frame in frames))

    provider.alpn = ("h2",)
    provider.script([Reply("GOAWAY and reset", (go_away_and_reset,)), faults.none(ANTHROPIC)])
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        assert response(call, send(call, 0)).body == GOOD.data


@pytest.mark.parametrize("seed", range(12))
def test_calls_with_odd_frames_get_an_answer_or_an_error(
    proxy: Proxy, provider: ScriptedProvider, seed: int
) -> None:
    provider.alpn = ("h2",)
    provider.streams_at_once = (0, 1, 3)[seed % 3]
    attempts: Counter[int] = Counter()

    def reply(received: Received) -> Reply:
        number = number_of(received)
        attempts[number] += 1
        generator = random.Random(f"{seed}, call {number}, attempt {attempts[number]}")
        is_odd = attempts[number] == 1 or generator.random() < 0.15
        return interrupted(generator) if is_odd else faults.none(ANTHROPIC)

    provider.script([reply])
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        streams = [send(call, number) for number in range(CALLS)]
        for raw in [response(call, stream) for stream in streams]:
            assert raw.ended == "complete"
            answer = read_answer(ANTHROPIC, raw.body, stream=raw.status == 200)
            assert answer.error or (answer.finished, answer.text) == (True, good.TEXT)
