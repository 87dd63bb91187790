"""What the calls of real histories hold in memory, and that they hold nothing in the end."""

import gc
import json
import weakref
from collections.abc import Iterator
from dataclasses import replace

import pytest
from engine.test_call_machine import GOOD
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy.connection import ConnectionState
from mitmproxy.proxy.layers import http as http_layers
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.settings import Feature
from wiremend.held_memory import HeldMemory, Part
from wiremend.seam.call_options import CallOptions

from seam.playbook import Playbook, playing
from seam.test_stream_layer import BODY, HEAD, LAST, SETTINGS, call, chunk, plan_everything

MEBIBYTE = 1024 * 1024
JSON_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
)
WHOLE_BODY = b'{"model":"m"}'


def large_request(size: int) -> bytes:
    return call(body=b'{"model":"m","stream":true,"padding":"%s"}' % (b"a" * size))


def large_json(size: int) -> bytes:
    message = json.loads(MESSAGE)
    message["content"][0]["text"] = "a" * size
    return json.dumps(message).encode()


MESSAGE = (
    b'{"id":"m","type":"message","role":"assistant","model":"m","stop_reason":"end_turn",'
    b'"stop_sequence":null,"content":[{"type":"text","text":"hi"}],'
    b'"usage":{"input_tokens":1,"output_tokens":1}}'
)


@pytest.fixture
def book() -> Iterator[Playbook]:
    with playing(plan_everything) as playbook:
        yield playbook


def account_of(book: Playbook) -> HeldMemory:
    account: HeldMemory = http_layers.HttpStream.account  # type: ignore[attr-defined]
    return account


def test_a_call_holds_its_request_until_it_is_answered(book: Playbook) -> None:
    account = account_of(book)
    book.client_sends(large_request(MEBIBYTE))
    assert 3 * MEBIBYTE < account.held_bytes < 5 * MEBIBYTE
    book.server_sends(HEAD)
    assert 2 * MEBIBYTE < account.held_bytes < 4 * MEBIBYTE
    book.server_sends(chunk(GOOD))
    assert account.held_bytes == 0
    book.server_sends(LAST)


@pytest.mark.parametrize("size", [400_000, 900_000, 2 * MEBIBYTE])
def test_a_request_that_can_never_be_held_is_refused(book: Playbook, size: int) -> None:
    account = account_of(book)
    account.limit_bytes = MEBIBYTE
    book.client_sends(large_request(size))
    assert book.shown.startswith(b"HTTP/1.1 413 ")
    assert book.servers == []
    assert account.held_bytes == 0
    assert book.flows[0].metadata["wiremend"]["outcome"] == "refused"
    book.client_sends(call())
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    assert book.shown.endswith(GOOD + b"\r\n" + LAST)


def test_a_request_is_refused_while_others_are_held(book: Playbook) -> None:
    account = account_of(book)
    account.limit_bytes = MEBIBYTE
    other = account.share()
    assert other.hold(Part.SHOWN, 900_000)
    book.client_sends(large_request(100_000))
    assert book.shown.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in book.shown
    other.release()
    book.client_sends(large_request(100_000))
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    assert book.shown.endswith(GOOD + b"\r\n" + LAST)


def test_an_upload_is_counted_while_it_arrives(book: Playbook) -> None:
    account = account_of(book)
    account.limit_bytes = MEBIBYTE
    request = large_request(8 * MEBIBYTE)
    most = 0
    for start in range(0, len(request), 65536):
        book.client_sends(request[start : start + 65536])
        stream = next(iter(book.layer.streams.values()), None)
        most = max(most, len(stream.request_body_buf) if stream else 0)
        assert account.held_bytes <= MEBIBYTE
    assert most <= MEBIBYTE
    assert book.shown.startswith(b"HTTP/1.1 413 ")


def test_a_stream_is_passed_on_when_no_more_may_be_held(book: Playbook) -> None:
    account = account_of(book)
    account.limit_bytes = 10_000
    delta = GOOD[GOOD.index(b"event: content_block_delta") :]
    delta = delta[: delta.index(b"\n\n") + 2]
    before, after = GOOD.split(delta, 1)
    stream = before + delta * 1000 + after
    book.client_sends(call())
    book.server_sends(HEAD)
    for start in range(0, len(stream), 1000):
        book.server_sends(chunk(stream[start : start + 1000]))
        assert account.held_bytes <= 10_000
    book.server_sends(LAST)
    body = b"".join(
        data.split(b"\r\n", 1)[1].removesuffix(b"\r\n")
        for connection, data in book.writes
        if connection is book.client and not data.startswith((b"HTTP", b"0\r\n"))
    )
    assert stream.endswith(body[-500:])
    assert [f["code"] for f in book.flows[0].metadata["wiremend"]["response_findings"]] == ["R009"]
    assert account.held_bytes == 0


def test_a_body_is_passed_on_unread_when_no_more_may_be_held(book: Playbook) -> None:
    account = account_of(book)
    account.limit_bytes = MEBIBYTE
    body = large_json(3 * MEBIBYTE)
    book.client_sends(call(body=WHOLE_BODY))
    book.server_sends(JSON_HEAD)
    for start in range(0, len(body), 65536):
        book.server_sends(chunk(body[start : start + 65536]))
        assert account.held_bytes <= MEBIBYTE
    book.server_sends(LAST)
    assert book.shown.count(b"a") > 3 * MEBIBYTE
    assert book.shown.endswith(LAST)
    assert [f["code"] for f in book.flows[0].metadata["wiremend"]["response_findings"]] == ["R009"]


def test_a_body_that_cannot_be_judged_is_sent_as_it_came(book: Playbook) -> None:
    account = account_of(book)
    account.limit_bytes = MEBIBYTE
    body = large_json(600_000)
    book.client_sends(call(body=WHOLE_BODY))
    book.server_sends(JSON_HEAD + chunk(body) + LAST)
    assert book.shown.endswith(body)
    assert [f["code"] for f in book.flows[0].metadata["wiremend"]["response_findings"]] == ["R009"]


ACTIONS = (
    "call",
    "json call",
    "other request",
    "half a request",
    "head",
    "json head",
    "good",
    "part",
    "end",
    "error",
    "close",
    "wake",
    "kill",
    "fault",
    "refuse",
)
ANSWERS = {
    "head": HEAD,
    "json head": JSON_HEAD,
    "good": chunk(GOOD),
    "part": chunk(GOOD[:300]),
    "end": LAST,
    "error": b"HTTP/1.1 500 E\r\ncontent-length: 2\r\n\r\n{}",
}


def buffered(options: CallOptions) -> None:
    options.features |= {Feature.REPAIR, Feature.RAISE, Feature.RETRY, Feature.ADAPT}
    options.settings = replace(SETTINGS, held_limit_bytes=0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), max_size=25), st.sampled_from([300, 3000, 0]))
def test_calls_hold_nothing_after_any_history(actions: list[str], limit: int) -> None:
    with playing(buffered) as book, pytest.MonkeyPatch.context() as patch:
        account = account_of(book)
        account.limit_bytes = limit
        for action in actions:
            if book.client.state is ConnectionState.CLOSED:
                break
            _perform(book, action, patch)
            assert account.held_bytes <= limit or not limit
        if book.client.state is not ConnectionState.CLOSED:
            book.closes(book.client)
        book.layer.streams.clear()
        del book
        gc.collect()
        assert account.held_bytes == 0


def _perform(book: Playbook, action: str, patch: pytest.MonkeyPatch) -> None:
    server = book.servers[-1] if book.servers else None
    is_open = server is not None and server.state is ConnectionState.OPEN
    if action == "call":
        book.client_sends(call())
    elif action == "json call":
        book.client_sends(call(body=WHOLE_BODY))
    elif action == "other request":
        book.client_sends(call(b"/robots.txt"))
    elif action == "half a request":
        book.client_sends(call()[: -len(BODY) // 2])
    elif action == "close" and server is not None and is_open:
        book.closes(server)
    elif action == "wake":
        book.wake()
    elif action == "kill" and book.flows and book.flows[-1].killable:
        book.flows[-1].kill()
    elif action == "fault":
        patch.setattr(CallMachine, "body_end", _raise)
    elif action == "refuse":
        book.refuse_connections += 1
    elif action in ANSWERS and is_open:
        book.server_sends(ANSWERS[action])


def _raise(*_: object) -> None:
    raise RuntimeError("a fault")


def test_the_bodies_of_a_call_that_has_ended_are_dropped_at_once(book: Playbook) -> None:
    """The stream itself remains until its last wake-up."""
    book.client_sends(call(body=WHOLE_BODY))  # the first call fills caches of mitmproxy
    book.server_sends(JSON_HEAD + chunk(large_json(10)) + LAST)
    gc.collect()
    gc.disable()
    try:
        book.client_sends(call(body=WHOLE_BODY))
        stream = next(iter(book.layer.streams.values()))
        machine = weakref.ref(stream.machine)  # type: ignore[attr-defined]
        book.flows.clear()
        book.server_sends(JSON_HEAD + chunk(large_json(MEBIBYTE)) + LAST)
        assert not book.layer.streams
        assert machine() is None
        assert "flow" not in vars(stream)
        book.wake()
    finally:
        gc.enable()
