"""What the provider does with a call, and how the call must end for its client.

Each call has its own text, so an answer that was sent to another call is noticed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from traffic import faults, good
from traffic.assembled import read_answer
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Exchange, Framing, Reply, Step

SDK, HTTP1, HTTP2 = "SDK", "HTTP/1.1", "HTTP/2"
CLIENTS = (SDK, HTTP1, HTTP2)
RAW = (HTTP1, HTTP2)
UNREACHABLE_HOST = "openrouter.ai"
"""A host of a provider that refuses connections."""

_LONG_EVENTS = 400
_BIG_REPEATS = 20_000
_MEBIBYTE = 1_000_000
_TOOLS = 100


class End(StrEnum):
    """How a call ended for its client."""

    ANSWER = "answer"
    """The whole text or tool call that was scripted, and nothing else."""
    ERROR = "error"
    """A part of the answer, or nothing, and an error in the protocol's form."""
    PASSED = "passed"
    """The scripted status of a request that is not a model call."""
    CANCELLED = "cancelled"
    """The client left, and the provider noticed."""
    WRONG = "wrong"
    """Something else: another text, an answer without its end, an error without its form."""
    LOST = "lost"
    """The connection was closed without a response, or in the middle of it."""
    HUNG = "hung"
    """Nothing within the limit of the client."""


_ANSWER = frozenset({End.ANSWER})
_ERROR = frozenset({End.ERROR})
_EITHER = _ANSWER | _ERROR
"""The fault can be hidden if the proxy reads it together with the content before it."""


@dataclass(frozen=True)
class Call:
    """One call of the schedule."""

    number: int
    scenario: Scenario
    client: str
    protocol: WireProtocol
    stream: bool
    tool: bool

    @property
    def label(self) -> str:
        """A text that occurs in the answer to this call only."""
        return f"call {self.number:07}"

    def __str__(self) -> str:
        kind = "stream" if self.stream else "json"
        return f"#{self.number} {self.scenario.name}, {self.protocol}, {kind}, {self.client}"


@dataclass(frozen=True)
class Scenario:
    """One behaviour of the provider, or of the client."""

    name: str
    weight: int
    """How often it is chosen, relative to the others."""
    replies: Callable[[Call], Sequence[Reply]]
    """The replies to the requests of a call; the last one is repeated."""
    ends: frozenset[End] = _ANSWER
    """The right ends."""
    status: int = 0
    """The status of an HTTP error, or of PASSED."""
    streams: tuple[bool, ...] = (True, False)
    clients: tuple[str, ...] = CLIENTS
    protocols: tuple[WireProtocol, ...] = good.PROTOCOLS
    tools: tuple[bool, ...] = (False, True)
    """Whether the answer may be a text, or a tool call."""
    request: Request | None = None
    """What raw clients send, if it is not a small call."""
    behaviour: str = "reads"
    """What the client does: `reads` the response, reads `slowly`, `leaves` when the provider has
    the request, or `stops` at the first content."""


@dataclass(frozen=True)
class Request:
    """A request of a raw client."""

    method: str = "POST"
    path: str = ""
    """By default the path of the call's protocol."""
    host: str = ""
    headers: Mapping[str, str] | None = None
    body: Callable[[Call], bytes] | None = None


# Answers


def answer_to(call: Call) -> good.Stream:
    """Return the stream that answers a call."""
    return _labelled(call.protocol, call.label, call.tool)


@lru_cache(256)  # it is needed by the provider and by the client
def _labelled(protocol: WireProtocol, label: str, tool: bool) -> good.Stream:
    stream = (good.tool_stream if tool else good.text_stream)(protocol)
    events = tuple(_with_label(event, label) for event in stream.events)
    return _read(protocol, replace(stream, events=events))


def _with_label(data: bytes, label: str) -> bytes:
    city = f"Par{label[-7:]}".encode()
    return data.replace(b"wide world", label.encode()).replace(b"Par", city)


def _read(protocol: WireProtocol, stream: good.Stream) -> good.Stream:
    answer = read_answer(protocol, stream.data, stream=True)
    return replace(stream, text=answer.text, tool_calls=answer.tool_calls)


def _body(call: Call) -> bytes:
    body = (good.json_tool_body if call.tool else good.json_body)(call.protocol)
    return _with_label(body, call.label)


def _long(call: Call) -> good.Stream:
    """Return a stream of several hundred events."""
    stream = answer_to(call)
    place = stream.places["mid_content"]
    repeated = (stream.events[place - 1],) * _LONG_EVENTS
    events = (*stream.events[:place], *repeated, *stream.events[place:])
    numbered = tuple(_numbered(event, number) for number, event in enumerate(events))
    return _read(call.protocol, replace(stream, events=numbered))


def _numbered(event: bytes, number: int) -> bytes:
    """Return an event of Responses with this number; others have none."""
    return re.sub(rb'"sequence_number": \d+', b'"sequence_number": %d' % number, event)


def _big(call: Call) -> good.Stream:
    """Return a stream with a text of several hundred kilobytes in one event."""
    label = f"{call.label} " * _BIG_REPEATS
    stream = good.text_stream(call.protocol)
    events = tuple(event.replace(b"wide world", label.encode()) for event in stream.events)
    return _read(call.protocol, replace(stream, events=events))


def _big_body(call: Call) -> bytes:
    label = f"{call.label} " * _BIG_REPEATS
    return good.json_body(call.protocol).replace(b"wide world", label.encode())


_LONGER = {"long": _long, "big": _big, "big, read slowly": _big}


def expected_answer(call: Call) -> good.Stream:
    """Return what the client assembles from a complete answer."""
    return _LONGER.get(call.scenario.name, answer_to)(call)


def _good(call: Call) -> Reply:
    if call.stream:
        return faults.streamed(answer_to(call).events)
    return faults.whole(_body(call))


def _clean(call: Call) -> Sequence[Reply]:
    return [_good(call)]


def _twice(fault: Callable[[Call], Reply]) -> Callable[[Call], Sequence[Reply]]:
    return lambda call: [fault(call), fault(call), _good(call)]


def _once(fault: Callable[[Call], Reply]) -> Callable[[Call], Sequence[Reply]]:
    return lambda call: [fault(call), _good(call)]


def _always(fault: Callable[[Call], Reply]) -> Callable[[Call], Sequence[Reply]]:
    return lambda call: [fault(call)]


def _same(*steps: Step) -> Callable[[Call], Reply]:
    return lambda call: Reply("", steps)


def _of_protocol(make: Callable[[WireProtocol], Reply]) -> Callable[[Call], Reply]:
    return lambda call: make(call.protocol)


# Steps that differ by HTTP version


async def _reset(exchange: Exchange) -> None:
    """A TCP RST in HTTP/1.1, RST_STREAM in HTTP/2."""
    if exchange.received.http_version == "HTTP/2":
        await exchange.reset_stream(faults.INTERNAL_ERROR)
    else:
        await exchange.reset()


async def _go_away(exchange: Exchange) -> None:
    """GOAWAY in HTTP/2, the end of the connection in HTTP/1.1."""
    if exchange.received.http_version == "HTTP/2":
        await exchange.go_away(faults.NO_ERROR, 0)
    else:
        await exchange.close()


# Broken answers


def _after_head(step: Step) -> Callable[[Call], Reply]:
    """The head of the answer, then this step."""

    def make(call: Call) -> Reply:
        if call.stream:
            return Reply("", (faults.head(), step))
        length = ("content-length", str(len(_body(call))))
        return Reply("", (faults.head(200, (*faults.JSON, length), Framing.LENGTH), step))

    return make


def _in_event(place: str, step: Step) -> Callable[[Call], Reply]:
    """The events before a place, half of the next one, then this step."""

    def make(call: Call) -> Reply:
        stream = answer_to(call)
        count = stream.places.get(place, 0)
        half = stream.events[count][: len(stream.events[count]) // 2]
        return faults.broken(stream, count, faults.chunks([half]), step)

    return make


def _after_content(step: Step) -> Callable[[Call], Reply]:
    """A part of the content, then this step."""

    def make(call: Call) -> Reply:
        stream = answer_to(call)
        return faults.broken(stream, stream.places["mid_content"], step)

    return make


def _after_end(step: Step) -> Callable[[Call], Reply]:
    """All events, then this step instead of the end of the body."""

    def make(call: Call) -> Reply:
        stream = answer_to(call)
        return faults.broken(stream, len(stream.events), step)

    return make


def _labelled_as(content_type: str) -> Callable[[Call], Reply]:
    headers = (("content-type", content_type),) if content_type else ()
    return lambda call: faults.streamed(answer_to(call).events, headers)


def _coded(coding: str) -> Callable[[Call], Reply]:
    def make(call: Call) -> Reply:
        data = answer_to(call).data if call.stream else _body(call)
        headers = (*(faults.EVENT_STREAM if call.stream else faults.JSON),)
        coded = faults.encode(data, coding)
        return faults.whole(coded, (*headers, ("content-encoding", coding)))

    return make


def _dripping(call: Call) -> Reply:
    steps: list[Step] = [faults.head()]
    for event in answer_to(call).events:
        steps += [faults.chunks([event]), faults.drip(0.15)]
    return Reply("", (*steps, faults.end))


def _refused_request(call: Call) -> Reply:
    error = faults.native_error(call.protocol, 400, "invalid_request_error", "prompt is too long")
    return faults.status(400, error)


def _wrapped_error(call: Call) -> Reply:
    return faults.wrapped_error_first(call.protocol, "meta frames")


def _long_reply(call: Call) -> Sequence[Reply]:
    return [faults.streamed(_long(call).events)]


def _big_reply(call: Call) -> Sequence[Reply]:
    if call.stream:
        return [faults.streamed(_big(call).events)]
    return [faults.whole(_big_body(call))]


# Requests


def _large_request(call: Call, schema: Mapping[str, Any]) -> bytes:
    """Return a request of a megabyte with a hundred tools."""
    tools = [
        _declared(call.protocol, f"tool_{number}", "Reads a file. " * 40, schema)
        for number in range(_TOOLS)
    ]
    body = good.request_body(call.protocol, call.stream)
    body["tools"] = [{"functionDeclarations": tools}] if call.protocol is good.GEMINI else tools
    missing = _MEBIBYTE - len(json.dumps(body))
    text = "You are an agent that works with care. " * (missing // 39)
    if call.protocol is good.GEMINI:
        body["systemInstruction"] = {"parts": [{"text": text}]}
    elif call.protocol is good.CHAT:
        body["messages"].insert(0, {"role": "system", "content": text})
    else:
        body["system" if call.protocol is good.ANTHROPIC else "instructions"] = text
    return json.dumps(body).encode()


def _declared(
    protocol: WireProtocol, name: str, description: str, schema: Mapping[str, Any]
) -> dict[str, Any]:
    if protocol is good.ANTHROPIC:
        return {"name": name, "description": description, "input_schema": schema}
    function = {"name": name, "description": description, "parameters": schema}
    if protocol is good.CHAT:
        return {"type": "function", "function": function}
    return {"type": "function", **function} if protocol is good.RESPONSES else function


_SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
_BROKEN_SCHEMA = {"properties": {"paths": {"type": "array"}}, "required": ["paths", "mode"]}
_UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def _status(code: int, body: bytes = b"{}") -> Callable[[Call], Sequence[Reply]]:
    return lambda call: [faults.whole(body, status=code)]


_STREAM = (True,)
_BODY = (False,)
_TEXT = (False,)

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("clean", 40, _clean),
    Scenario("long", 4, _long_reply, streams=_STREAM, tools=_TEXT),
    Scenario("big", 3, _big_reply, tools=_TEXT),
    Scenario("dripping", 2, _always(_dripping), streams=_STREAM),
    # hidden from the client
    Scenario("reset before head", 2, _twice(_same(_reset))),
    Scenario("FIN before head", 2, _twice(_same(faults.close))),
    Scenario("cut before head", 1, _twice(_same(faults.cut))),
    Scenario("GOAWAY before head", 2, _twice(_same(_go_away))),
    Scenario("reset after head", 2, _twice(_after_head(_reset))),
    Scenario("FIN after head", 2, _twice(_after_head(faults.close))),
    Scenario("reset in the first event", 2, _twice(_in_event("start", _reset)), streams=_STREAM),
    Scenario("wrapped error, twice", 3, _twice(_wrapped_error), streams=_STREAM),
    Scenario(
        "error in a 200 body, twice",
        1,
        _twice(_of_protocol(lambda protocol: faults.error_inside_200(protocol))),
        streams=_BODY,
    ),
    Scenario("429, twice", 2, _twice(_of_protocol(faults.rate_limited))),
    Scenario("529, twice", 2, _twice(_of_protocol(faults.overloaded))),
    Scenario("HTML 524, twice", 1, _twice(lambda call: faults.html_524())),
    Scenario("stall before head", 1, _once(_same(faults.stall))),
    Scenario("stall after head", 1, _once(_after_head(faults.stall))),
    Scenario("empty stream, twice", 1, _twice(lambda call: faults.empty_stream()), streams=_STREAM),
    Scenario("204, twice", 1, _twice(lambda call: faults.chunked_204())),
    # the client gets the protocol's error, or the answer
    Scenario("reset in an event", 2, _once(_in_event("mid_content", _reset)), _EITHER, 0, _STREAM),
    Scenario(
        "FIN in an event", 2, _once(_in_event("mid_content", faults.close)), _EITHER, 0, _STREAM
    ),
    Scenario(
        "end in an event", 1, _once(_in_event("mid_content", faults.end)), _EITHER, 0, _STREAM
    ),
    Scenario("reset in the content", 2, _once(_after_content(_reset)), _EITHER, 0, _STREAM),
    Scenario("end in the content", 2, _once(_after_content(faults.end)), _EITHER, 0, _STREAM),
    Scenario(
        "wrapped error in the content",
        2,
        _once(_after_content(faults.wrapped_error)),
        _EITHER,
        0,
        _STREAM,
    ),
    Scenario("stall in the content", 1, _once(_after_content(faults.stall)), _ERROR, 0, _STREAM),
    Scenario("wrapped error, always", 2, _always(_wrapped_error), _ERROR, 500, _STREAM),
    Scenario("503, always", 2, _always(_of_protocol(faults.unavailable)), _ERROR, 503),
    Scenario("400", 2, _always(_refused_request), _ERROR, 400),
    Scenario(
        "refused connection",
        1,
        _clean,
        _ERROR,
        502,
        clients=RAW,
        protocols=(good.CHAT,),
        request=Request(host=UNREACHABLE_HOST, path="/api/v1/chat/completions"),
    ),
    # odd, but complete
    Scenario("held open after the end", 1, _always(_after_end(faults.stall)), streams=_STREAM),
    Scenario("reset after the end", 1, _always(_after_end(_reset)), streams=_STREAM),
    Scenario("without content type", 1, _always(_labelled_as("")), streams=_STREAM),
    Scenario("labelled as JSON", 1, _always(_labelled_as("application/json")), streams=_STREAM),
    Scenario("labelled as text", 1, _always(_labelled_as("text/plain")), streams=_STREAM),
    Scenario("gzip", 1, _always(_coded("gzip"))),
    Scenario("br", 1, _always(_coded("br"))),
    Scenario("zstd", 1, _always(_coded("zstd"))),
    # odd clients and requests
    Scenario("big, read slowly", 2, _big_reply, clients=RAW, tools=_TEXT, behaviour="slowly"),
    Scenario(
        "client leaves before the head",
        2,
        _always(_same(faults.stall)),
        frozenset({End.CANCELLED}),
        clients=RAW,
        behaviour="leaves",
    ),
    Scenario(
        "client leaves in the content",
        3,
        _always(_after_content(faults.stall)),
        frozenset({End.CANCELLED}),
        streams=_STREAM,
        clients=RAW,
        behaviour="stops",
    ),
    Scenario(
        "1 MB request",
        2,
        _clean,
        clients=(HTTP1,),
        request=Request(body=lambda call: _large_request(call, _SCHEMA)),
    ),
    Scenario(
        "1 MB request, all tools adapted",
        1,
        _clean,
        clients=(HTTP1,),
        request=Request(body=lambda call: _large_request(call, _BROKEN_SCHEMA)),
    ),
    Scenario(
        "fire and forget",
        2,
        _always(lambda call: faults.stalled_chunked_204()),
        frozenset({End.PASSED}),
        204,
        clients=RAW,
        request=Request(path="/session/ses_1/prompt_async"),
    ),
    Scenario(
        "list of models",
        1,
        _status(200, b'{"object":"list","data":[{"id":"gpt-5","object":"model"}]}'),
        frozenset({End.PASSED}),
        200,
        clients=RAW,
        protocols=(good.CHAT,),
        request=Request(method="GET", path="/v1/models", body=lambda call: b""),
    ),
    Scenario(
        "another path",
        1,
        _status(200),
        frozenset({End.PASSED}),
        200,
        clients=RAW,
        request=Request(path="/v1/files"),
    ),
    Scenario(
        "a body that is not JSON",
        1,
        _always(_refused_request),
        _ERROR,
        400,
        clients=RAW,
        request=Request(body=lambda call: b'{"model": '),
    ),
    Scenario(
        "WebSocket upgrade",
        1,
        _clean,
        frozenset({End.PASSED}),
        426,
        clients=(HTTP1,),
        protocols=(good.RESPONSES,),
        request=Request(method="GET", headers=_UPGRADE, body=lambda call: b""),
    ),
)
