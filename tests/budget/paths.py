"""The hot paths: what most bytes of most calls pass through, unchanged.

    event           one event of a long clean stream, alone in its network read
    event of burst  the same, 16 events in one read
    tool event      a fragment of a tool call's arguments
    answer          a JSON answer, from its head to its last byte
    request         planning a small request, up to the first action
    large request   the same with 1 MB and 100 tools
    later request   the same, after another request with the same tools: a later turn of a session
    proxy: event    one event from the provider's bytes to the client's, through mitmproxy's HTTP
                    layer, the seam, and the hooks of all addons
    proxy: answer   a whole small call with a JSON answer, in the same way, on connections that
                    have carried one before
    proxy: stream   the same with a short event stream
    proxy: large request
                    the 1 MB request, from its last bytes to the bytes that go upstream

Everything passes unchanged, which is checked. Each event has another text, so that no cache can
answer for it.
"""

import gc
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import orjson
from seam.playbook import Playbook, playing
from wiremend.engine.actions import Action, Head, Respond, ShowBody
from wiremend.engine.call_machine import CallMachine
from wiremend.engine.plan import make_machine, plan_call
from wiremend.engine.settings import Feature, Knowledge
from wiremend.protocols.base.document import Headers, OutgoingRequest, RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.registry import recognise
from wiremend.seam.fast.paths import PARTS, FastPaths
from wiremend.testing import answers as good

from .addons import Addons
from .counting import Counted, Work, count

FEW, MANY = 16, 48
"""Events of the two streams whose difference is the cost of an event. Both are one burst or more,
and both buffers that grow by doubling have been enlarged by then."""
BURST = 16
LARGE_BYTES = 1_000_000
TOOLS = 100
_NAMES = {
    good.ANTHROPIC: "anthropic",
    good.CHAT: "chat",
    good.RESPONSES: "responses",
    good.GEMINI: "gemini",
}
_HEADERS: Headers = (
    ("content-type", "application/json"),
    ("accept", "application/json"),
    ("accept-encoding", "identity"),
    ("user-agent", "sdk/1.0"),
    ("authorization", "Bearer sk-test-0123456789"),
)
_STREAM_HEAD = Head(200, ((b"content-type", b"text/event-stream"),))
_JSON_FIELDS = ((b"content-type", b"application/json"), (b"request-id", b"req_1"))


_SETTINGS = Addons().settings


class Changed(AssertionError):
    """What must pass unchanged was changed, so the counts would not be those of the path."""


# Traffic


def long_stream(
    protocol: WireProtocol, count: int, *, tool: bool = False
) -> tuple[list[bytes], list[bytes]]:
    """Return the events before the content of a stream, and `count` different events with content.

    `tool`: the content is the arguments of a tool call.
    """
    stream = (good.tool_stream if tool else good.text_stream)(protocol)
    wanted = b"Par" if tool else b"wide world"
    place = next(n for n, event in enumerate(stream.events) if wanted in event)
    before = list(stream.events[:place])
    content = [
        stream.events[place].replace(wanted, b"word %05d" % number) for number in range(count)
    ]
    numbered = [_numbered(event, number) for number, event in enumerate([*before, *content])]
    return numbered[:place], numbered[place:]


def _numbered(event: bytes, number: int) -> bytes:
    return re.sub(rb'"sequence_number": \d+', b'"sequence_number": %d' % number, event)


def small_request(protocol: WireProtocol, *, stream: bool) -> bytes:
    """Return the body of a small request."""
    return orjson.dumps(good.request_body(protocol, stream))


def large_request(protocol: WireProtocol, size_bytes: int = LARGE_BYTES) -> bytes:
    """Return a body of about this size with `TOOLS` tools that every provider accepts."""
    path = {"type": "string", "description": "The file's path, from the project's root."}
    schema = {"type": "object", "properties": {"path": path}, "required": ["path"]}
    tools = [_tool(protocol, f"read_file_{number}", schema) for number in range(TOOLS)]
    body = good.request_body(protocol, True)
    body["tools"] = [{"functionDeclarations": tools}] if protocol is good.GEMINI else tools
    turns = [("user", "assistant")[number % 2] for number in range(21)]
    size = (size_bytes - len(orjson.dumps(body))) // len(turns)
    texts = [(role, "A line of a file that was read.\n" * (size // 32)) for role in turns]
    if protocol is good.GEMINI:
        roles = {"user": "user", "assistant": "model"}
        body["contents"] = [{"role": roles[r], "parts": [{"text": t}]} for r, t in texts]
    else:
        key = "input" if protocol is good.RESPONSES else "messages"
        body[key] = [{"role": role, "content": text} for role, text in texts]
    return orjson.dumps(body)


def _tool(protocol: WireProtocol, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    description = "Reads a file from the project. " * 20
    if protocol is good.ANTHROPIC:
        return {"name": name, "description": description, "input_schema": schema}
    function = {"name": name, "description": description, "parameters": schema}
    if protocol is good.CHAT:
        return {"type": "function", "function": function}
    return {"type": "function", **function} if protocol is good.RESPONSES else function


# The core, as the seam calls it


def _planned(
    protocol: WireProtocol, body: bytes, *, stream: bool, knowledge: Knowledge | None = None
) -> CallMachine:
    path, host = good.PATHS[protocol, stream], good.HOSTS[protocol]
    recognised = recognise("POST", path, "application/json")
    assert recognised is not None
    document = RequestDocument.of(recognised, path, body, _HEADERS)
    received = OutgoingRequest(host, "", "https", host, 443, document)
    call = plan_call(received, frozenset(Feature), _SETTINGS, knowledge or Knowledge())
    assert call is not None
    machine = make_machine(call, random=_half, wall_clock=_half)
    machine.start(0.0)
    assert isinstance(machine, CallMachine)
    if call.request_for(0).body is not body:
        raise Changed(f"{protocol}: the request")
    return machine


def _half() -> float:
    return 0.5


def _planning(protocol: WireProtocol, body: bytes) -> Work:
    own = bytes(bytearray(body))  # nothing can be remembered by the identity of the body
    return lambda: _planned(protocol, own, stream=True)


def _planning_later(protocol: WireProtocol) -> Work:
    knowledge = Knowledge()
    _planned(protocol, large_request(protocol, LARGE_BYTES // 2), stream=True, knowledge=knowledge)
    own = bytes(bytearray(large_request(protocol)))
    return lambda: _planned(protocol, own, stream=True, knowledge=knowledge)


def _answered_by(head: Head, protocol: WireProtocol, *, stream: bool) -> CallMachine:
    machine = _planned(protocol, small_request(protocol, stream=stream), stream=stream)
    machine.connected(0.0, reused=False)
    machine.head(0.0, head)
    return machine


def _streaming(protocol: WireProtocol, events: int, burst: int, *, tool: bool) -> Work:
    before, content = long_stream(protocol, events, tool=tool)
    machine = _answered_by(_STREAM_HEAD, protocol, stream=True)
    shown = _shown(machine.body(0.0, b"".join(before)))
    reads = [b"".join(content[start : start + burst]) for start in range(0, events, burst)]

    def work() -> object:
        passed = [machine.body(0.1, read) for read in reads]
        if shown + b"".join(map(_shown, passed)) != b"".join([*before, *reads]):
            raise Changed(f"{protocol}: an event")
        return machine

    return work


def _shown(actions: Sequence[Action]) -> bytes:
    return b"".join(action.data for action in actions if isinstance(action, ShowBody))


def _answering(protocol: WireProtocol) -> Work:
    body = good.json_body(protocol)
    length = (b"content-length", b"%d" % len(body))
    machine = _planned(protocol, small_request(protocol, stream=False), stream=False)
    machine.connected(0.0, reused=False)

    def work() -> object:
        machine.head(0.0, Head(200, (*_JSON_FIELDS, length)))
        machine.body(0.1, body)
        actions = machine.body_end(0.2)
        if [action.body for action in actions if isinstance(action, Respond)] != [body]:
            raise Changed(f"{protocol}: the answer")
        return machine

    return work


# Through mitmproxy


@contextmanager
def proxied() -> Iterator[Playbook]:
    """Yield one client connection, with the seam, its fast paths, and the hooks of all addons."""
    addons, parts = Addons(), FastPaths()
    with playing(addons.plan) as book:
        book.at_hook = addons.hooks
        assert parts.install(PARTS) == []
        try:
            yield book
        finally:
            parts.remove()
            gc.freeze()  # to remove the parts unfreezes what exists


def _http_request(protocol: WireProtocol, body: bytes, *, stream: bool) -> bytes:
    host, path = good.HOSTS[protocol], good.PATHS[protocol, stream]
    fields = [("host", host), *_HEADERS, ("content-length", str(len(body)))]
    lines = [f"POST http://{host}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_HTTP_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _proxied_streaming(book: Playbook, protocol: WireProtocol, events: int) -> Work:
    before, content = long_stream(protocol, events)
    book.client_sends(_http_request(protocol, small_request(protocol, stream=True), stream=True))
    book.server_sends(_HTTP_STREAM + b"".join(map(_chunk, before)))
    chunks = [_chunk(event) for event in content]

    def work() -> object:
        for chunk in chunks:
            book.server_sends(chunk)
        if _unchunked(book.shown) != b"".join([*before, *content]):
            raise Changed(f"{protocol}: an event")
        return book

    return work


def _unchunked(response: bytes) -> bytes:
    rest, body = response.partition(b"\r\n\r\n")[2], []
    while rest and rest != _chunk(b""):
        size, _, rest = rest.partition(b"\r\n")
        body.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    return b"".join(body)


def _proxied_answering(book: Playbook, protocol: WireProtocol) -> Work:
    request = small_request(protocol, stream=False)
    body = good.json_body(protocol)
    head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_1\r\n"
    response = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body

    def work() -> object:
        book.client_sends(_http_request(protocol, request, stream=False))
        book.server_sends(response)
        if not book.shown.endswith(body) or not book.sent[book.servers[-1]].endswith(request):
            raise Changed(f"{protocol}: the call")
        return book

    work()  # opens the connection, and looks up the facts of the target
    return work


def _proxied_short_stream(book: Playbook, protocol: WireProtocol) -> Work:
    request = _http_request(protocol, small_request(protocol, stream=True), stream=True)
    chunks = [_chunk(event) for event in good.text_stream(protocol).events]
    response = _HTTP_STREAM + b"".join(chunks) + _chunk(b"")

    def work() -> object:
        before = len(book.shown)
        book.client_sends(request)
        book.server_sends(response)
        if _unchunked(book.shown[before:]) != _unchunked(response):
            raise Changed(f"{protocol}: the call")
        return book

    work()  # as above
    return work


def _proxied_request(book: Playbook, protocol: WireProtocol, body: bytes) -> Work:
    request = _http_request(protocol, body, stream=True)

    def work() -> object:
        book.client_sends(request)
        if not book.sent[book.servers[-1]].endswith(body):
            raise Changed(f"{protocol}: the request")
        return book

    return work


# All paths


def _each(prepare: Callable[[int], Work]) -> Counted:
    """Count one event, as the difference of two streams."""
    few, many = count(partial(prepare, FEW)), count(partial(prepare, MANY))
    return many.minus(few).per(MANY - FEW)


def _through_proxy(make: Callable[[Playbook], Work]) -> Counted:
    return count(partial(_in_proxy, make))


def _in_proxy(make: Callable[[Playbook], Work]) -> Work:
    context = proxied()
    book = context.__enter__()  # its end is part of the garbage of the work
    work = make(book)

    def run() -> object:
        try:
            return work()
        finally:
            context.__exit__(None, None, None)

    return run


def count_all(only: str = "") -> Iterator[tuple[str, Counted]]:
    """Count every path with `only` in its name; yield the name and the counts."""
    for protocol, prefix in _NAMES.items():
        for name, measure in _paths(protocol).items():
            if only in f"{prefix} {name}":
                yield f"{prefix} {name}", measure()


def _paths(protocol: WireProtocol) -> dict[str, Callable[[], Counted]]:
    streaming = partial(_streaming, protocol)
    small, large = small_request(protocol, stream=True), large_request(protocol)
    answering = partial(_proxied_answering, protocol=protocol)
    short_stream = partial(_proxied_short_stream, protocol=protocol)
    requesting = partial(_proxied_request, protocol=protocol, body=large)
    paths = {
        "event": lambda: _each(partial(streaming, burst=1, tool=False)),
        "event of burst": lambda: _each(partial(streaming, burst=BURST, tool=False)),
        "tool event": lambda: _each(partial(streaming, burst=1, tool=True)),
        "answer": lambda: count(partial(_answering, protocol)),
        "request": lambda: count(partial(_planning, protocol, small)),
        "large request": lambda: count(partial(_planning, protocol, large)),
        "later request": lambda: count(partial(_planning_later, protocol)),
        "proxy: event": lambda: _each(partial(_proxied_events, protocol)),
        "proxy: answer": lambda: _through_proxy(answering),
        "proxy: stream": lambda: _through_proxy(short_stream),
        "proxy: large request": lambda: _through_proxy(requesting),
    }
    if protocol is good.GEMINI:
        del paths["tool event"]  # it sends the arguments of a call in one event
    return paths


def _proxied_events(protocol: WireProtocol, events: int) -> Work:
    return _in_proxy(partial(_proxied_streaming, protocol=protocol, events=events))
