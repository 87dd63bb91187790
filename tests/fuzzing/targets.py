"""The fuzz targets: each takes any bytes, and raises if a property does not hold.

`scripts/fuzz` runs them with a coverage-guided fuzzer, test_targets.py with their seeds.
"""

import json
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from framings import FRAMINGS, Framing, bytes_of
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import Decoder, StreamContext
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.registry import PROTOCOLS
from wiremend.protocols.responses import RESPONSES
from wiremend.repair.body import repair_body
from wiremend.text import json_value, sse
from wiremend.text.json_array import ArrayDecoder
from wiremend.text.json_edits import Edits, Spans, items, members, parse, root_span

CORPUS = Path(__file__).parent.parent / "corpus"
FOUND = Path(__file__).parent / "found"
"""Inputs for which a property did not hold once, by target."""

_ARRAY = "-array"
_TOOL_NAMES = [(), ("read",), ("read", "exec")]


def _by(data: bytes) -> Random:
    """Return a generator of random numbers that is seeded with the data."""
    return Random(zlib.crc32(data))


def chunked(data: bytes) -> list[bytes]:
    """Split the bytes at random places."""
    chance = _by(data)
    cuts = sorted(chance.randint(0, len(data)) for _ in range(chance.randint(0, 8)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def decode(make: Callable[[], Decoder], data: bytes) -> None:
    """The chunks do not change the events, and no byte is lost."""
    results = []
    for chunks in ([data], chunked(data)):
        decoder = make()
        events = [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.end()
        assert b"".join(event.raw for event in events) == data
        results.append([event for event in events if event.data is not None])
    assert results[0] == results[1]


def rewrite_events(data: bytes) -> None:
    """The data of an event can be replaced and decoded again."""
    for event in sse.Decoder().feed(data):
        if event.raw == sse.BYTE_ORDER_MARK:
            continue
        for written, read in ((b"{}", b"{}"), (b"{\r\n\r1\n}", b"{\n\n1\n}")):
            decoder = sse.Decoder()
            rewritten = [*decoder.feed(sse.with_data(event, written)), *decoder.end()]
            assert [(event.data, event.complete) for event in rewritten] == [(read, True)]


def judge(framing: Framing, data: bytes) -> None:
    """A grammar accepts any bytes without an exception."""
    framing.violations(data)


def repair_stream(framing: Framing, data: bytes) -> None:
    """A repaired stream is valid, independent of the chunks, and repairing it changes nothing."""
    chance = _by(data)
    context = framing.context(
        client=chance.choice(framing.clients), tool_names=chance.choice(_TOOL_NAMES)
    )
    repaired = framing.repaired([data], context)
    out = bytes_of(repaired)
    assert framing.violations(out, context.client.family) == []
    assert bytes_of(framing.repaired(chunked(data), context)) == out
    assert bytes_of(framing.repaired([out], context)) == out


def repair_whole(protocol: Protocol, data: bytes) -> None:
    """A repaired body is JSON or an error, and repairing it changes nothing."""
    context = StreamContext(model="m", tool_names=_by(data).choice(_TOOL_NAMES))
    repaired = repair_body(protocol, data, context)
    if repaired.error is None:
        json_value.read(repaired.data)
        again = repair_body(protocol, repaired.data, context)
        assert (again.data, again.findings, again.error) == (repaired.data, [], None)


def locate(data: bytes) -> None:
    """The span of every member and item is JSON, and removing it leaves JSON."""
    try:
        parse(data)
    except ValueError:
        return
    span = root_span(data)
    parse(data[span.start : span.end])
    opening = data[span.start : span.start + 1]
    spans = Spans(data)
    steps: list[str | int] = []
    if opening == b"{":
        steps += [member.key for member in members(data, span)]
    elif opening == b"[":
        steps += range(len(list(items(data, span))))
    for step in steps:
        inner = spans.span((step,))
        assert inner is not None
        parse(data[inner.start : inner.end])
        edits = Edits(data)
        edits.remove((step,))
        parse(edits.apply())


STREAMS = {
    f"{framing.protocol}{_ARRAY if framing.array else ''}": framing for framing in FRAMINGS.values()
}
"""The framings by the long name of their protocol."""
_OF_A_PROTOCOL = ("grammar", "stream", "body")
TARGETS: dict[str, Callable[[bytes], None]] = {
    "sse": partial(decode, sse.Decoder),
    "sse-rewritten": rewrite_events,
    "json-array": partial(decode, ArrayDecoder),
    "json-spans": locate,
    **{f"grammar-{name}": partial(judge, framing) for name, framing in STREAMS.items()},
    **{f"stream-{name}": partial(repair_stream, framing) for name, framing in STREAMS.items()},
    **{f"body-{protocol}": partial(repair_whole, protocol) for protocol in PROTOCOLS.values()},
}


def target_named(text: str) -> str:
    """Return the name of a target; `text` may contain the short name of a protocol.

    Raises ValueError with a message for the user.
    """
    kind, _, name = text.partition("-")
    if kind in _OF_A_PROTOCOL:
        protocol = WireProtocol.parse(name.removesuffix(_ARRAY))
        text = f"{kind}-{protocol}{_ARRAY if name.endswith(_ARRAY) else ''}"
    if text not in TARGETS:
        raise ValueError(f"there is no target {text!r}; the targets are {', '.join(TARGETS)}")
    return text


def seeds(target: str) -> list[bytes]:
    """Return the seeds of a target: the corpus, and the inputs that were found before."""
    kind, _, name = target.partition("-")
    found = [path.read_bytes() for path in sorted((FOUND / target).glob("*"))]
    if kind in ("grammar", "stream"):
        suffix = "json" if name.endswith(_ARRAY) else "sse"
        folder = name.removesuffix(_ARRAY).replace("-", "_")
        files = sorted((CORPUS / folder).glob(f"*/*.{suffix}"))
        return [path.read_bytes() for path in files] + found
    if kind == "body":
        return _BODIES[PROTOCOLS[WireProtocol(name)]] + found
    if target == "json-array":
        return [path.read_bytes() for path in sorted((CORPUS / "gemini").glob("*/*.json"))] + found
    streams = [path.read_bytes() for path in sorted(CORPUS.glob("*/clean/*.sse"))]
    if target == "json-spans":
        events = [event for stream in streams for event in sse.Decoder().feed(stream)]
        return sorted({event.data for event in events if event.data}) + found
    return streams + found


def _body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _data_in(folder: str) -> list[bytes]:
    streams = [path.read_bytes() for path in sorted((CORPUS / folder).glob("*/*.sse"))]
    events = [event for stream in streams for event in sse.Decoder().feed(stream)]
    return sorted({event.data for event in events if event.data})


_CALL = {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
_BODIES = {
    ANTHROPIC: [
        _body(
            id="msg_1",
            type="message",
            role="assistant",
            model="claude",
            content=[
                {"type": "text", "text": "Hi"},
                {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"path": "a"}},
            ],
            stop_reason="tool_use",
            stop_sequence=None,
            usage={"input_tokens": 1, "output_tokens": 2},
        )
    ],
    CHAT: [
        _body(
            id="chatcmpl-1",
            object="chat.completion",
            created=1,
            model="gpt",
            choices=[
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hi", "tool_calls": [_CALL]},
                    "finish_reason": "tool_calls",
                }
            ],
            usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
        )
    ],
    RESPONSES: [
        json.dumps(json.loads(data)["response"]).encode()
        for data in _data_in("responses")
        if data.startswith(b'{"type":"response.completed"') and b'"response":{' in data
    ],
    GEMINI: _data_in("gemini"),
}
