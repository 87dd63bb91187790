"""Bodies of requests: read in pieces of any size (contract 24), and dropped with their call."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest
from engine.test_call_machine import GOOD
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.options import Options
from mitmproxy.proxy import mode_specs
from mitmproxy.proxy.server import SimpleConnectionHandler
from mitmproxy.test import taddons

from seam.fast.test_paths import installed
from seam.playbook import Playbook, playing
from seam.test_held_memory import large_request
from seam.test_stream_layer import HEAD, LAST, chunk, plan_everything


@pytest.fixture
def book() -> Iterator[Playbook]:
    with playing(plan_everything) as playbook:
        yield playbook


def body_of(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]


def answered(book: Playbook) -> None:
    book.server_sends(HEAD + chunk(GOOD) + LAST)


@given(st.lists(st.integers(1, 5000), max_size=8), st.integers(0, 4000))
def test_requests_arrive_whole_however_they_are_split(sizes: list[int], size: int) -> None:
    request = large_request(size)
    data = request + request  # the second one may begin in the middle of a read
    with playing(plan_everything) as book:
        for piece in [*sizes, len(data)]:
            book.client_sends(data[:piece])
            data = data[piece:]
            if book.servers and book.shown == b"":
                answered(book)
        answered(book)
        sent = b"".join(book.sent[server] for server in book.servers)
        assert sent.count(body_of(request)) == 2
        assert book.shown.count(GOOD) == 2


def test_a_call_that_has_ended_keeps_nothing_of_its_flow(book: Playbook) -> None:
    book.client_sends(large_request(1000))
    answered(book)
    assert book.timers  # which refer to the stream of the call
    flow = weakref.ref(book.flows.pop())
    gc.collect()
    assert flow() is None


async def reads_of(data: bytes) -> list[bytes]:
    """Return what mitmproxy reads from a client that has sent this."""
    reader = asyncio.StreamReader()

    class Writer:
        def get_extra_info(self, name: str, default: object = None) -> object:
            return ("127.0.0.1", 1) if name.endswith("name") else default

    with taddons.context(Proxyserver()) as addons:
        options: Options = addons.options
        mode = mode_specs.ProxyMode.parse("regular")
        handler = SimpleConnectionHandler(reader, Writer(), options, mode, {})  # type: ignore[arg-type]
    reader.feed_data(data)
    reader.feed_eof()
    source = handler.transports[handler.client].reader
    assert source is not None
    found = []
    while read := await source.read(65535):
        found.append(read)
    return found


def test_what_has_arrived_is_read_at_once() -> None:
    data = bytes(200_000)
    assert len(asyncio.run(reads_of(data))) == 4
    with installed("large_reads"):
        assert asyncio.run(reads_of(data)) == [data]
        assert asyncio.run(reads_of(b"")) == []
