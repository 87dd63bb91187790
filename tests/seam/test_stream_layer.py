"""The contract with mitmproxy's HTTP layer. The numbers are those of `wiremend.seam`."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from engine.test_call_machine import BLOCK_START, DELTA, GOOD, MESSAGE_START
from mitmproxy import http, version
from mitmproxy.connection import Client, ConnectionState
from mitmproxy.options import Options
from mitmproxy.proxy import context, events
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.layers.http import HTTPMode
from mitmproxy.proxy.layers.http._http1 import Http1Client, Http1Server
from mitmproxy.proxy.mode_specs import ProxyMode
from wiremend.engine import plan as plan_module
from wiremend.engine.actions import Head, Respond
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Feature, Heartbeat, Settings
from wiremend.engine.unrepaired.fire_and_forget import Acknowledgement
from wiremend.protocols.anthropic.stream import AnthropicRepairer
from wiremend.routing.fire_and_forget import FireAndForget
from wiremend.seam import installation, stream_layer
from wiremend.seam.call_options import CallOptions, noting_faults
from wiremend.seam.flows import answer, is_direct
from wiremend.seam.http_clients import CallHttp1Client
from wiremend.seam.installation import Seam
from wiremend.seam.stream_layer import CallStream
from wiremend.seam.upstream_side import UpstreamSide
from wiremend.views.redaction import conceal

from seam.playbook import Playbook, playing

BODY = b'{"model":"m","stream":true}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def call(path: bytes = b"/v1/messages", body: bytes = BODY) -> bytes:
    return (
        b"POST http://api.example.com%s HTTP/1.1\r\nhost: api.example.com\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (path, len(body), body)
    )


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


SETTINGS = Settings(
    retry=RetryPolicy(attempts=3, backoff_initial_seconds=0.0), heartbeat=Heartbeat(after=0.0)
)
ACKNOWLEDGING = Settings(fire_and_forget=FireAndForget(["/*/*", "/*/*/*"]), ack_after_seconds=0.0)


def plan_everything(options: CallOptions) -> None:
    options.features |= {Feature.REPAIR, Feature.RAISE, Feature.RETRY}
    options.settings = SETTINGS


def acknowledge(options: CallOptions) -> None:
    options.features.add(Feature.ACKNOWLEDGE)
    options.settings = ACKNOWLEDGING


@pytest.fixture
def book() -> Iterator[Playbook]:
    with playing(plan_everything) as playbook:
        yield playbook


def test_a_call_has_one_flow_and_every_hook_once(book: Playbook) -> None:
    """Contracts 1 and 8."""
    book.client_sends(call())
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    assert book.shown == HEAD + chunk(GOOD) + LAST
    assert book.hooks == [
        "requestheaders",
        "request",
        "wiremend_call",
        "responseheaders",
        "response",
    ]
    assert book.flows[0].response.content == GOOD
    assert not book.flows[0].live


@pytest.mark.parametrize("sent", [b"", HEAD + chunk(MESSAGE_START), HEAD + chunk(GOOD[:400])])
def test_a_flow_that_is_killed_between_hooks_ends_the_call(book: Playbook, sent: bytes) -> None:
    """As a person does in mitmweb; mitmproxy's own stream would see it at its next hook."""
    book.client_sends(call())
    if sent:
        book.server_sends(sent)
    book.flows[0].kill()
    book.server_sends((b"" if sent else HEAD) + chunk(GOOD[400:]) + LAST)
    assert book.hooks[-1] == "error"
    assert book.client.state is ConnectionState.CLOSED
    assert book.servers[0].state is ConnectionState.CLOSED
    assert not book.shown.endswith(LAST)
    assert not book.flows[0].live


@pytest.mark.parametrize("mode", [HTTPMode.regular, HTTPMode.upstream, HTTPMode.transparent])
@pytest.mark.parametrize(
    ("target", "is_absolute"),
    [(b"/v1/messages", False), (b"http://api.example.com/v1/messages", True), (b"*", False)],
)
def test_only_the_layer_sees_that_a_request_was_in_origin_form(
    book: Playbook, mode: HTTPMode, target: bytes, is_absolute: bool
) -> None:
    """Contract 16: before the hook, mitmproxy takes the destination from the Host header."""
    book.layer.mode = mode
    book.client.proxy_mode = ProxyMode.parse("regular")
    book.layer.context.server.address = ("api.example.com", 80)
    seen: list[tuple[str, str, bool]] = []
    book.at_hook["requestheaders"] = lambda flow: seen.append(
        (flow.request.host, flow.request.data.authority.decode(), is_direct(flow.request))
    )
    book.client_sends(b"OPTIONS %s HTTP/1.1\r\nhost: api.example.com\r\n\r\n" % target)
    [(host, authority, direct)] = seen
    assert host == "api.example.com"
    assert direct is (not is_absolute and mode is not HTTPMode.transparent)
    if mode is HTTPMode.regular:
        assert authority == ""


def test_the_body_of_a_refused_direct_request_is_not_kept(book: Playbook) -> None:
    """Contract 16."""
    book.at_hook["requestheaders"] = lambda flow: answer(flow, Respond(Head(400), b"no"))
    book.client_sends(call().replace(b"http://api.example.com", b""))
    assert book.shown.startswith(b"HTTP/1.1 400 ")
    assert book.flows[0].request.raw_content == b""
    assert book.servers == []


def test_one_network_read_is_one_write(book: Playbook) -> None:
    """Contract 13: the same applies to a request, and to any number of chunks."""
    book.client_sends(call())
    [request] = book.writes
    assert request == (book.servers[0], book.sent[book.servers[0]])
    events = [event + b"\n\n" for event in GOOD.split(b"\n\n")[:-1]]
    # The last delta: the block's stop after it may be held until the next event.
    middle = max(n for n, event in enumerate(events, 1) if b"content_block_delta" in event)
    book.server_sends(HEAD + b"".join(chunk(event) for event in events[:middle]))
    assert book.writes[1:] == [(book.client, HEAD + chunk(b"".join(events[:middle])))]
    book.server_sends(b"".join(chunk(event) for event in events[middle:]) + LAST)
    assert book.writes[2:] == [
        (book.client, chunk(b"".join(events[middle:]))),
        (book.client, LAST),
    ]


def test_an_interim_response_is_not_the_final_one(book: Playbook) -> None:
    """Contract 14."""
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"
    book.client_sends(call())
    for part in (interim[:20], interim[20:] + b"HTTP/1.1 102 Processing\r\n\r\n" + HEAD[:9]):
        book.server_sends(part)
        assert book.shown == b""
    book.server_sends(HEAD[9:] + chunk(GOOD) + LAST)
    assert book.shown == HEAD + chunk(GOOD) + LAST


def test_bytes_before_a_reset_in_the_same_read_are_not_lost(book: Playbook) -> None:
    book.client_sends(call())
    broken_chunk = b"not a length\r\n"
    book.server_sends(HEAD + chunk(MESSAGE_START + BLOCK_START + DELTA) + broken_chunk)
    assert DELTA in book.shown
    assert b"event: error" in book.shown


def test_a_retry_sends_identical_bytes_over_a_new_connection(book: Playbook) -> None:
    """Contracts 5 and 7."""
    book.client_sends(call())
    book.closes(book.servers[0])
    book.wake()
    book.server_sends(HEAD + chunk(MESSAGE_START))
    book.closes(book.servers[1])
    book.wake()
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    first, second, third = (book.sent[server] for server in book.servers)
    assert first.endswith(BODY)
    assert first == second == third
    assert book.shown == HEAD + chunk(GOOD) + LAST


def test_a_retry_after_a_refused_connection_succeeds(
    book: Playbook,
) -> None:
    book.refuse_connections = 2
    book.client_sends(call())
    book.wake()
    book.wake()
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    assert len(book.servers) == 3
    assert book.shown == HEAD + chunk(GOOD) + LAST


def test_a_stream_receives_events_while_it_connects(book: Playbook) -> None:
    """Contract 4: for example that the client has disconnected."""
    book.hold_connections = True
    book.client_sends(call())
    book.closes(book.client)
    assert book.servers[0].error == "connection cancelled"
    assert book.flows[0].error.msg == "cancelled by client"
    assert "error" in book.hooks


def test_late_events_of_an_abandoned_attempt_have_no_effect(book: Playbook) -> None:
    """Contract 3."""
    book.client_sends(call())
    wrapped = b'data: {"error":{"type":"server_error","message":""}}\n\n'
    book.server_sends(HEAD + chunk(wrapped))
    assert book.servers[0].state is ConnectionState.CLOSED
    book.wake()
    assert len(book.servers) == 2
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    assert book.shown == HEAD + chunk(GOOD) + LAST


@pytest.mark.parametrize("flowing", [False, True])
def test_a_client_that_disconnects_closes_upstream_at_once(book: Playbook, flowing: bool) -> None:
    """Contract 6."""
    book.client_sends(call())
    if flowing:
        book.server_sends(HEAD + chunk(MESSAGE_START + BLOCK_START))
    book.closes(book.client)
    assert book.servers[0].state is ConnectionState.CLOSED
    assert book.flows[0].error.msg == "cancelled by client"
    book.wake()
    assert len(book.servers) == 1


def test_a_clean_connection_is_used_again(book: Playbook) -> None:
    """Contract 18."""
    for _ in range(2):
        book.client_sends(call())
        book.server_sends(HEAD + chunk(GOOD) + LAST)
    assert len(book.servers) == 1
    assert book.shown == (HEAD + chunk(GOOD) + LAST) * 2


def test_a_stale_connection_is_replaced_at_once(book: Playbook) -> None:
    book.client_sends(call())
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    book.client_sends(call())
    book.closes(book.servers[0])
    assert len(book.servers) == 2
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    assert book.shown == (HEAD + chunk(GOOD) + LAST) * 2


def test_a_response_is_complete_at_its_terminal_event_whatever_upstream_does(
    book: Playbook,
) -> None:
    book.client_sends(call())
    book.server_sends(HEAD + chunk(GOOD))
    assert book.shown == HEAD + chunk(GOOD) + LAST
    book.client_sends(call())
    assert book.servers[0].state is ConnectionState.CLOSED
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    assert book.shown == (HEAD + chunk(GOOD) + LAST) * 2


def test_a_request_that_is_not_a_call_takes_the_default_path(book: Playbook) -> None:
    answer = b"HTTP/1.1 503 Busy\r\ncontent-length: 2\r\n\r\nno"
    book.client_sends(call(b"/v1/files"))
    book.server_sends(answer)
    assert book.shown == answer
    assert not isinstance(book.layer.streams.get(1), CallMachine)
    assert "wiremend" not in book.flows[0].metadata


def test_events_of_one_chunk_are_sent_in_one_chunk(book: Playbook) -> None:
    book.client_sends(call())
    book.server_sends(HEAD + chunk(MESSAGE_START) + chunk(BLOCK_START))
    before = book.shown
    book.server_sends(chunk(DELTA + DELTA))
    assert book.shown[len(before) :] == chunk(DELTA + DELTA)


def broken(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("on purpose")


class BrokenPaths(FireAndForget):
    matches = broken


@pytest.mark.parametrize("name", ["head", "body"])
def test_a_fault_in_reading_ends_the_call_at_once(
    book: Playbook, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    book.client_sends(call())
    monkeypatch.setattr(CallMachine, name, broken)
    book.server_sends(HEAD + chunk(GOOD))
    monkeypatch.undo()
    assert_failed_at_once(book)
    assert_next_call_works(book)


def test_a_rule_that_raises_leaves_the_response_unchanged(
    book: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnthropicRepairer, "feed", broken)
    book.client_sends(call())
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    assert book.shown == HEAD + chunk(GOOD) + LAST
    [line] = [line for line in book.logs if "internal fault" in line and "\n" not in line]
    assert re.search(r"\(ZeroDivisionError in test_\w+\.py:\d+\) while repairing an event: ", line)
    assert "'POST api.example.com/v1/messages'; the call goes on" in line


AT_START: dict[str, tuple[object, str]] = {
    "reading the request": (plan_module, "read_request"),
    "planning": (stream_layer, "plan_call"),
    "making the machine": (stream_layer, "make_machine"),
    "starting": (CallMachine, "start"),
    "addressing": (UpstreamSide, "address"),
    "a connection is ready": (UpstreamSide, "send_request"),
    "connected": (CallMachine, "connected"),
}


def assert_failed_at_once(book: Playbook) -> None:
    assert book.shown.startswith(b"HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\n")
    answer = json.loads(book.shown.partition(b"\r\n\r\n")[2])
    assert (answer["type"], answer["error"]["type"]) == ("error", "api_error")
    assert "ZeroDivisionError" in answer["error"]["message"]
    assert any("internal fault (ZeroDivisionError in test_" in line for line in book.logs)
    assert "on purpose" not in "".join(book.logs)
    assert all(server.state is ConnectionState.CLOSED for server in book.servers)
    assert book.hooks[-2:] == ["responseheaders", "response"]
    assert not book.flows[0].live
    assert book.layer.streams == {}


def assert_next_call_works(book: Playbook) -> None:
    before = book.shown
    book.client_sends(call())
    book.server_sends(HEAD + chunk(GOOD) + LAST)
    assert book.shown == before + HEAD + chunk(GOOD) + LAST


@pytest.mark.parametrize(("owner", "name"), AT_START.values(), ids=AT_START)
def test_a_fault_in_planning_ends_the_call_at_once(
    book: Playbook, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    """Contract 21: the error is sent from within `make_server_connection`."""
    monkeypatch.setattr(owner, name, broken)
    book.client_sends(call())
    monkeypatch.undo()
    assert_failed_at_once(book)
    assert_next_call_works(book)


@pytest.mark.parametrize("part", ["an addon", "the settings"])
def test_a_fault_in_an_addons_options_ends_the_call_at_once(part: str) -> None:
    """Contract 20: mitmproxy completes a hook in which an addon raised."""

    def plan(options: CallOptions) -> None:
        plan_everything(options)
        if b"broken" not in options.flow.request.raw_content:
            return
        if part == "an addon":
            noting_faults(broken)(options)
        else:
            options.settings = replace(SETTINGS, fire_and_forget=BrokenPaths([]))

    with playing(plan) as book:
        book.client_sends(call(body=b'{"model":"broken","stream":true}'))
        assert_failed_at_once(book)
        assert_next_call_works(book)


@pytest.mark.parametrize("name", ["wake", "attempt_failed", "_start_attempt"])
def test_a_fault_between_attempts_ends_the_call_at_once(
    book: Playbook, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    book.client_sends(call())
    monkeypatch.setattr(CallMachine, name, broken)
    book.closes(book.servers[0])
    book.wake()
    monkeypatch.undo()
    assert_failed_at_once(book)
    book.wake()
    assert_next_call_works(book)


@pytest.mark.parametrize("name", ["body_end", "attempt_failed", "wake"])
def test_a_fault_after_a_part_of_the_response_ends_it_in_an_error_event(
    book: Playbook, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    book.client_sends(call())
    book.server_sends(HEAD + chunk(MESSAGE_START + BLOCK_START))
    shown = book.shown
    monkeypatch.setattr(CallMachine, name, broken)
    if name == "wake":
        book.wake()
    elif name == "body_end":
        book.server_sends(LAST)
    else:
        book.closes(book.servers[0])
    monkeypatch.undo()
    _, _, rest = book.shown[len(shown) :].partition(b"\r\n")
    assert rest.startswith(b'event: error\ndata: {"type":"error",')
    assert book.shown.endswith(b"\n\n\r\n0\r\n\r\n")
    assert book.servers[0].state is ConnectionState.CLOSED
    assert book.hooks[-1] == "response"
    assert book.layer.streams == {}
    assert_next_call_works(book)


def test_a_fault_after_a_part_of_a_body_that_is_not_understood_cuts_it(
    book: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.client_sends(call())
    book.server_sends(HEAD.replace(b"\r\n\r\n", b"\r\ncontent-encoding: odd\r\n\r\n"))
    book.server_sends(chunk(b"anything"))
    shown = book.shown
    assert shown.endswith(chunk(b"anything"))
    monkeypatch.setattr(CallMachine, "body_end", broken)
    book.server_sends(LAST)
    assert book.shown == shown
    assert book.client.state is ConnectionState.CLOSED
    assert "internal fault" in book.flows[0].error.msg
    assert book.hooks[-1] == "error"
    assert book.layer.streams == {}


def test_a_fault_after_the_response_does_not_reach_the_client(
    book: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.client_sends(call())
    book.server_sends(HEAD + chunk(GOOD))
    monkeypatch.setattr(CallMachine, "body_end", broken)
    book.server_sends(LAST)
    monkeypatch.undo()
    assert book.shown == HEAD + chunk(GOOD) + LAST
    assert book.client.state is ConnectionState.OPEN
    assert_next_call_works(book)


def test_a_fault_in_concealing_drops_what_the_flow_shows_and_nothing_else() -> None:
    def plan(options: CallOptions) -> None:
        plan_everything(options)
        options.conceal = broken

    with playing(plan) as book:
        book.client_sends(with_key(call()))
        [flow] = book.flows
        assert SECRET.decode() not in repr(flow.get_state())
        assert flow.metadata == {}
        book.server_sends(HEAD + chunk(GOOD) + LAST)
        assert SECRET in book.sent[book.servers[0]]
        assert book.shown == HEAD + chunk(GOOD) + LAST
        assert flow.metadata == {}
        assert any("while concealing: " in line for line in book.logs)


def test_a_fault_in_recording_drops_the_record_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def plan(options: CallOptions) -> None:
        plan_everything(options)
        options.mask = broken

    with playing(plan) as book:
        book.client_sends(call())
        book.server_sends(HEAD + chunk(GOOD) + LAST)
        assert book.shown == HEAD + chunk(GOOD) + LAST
        assert book.flows[0].metadata == {}
        lines = [line for line in book.logs if "while recording: " in line]
        assert len(lines) == 1


def test_a_fault_in_finding_a_connection_fails_the_attempt(
    book: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_puts_usable_first", broken)
    book.client_sends(call())
    book.wake()
    book.wake()
    monkeypatch.undo()
    assert book.shown.startswith(b"HTTP/1.1 502 ")
    assert book.client.state is ConnectionState.OPEN
    assert_next_call_works(book)


def test_a_fault_in_the_stream_itself_ends_it_and_not_the_others(
    book: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CallStream, "_end_in_fault", broken)
    monkeypatch.setattr(CallMachine, "start", broken)
    book.client_sends(call())
    monkeypatch.undo()
    assert book.shown.startswith(b"HTTP/1.1 502 ")
    assert json.loads(book.shown.partition(b"\r\n\r\n")[2])["error"]["type"] == "api_error"
    assert book.layer.streams == {}
    assert book.hooks[-1] == "error"
    assert_next_call_works(book)


def test_a_fault_in_planning_does_not_affect_a_request_that_is_not_a_call() -> None:
    def plan(options: CallOptions) -> None:
        options.fault = ZeroDivisionError("on purpose")

    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    with playing(plan) as book:
        book.client_sends(call(b"/v1/files"))
        book.server_sends(answer)
        assert book.shown == answer


def test_an_exception_in_mitmproxy_closes_the_clients_connection(
    book: Playbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Contract 20."""
    monkeypatch.setattr(Http1Server, "send", broken)
    book.client_sends(call(b"/v1/files"))
    with pytest.raises(ZeroDivisionError):
        book.server_sends(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    assert book.client.state is ConnectionState.CLOSED


@pytest.mark.parametrize("client", [CallHttp1Client, Http1Client])
def test_a_fault_in_talking_to_a_server_fails_the_attempt(
    book: Playbook, monkeypatch: pytest.MonkeyPatch, client: type[Http1Client]
) -> None:
    monkeypatch.setattr(client, "read_headers", broken)
    book.client_sends(call())
    for _ in range(3):
        book.server_sends(HEAD)
        book.wake()
    monkeypatch.undo()
    assert book.shown.startswith(b"HTTP/1.1 502 ")
    assert book.client.state is ConnectionState.OPEN
    assert all(server.state is ConnectionState.CLOSED for server in book.servers)
    assert_next_call_works(book)


def test_an_invalid_response_head_is_rejected_as_in_mitmproxy(book: Playbook) -> None:
    """A response with two lengths allows smuggling, so the attempt has failed."""
    book.client_sends(call())
    book.server_sends(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n")
    book.wake()
    assert len(book.servers) == 2


def test_a_kept_alive_stream_is_retried_in_the_same_response() -> None:
    def plan(options: CallOptions) -> None:
        plan_everything(options)
        options.settings = replace(SETTINGS, heartbeat=Heartbeat(after=0.0001, interval=0.0001))

    with playing(plan) as book:
        book.client_sends(call())
        book.wake()
        assert book.shown.endswith(b"\r\n\r\n" + chunk(b"\n"))
        book.closes(book.servers[0])
        book.wake()
        book.server_sends(HEAD + chunk(GOOD) + LAST)
        assert book.shown.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream")
        assert book.shown.endswith(chunk(GOOD) + LAST)


# Trailers

TRAILERS = b"0\r\nX-Note: 1\r\n\r\n"
CHUNKED_CALL = b"POST http://api.example.com%s HTTP/1.1\r\ncontent-type: application/json\r\n%s\r\n"


def chunked_call(path: bytes) -> bytes:
    head = CHUNKED_CALL % (path, b"host: api.example.com\r\ntransfer-encoding: chunked\r\n")
    return head + chunk(BODY) + TRAILERS


def test_plain_mitmproxy_raises_at_trailers() -> None:
    """Contract 17. If this fails, `seam/http1_trailers.py` may be unnecessary."""
    reader = Http1Server(context.Context(Client(peername=None, sockname=None), Options()))
    list(reader.handle_event(events.Start()))
    request = events.DataReceived(reader.conn, chunked_call(b"/"))
    with pytest.raises(NotImplementedError):
        list(reader.handle_event(request))


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("path", [b"/v1/messages", b"/v1/files"])
def test_trailers_are_read_in_pieces_of_any_size(book: Playbook, path: bytes, size: int) -> None:
    """Contract 17."""
    for _ in range(2):
        request = chunked_call(path)
        for start in range(0, len(request), size):
            book.client_sends(request[start : start + size])
        response = HEAD + chunk(GOOD) + TRAILERS
        for start in range(0, len(response), size):
            book.server_sends(response[start : start + size])
    [server] = book.servers
    assert book.sent[server].endswith(chunk(BODY) + TRAILERS.lower())
    assert book.sent[server].count(TRAILERS.lower()) == 2
    is_call = path == b"/v1/messages"
    assert book.shown.count(LAST if is_call else TRAILERS.lower()) == 2
    assert book.shown.count(b"x-note") == (0 if is_call else 2)


def test_a_request_after_one_with_trailers_is_read(book: Playbook) -> None:
    """The second request, in the same network read, does not get the trailers of the first."""
    book.client_sends(chunked_call(b"/v1/files") + call(b"/v1/files"))
    ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    book.server_sends(ok)
    book.server_sends(ok)
    assert book.shown == ok * 2
    sent = b"".join(book.sent[server] for server in book.servers)
    assert sent.count(b"x-note") == 1
    assert book.flows[1].request.trailers is None


def test_trailers_of_a_message_without_chunks_are_dropped(book: Playbook) -> None:
    """Contract 17."""
    book.at_hook["response"] = lambda flow: setattr(
        flow.response, "trailers", http.Headers([(b"x-note", b"1")])
    )
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    for _ in range(2):
        book.client_sends(call(b"/v1/files"))
        book.server_sends(answer)
    assert book.shown == answer * 2


# Fire and forget


def test_an_acknowledgement_is_complete_and_has_no_body() -> None:
    with playing(acknowledge) as book:
        book.client_sends(call(b"/session/1/prompt_async"))
        book.server_sends(b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n")
        assert book.shown == b"HTTP/1.1 204 No Content\r\n\r\n"


def test_an_acknowledged_call_continues_after_its_client_disconnects() -> None:
    with playing(acknowledge) as book:
        book.client_sends(call(b"/session/1/prompt_async"))
        book.wake()
        assert book.shown == b"HTTP/1.1 204 No Content\r\n\r\n"
        book.closes(book.client)
        assert book.client.state is not ConnectionState.CLOSED
        assert book.servers[0].state is ConnectionState.OPEN
        book.server_sends(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n")
        assert book.client.state is ConnectionState.CLOSED
        assert any("failed after its 204: status 500" in line for line in book.logs)


def test_the_next_request_does_not_use_the_connection_of_a_background_call() -> None:
    with playing(acknowledge) as book:
        book.client_sends(call(b"/session/1/prompt_async"))
        book.wake()
        book.client_sends(call(b"/session/2/prompt_async"))
        assert len(book.servers) == 2
        assert book.servers[0].state is ConnectionState.OPEN


NO_CONTENT = b"HTTP/1.1 204 No Content\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("head", "is_clear"),
    [
        (NO_CONTENT, True),
        (NO_CONTENT + b"Content-Length: 0\r\n", True),
        (NO_CONTENT + CHUNKED, False),
        (NO_CONTENT + b"Content-Length: 2\r\n", False),
        (b"HTTP/1.1 103 Early Hints\r\nlink: <a>\r\n\r\n" + NO_CONTENT, True),
        (b"HTTP/1.1 103 Early Hints\r\n" + CHUNKED + b"\r\n" + NO_CONTENT, False),
    ],
)
def test_a_connection_is_not_used_again_if_more_data_may_follow(
    head: bytes, is_clear: bool
) -> None:
    """Contract 18: a late terminator or body would be read as the next response."""
    with playing(acknowledge) as book:
        book.client_sends(call(b"/session/1/prompt_async"))
        book.server_sends(head + b"\r\n")
        assert book.shown == b"HTTP/1.1 204 No Content\r\n\r\n"
        is_open = book.servers[0].state is ConnectionState.OPEN
        assert is_open == is_clear
        book.client_sends(call(b"/session/2/prompt_async"))
        if is_open:
            assert len(book.servers) == 1
        else:
            book.server_sends(LAST, number=0)
        book.server_sends(NO_CONTENT + b"\r\n")
        assert book.shown == b"HTTP/1.1 204 No Content\r\n\r\n" * 2


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_a_response_that_contradicts_itself_is_the_last_of_its_connection(
    book: Playbook, status: bytes
) -> None:
    book.client_sends(call(b"/v1/files"))
    book.server_sends(b"HTTP/1.1 " + status + b"\r\ncontent-length: 5\r\n\r\n")
    answered = book.shown
    assert answered.startswith(b"HTTP/1.1 " + status)
    book.client_sends(call(b"/v1/files"))
    book.server_sends(b"late!", number=0)
    ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    book.server_sends(ok)
    assert book.shown == answered + ok


def test_a_fault_in_an_acknowledgement_closes_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with playing(acknowledge) as book:
        book.client_sends(call(b"/session/1/prompt_async"))
        monkeypatch.setattr(Acknowledgement, "head", broken)
        book.server_sends(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
        monkeypatch.undo()
        assert book.shown.startswith(b"HTTP/1.1 502 ")
        assert book.servers[0].state is ConnectionState.CLOSED


# What a flow shows instead of what is on the wire

SECRET = b"sk-secret-0123456789"
COOKIE = b"set-cookie: sid=" + SECRET + b"\r\n"
ANSWER = (
    b"HTTP/1.1 400 No\r\ncontent-type: application/json\r\nx-first: 1\r\n"
    + COOKIE
    + b"content-length: %d\r\n\r\n%s"
)
REASON = b'{"type": "error", "error": {"type": "invalid_request_error", "message": "bad %s"}}'
REFUSAL = ANSWER % (len(REASON % SECRET), REASON % SECRET)


def with_key(request: bytes) -> bytes:
    return request.replace(b"\r\n", b"\r\nx-api-key: " + SECRET + b"\r\n", 1)


def concealing(flow: http.HTTPFlow) -> None:
    conceal(flow, {SECRET.decode()})


def conceal_early(options: CallOptions) -> None:
    plan_everything(options)
    options.conceal = concealing


@pytest.mark.parametrize("path", [b"/v1/messages", b"/v1/files"])
@pytest.mark.parametrize("byte", [b"\xff", b"\xed\xa0\x80", b"%ff", b"\xff%ff"])
def test_a_query_that_is_no_text_is_forwarded_and_redacted(path: bytes, byte: bytes) -> None:
    query = b"?" + byte + b"=" + byte + b"&token=" + byte + SECRET
    with playing(conceal_early, host="api.example.com") as book:
        book.at_hook["response"] = partial(conceal, values={SECRET.decode()})
        request = call(path + query).replace(b"http://api.example.com", b"", 1)
        book.client_sends(request)
        book.server_sends(HEAD + chunk(GOOD) + LAST)
        assert book.shown == HEAD + chunk(GOOD) + LAST
        assert book.sent[book.servers[0]].startswith(b"POST " + path + query + b" HTTP/1.1")
        assert SECRET.decode() not in repr(book.flows[0].get_state())


@pytest.mark.parametrize("path", [b"/v1/messages?key=", b"/v1/files?key="])
def test_a_flow_does_not_show_secrets_that_both_peers_receive(path: bytes) -> None:
    """Contract 10."""
    with playing(conceal_early) as book:
        book.at_hook["response"] = concealing
        book.client_sends(with_key(call(path + SECRET)))
        if b"messages" in path:
            assert SECRET.decode() not in repr(book.flows[0].get_state())
        book.server_sends(REFUSAL)
        assert book.sent[book.servers[0]].count(SECRET) == 2
        assert book.shown == REFUSAL
        assert SECRET.decode() not in repr(book.flows[0].get_state())
        assert book.flows[0].response.content == REASON % b"REDACTED"


def test_a_retry_contains_the_key_that_the_flow_does_not_show() -> None:
    with playing(conceal_early) as book:
        book.client_sends(with_key(call()))
        book.closes(book.servers[0])
        book.wake()
        assert book.sent[book.servers[0]] == book.sent[book.servers[1]]
        assert SECRET in book.sent[book.servers[1]]


def test_a_change_by_another_addon_after_the_redaction_is_sent(book: Playbook) -> None:
    """Contract 10."""

    def conceal_and_change(flow: http.HTTPFlow) -> None:
        concealing(flow)
        flow.response.headers["x-first"] = "2"
        flow.response.content = b"changed"

    book.at_hook["response"] = conceal_and_change
    book.client_sends(call(b"/v1/files"))
    book.server_sends(REFUSAL)
    expected = (ANSWER % (7, b"changed")).replace(b"x-first: 1", b"x-first: 2")
    assert book.shown == expected


def test_reverting_an_edit_does_not_restore_secrets(book: Playbook) -> None:
    """Contract 11."""
    book.at_hook["request"] = lambda flow: flow.backup()
    book.at_hook["response"] = concealing
    book.client_sends(with_key(call(b"/v1/files")))
    book.server_sends(REFUSAL)
    assert SECRET.decode() not in repr(book.flows[0].get_state())


# Installing


def test_the_seam_is_installed_and_removed_completely() -> None:
    """Contract 2."""
    before = (http_layers.HttpStream, http_layers.HttpLayer.get_connection)
    first, second = Seam(), Seam()
    first.install()
    second.install()
    assert issubclass(http_layers.HttpStream, CallStream)
    second.remove()
    assert issubclass(http_layers.HttpStream, CallStream)
    first.remove()
    assert (http_layers.HttpStream, http_layers.HttpLayer.get_connection) == before


@pytest.mark.parametrize("untested", ["12.1.2", "12.20.0", "12.4.0", "13.0.0", "2.12.3"])
def test_an_untested_version_is_refused(untested: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "VERSION", untested)
    expected = f"works with mitmproxy 12.2 and 12.3, but this is mitmproxy {untested}: run pip"
    with pytest.raises(RuntimeError, match=re.escape(expected)):
        Seam().install()


@pytest.mark.parametrize("tested", ["12.2.0", "12.2.3", "12.3.1", "12.3.1 (+5, commit 0123456)"])
def test_a_tested_version_is_accepted(tested: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(version, "VERSION", tested)
    seam = Seam()
    seam.install()
    seam.remove()
