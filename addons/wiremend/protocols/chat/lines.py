"""Chunks that one line feed parts: they are taken apart where each line is a JSON object."""

from itertools import pairwise

from wiremend.protocols.base.event_repairer import DONE
from wiremend.rules.rule import Rule
from wiremend.text import json_value, sse
from wiremend.text.patterns import linear_pattern

_P = ("chat-completions",)

CHUNKS_JOINED = Rule(
    code="S223",
    name="chunks-joined",
    detects="Chunks are parted by one line feed instead of a blank line.",
    impact="Clients join the lines to one event, whose data is not JSON: `Unexpected "
    "non-whitespace character after JSON`.",
    action="Takes the lines apart where each is a JSON object.",
    protocols=_P,
    seen=("anomalyco/opencode#27365", "anomalyco/opencode#24927"),
    before='data: {"choices":[…]}\ndata: {"choices":[…]}\n\n',
    after='data: {"choices":[…]}\n\ndata: {"choices":[…]}\n\n',
)

_START = linear_pattern(rb"(?:\A|[\r\n])(?:data: ?)?(?:\{|\[DONE\])")
_ATTEMPTS = 8
"""How often an unfinished event is searched in vain; its lines are looked at again at its end."""
_LONGEST_START = 16
"""Bytes of the beginning of a line that decide whether a chunk begins there."""


class ChunkDecoder(sse.Decoder):
    """Decodes a stream like `sse.Decoder`, and takes joined chunks apart.

    A chunk is returned as soon as the line of the next one begins, since a blank line may never
    come. Its `raw` has no blank line then; see `lacks_blank_line`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._looked = 0
        """The length of the unfinished event when it was last searched for further chunks."""
        self._follows = False
        """The unfinished event was joined to a chunk that was returned."""
        self._attempts = 0
        self._is_one = False
        """The unfinished event is not searched further."""

    def feed_usual(self, data: bytes, at: int) -> sse.Event | None:
        """Take an event in a usual form, which has one chunk; see `sse.Decoder.feed_usual`."""
        return None if self._follows else super().feed_usual(data, at)

    def feed(self, data: bytes) -> list[sse.Event]:
        """Return the events that `data` completes. Raises `sse.EventTooLarge`."""
        events = super().feed(data)
        if events:
            self._looked, self._attempts, self._is_one = 0, 0, False
            if self._follows or any(map(_may_be_joined, events)):
                events = [part for event in events for part in self._parts_of(event)]
        if self._buffer and not self._is_one:
            events += self._take_lines()
        return events

    def end(self) -> list[sse.Event]:
        """Return the rest of a stream that ended without a blank line."""
        return [part for event in super().end() for part in self._parts_of(event)]

    def _take_lines(self) -> list[sse.Event]:
        """Return the joined chunks at the beginning of the unfinished event."""
        pending = self._buffer
        at = max(0, self._looked - _LONGEST_START)
        self._looked = len(pending)
        match = _START.search(pending, at)
        if match is None or (match.start() == 0 and not _START.search(pending, match.end() - 1)):
            return []
        raw = bytes(pending)
        starts = _starts_of_chunks(raw, is_bare=self._follows)
        if len(starts) < 2:
            self._attempts += 1
            self._is_one = self._attempts == _ATTEMPTS
            return []
        del pending[: starts[-1]]
        self._searched = max(0, len(pending) - 3)
        self._looked = len(pending)
        self._follows = True
        return [self._part(raw[a:b]) for a, b in pairwise(starts)]

    def _parts_of(self, event: sse.Event) -> list[sse.Event]:
        follows, self._follows = self._follows, False
        if not follows and not _may_be_joined(event):
            return [event]
        starts = _starts_of_chunks(event.raw, is_bare=follows)
        if len(starts) < 2 and not (follows and event.raw[:1] == b"{"):
            return [event]
        ends = [*starts[1:], len(event.raw)]
        parts = [self._part(event.raw[a:b]) for a, b in zip(starts, ends, strict=True)]
        parts[-1].complete = event.complete
        return parts

    def _part(self, raw: bytes) -> sse.Event:
        """Return one chunk as an event; its line may have no `data:`."""
        part = self._parse(raw)
        if part.data is None and raw[:1] == b"{":
            part.data = raw.strip(b"\r\n")
        return part


def with_blank_line(event: sse.Event) -> sse.Event:
    """Return a chunk that was joined to the next one as an event of its own."""
    if event.raw[:1] == b"{":
        raw = sse.encode(event.data or b"")
    else:
        end = b"\r\n" if event.raw.endswith(b"\r\n") else event.raw[-1:]
        raw = event.raw + end
    return sse.Event(raw, event.type, event.data)


def lacks_blank_line(event: sse.Event) -> bool:
    """Return whether a chunk was joined to the next one, or has no `data:`."""
    raw = event.raw
    if raw[:1] == b"{":
        return True
    if raw.endswith(b"\n\n"):
        return False
    head = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
    return not head.endswith((b"\n", b"\r"))


def _may_be_joined(event: sse.Event) -> bool:
    data = event.data
    return data is not None and (b"\n" in data or b"\n{" in event.raw)


def _starts_of_chunks(raw: bytes, *, is_bare: bool) -> list[int]:
    """Return where chunks begin in an event, the first one at 0.

    A chunk begins where the data before it is one JSON object and the next line has another one,
    or `[DONE]`. With `is_bare`, the first line may have no `data:`, as later ones.
    """
    starts, at = [0], 0
    is_first = True
    after_object = 0
    for line in sse.split_lines(raw):
        text = line.rstrip(b"\r\n")
        name, value = sse.read_field(text)
        has_no_field = text[:1] == b"{" and (not is_first or (is_bare and at == 0))
        if name == b"data" or has_no_field:
            value = text if has_no_field else value
            if not is_first and (value[:1] == b"{" or value.startswith(DONE)):
                starts.append(after_object)
            elif not is_first:
                break
            is_first = False
            if len(line) == len(text) or not _is_object(value):
                break
            after_object = at + len(line)
        at += len(line)
    return starts


def _is_object(data: bytes) -> bool:
    if data[:1] != b"{":
        return False
    try:
        return isinstance(json_value.read(data), dict)
    except ValueError:
        return False
