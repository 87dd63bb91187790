"""Whole calls of odd bytes: nothing raises, and every call ends.

The real addons and the seam run without sockets. Requests and responses are put together from
pieces that readers of foreign data may stumble over.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.connection import ConnectionState
from traffic import good
from wiremend.protocols.base.names import WireProtocol
from wiremend.secrets import is_secret_header

from seam.playbook import Playbook
from seam.shells import Clock, full_playbook

DIGITS = b"9" * 400
MANY_DIGITS = b"9" * 10_000
VALUES = (
    b"null",
    b"true",
    b"-1",
    b"1e400",
    b"-1e400",
    b"1.5e999999",
    MANY_DIGITS,
    b"1." + MANY_DIGITS,
    b'""',
    b'"\\ud800"',
    b'"\\udfff\\ud800 text"',
    b'"\\u0000"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b"[]",
    b"{}",
    b"[null]",
    b'{"":null}',
    b"NaN",
    b"Infinity",
    b"[" * 100_000,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b"[" * 900 + b"]" * 900,
    b'"try again in ' + DIGITS + b's"',
    b'"try again in 1h' + MANY_DIGITS + b'm1s"',
    b'"' + DIGITS + b's"',
    b'"%ff"',
    b'"a\\nb\\r"',
    b"18446744073709551616",
)
"""JSON values, and some that are not, in places where others are expected."""
HEADER_VALUES = (
    b"",
    b"-5",
    b"nan",
    b"inf",
    b"1e400",
    MANY_DIGITS[:5_000],
    b"Thu, 01 Jan 99999999999999999999 00:00:00 GMT",
    b"Thu, 01 Jan 99999 00:00:00 GMT",
    b"Fri, 31 Dec 9999 23:59:59 -2359",
    b"Mon, 01 Jan 0001 00:00:00 +2359",
    b"9999-12-31T23:59:59-23:59",
    b"0001-01-01T00:00:00+23:59",
    b"9" * 400 + b"h9m9s",
    b"\xff\xfe",
    "٣".encode(),
    b"1_000",
    b"identity, gzip, zstd, br, deflate",
    b"gzip",
    b"utf-8",
    b"a" * 5_000,
    b"sk-secret-\xff-0123456789",
)
HEADER_NAMES = (
    b"retry-after",
    b"retry-after-ms",
    b"x-ratelimit-reset",
    b"x-ratelimit-reset-tokens",
    b"anthropic-ratelimit-requests-reset",
    b"request-id",
    b"content-encoding",
    b"content-type",
    b"x-api-key",
    b"authorization",
    b"cookie",
    b"set-cookie",
    b"user-agent",
    b"anthropic-beta",
    b"accept-encoding",
    b"origin",
    b"x-odd",
    b"transfer-encoding",
    b"content-length",
    b"connection",
    b"trailer",
    b"expect",
)
PATHS = (
    b"/v1/messages",
    b"/v1/messages?token=\xff-secret-0123456789",
    b"/v1/messages?key=%ff%fe-secret-0123456789",
    b"/v1/messages?%=%&&=&key&key=",
    b"/v1/messages/count_tokens",
    b"/v1/chat/completions?api_key=\xed\xa0\x80-secret-0123456789",
    b"/v1/responses",
    b"/v1/models",
    b"/v1beta/models/a%2Fb%ff:streamGenerateContent?alt=sse",
    b"/v1beta/models/%:generateContent",
    b"/v1beta/models/:generateContent",
    b"/v1beta/models/..%2f..:generateContent?alt=%ff",
    b"/v1beta/models/\xff:streamGenerateContent",
    b"/v1beta/models/a/b:c:streamGenerateContent",
    b"/v1beta/models/x:countTokens",
    b"//v1/messages",
    b"/v1/messages#x",
    b"/v1/messages;a=b",
)
METHODS = (
    b"POST",
    b"POST",
    b"POST",
    b"POST",
    b"GET",
    b"HEAD",
    b"OPTIONS",
    b"post",
    b"X\xff",
    b"M" * 999,
)
HOSTS = (
    b"api.anthropic.com",
    b"api.anthropic.com:99999",
    b"xn--bcher-kva.example",
    b"a..b",
    b"-.example",
    b"[::1]:80",
    b"b\xfccher.example",
    b"%61pi.openai.com",
    b"a" * 300 + b".example",
)
STATUSES = (200, 200, 200, 400, 429, 500, 529, 101, 103, 204, 304, 302, 418, 599, 999, 0, 42)


@dataclass(repr=False)
class Exchange:
    """The bytes of a call."""

    request: bytes
    response: bytes
    close_at: int | None = None
    """The number of bytes of the response after which the server closes; None: never."""
    reads: int = 1
    is_tunnelled: bool = False

    def __repr__(self) -> str:
        fields = {name: _short(value) for name, value in vars(self).items()}
        return f"Exchange({', '.join(f'{name}={value}' for name, value in fields.items())})"


def _short(value: Any) -> str:
    """Return the `repr` with long runs as multiplications."""
    text = re.sub(r"(.)\1{50,}", lambda run: f"{run[1]}{{{len(run[0])}}}", repr(value))
    return re.sub(r"(.{3,8}?)\1{50,}", r"\1{…}", text)


def head(first: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    return b"\r\n".join([first, *(name + b": " + value for name, value in fields), b"", b""])


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(member, (*path, key))


_MARK = "@mark@"


def with_value(data: bytes, path: tuple[Any, ...], text: bytes) -> bytes:
    """Return the JSON text with another value at the path, written as it is."""
    if not path:
        return text
    value = owner = json.loads(data)
    for step in path[:-1]:
        owner = owner[step]
    owner[path[-1]] = _MARK
    return json.dumps(value).encode().replace(b'"' + _MARK.encode() + b'"', text)


@st.composite
def broken_json(draw: st.DrawFn, data: bytes) -> bytes:
    """Return the JSON text with an odd value somewhere, perhaps with a key twice."""
    path = draw(st.sampled_from(list(places(json.loads(data)))))
    text = draw(st.sampled_from(VALUES))
    if path and isinstance(path[-1], str) and draw(st.booleans()):
        text += b", " + json.dumps(path[-1]).encode() + b":" + draw(st.sampled_from(VALUES))
    return with_value(data, path, text)


ERRORS = tuple(
    json.dumps(error).encode()
    for error in (
        {
            "error": {"message": "m", "type": "t", "code": "c", "param": "p", "status": "UNKNOWN"},
            "request_id": "r",
        },
        {"error": {"details": [{"retryDelay": "3s"}], "metadata": {"raw": "{}"}, "code": 429}},
        {"code": 1, "message": "x", "success": False},
        {"type": "error", "error": {"type": "overloaded_error", "message": "m"}},
    )
)


@st.composite
def odd_fields(draw: st.DrawFn) -> list[tuple[bytes, bytes]]:
    pairs = st.tuples(st.sampled_from(HEADER_NAMES), st.sampled_from(HEADER_VALUES))
    fields = draw(st.lists(pairs, max_size=2))
    return [(n, v) for n, v in fields if b"secret" not in v or is_secret_header(n.decode())]


@st.composite
def bodies(draw: st.DrawFn, protocol: WireProtocol) -> bytes:
    """Return the body of a response: a stream or JSON with something odd in it, or noise."""
    kind = draw(st.sampled_from(["stream", "error", "json", "error in a stream", "noise"]))
    if kind == "error":
        return draw(broken_json(draw(st.sampled_from(ERRORS))))
    if kind == "error in a stream":
        return b"data: " + draw(broken_json(draw(st.sampled_from(ERRORS)))) + b"\n\n"
    if kind == "json":
        return draw(broken_json(good.json_body(protocol)))
    if kind == "noise":
        return draw(st.binary(max_size=200))
    events = list(draw(st.sampled_from([good.text_stream, good.tool_stream]))(protocol).events)
    at = draw(st.integers(0, len(events) - 1))
    start, colon, data = events[at].rstrip().partition(b"data: ")
    if data.startswith(b"{"):
        events[at] = start + colon + draw(broken_json(data)) + b"\n\n"
    return b"".join(events)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    protocol = draw(st.sampled_from(list(WireProtocol)))
    is_streaming = draw(st.booleans())
    body = json.dumps(good.request_body(protocol, is_streaming)).encode()
    if draw(st.booleans()):
        body = draw(broken_json(body))
    own = good.PATHS[protocol, is_streaming].encode()
    path = draw(st.one_of(st.just(own), st.sampled_from(PATHS)))
    method = draw(st.sampled_from(METHODS))
    host = draw(st.one_of(st.just(b"api.example.com"), st.sampled_from(HOSTS)))
    length = draw(st.sampled_from([b"%d" % len(body)] * 8 + [b"-1", b"1e3", b"", MANY_DIGITS[:99]]))
    fields = [
        (b"host", host),
        (b"content-type", b"application/json"),
        (b"content-length", length),
        *draw(odd_fields()),
    ]
    is_tunnelled = draw(st.booleans())
    origin = b"" if is_tunnelled else b"http://" + host
    first = method + b" " + origin + path + b" HTTP/1.1"
    answer = draw(bodies(protocol))
    status = draw(st.sampled_from(STATUSES))
    kind = draw(st.sampled_from([b"text/event-stream", b"application/json", b"", b"\xff/\x01"]))
    framing = draw(st.sampled_from(["length", "chunked", "close", "wrong length"]))
    answer_fields = [(b"content-type", kind), *draw(odd_fields())]
    if framing == "chunked":
        answer_fields.append((b"transfer-encoding", b"chunked"))
        answer = b"%x\r\n%s\r\n0\r\n\r\n" % (len(answer), answer) if answer else b"0\r\n\r\n"
    elif framing != "close":
        size = len(answer) + (framing != "length")
        answer_fields.append((b"content-length", b"%d" % size))
    response = head(b"HTTP/1.1 %d X" % status, answer_fields) + answer
    return Exchange(
        head(first, fields) + body,
        response,
        close_at=draw(st.one_of(st.none(), st.integers(0, len(response)))),
        reads=draw(st.integers(1, 3)),
        is_tunnelled=is_tunnelled,
    )


STEPS_LIMIT = 60
"""A call with its attempts ends within so many events."""


def play(book: Playbook, clock: Clock, exchange: Exchange) -> int:
    """Let both peers act until nothing more happens; return the number of steps."""
    book.client_sends(exchange.request)
    answered = 0
    for step in range(STEPS_LIMIT):
        if answered < len(book.servers):
            server = book.servers[answered]
            answered += 1
            answer_from(book, answered - 1, exchange)
            if server.state is not ConnectionState.CLOSED:
                book.closes(server)
        elif book.timers:
            clock.now += 30.0
            book.wake()
        else:
            return step
    return STEPS_LIMIT


def answer_from(book: Playbook, number: int, exchange: Exchange) -> None:
    data = exchange.response[: exchange.close_at]
    size = max(1, -(-len(data) // exchange.reads))
    for start in range(0, len(data), size):
        if book.servers[number].state is ConnectionState.CLOSED:
            return
        book.server_sends(data[start : start + size], number)


def check(exchange: Exchange) -> None:
    with full_playbook("api.example.com" if exchange.is_tunnelled else "") as (book, clock):
        steps = play(book, clock, exchange)
        faults = [line for line in book.logs if "internal fault" in line]
        assert not faults
        assert steps < STEPS_LIMIT
        if book.client.state is not ConnectionState.CLOSED:
            book.closes(book.client)
        calls = [stream for stream in book.layer.streams.values() if stream.machine is not None]  # type: ignore[attr-defined]
        assert calls == []
        kept = repr([flow.get_state() for flow in book.flows])
        assert "secret" not in kept


@given(exchange=exchanges())
def test_no_bytes_of_a_call_raise_and_every_call_ends(exchange: Exchange) -> None:
    check(exchange)


SECRET_HEAD = b"HTTP/1.1 200 X\r\nx-api-key: sk-secret-0123456789\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize("cut", range(0, len(SECRET_HEAD), 3))
def test_a_head_that_is_cut_inside_a_secret_does_not_show_it(cut: int) -> None:
    """mitmproxy quotes such a head in its error message."""
    body = json.dumps(good.request_body(WireProtocol.ANTHROPIC_MESSAGES, True)).encode()
    fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    request = head(b"POST http://api.example.com/v1/messages HTTP/1.1", fields) + body
    check(Exchange(request, SECRET_HEAD, close_at=cut, reads=1, is_tunnelled=False))
