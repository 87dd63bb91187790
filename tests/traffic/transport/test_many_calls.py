"""Tests a thousand calls, a hundred at a time, one in five of them broken, for hangs and leaks."""

import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from wiremend.testing.exchange import ConnectionFault, Received, Reply
from wiremend.testing.provider import ScriptedProvider

from traffic.clients import RawResponse, model_call
from traffic.conftest import QUICK_RETRIES, SHARED
from traffic.fault_matrix import POSSIBLE, Cell
from traffic.numbered_calls import NUMBER, is_complete_or_error, number_of
from traffic.proxy import Proxy

CALLS = 1000
WARM_UP_CALLS = 300
"""Enough to create certificates, import modules and fill the arenas of the allocator."""
ROUNDS = 3
"""A leak grows in each round; growth of the allocator does not."""
AT_ONCE = 100
BROKEN_SHARE = 0.2
TIMEOUTS = """
[timeouts]
first_byte = 5.0
answer = 5.0
idle = 5.0
"""
CELLS = [cell for cell in POSSIBLE if not isinstance(cell.script()[0], ConnectionFault)]


class Crowd:
    """Numbered calls, some of them with a fault."""

    def __init__(self, calls: int, seed: int) -> None:
        generator = random.Random(seed)
        self.cells = [generator.choice(CELLS) for _ in range(calls)]
        self.broken = [generator.random() < BROKEN_SHARE for _ in range(calls)]
        self._attempts = [0] * calls

    def reply(self, received: Received) -> Reply:
        """Return the next reply of the call that this request belongs to."""
        number = number_of(received)
        script = self.cells[number].script()
        attempt = min(self._attempts[number], len(script) - 1) if self.broken[number] else -1
        self._attempts[number] += 1
        reply = script[attempt]
        assert isinstance(reply, Reply)
        return reply


@pytest.fixture
def crowded_proxy(start_proxy: Callable[..., Proxy]) -> Iterator[Proxy]:
    proxy = start_proxy(
        scripts=SHARED,
        configuration=QUICK_RETRIES + TIMEOUTS,
        environment={"MALLOC_ARENA_MAX": "1"},
    )
    start = len(proxy.lines)
    yield proxy
    proxy.assert_log_is_clean(start)


def call(proxy: Proxy, number: int, cell: Cell) -> RawResponse:
    with model_call(
        proxy,
        cell.protocol,
        cell.stream,
        http_version=cell.http_version,
        headers={NUMBER: str(number)},
        timeout_seconds=120.0,
    ) as raw:
        return raw.response()


def run(proxy: Proxy, provider: ScriptedProvider, *, calls: int, seed: int) -> list[str]:
    """Make the calls; return those that hung or whose client got a wrong response."""
    crowd = Crowd(calls, seed)
    provider.clear()
    provider.script([crowd.reply])
    with ThreadPoolExecutor(AT_ONCE) as threads:
        responses = threads.map(lambda n: call(proxy, n, crowd.cells[n]), range(calls))
        return [
            f"{number}: {cell}: {response}"
            for number, (cell, response) in enumerate(zip(crowd.cells, responses, strict=True))
            if not is_complete_or_error(cell, response)
        ]


def resident_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGESIZE")


def open_sockets(pid: int) -> int:
    count = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(descriptor).startswith("socket:")
        except FileNotFoundError:
            continue
    return count


def settled_sockets(pid: int, wanted: int) -> int:
    """Wait up to ten seconds for at most `wanted` open sockets; return their number."""
    deadline = time.monotonic() + 10.0
    while (count := open_sockets(pid)) > wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return count


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_a_thousand_calls_leak_neither_sockets_nor_memory(
    crowded_proxy: Proxy, provider: ScriptedProvider
) -> None:
    pid = crowded_proxy.pid
    provider.alpn = ("h2", "http/1.1")
    sockets = open_sockets(pid)
    assert run(crowded_proxy, provider, calls=WARM_UP_CALLS, seed=1) == []
    assert settled_sockets(pid, sockets) == sockets
    crowded_proxy.forget()  # the flows that are kept for this test
    growth = []
    for seed in range(2, 2 + ROUNDS):
        before = resident_bytes(pid)
        assert run(crowded_proxy, provider, calls=CALLS, seed=seed) == []
        assert settled_sockets(pid, sockets) == sockets
        crowded_proxy.forget()
        growth.append(resident_bytes(pid) / before)
        if growth[-1] <= 1.1:
            break
    assert growth[-1] <= 1.1, growth
