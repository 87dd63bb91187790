"""HTTP/2 frames that a provider should not send, or not then, among the calls of one connection.

Whatever comes, the proxy does not crash, and each call has its whole answer or says why not.
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

from traffic import faults, good
from traffic.assembled import read_answer
from traffic.clients import Http2Call
from traffic.exchange import Exchange, Received, Reply, Step
from traffic.numbered_calls import number_of, response, send
from traffic.provider import ScriptedProvider
from traffic.proxy import Proxy

ANTHROPIC = good.ANTHROPIC
GOOD = good.text_stream(ANTHROPIC)
CALLS = 10
OK_HEAD = b"\x88"
"""HPACK for `:status: 200`."""
UNKNOWN_FRAME = bytes([0, 0, 3, 0xBB, 0, 0, 0, 0, 0]) + b"abc"
LAST = 2**31 - 1


def odd_frames(chance: random.Random, stream: int) -> list[Frame]:
    """One of each kind, of this stream, another one, or one that never was."""
    other = chance.choice([stream, max(1, stream - 2), stream + 20, 1, 3])
    last = chance.choice([0, max(0, stream - 2), stream, LAST])
    limits = chance.choice([{3: 1}, {3: 100}, {5: 16_384}, {5: 1}, {1: 0}, {4: LAST + 1}, {99: 7}])
    end = chance.choice([[], ["END_STREAM"]])
    return [
        GoAwayFrame(0, last_stream_id=last, error_code=0),
        GoAwayFrame(0, last_stream_id=last, error_code=chance.choice([0, 2, 11])),
        RstStreamFrame(other, error_code=chance.choice([0, 1, 7, 8, 11, 13])),
        WindowUpdateFrame(chance.choice([0, other]), window_increment=chance.choice([1, LAST])),
        SettingsFrame(0, settings=limits),
        PingFrame(0, b"8 octets"),
        DataFrame(other, b"x" * chance.choice([0, 5]), flags=end),
        ContinuationFrame(other, OK_HEAD),
        HeadersFrame(other, OK_HEAD, flags=["END_HEADERS", *end]),
        PushPromiseFrame(stream, 2, OK_HEAD, flags=["END_HEADERS"]),
        PriorityFrame(other, stream_weight=3),
    ]


def interrupted(chance: random.Random) -> Reply:
    """A good reply with odd frames somewhere, which may be the last of the connection."""

    async def odd(exchange: Exchange) -> None:
        frames = odd_frames(chance, exchange.stream)
        written = [frame.serialize() for frame in chance.choices(frames, k=chance.choice([1, 3]))]
        await exchange.raw(b"".join([*written, chance.choice([b"", UNKNOWN_FRAME])]))

    async def close(exchange: Exchange) -> None:
        await exchange.close()

    steps = faults.none(ANTHROPIC).steps
    place = chance.choice([0, 1, 2, len(steps)])
    rest: tuple[Step, ...] = chance.choice([steps[place:], steps[place:], (close,)])
    return Reply("odd frames", (*steps[:place], odd, *rest))


@pytest.mark.parametrize("code", [0, 2], ids=["graceful", "an error"])
def test_a_stream_that_is_reset_with_the_goodbye_is_tried_again(
    proxy: Proxy, provider: ScriptedProvider, code: int
) -> None:
    async def goodbye(exchange: Exchange) -> None:
        number = exchange.stream
        frames = (GoAwayFrame(0, 0, error_code=code), RstStreamFrame(number, error_code=7))
        await exchange.raw(b"".join(frame.serialize() for frame in frames))

    provider.alpn = ("h2",)
    provider.script([Reply("goodbye and reset", (goodbye,)), faults.none(ANTHROPIC)])
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        assert response(call, send(call, 0)).body == GOOD.data


@pytest.mark.parametrize("seed", range(12))
def test_odd_frames_end_no_call_without_a_word(
    proxy: Proxy, provider: ScriptedProvider, seed: int
) -> None:
    provider.alpn = ("h2",)
    provider.streams_at_once = (0, 1, 3)[seed % 3]
    attempts: Counter[int] = Counter()

    def reply(received: Received) -> Reply:
        number = number_of(received)
        attempts[number] += 1
        chance = random.Random(f"{seed}, call {number}, attempt {attempts[number]}")
        is_odd = attempts[number] == 1 or chance.random() < 0.15
        return interrupted(chance) if is_odd else faults.none(ANTHROPIC)

    provider.script([reply])
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        streams = [send(call, number) for number in range(CALLS)]
        for raw in [response(call, stream) for stream in streams]:
            assert raw.ended == "complete"
            answer = read_answer(ANTHROPIC, raw.body, stream=raw.status == 200)
            assert answer.error or (answer.finished, answer.text) == (True, good.TEXT)
