"""Large event streams, made of the streams of the corpus."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from corpus_streams import CorpusStream, broken_streams, clean_streams
from wiremend.protocols.base.repairer import EventKind
from wiremend.repair.stream import stream_repair
from wiremend.text import json_array, json_value, sse
from wiremend.text.sse import Event

from complexity.amplify import LISTS, SCALARS, Number, Variant, crossed, distinct, numbered, same


@dataclass(frozen=True)
class Parts:
    """The events of a stream: those before its end are repeated, the rest follows them."""

    stream: CorpusStream
    repeated: tuple[Event, ...]
    end: tuple[Event, ...]

    @property
    def is_array(self) -> bool:
        """Whether the stream is one JSON array."""
        return self.stream.context.array

    def with_data(self, event: Event, data: bytes) -> bytes:
        """Return the bytes of the event with other data."""
        if not self.is_array:
            return sse.with_data(event, data)
        return json_array.with_data(event, data)

    def renumbered(self, event: Event, value: Any, number: int | None) -> bytes:
        """Return the bytes of the event with this number in its ids."""
        if number is None or value is None:
            return event.raw
        return self.with_data(event, json_value.write(numbered(value, number)))

    def joined(self, events: list[bytes]) -> bytes:
        """Return the bytes of a stream with these events before its end."""
        if self.is_array:
            events = [event.strip(b"[, \r\n\t") for event in events]
            return b"[" + b",\n".join(filter(None, events)) + b"]"
        return b"".join([*events, *(event.raw for event in self.end)])


@cache
def parts_of(stream: CorpusStream) -> Parts:
    """Divide a stream at the event that ends it."""
    decoder = stream.protocol.make_repairer(stream.context).decoder()
    events = [*decoder.feed(stream.path.read_bytes()), *decoder.end()]
    repair = stream_repair(stream.protocol, stream.context)
    count = 0
    for event in events:
        repaired = repair.feed(event.raw)
        if any(one.kind in (EventKind.TERMINAL, EventKind.ERROR) for one in repaired):
            break
        count += 1
    count = max(1, count)
    return Parts(stream, tuple(events[:count]), tuple(events[count:]))


def value_of(event: Event) -> Any:
    """Return the parsed data of an event; None if it has none."""
    try:
        return orjson.loads(event.data or b"")
    except ValueError:
        return None


type StreamVariant = Callable[[Parts, int], bytes]


def _in_order(number: Number) -> StreamVariant:
    """All events of the stream, again and again."""

    def make(parts: Parts, size: int) -> bytes:
        values = [(event, value_of(event)) for event in parts.repeated]
        copies = max(1, size // len(values))
        return parts.joined(
            [
                parts.renumbered(event, value, number(copy, copies, of))
                for copy in range(copies)
                for of, (event, value) in enumerate(values)
            ]
        )

    return make


def _one_by_one(number: Number) -> StreamVariant:
    """Each event of the stream many times before the next one: everything is open at once."""

    def make(parts: Parts, size: int) -> bytes:
        copies = max(1, size // len(parts.repeated))
        return parts.joined(
            [
                parts.renumbered(event, value, number(copy, copies, of))
                for of, event in enumerate(parts.repeated)
                for value in [value_of(event)]
                for copy in range(copies)
            ]
        )

    return make


def _each_event(variant: Variant) -> StreamVariant:
    """The events of the stream, with more in each of them; those of its end included."""

    def make(parts: Parts, size: int) -> bytes:
        events = (*parts.repeated, *parts.end)
        share = max(1, size // len(events))
        changed = [
            event.raw
            if value_of(event) is None
            else parts.with_data(event, variant(event.data or b"", share))
            for event in events
        ]
        return Parts(parts.stream, (), ()).joined(changed)

    return make


def _lines(change: Callable[[bytes, int], bytes]) -> StreamVariant:
    """Each event with other lines."""

    def make(parts: Parts, size: int) -> bytes:
        events = (*parts.repeated, *parts.end)
        share = max(1, size // len(events))
        return b"".join(change(event.raw, share) for event in events)

    return make


EVENTS: dict[str, StreamVariant] = {
    "in-order-same": _in_order(same),
    "in-order-distinct": _in_order(distinct),
    "one-by-one-same": _one_by_one(same),
    "one-by-one-distinct": _one_by_one(distinct),
    "one-by-one-crossed": _one_by_one(crossed),
}
"""Changes of a stream to a number of events."""
INSIDE: dict[str, StreamVariant] = {
    name: _each_event(variant) for name, variant in (LISTS | SCALARS).items()
}
"""Changes of a stream to more or longer values in its events."""
LINES: dict[str, StreamVariant] = {
    "comments": _lines(lambda raw, n: b": x\n" * n + raw),
    "blank-lines": _lines(lambda raw, n: b"\n" * n + raw),
    "carriage-returns": _lines(lambda raw, n: b"\r" * n + raw.replace(b"\n", b"\r\n")),
    "event-lines": _lines(lambda raw, n: b"event: x\n" * n + raw),
    "id-lines": _lines(lambda raw, n: b"id: 1\nretry: 2\n" * n + raw),
    "data-lines": _lines(lambda raw, n: raw.replace(b",", b",\ndata: " + b"\ndata: " * n)),
    "no-space": _lines(lambda raw, n: (b"data:x\n" * n + raw).replace(b"data: ", b"data:")),
    "unfinished": _lines(lambda raw, n: raw.rstrip(b"\n") + b" " * n),
    "bare-json": _lines(lambda raw, n: b'{"error":{"message":"x"}}' + b" " * n + b"\n\n" + raw),
}
"""Changes of a stream to more lines in its events."""


def chunks_of(data: bytes, size: int) -> list[bytes]:
    """Split the bytes into chunks of this size."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def all_streams() -> list[CorpusStream]:
    """Return the whole corpus."""
    return [*clean_streams(), *broken_streams()]


def covering_streams(features: Callable[[CorpusStream], set[Any]]) -> list[CorpusStream]:
    """Return few streams that together have all features that the streams of the corpus have."""
    left = {stream: features(stream) for stream in all_streams()}
    covered: set[Any] = set()
    chosen = []
    while True:
        best = max(left, key=lambda stream: len(left[stream] - covered))
        if not left[best] - covered:
            return chosen
        covered |= left.pop(best)
        chosen.append(best)


def richest_streams(number: int) -> list[CorpusStream]:
    """Return the streams with the most types of values: this number for each kind of stream."""
    by_kind: dict[Any, list[CorpusStream]] = {}
    for stream in all_streams():
        kind = (stream.protocol.name, stream.context.array)
        by_kind.setdefault(kind, []).append(stream)
    return [
        stream
        for streams in by_kind.values()
        for stream in sorted(streams, key=lambda one: -len(types_of(one)))[:number]
    ]


def codes_of(stream: CorpusStream) -> set[Any]:
    """Return the codes of the rules that apply to a stream."""
    return set(stream.codes) if stream.findings_path.exists() else set()


def types_of(stream: CorpusStream) -> set[Any]:
    """Return the types of the events and values in a stream, with its protocol and framing."""
    parts = parts_of(stream)
    types: set[Any] = set()
    for event in (*parts.repeated, *parts.end):
        types.add(event.type)
        types |= _types_in(value_of(event))
    return {(stream.protocol.name, parts.is_array, name) for name in types}


def _types_in(value: Any) -> set[str]:
    if isinstance(value, list):
        return {name for item in value for name in _types_in(item)}
    if not isinstance(value, dict):
        return set()
    own = {value["type"]} if isinstance(value.get("type"), str) else set()
    inside = {name for item in value.values() for name in _types_in(item)}
    return own | inside | {key for key, item in value.items() if isinstance(item, list)}
