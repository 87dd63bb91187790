"""The forms in which the SSE standard lets one event be written, and JSON on one line or several.

https://html.spec.whatwg.org/multipage/server-sent-events.html: a line ends with LF, CRLF or CR; one
space after a field's colon is not part of its value; the `data` lines of an event are joined by
LF; the last `event` line counts; fields come in any order, between comments and fields that nobody
knows; a byte order mark may start the stream.

Nothing here uses the code under test.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

MODEL = "vendor/model"
"""The model that the streams name: JSON may write its slash in two ways."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
LINE_ENDS = (b"\n", b"\r\n", b"\r")

FEATURES = (
    "tight",  # no space after a colon
    "spaced",  # JSON with a space behind its commas and colons
    "spread",  # JSON with white space, line ends included, between its tokens
    "escaped",  # JSON text with escapes where none are needed
    "comments",
    "id and retry",
    "unknown fields",
    "type anywhere",  # the `event:` line is not the first
    "type again",  # an earlier `event:` line, which does not count
    "mark",  # a byte order mark before the first event
    "between",  # comments, blank lines and fields without data between events
)
ALL = frozenset(FEATURES)
GEMINI = frozenset({"spaced", "spread", "escaped"})
"""What Google's SDKs read: lines that start with `data: `, and nothing else."""

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
    """How the events of one stream are written."""

    features: frozenset[str]
    ends: tuple[bytes, ...]
    """The line ends in use; more than one: mixed, also within an event."""
    chance: Random

    def has(self, feature: str) -> bool:
        """Whether a feature is in use here; one that is allowed is used about every second time."""
        return feature in self.features and self.chance.random() < 0.5

    def json(self, value: Any) -> bytes:
        """A JSON text of the value."""
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
        """The lines of one event without their line ends."""
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
        """One event."""
        return self.ended(self.lines(data, type))

    def ended(self, lines: Sequence[bytes]) -> bytes:
        """The lines with line ends, and the blank line that ends their event."""
        written = bytearray()
        for line in lines:
            written += line + self.chance.choice(self.ends)
        # Behind a CR, LF would not be a blank line; CRLF would be one, and so is its CR alone.
        blank = b"\r" if written.endswith(b"\r") else self.chance.choice(self.ends)
        return bytes(written) + blank

    def stream(self, events: list[bytes]) -> list[bytes]:
        """The events of a whole stream, with what may come before and between them."""
        events = list(events)
        while self.has("between"):
            between = self.chance.choice([self.ended([one]) for one in _WITHOUT_DATA])
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
    """A style of the features that are allowed; plain ones too."""
    features = draw(st.frozensets(st.sampled_from(sorted(allowed))) | st.just(allowed))
    ends = draw(st.sampled_from([(b"\n",), (b"\r\n",), (b"\r",), LINE_ENDS]))
    return Style(features, ends, Random(draw(st.integers(0, 2**32))))


def plain() -> Style:
    """How most providers write: one `data: ` line of compact JSON, LF."""
    return Style(frozenset(), (b"\n",), Random(0))


type Write = Callable[[Style, Any], bytes]
"""Writes the data of one event in a style."""


# What a reader that follows the standard makes of a stream


def events_of(stream: bytes) -> list[tuple[str, bytes]]:
    """The type and the data of each event that a stream dispatches."""
    found: list[tuple[str, bytes]] = []
    type, data = "", None
    for line in re.split(rb"\r\n|\n|\r", stream.removeprefix(BYTE_ORDER_MARK))[:-1]:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            found += [] if data is None else [(type, data)]
            type, data = "", None
        elif name == b"data":
            data = value if data is None else data + b"\n" + value
        elif name == b"event":
            type = value.decode("utf-8", "replace")
    return found


def values_of(stream: bytes) -> list[tuple[str, Any]]:
    """The same with the JSON read; what is no JSON stays bytes."""
    return [(type, _value(data)) for type, data in events_of(stream)]


def _value(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data


def lines_of(event: bytes) -> list[tuple[bytes, bytes]]:
    """The lines of an event, each with its line end apart."""
    found = re.findall(rb"([^\r\n]*)(\r\n|\n|\r)", event)
    return [(line, end) for line, end in found]
