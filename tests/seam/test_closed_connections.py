"""Contract 26: the layers of upstream connections that have ended are dropped."""

import gc
from collections.abc import Iterator

import pytest
from engine.test_call_machine import GOOD
from mitmproxy.proxy import events
from mitmproxy.proxy.layers.http._http1 import Http1Client
from mitmproxy.proxy.mode_specs import ProxyMode
from wiremend.seam import installation
from wiremend.seam.connections import connections_of

from seam.playbook import Playbook, playing
from seam.test_stream_layer import HEAD, LAST, call, chunk, plan_everything

CALLS = 50
ANSWER = HEAD + chunk(GOOD) + LAST
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
"""A response to a request that is not a call."""


@pytest.fixture
def book() -> Iterator[Playbook]:
    with playing(plan_everything) as playbook:
        playbook.layer.context.options.add_option("wiremend_no_proxy", str, "", "")
        yield playbook


def answer(book: Playbook, data: bytes = ANSWER) -> None:
    """Send a complete response, and close the connection."""
    book.server_sends(data)
    book.closes(book.servers[-1])


def layers_alive() -> int:
    gc.collect()
    return sum(isinstance(found, Http1Client) for found in gc.get_objects())


@pytest.mark.parametrize(("path", "response"), [(b"/v1/messages", ANSWER), (b"/robots.txt", PLAIN)])
def test_a_connection_that_was_closed_after_its_response_is_dropped(
    book: Playbook, path: bytes, response: bytes
) -> None:
    before = layers_alive()
    for _ in range(CALLS):
        book.client_sends(call(path))
        answer(book, response)
    assert len(book.servers) == CALLS
    assert len(book.layer.connections) <= 2
    assert not connections_of(book.layer).used
    assert layers_alive() <= before + 1


def test_connections_that_failed_before_or_in_a_response_are_dropped(book: Playbook) -> None:
    for number in range(CALLS):
        book.client_sends(call())
        if number % 2:
            book.server_sends(HEAD)
        book.closes(book.servers[-1])
        book.wake()
        answer(book)
    assert len(book.servers) == 2 * CALLS
    assert len(book.layer.connections) <= 2


def test_connections_that_could_not_be_opened_are_dropped(book: Playbook) -> None:
    for _ in range(CALLS):
        book.refuse_connections = 1
        book.client_sends(call())
        book.wake()
        answer(book)
    assert len(book.servers) == 2 * CALLS
    assert len(book.layer.connections) <= 2


def test_connections_through_an_upstream_proxy_are_dropped(book: Playbook) -> None:
    book.client.proxy_mode = ProxyMode.parse("upstream:http://proxy.example:3128")
    book.layer.mode = type(book.layer.mode).upstream
    book.layer.context.server.via = ("http", ("proxy.example", 3128))
    for _ in range(CALLS):
        book.client_sends(call())
        answer(book)
    assert len(book.servers) == CALLS
    assert len(book.layer.connections) <= 3


def test_a_late_event_of_a_dropped_connection_has_no_effect(book: Playbook) -> None:
    book.client_sends(call())
    answer(book)
    server = book.servers[0]
    assert server not in book.layer.connections
    book.receive(events.ConnectionClosed(server))
    book.receive(events.DataReceived(server, b"more"))
    book.client_sends(call())
    book.server_sends(ANSWER)
    assert book.shown == 2 * ANSWER


def test_a_connection_is_kept_while_a_stream_uses_it(book: Playbook) -> None:
    book.client_sends(call())
    server = book.servers[0]
    book.closes(server)
    assert server in book.layer.connections  # its call is waiting for a retry
    book.closes(book.client)
    assert not book.layer.streams
    assert server not in book.layer.connections


def test_a_failed_attempt_is_forgotten_when_the_next_one_starts(book: Playbook) -> None:
    book.client_sends(call())
    book.closes(book.servers[-1])
    book.wake()
    assert len(book.servers) == 2
    assert len(book.layer.streams) == 2  # the client's stream, and the second attempt


def test_mitmproxy_keeps_closed_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails with a new version, `forget_closed` may be superfluous."""
    monkeypatch.setattr(installation, "forget_closed", lambda _: None)
    with playing(plan_everything) as book:
        book.client_sends(call(b"/robots.txt"))
        answer(book, PLAIN)
        assert book.servers[0] in book.layer.connections
