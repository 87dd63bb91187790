"""Where each value of a JSON text stands, so that one value can be edited and no other byte moves.

This is no parser and no validator: the text is validated first (`parse`), and the scanner
below relies on that. Nothing is ever re-serialised.

Duplicate keys: parsers keep the last, and so does every look-up here. `Edits.replace` and
`Edits.remove` treat all duplicates of the key alike, so that a parser that keeps another one
sees the same edit.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import orjson

type Path = tuple[str | int, ...]
"""Keys and list indices from the root to a value."""

_BOM = b"\xef\xbb\xbf"
_STRING_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT = rb'[^"\[\]{}]++|' + _STRING_TEXT
_LEAF = rb"[\[{](?:" + _FLAT + rb")*+[\]}]"
_BRANCH = rb"[\[{](?:" + _FLAT + rb"|" + _LEAF + rb")*+[\]}]"
_SPACE = re.compile(rb"[ \t\n\r]*+")
_STRING = re.compile(_STRING_TEXT, re.DOTALL)
_SCALAR = re.compile(rb"[^ \t\n\r,\]}]++")
_KEY = re.compile(
    rb"[ \t\n\r]*+(" + _STRING_TEXT + rb")[ \t\n\r]*+:[ \t\n\r]*+",
    re.DOTALL,
)
_AFTER_VALUE = re.compile(rb"[ \t\n\r]*+[,\]}][ \t\n\r]*+")
_TO_BRACKET = re.compile(rb"(?:" + _FLAT + rb"|" + _BRANCH + rb")*+[\[\]{}]", re.DOTALL)
"""Up to and with the next bracket outside strings; containers up to two deep go in one step."""

_OPENING = frozenset(b"[{")
_QUOTE = ord('"')


class Span(NamedTuple):
    """Bytes `start` up to, not including, `end`."""

    start: int
    end: int


class Member(NamedTuple):
    """One key and its value in an object."""

    key: str
    """Decoded: an escaped key compares equal to a plain one."""
    key_span: Span
    """With its quotes."""
    value: Span

    @property
    def extent(self) -> Span:
        """From the key's first quote to the value's end."""
        return Span(self.key_span.start, self.value.end)


class Edit(NamedTuple):
    """The bytes from `start` to `end` become `replacement`; an empty span inserts."""

    start: int
    end: int
    replacement: bytes


def parse(body: bytes) -> Any:
    """The value of a JSON text; a byte order mark is allowed. Raises ValueError if it is none.

    Lone surrogates in escapes (`"\\ud83d"`) are JSON by RFC 8259, and clients do send them.
    """
    text = body.removeprefix(_BOM)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as refused:
        # spans of text that nests deeper would take time by the square of its depth
        if rb"\u" not in text or refused.msg.startswith("depth limit"):
            raise
    try:
        return json.loads(text.decode(), parse_constant=_refuse)
    except RecursionError as too_deep:
        raise ValueError("nested too deeply") from too_deep


def root_span(body: bytes) -> Span:
    """The span of the whole value, without byte order mark and surrounding space."""
    start = _skip_space(body, len(_BOM) if body.startswith(_BOM) else 0)
    return Span(start, _value_end(body, start))


def members(body: bytes, span: Span) -> Iterator[Member]:
    """The members of the object at `span`, in order, duplicates included."""
    position = span.start + 1
    while match := _KEY.match(body, position):
        start = match.end()
        value = Span(start, _value_end(body, start))
        yield Member(_decode(match[1]), Span(*match.span(1)), value)
        position = _next_start(body, value.end)


def items(body: bytes, span: Span) -> Iterator[Span]:
    """The items of the array at `span`, in order."""
    position = _skip_space(body, span.start + 1)
    while position < span.end - 1:
        item = Span(position, _value_end(body, position))
        yield item
        position = _next_start(body, item.end)


def value_span(body: bytes, path: Path) -> Span | None:
    """The span of the value at `path` in valid JSON, or None where there is none."""
    return Spans(body).span(path)


def splice(body: bytes, edits: Iterable[Edit]) -> bytes:
    """`body` with all edits applied; their offsets refer to `body`, in any order.

    Edits that insert at the same place keep their order. Raises ValueError if two overlap.
    """
    pieces: list[bytes] = []
    position = 0
    for start, end, replacement in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if start < position:
            raise ValueError(f"edits overlap at byte {start}")
        pieces += (body[position:start], replacement)
        position = end
    return b"".join((*pieces, body[position:]))


class Spans:
    """The spans of one valid JSON text by path; each container is scanned at most once."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self._located: dict[Path, Span] = {}
        self._members: dict[Path, list[Member]] = {}
        self._items: dict[Path, list[Span]] = {}

    def span(self, path: Path) -> Span | None:
        """The span of the value at `path`, or None where there is none. Any depth is fine."""
        known = len(path)
        while known and path[:known] not in self._located:
            known -= 1
        found = self._in_parent(path[:known])
        for depth in range(known + 1, len(path) + 1):
            if found is None:
                return None
            found = self._in_parent(path[:depth])
        return found

    def _in_parent(self, path: Path) -> Span | None:
        """The span at `path`, whose parent is located."""
        if path in self._located:
            return self._located[path]
        if not path:
            self._located[path] = root_span(self.body)
            return self._located[path]
        parent, last = path[:-1], path[-1]
        if isinstance(last, int):
            spans = self.items(parent)
            found = spans[last] if 0 <= last < len(spans) else None
        else:
            found = next((m.value for m in reversed(self.members(parent)) if m.key == last), None)
        if found is not None:
            self._located[path] = found
        return found

    def members(self, path: Path) -> list[Member]:
        """The members of the object at `path`; empty if there is no object."""
        if path not in self._members:
            span = self.span(path)
            is_object = span is not None and self.body[span.start] == ord("{")
            self._members[path] = list(members(self.body, span)) if span and is_object else []
        return self._members[path]

    def items(self, path: Path) -> list[Span]:
        """The items of the array at `path`; empty if there is no array."""
        if path not in self._items:
            span = self.span(path)
            is_array = span is not None and self.body[span.start] == ord("[")
            self._items[path] = list(items(self.body, span)) if span and is_array else []
        return self._items[path]


class Edits:
    """Edits of one valid JSON text, named by path; every path must exist.

    Nothing may be edited inside a value that is removed or replaced, and an object that gains
    a member keeps at least one of its own.
    """

    def __init__(self, body: bytes) -> None:
        self._spans = Spans(body)
        self._edits: list[Edit] = []
        self._removed: dict[Path, set[str | int]] = {}

    def replace(self, path: Path, text: bytes) -> None:
        """The value at `path` becomes `text`, which is JSON."""
        if path and isinstance(path[-1], str):
            spans = [m.value for m in self._spans.members(path[:-1]) if m.key == path[-1]]
        else:
            spans = [self._existing(path)]
        self._edits += (Edit(*span, text) for span in spans)

    def remove(self, path: Path) -> None:
        """The member or item at `path` goes, with exactly one comma."""
        self._removed.setdefault(path[:-1], set()).add(path[-1])

    def prepend(self, path: Path, member: bytes) -> None:
        """The object at `path` gains `member` (`"key":value`) in front."""
        start = self._existing(path).start + 1
        comma = b"," if self._spans.members(path) else b""
        self._edits.append(Edit(start, start, member + comma))

    def append(self, path: Path, member: bytes) -> None:
        """The object at `path` gains `member` at its end."""
        own = self._spans.members(path)
        if not own:
            self.prepend(path, member)
            return
        end = own[-1].value.end
        self._edits.append(Edit(end, end, b"," + member))

    def insert_after(self, path: Path, member: bytes) -> None:
        """The object that holds the member at `path` gains another right behind it."""
        end = self._existing(path).end
        self._edits.append(Edit(end, end, b"," + member))

    def insert_item(self, path: Path, index: int, text: bytes) -> None:
        """The array at `path` gains `text` (one item, or several) before the item at `index`.

        An index behind the last item appends. Where a first item is inserted, not all of the
        array's own may be removed.
        """
        own = self._spans.items(path)
        if not own:
            start = self._existing(path).start + 1
            self._edits.append(Edit(start, start, text))
        elif index == 0:
            self._edits.append(Edit(own[0].start, own[0].start, text + b","))
        else:
            end = own[min(index, len(own)) - 1].end
            self._edits.append(Edit(end, end, b"," + text))

    def rename(self, path: Path, key: str) -> None:
        """The member at `path` gets another key; its value keeps its bytes."""
        for member in self._spans.members(path[:-1]):
            if member.key == path[-1]:
                self._edits.append(Edit(*member.key_span, json.dumps(key).encode()))

    def text(self, path: Path) -> bytes:
        """The value at `path` as it stands in the text."""
        span = self._existing(path)
        return self._spans.body[span.start : span.end]

    def apply(self) -> bytes:
        """The edited text; the very same object when there is nothing to do."""
        edits = list(self._edits)
        for parent, gone in self._removed.items():
            extents = [(m.key, m.extent) for m in self._spans.members(parent)]
            edits += _removals(extents or list(enumerate(self._spans.items(parent))), gone)
        return splice(self._spans.body, edits) if edits else self._spans.body

    def _existing(self, path: Path) -> Span:
        span = self._spans.span(path)
        if span is None:
            raise KeyError(path)
        return span


def _removals(entries: Iterable[tuple[str | int, Span]], gone: set[str | int]) -> Iterator[Edit]:
    """Each entry goes with the comma before it; those before the first that stays, with theirs."""
    kept_end: int | None = None
    leading_start: int | None = None
    end = 0
    for name, extent in entries:
        if name not in gone:
            if leading_start is not None:
                yield Edit(leading_start, extent.start, b"")
                leading_start = None
            kept_end = extent.end
        elif kept_end is not None:
            yield Edit(kept_end, extent.end, b"")
            kept_end = extent.end
        elif leading_start is None:
            leading_start = extent.start
        end = extent.end
    if leading_start is not None:
        yield Edit(leading_start, end, b"")


def _value_end(body: bytes, start: int) -> int:
    first = body[start]
    if first == _QUOTE:
        return _end_of(_STRING, body, start)
    if first not in _OPENING:
        return _end_of(_SCALAR, body, start)
    depth = 1
    position = start + 1
    while depth:
        position = _end_of(_TO_BRACKET, body, position)
        depth += 1 if body[position - 1] in _OPENING else -1
    return position


def _next_start(body: bytes, end: int) -> int:
    """Where the next entry starts after the value that ends at `end`, or past the container."""
    return _end_of(_AFTER_VALUE, body, end)


def _skip_space(body: bytes, start: int) -> int:
    return _end_of(_SPACE, body, start)


def _end_of(pattern: re.Pattern[bytes], body: bytes, start: int) -> int:
    match = pattern.match(body, start)
    if match is None:
        raise ValueError(f"not JSON at byte {start}")
    return match.end()


def _decode(key: bytes) -> str:
    if b"\\" not in key:
        return key[1:-1].decode()
    decoded: str = json.loads(key)
    return decoded


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
