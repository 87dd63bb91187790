"""The programs in C: what the load client counts, and what the provider sends."""

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from benchmarks import messages
from benchmarks.load import Load, LoadClient, Route
from benchmarks.upstream import Play, Upstream
from wiremend.testing.certificates import Authority

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc and OpenSSL's headers"),
]

MARK = messages.UNSTAMPED_MARK.encode()
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ONE_CALL = Load(calls=1, limit=10)


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%X;a=b\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n"


@contextlib.contextmanager
def server(pieces: Sequence[bytes]) -> Iterator[int]:
    """Answer one request with these pieces, each in a write of its own, then close."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.recv(65536)
            for piece in pieces:
                connection.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def run(
    directory: Path,
    route: Route,
    marks: int,
    load: Load = ONE_CALL,
    settled: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    request = directory / "request"
    request.write_bytes(messages.request(route, b"{}"))
    with LoadClient(route, load, request, marks) as client:
        client.warm_up()
        return client.measure(settled)


def result_of(directory: Path, pieces: Sequence[bytes], marks: int) -> dict[str, Any]:
    with server(pieces) as port:
        return run(directory, Route(port), marks)


@pytest.mark.parametrize(
    "response",
    [
        CHUNKED + chunks(b"data: " + MARK, b"x" + MARK + MARK[:7], MARK[7:]) + b"\r\n",
        CHUNKED + chunks(b"@n@" + MARK, MARK, b"@ns:12;", MARK) + b"Trailer: 1\r\n\r\n",
        OK + b"content-length: %d\r\n\r\n" % (3 * len(MARK)) + 3 * MARK,
        OK + b"\r\n" + 3 * MARK,
    ],
    ids=["chunks that split a mark", "a trailer and false marks", "a length", "until closed"],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_marks_are_counted_in_every_framing_and_across_reads(
    tmp_path: Path, response: bytes, size: int
) -> None:
    pieces = [response[start : start + size] for start in range(0, len(response), size)]
    result = result_of(tmp_path, pieces, marks=3)
    assert (result["done"], result["failed"], result["marks"]) == (1, 0, 3), result["problem"]


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (CHUNKED + chunks(MARK) + b"\r\n", "events are missing"),
        (CHUNKED + chunks(MARK, MARK), "ended early"),
        (b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", "not a 200"),
        (b"", "ended early"),
    ],
)
def test_a_response_that_is_not_complete_is_a_failed_call(
    tmp_path: Path, response: bytes, problem: str
) -> None:
    result = result_of(tmp_path, [response], marks=2)
    assert (result["done"], result["failed"]) == (0, 1)
    assert problem in result["problem"]


def test_a_request_is_sent_again_if_an_idle_connection_was_closed(tmp_path: Path) -> None:
    response = OK + b"content-length: %d\r\n\r\n" % len(MARK) + MARK
    reads = []

    def serve() -> None:
        for answers in (1, 2):
            connection, _ = listener.accept()
            with connection:
                for _ in range(answers):
                    reads.append(connection.recv(65536))
                    connection.sendall(response)
                reads.append(connection.recv(65536))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        route = Route(listener.getsockname()[1])
        result = run(tmp_path, route, 1, Load(calls=2, warmup=1, limit=10))
        thread.join()
    assert (result["done"], result["failed"], result["connects"]) == (2, 0, 2), result["problem"]
    assert [bool(read) for read in reads] == [True, True, True, True, False]


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    leaf = Authority(tmp_path / "authority").leaf("localhost")
    with Upstream(leaf, tmp_path) as upstream:
        yield upstream


@pytest.mark.parametrize("tls", ["", "localhost"])
@pytest.mark.parametrize("new_connections", [False, True])
def test_calls_to_the_provider_are_all_answered(
    tmp_path: Path, upstream: Upstream, tls: str, new_connections: bool
) -> None:
    upstream.answer(messages.PATH, Play(7), messages.answer())
    load = Load(3, calls=20, warmup=1, new_connections=new_connections)
    route = Route(upstream.port("https" if tls else "http"), tls=tls)
    result = run(tmp_path, route, 7, load)
    assert (result["done"], result["marks"], result["failed"]) == (20, 140, 0), result["problem"]
    assert result["connects"] == (23 if new_connections else 3)
    assert upstream.requests() == 23


def test_paced_events_carry_the_time_when_they_were_sent(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.answer(messages.PATH, Play(5, 0.01), messages.answer())
    result = run(tmp_path, Route(upstream.plain_port), 5, Load(4, calls=4))
    assert (result["done"], result["first"]["count"], result["event"]["count"]) == (4, 4, 20)
    assert 0 < result["event"]["p50"] < result["total"]["p50"]
    assert result["total"]["p50"] >= 4 * 0.01 * 1e9


def test_a_settled_measurement_begins_when_all_responses_have_started(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.answer(messages.PATH, Play(100_000, 0.001), messages.answer())
    load = Load(6, calls=6, seconds=0.1, ramp=0.1, settled=0.01)
    begun = []
    route = Route(upstream.plain_port)
    result = run(tmp_path, route, 100_000, load, lambda: begun.append(upstream.requests()))
    assert begun == [6]
    assert (result["done"], result["failed"], result["unfinished"]) == (6, 0, 0)
    assert result["elapsed"] >= 1e8
    assert 0 < result["marks"] == result["event"]["count"]


def test_a_settled_measurement_of_short_responses_fails(tmp_path: Path, upstream: Upstream) -> None:
    upstream.answer(messages.PATH, Play(2, 0.001), messages.answer())
    load = Load(2, calls=2, seconds=0.1, ramp=0.2, settled=0.01)
    result = run(tmp_path, Route(upstream.plain_port), 2, load)
    assert "only 0 calls were answered at once" in result["problem"]


def test_a_path_without_a_play_is_not_found(tmp_path: Path, upstream: Upstream) -> None:
    result = run(tmp_path, Route(upstream.plain_port), 0)
    assert "status 404" in result["problem"]
