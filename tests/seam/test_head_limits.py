"""Contracts 24 and 25: heads and trailers of responses are bounded while they arrive."""

from collections.abc import Iterator
from typing import Any

import h11
import pytest
from engine.test_call_machine import GOOD
from h2.connection import H2Connection
from h11._readers import ChunkedReader
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http._http2 import Http2Client
from mitmproxy.test import taddons
from wiremend.seam.head_limits import (
    CODED_BLOCK_LIMIT_BYTES,
    HEAD_LIMIT_BYTES,
    HEAD_LIMIT_LINES,
    HeadBuffer,
    HeadTooLarge,
)
from wiremend.seam.http_clients import CallHttp2Client

from seam.playbook import Playbook, playing
from seam.test_http2_upstream import FAILED, FIRST, SECOND, WHOLE, Upstream
from seam.test_stream_layer import HEAD, LAST, call, chunk, plan_everything

READ_BYTES = 65535
"""The longest network read of mitmproxy."""
READS = 100
STATUS = b"HTTP/1.1 200 OK\r\n"
FIELD = b"x-field: value\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
ENDLESS_HEADS = {
    "one line": STATUS + b"x-long: " + b"a" * READ_BYTES * READS,
    "no status": b"a" * READ_BYTES * READS,
    "many lines": STATUS + FIELD * (READ_BYTES * READS // len(FIELD)),
    "interim responses": INTERIM * (READ_BYTES * READS // len(INTERIM)),
    "one interim response": b"HTTP/1.1 103 E\r\n" + FIELD * (READ_BYTES * READS // len(FIELD)),
    "too many lines": STATUS + FIELD * HEAD_LIMIT_LINES + b"\r\n",
    "complete and too long": STATUS + b"x: " + b"a" * HEAD_LIMIT_BYTES + b"\r\n\r\n",
}


@pytest.fixture
def book() -> Iterator[Playbook]:
    with playing(plan_everything) as playbook:
        yield playbook


@pytest.mark.parametrize("head", ENDLESS_HEADS.values(), ids=ENDLESS_HEADS)
def test_a_head_without_end_fails_its_call_at_once(book: Playbook, head: bytes) -> None:
    book.client_sends(call())
    received = 0
    for start in range(0, len(head), READ_BYTES):
        if book.servers[0].state is ConnectionState.CLOSED:
            break
        book.server_sends(head[start : start + READ_BYTES])
        received += READ_BYTES
    assert received <= 2 * READ_BYTES
    assert book.servers[0].state is ConnectionState.CLOSED
    assert len(book.servers) == 1, "the target was asked again"
    assert book.shown.startswith(b"HTTP/1.1 502 ")
    assert b"api.example.com sent a response that was refused: its head " in book.shown
    assert book.flows[0].metadata["wiremend"]["response_findings"][0]["code"] == "R008"


def test_a_head_within_the_limits_is_forwarded(book: Playbook) -> None:
    fields = FIELD * (HEAD_LIMIT_LINES - 5) + b"x-long: " + b"a" * 50_000 + b"\r\n"
    head = HEAD.replace(b"\r\n\r\n", b"\r\n" + fields + b"\r\n")
    book.client_sends(call())
    for byte in (INTERIM * 300)[: 200 * len(INTERIM)], head, chunk(GOOD) + LAST:
        book.server_sends(byte)
    assert book.shown == head + chunk(GOOD) + LAST


@pytest.mark.parametrize("endless", [b"x: ", b"0;x=", b"0\r\nx: "])
def test_an_endless_line_between_or_after_chunks_ends_the_call(
    book: Playbook, endless: bytes
) -> None:
    book.client_sends(call())
    book.server_sends(HEAD + chunk(GOOD[:-40]) + endless)
    received = 0
    while book.servers[0].state is not ConnectionState.CLOSED and received < READS * READ_BYTES:
        book.server_sends(b"a" * READ_BYTES)
        received += READ_BYTES
    assert received <= 2 * READ_BYTES
    assert book.shown.endswith(LAST)


def test_a_long_response_on_a_reused_connection_is_not_counted_as_a_head(book: Playbook) -> None:
    book.client_sends(call())
    for _ in range(3):
        book.server_sends(INTERIM * 800)
        book.server_sends(HEAD + chunk(GOOD) + LAST)
        book.client_sends(call())
    assert len(book.servers) == 1


def test_h11_reads_lines_and_trailers_with_these_methods() -> None:
    buffer = HeadBuffer()
    buffer += b"0\r\n" + b"a" * (HEAD_LIMIT_BYTES + 1)
    with pytest.raises(HeadTooLarge):
        ChunkedReader()(buffer)
    assert issubclass(HeadTooLarge, h11.ProtocolError)


# HTTP/2


@pytest.fixture
def options() -> Iterator[Any]:
    with taddons.context(Proxyserver()) as addons:
        yield addons.options


def large_fields(size: int) -> list[tuple[str, str]]:
    """Return header fields of about this size that HPACK sends in a few bytes."""
    return [("x-large", "a" * 3900)] * (size // 3900)


@pytest.mark.parametrize("has_seam", [True, False])
@pytest.mark.parametrize(
    "fields",
    [large_fields(2 * HEAD_LIMIT_BYTES), [("x-field", "value")] * (HEAD_LIMIT_LINES + 1)],
    ids=["long", "many fields"],
)
@pytest.mark.parametrize("status", ["200", "103", "trailers"])
def test_a_large_header_block_fails_its_own_call_only(
    options: Any, has_seam: bool, fields: list[tuple[str, str]], status: str
) -> None:
    upstream = Upstream(CallHttp2Client if has_seam else Http2Client, options)
    upstream.request(FIRST)
    upstream.request(SECOND)
    if status == "trailers":
        upstream.server.send_headers(1, [(":status", "200")])
        upstream.server.send_headers(1, fields, end_stream=True)
    else:
        upstream.server.send_headers(1, [(":status", status), *fields])
    upstream.answer()
    if has_seam:
        assert upstream.outcome(FIRST)[-1:] == FAILED
        assert not upstream.is_closed
        upstream.respond(3)
        assert upstream.outcome(SECOND) == WHOLE
        assert upstream.is_closed
    elif "x-large" in dict(fields):
        assert upstream.outcome(SECOND) == FAILED


def test_interim_heads_count_together(options: Any) -> None:
    upstream = Upstream(CallHttp2Client, options)
    upstream.request(FIRST)
    upstream.request(SECOND)
    sent = 0
    while not upstream.outcome(FIRST) and sent < 1000:
        sent += 1
        upstream.server.send_headers(1, [(":status", "103"), ("link", "a" * 900)])
        upstream.answer()
    assert sent < 100
    assert upstream.outcome(FIRST) == FAILED
    upstream.respond(3)
    assert upstream.outcome(SECOND) == WHOLE


def test_a_flood_of_continuation_frames_ends_the_connection(options: Any) -> None:
    upstream = Upstream(CallHttp2Client, options)
    upstream.request(FIRST)
    frame = b"\x00" * 16_384
    upstream.receive(events.DataReceived(upstream.connection, headers_frame(1, b"\x88")))
    received = 0
    while not upstream.is_closed and received < READS * READ_BYTES:
        data = len(frame).to_bytes(3) + b"\x09\x00" + (1).to_bytes(4) + frame
        upstream.receive(events.DataReceived(upstream.connection, data))
        received += len(frame)
    assert received <= CODED_BLOCK_LIMIT_BYTES + len(frame)
    assert upstream.outcome(FIRST) == FAILED


def headers_frame(stream: int, block: bytes) -> bytes:
    """Return a HEADERS frame without END_HEADERS."""
    return len(block).to_bytes(3) + b"\x01\x00" + stream.to_bytes(4) + block


def test_h2_would_close_the_connection() -> None:
    assert H2Connection().decoder.max_header_list_size == HEAD_LIMIT_BYTES
