"""The forms of an event that the SSE standard allows, with JSON on one or several lines.

https://html.spec.whatwg.org/multipage/server-sent-events.html: a line ends with LF, CRLF or CR; one
space after the colon of a field is not part of its value; the `data` lines of an event are joined
by LF; the last `event` line counts; fields are in any order, with comments and unknown fields
between them; the stream may start with a byte order mark.

This module does not use the code under test.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

MODEL = "vendor/model"
"""The model name in the streams; JSON has two spellings of its slash."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LINE_ENDS = (b"\n", b"\r\n", b"\r")

FEATURES = (
    "tight",  # no space after a colon
    "spaced",  # JSON with a space after its commas and colons
    "spread",  # JSON with white space and line ends between its tokens
    "escaped",  # JSON text with unnecessary escapes
    "comments",
    "id and retry",
    "unknown fields",
    "type anywhere",  # the `event:` line is not the first line
    "type again",  # an earlier `event:` line, which is ignored
    "mark",  # a byte order mark before the first event
    "between",  # comments, blank lines and fields without data between events
)
ALL = frozenset(FEATURES)
GEMINI = frozenset({"spaced", "spread", "escaped"})
"""The features that Google's SDKs can read, which require lines that start with `data: `."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},:]|[^][{},:"\s]+', re.DOTALL)
_COMMENTS = (b":", b": keep-alive", b':data: {"type":"ping"}', ": \u2713".encode(), b":\xff")
_ID_AND_RETRY = (b"id: 5", b"id:", b"id", b"retry: 3000", b"retry:3", b"retry: soon")
_UNKNOWN = (b"foo: x", b"foo", b"data2: x", b" data: x", b"Data: x", b"events: x", b"foo:\xff")
_WITHOUT_DATA = (
    b"event: ping",
    b"event:",
    b"event",
    b"id: 5",
    b"retry: 1",
    b": comment",
    b"foo: x",
)


@dataclass(frozen=True)
class Style:
    """The style in which the events of one stream are written."""

    features: frozenset[str]
    ends: tuple[bytes, ...]
    """The line ends in use; several are mixed, also within an event."""
    chance: Random

    def has(self, feature: str) -> bool:
        """Return whether to use a feature now; an allowed one is used half of the time."""
        return feature in self.features and self.chance.random() < 0.5

    def json(self, value: Any) -> bytes:
        """Return the value as JSON text."""
        separators = (", ", ": ") if self.has("spaced") else (",", ":")
        text = json.dumps(value, ensure_ascii=self.has("escaped"), separators=separators)
        if self.has("escaped"):
            text = text.replace("/", "\\/")
        if self.has("spread"):
            space = ["", "", "", " ", "\n", "\n ", "\t", "\n\n"]
            tokens = _TOKEN.findall(text)
            text = "".join(self.chance.choice(space) + token for token in [*tokens, ""])
        return text.encode()

    def lines(self, data: bytes, type: str = "") -> list[bytes]:
        """Return the lines of one event without line ends."""
        lines = [self._field(b"data", line) for line in data.split(b"\n")]
        others = [
            *self._some("comments", _COMMENTS),
            *self._some("id and retry", _ID_AND_RETRY),
            *self._some("unknown fields", _UNKNOWN),
        ]
        for line in others:
            lines.insert(self.chance.randint(0, len(lines)), line)
        if not type:
            return lines
        at = self.chance.randint(0, len(lines)) if self.has("type anywhere") else 0
        lines.insert(at, self._field(b"event", type.encode()))
        if self.has("type again"):
            lines.insert(self.chance.randint(0, at), self.chance.choice([b"event: x", b"event"]))
        return lines

    def event(self, data: bytes, type: str = "") -> bytes:
        """Return one event."""
        return self.ended(self.lines(data, type))

    def ended(self, lines: Sequence[bytes]) -> bytes:
        """Return the lines with line ends, and the blank line that ends the event."""
        written = bytearray()
        for line in lines:
            written += line + self.chance.choice(self.ends)
        # After a CR, LF is not a blank line; CRLF is one, but so is its CR alone.
        blank = b"\r" if written.endswith(b"\r") else self.chance.choice(self.ends)
        return bytes(written) + blank

    def stream(self, events: list[bytes]) -> list[bytes]:
        """Return the events of a stream, with a byte order mark and other lines between them."""
        events = list(events)
        while self.has("between"):
            between = self.chance.choice([self.ended([line]) for line in _WITHOUT_DATA])
            between = between if self.chance.random() < 0.7 else self.chance.choice(LINE_ENDS)
            events.insert(self.chance.randint(0, max(0, len(events) - 1)), between)
        if events and self.has("mark"):
            events[0] = BYTE_ORDER_MARK + events[0]
        return events

    def _field(self, name: bytes, value: bytes) -> bytes:
        if not value and self.has("tight"):
            return name
        is_tight = not value.startswith(b" ") and self.has("tight")
        return name + (b":" if is_tight else b": ") + value

    def _some(self, feature: str, lines: tuple[bytes, ...]) -> list[bytes]:
        return self.chance.choices(lines, k=self.chance.randint(1, 2)) if self.has(feature) else []


@st.composite
def styles(draw: st.DrawFn, allowed: frozenset[str] = ALL) -> Style:
    """A style with some of the allowed features, or none."""
    features = draw(st.frozensets(st.sampled_from(sorted(allowed))) | st.just(allowed))
    ends = draw(st.sampled_from([(b"\n",), (b"\r\n",), (b"\r",), LINE_ENDS]))
    return Style(features, ends, Random(draw(st.integers(0, 2**32))))


def plain() -> Style:
    """Return the style of most providers: one `data: ` line of compact JSON, LF."""
    return Style(frozenset(), (b"\n",), Random(0))


type Write = Callable[[Style, Any], bytes]
"""Writes the data of one event in a style."""


# Reading a stream according to the standard


def events_of(stream: bytes) -> list[tuple[str, bytes]]:
    """Return the type and the data of each event that a stream dispatches."""
    events: list[tuple[str, bytes]] = []
    type, data = "", None
    for line in re.split(rb"\r\n|\n|\r", stream.removeprefix(BYTE_ORDER_MARK))[:-1]:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            events += [] if data is None else [(type, data)]
            type, data = "", None
        elif name == b"data":
            data = value if data is None else data + b"\n" + value
        elif name == b"event":
            type = value.decode("utf-8", "replace")
    return events


def values_of(stream: bytes) -> list[tuple[str, Any]]:
    """Return the events with parsed JSON; data that is not JSON stays bytes."""
    return [(type, _value(data)) for type, data in events_of(stream)]


def _value(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data


def lines_of(event: bytes) -> list[tuple[bytes, bytes]]:
    """Return the lines of an event, each with its line end."""
    lines = re.findall(rb"([^\r\n]*)(\r\n|\n|\r)", event)
    return [(line, end) for line, end in lines]
