"""Tests that concurrent calls over one connection do not affect each other."""

import random
import threading
from collections import Counter

import pytest
from wiremend.testing.exchange import ConnectionFault, Framing, Received, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.assembled import read_answer
from traffic.clients import Http2Call, model_call
from traffic.fault_matrix import POSSIBLE, Cell
from traffic.numbered_calls import is_complete_or_error, number_of, response, send
from traffic.proxy import Proxy

ANTHROPIC = good.ANTHROPIC
UPSTREAM = {"HTTP/1.1": ("http/1.1",), "HTTP/2": ("h2",)}
STREAMS = 30
GOOD = good.text_stream(ANTHROPIC)


def call_elsewhere(proxy: Proxy) -> None:
    """Make one call on another connection."""
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        assert response(call, send(call, 9)).body == GOOD.data


def cells(http_version: str) -> list[Cell]:
    """Return the possible cells that end without a timeout."""
    return [
        cell
        for cell in POSSIBLE
        if cell.protocol is ANTHROPIC
        and cell.http_version == http_version
        and cell.fault != "stall"
        and (cell.fault, cell.stream, http_version) != ("early end", False, "HTTP/1.1")
        and not isinstance(cell.script()[0], ConnectionFault)
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("http_version", UPSTREAM)
def test_broken_calls_do_not_affect_each_other(
    proxy: Proxy, provider: ScriptedProvider, http_version: str, seed: int
) -> None:
    provider.alpn = UPSTREAM[http_version]
    chosen = random.Random(seed).choices(cells(http_version), k=STREAMS)
    attempts: Counter[int] = Counter()

    def reply(received: Received) -> Reply:
        number = number_of(received)
        script = chosen[number].script()
        attempts[number] += 1
        scripted = script[min(attempts[number], len(script)) - 1]
        assert isinstance(scripted, Reply)
        return scripted

    provider.script([reply])
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        streams = [send(call, number, stream=chosen[number].stream) for number in range(STREAMS)]
        responses = [response(call, stream) for stream in streams]
    wrong = {
        str(cell): raw
        for cell, raw in zip(chosen, responses, strict=True)
        if not is_complete_or_error(cell, raw)
    }
    assert not wrong


@pytest.mark.parametrize("calls", [2, 12])
def test_connections_that_are_reset_together_are_all_retried(
    proxy: Proxy, provider: ScriptedProvider, calls: int
) -> None:
    attempts: Counter[int] = Counter()

    def reply(received: Received) -> Reply:
        attempts[number_of(received)] += 1
        first = attempts[number_of(received)] == 1
        return faults.reset_before_head() if first else faults.none(ANTHROPIC)

    provider.script([reply])
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        streams = [send(call, number) for number in range(calls)]
        assert [response(call, stream).body for stream in streams] == [GOOD.data] * calls


@pytest.mark.parametrize("http_version", UPSTREAM)
def test_a_call_does_not_wait_for_running_calls(
    proxy: Proxy, provider: ScriptedProvider, http_version: str
) -> None:
    """mitmproxy opens no more than five connections to a host for one client."""
    provider.alpn = UPSTREAM[http_version]
    go_on = threading.Event()
    head = (faults.head(), faults.chunks(GOOD.events[:4]))
    slow = Reply("slow", (*head, faults.wait_until(go_on.is_set), faults.chunks(GOOD.events[4:])))
    slow = Reply("slow", (*slow.steps, faults.end))
    provider.script([lambda received: slow if number_of(received) < 8 else faults.none(ANTHROPIC)])
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        running = [send(call, number) for number in range(8)]
        for stream in running:
            call.stream = stream
            call.read_until(GOOD.events[3])
        assert response(call, send(call, 8)).body == GOOD.data
        go_on.set()
        assert [response(call, stream).body for stream in running] == [GOOD.data] * 8


def test_retries_leave_no_connections_open(proxy: Proxy, provider: ScriptedProvider) -> None:
    """Each retry uses another connection than the failed attempt."""
    provider.alpn = ("h2",)
    script = [faults.overloaded(ANTHROPIC), faults.none(ANTHROPIC)]
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        for number in range(12):
            provider.script(script)
            assert response(call, send(call, number)).body == GOOD.data
            assert provider.open_connections <= 2
            first, second = provider.received[-2:]
            assert first.connection != second.connection


def test_running_requests_finish_after_a_graceful_go_away(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    provider.alpn = ("h2",)
    go_on = threading.Event()
    running = Reply(
        "GOAWAY mid-stream",
        (
            faults.head(),
            faults.chunks(GOOD.events[:4]),
            faults.wait_until(go_on.is_set),
            faults.graceful_go_away(processed=True),
            faults.chunks(GOOD.events[4:]),
            faults.end,
        ),
    )
    refused = Reply("GOAWAY at once", (faults.graceful_go_away(processed=False),))
    attempts: Counter[int] = Counter()

    def reply(received: Received) -> Reply:
        number = number_of(received)
        attempts[number] += 1
        return (running, refused)[number] if attempts[number] == 1 else faults.none(ANTHROPIC)

    provider.script([reply])
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        first = send(call, 0)
        call.read_until(GOOD.events[3])
        assert response(call, send(call, 1)).body == GOOD.data
        go_on.set()
        assert response(call, first).body == GOOD.data
    assert attempts == {0: 1, 1: 2}
    finished, refused_first, retried = (request.connection for request in provider.received)
    assert finished == refused_first != retried


def test_a_call_that_waits_for_a_stream_is_sent_unless_it_was_cancelled(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    provider.alpn = ("h2",)
    provider.streams_at_once = 1
    go_on = threading.Event()
    broken = Reply(
        "reset once others wait",
        (
            faults.head(),
            faults.chunks(GOOD.events[:4]),
            faults.wait_until(go_on.is_set),
            faults.reset,
        ),
    )
    attempts: Counter[int] = Counter()

    def reply(received: Received) -> Reply:
        attempts[number_of(received)] += 1
        return broken if number_of(received) == 0 else faults.none(ANTHROPIC)

    provider.script([reply])
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        first = send(call, 0)
        call.read_until(GOOD.events[3])
        cancelled, waiting = send(call, 1), send(call, 2)
        call_elsewhere(proxy)  # the proxy has processed the calls above when this one returns
        call.stream = cancelled
        call.cancel()
        call_elsewhere(proxy)
        go_on.set()
        assert read_answer(ANTHROPIC, response(call, first).body, stream=True).error
        assert response(call, waiting).body == GOOD.data
    assert attempts == {0: 1, 2: 1, 9: 2}


@pytest.mark.parametrize("http_version", UPSTREAM)
def test_informational_responses_are_skipped(
    proxy: Proxy, provider: ScriptedProvider, http_version: str
) -> None:
    provider.alpn = UPSTREAM[http_version]
    steps = (faults.interim(), faults.interim(102), *faults.none(ANTHROPIC).steps)
    provider.script([Reply("103, 102, 200", steps)])
    with model_call(proxy, ANTHROPIC, True, http_version=http_version) as call:
        raw = call.response()
    assert (raw.status, raw.body, len(provider.received)) == (200, GOOD.data, 1)


def test_a_body_of_the_wrong_length_affects_only_its_own_call(
    proxy: Proxy, provider: ScriptedProvider
) -> None:
    """RFC 9113, 8.1.1 makes it a stream error, but h2 closes the connection."""
    provider.alpn = ("h2",)
    go_on = threading.Event()
    head = (faults.head(), faults.chunks(GOOD.events[:4]))
    slow = Reply("slow", (*head, faults.wait_until(go_on.is_set), faults.chunks(GOOD.events[4:])))
    slow = Reply("slow", (*slow.steps, faults.end))
    short = Reply(
        "too short",
        (
            faults.head(200, (*faults.JSON, ("content-length", "1000")), Framing.LENGTH),
            faults.chunks([b'{"type":"message"']),
            faults.end,
        ),
    )
    attempts: Counter[int] = Counter()

    def reply(received: Received) -> Reply:
        number = number_of(received)
        attempts[number] += 1
        if number == 0:
            return slow
        return short if attempts[number] == 1 else faults.none(ANTHROPIC, False)

    provider.script([reply])
    with Http2Call(proxy, good.HOSTS[ANTHROPIC]) as call:
        first = send(call, 0)
        call.read_until(GOOD.events[3])
        whole = response(call, send(call, 1, stream=False))
        assert read_answer(ANTHROPIC, whole.body, stream=False).text == good.TEXT
        go_on.set()
        assert response(call, first).body == GOOD.data
    assert attempts == {0: 1, 1: 2}
