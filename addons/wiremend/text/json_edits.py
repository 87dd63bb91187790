"""Spans of the values in a JSON text, and edits of single values that keep all other bytes.

The scanner here does not validate: the text must have been validated before (`parse`). Values are
not re-serialised.

Duplicate keys: parsers keep the last value, and so do all look-ups here. `Edits.replace`,
`Edits.remove` and `Edits.rename` apply to every duplicate of the key, so that a parser that keeps
another value sees the same edit.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import orjson

type Path = tuple[str | int, ...]
"""Keys and list indices from the root to a value."""

_BOM = b"\xef\xbb\xbf"
_WHITE_SPACE = b" \t\n\r"
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
"""Up to and including the next bracket outside strings. Containers at most two deep are skipped
in one step."""

_OPENING = frozenset(b"[{")
_QUOTE = ord('"')


class Span(NamedTuple):
    """The bytes from `start` up to, but not including, `end`."""

    start: int
    end: int


class Member(NamedTuple):
    """One key and its value in an object."""

    key: str
    """Decoded, so an escaped key is equal to a plain one."""
    key_span: Span
    """Including the quotes."""
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
    """Return the value of a JSON text, which may begin with a byte order mark.

    Raises ValueError if the text is not JSON. Escaped lone surrogates (`"\\ud83d"`) are accepted:
    RFC 8259 allows them, and clients send them.
    """
    return parse_noting_surrogates(body)[0]


def parse_noting_surrogates(body: bytes) -> tuple[Any, bool]:
    """Do as `parse` does; also return whether the text may contain lone surrogates."""
    text = body.removeprefix(_BOM)
    try:
        return orjson.loads(text), False
    except orjson.JSONDecodeError as refused:
        # The time to compute spans grows with the square of the depth, so depth stays limited.
        if rb"\u" not in text or refused.msg.startswith("depth limit"):
            raise
    try:
        return json.loads(text.decode(), parse_constant=_refuse), True
    except RecursionError as too_deep:
        raise ValueError("nested too deeply") from too_deep


def root_span(body: bytes) -> Span:
    """Return the span of the whole value, without byte order mark and surrounding white space.

    The value is not scanned: in valid JSON, only white space follows it.
    """
    start = _skip_space(body, len(_BOM) if body.startswith(_BOM) else 0)
    return Span(start, len(body.rstrip(_WHITE_SPACE)))


def members(body: bytes, span: Span) -> Iterator[Member]:
    """Yield the members of the object at `span`, in order, duplicates included."""
    position = span.start + 1
    while match := _KEY.match(body, position):
        start = match.end()
        value = Span(start, _value_end(body, start))
        yield Member(_decode(match[1]), Span(*match.span(1)), value)
        position = _next_start(body, value.end)


def items(body: bytes, span: Span) -> Iterator[Span]:
    """Yield the items of the array at `span`, in order."""
    position = _skip_space(body, span.start + 1)
    while position < span.end - 1:
        item = Span(position, _value_end(body, position))
        yield item
        position = _next_start(body, item.end)


def value_span(body: bytes, path: Path) -> Span | None:
    """Return the span of the value at `path` in valid JSON, or None if there is no such value."""
    return Spans(body).span(path)


def splice(body: bytes, edits: Iterable[Edit]) -> bytes:
    """Return `body` with all edits applied. The edits may be in any order.

    Their offsets refer to `body`. Edits that insert at the same place keep their order. Raises
    ValueError if two edits overlap.
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
        self._by_key: dict[Path, dict[str, list[Member]]] = {}
        self._items: dict[Path, list[Span]] = {}

    def span(self, path: Path) -> Span | None:
        """Return the span of the value at `path`, at any depth; None if there is no such value."""
        depth = len(path)
        while depth and path[:depth] not in self._located:
            depth -= 1
        span = self._in_parent(path[:depth])
        for deeper in range(depth + 1, len(path) + 1):
            if span is None:
                return None
            span = self._in_parent(path[:deeper])
        return span

    def _in_parent(self, path: Path) -> Span | None:
        """Return the span at `path`. Its parent must have been located."""
        if path in self._located:
            return self._located[path]
        if not path:
            self._located[path] = root_span(self.body)
            return self._located[path]
        parent, last = path[:-1], path[-1]
        if isinstance(last, int):
            spans = self.items(parent)
            span = spans[last] if 0 <= last < len(spans) else None
        else:
            named = self.named(parent, last)
            span = named[-1].value if named else None
        if span is not None:
            self._located[path] = span
        return span

    def members(self, path: Path) -> list[Member]:
        """Return the members of the object at `path`; empty if there is no object there."""
        if path not in self._members:
            span = self.span(path)
            is_object = span is not None and self.body[span.start] == ord("{")
            self._members[path] = list(members(self.body, span)) if span and is_object else []
        return self._members[path]

    def named(self, path: Path, key: str) -> list[Member]:
        """Return the members with this key of the object at `path`; more than one if repeated."""
        if path not in self._by_key:
            by_key = self._by_key[path] = {}
            for member in self.members(path):
                by_key.setdefault(member.key, []).append(member)
        return self._by_key[path].get(key, [])

    def items(self, path: Path) -> list[Span]:
        """Return the items of the array at `path`; empty if there is no array there."""
        if path not in self._items:
            span = self.span(path)
            is_array = span is not None and self.body[span.start] == ord("[")
            self._items[path] = list(items(self.body, span)) if span and is_array else []
        return self._items[path]


class Edits:
    """Collects edits of one valid JSON text by path, and applies them.

    Replacing, removing or renaming a member that does not exist has no effect; every other edit of
    a path that does not exist raises KeyError. Do not edit inside a value that is also removed or
    replaced, and do not remove all members of an object that gains one.
    """

    def __init__(self, body: bytes, *, may_have_lone_surrogates: bool = True) -> None:
        self.may_have_lone_surrogates = may_have_lone_surrogates
        """False if the text is known to have none."""
        self._spans = Spans(body)
        self._edits: list[Edit] = []
        self._removed: dict[Path, set[str | int]] = {}
        self._computed: dict[object, Any] = {}

    @property
    def body(self) -> bytes:
        """The text before the edits."""
        return self._spans.body

    @property
    def is_empty(self) -> bool:
        """Whether there is no edit."""
        return not self._edits and not self._removed

    def once[Document, T](self, compute: Callable[[Document], T], document: Document) -> T:
        """Return `compute(document)` for the parsed text, from the first call with this function.

        The result must not be changed.
        """
        if compute not in self._computed:
            self._computed[compute] = compute(document)
        computed: T = self._computed[compute]
        return computed

    def splice(self, start: int, end: int, text: bytes) -> None:
        """Replace the bytes from `start` to `end` of the text. It must stay valid JSON."""
        self._edits.append(Edit(start, end, text))

    def replace(self, path: Path, text: bytes) -> None:
        """Replace the value at `path` by `text`, which is JSON. Raises KeyError for an item."""
        if path and isinstance(path[-1], str):
            spans = [member.value for member in self._spans.named(path[:-1], path[-1])]
        else:
            spans = [self._existing(path)]
        self._edits += (Edit(*span, text) for span in spans)

    def remove(self, path: Path) -> None:
        """Remove the member or item at `path`, with exactly one comma."""
        self._removed.setdefault(path[:-1], set()).add(path[-1])

    def prepend(self, path: Path, member: bytes) -> None:
        """Insert `member` (`"key":value`) as the first one of the object at `path`.

        Raises KeyError.
        """
        start = self._existing(path).start + 1
        comma = b"," if self._spans.members(path) else b""
        self._edits.append(Edit(start, start, member + comma))

    def append(self, path: Path, member: bytes) -> None:
        """Insert `member` (`"key":value`) as the last one of the object at `path`.

        Raises KeyError.
        """
        existing = self._spans.members(path)
        if not existing:
            self.prepend(path, member)
            return
        end = existing[-1].value.end
        self._edits.append(Edit(end, end, b"," + member))

    def insert_after(self, path: Path, member: bytes) -> None:
        """Insert `member` (`"key":value`) after the member at `path`, in the same object.

        Raises KeyError.
        """
        end = self._existing(path).end
        self._edits.append(Edit(end, end, b"," + member))

    def insert_item(self, path: Path, index: int, text: bytes) -> None:
        """Insert `text`, one or more items of JSON, before item `index` of the array at `path`.

        An index past the last item appends. Do not insert at index 0 of an array whose items are
        all removed. Raises KeyError.
        """
        existing = self._spans.items(path)
        if not existing:
            start = self._existing(path).start + 1
            self._edits.append(Edit(start, start, text))
        elif index == 0:
            self._edits.append(Edit(existing[0].start, existing[0].start, text + b","))
        else:
            end = existing[min(index, len(existing)) - 1].end
            self._edits.append(Edit(end, end, b"," + text))

    def rename(self, path: Path, key: str) -> None:
        """Replace the key of the member at `path`; its value keeps its bytes."""
        old = path[-1]
        for member in self._spans.named(path[:-1], old) if isinstance(old, str) else ():
            self._edits.append(Edit(*member.key_span, json.dumps(key).encode()))

    def text(self, path: Path) -> bytes:
        """Return the bytes of the value at `path`. Raises KeyError."""
        span = self._existing(path)
        return self._spans.body[span.start : span.end]

    def apply(self) -> bytes:
        """Return the edited text; the same bytes object if there are no edits."""
        edits = list(self._edits)
        for parent, removed in self._removed.items():
            extents = [(m.key, m.extent) for m in self._spans.members(parent)]
            edits += _removals(extents or list(enumerate(self._spans.items(parent))), removed)
        return splice(self._spans.body, edits) if edits else self._spans.body

    def _existing(self, path: Path) -> Span:
        span = self._spans.span(path)
        if span is None:
            raise KeyError(path)
        return span


def _removals(entries: Iterable[tuple[str | int, Span]], removed: set[str | int]) -> Iterator[Edit]:
    """Yield the edits that remove these entries of one container.

    An entry is removed with the comma before it. Entries before the first one that is kept are
    removed with the comma after them.
    """
    kept_end: int | None = None
    leading_start: int | None = None
    end = 0
    for name, extent in entries:
        if name not in removed:
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
        end = body.find(_QUOTE, start + 1) + 1
        # Strings of megabytes are common, and rarely contain an escape.
        return end if body.find(b"\\", start, end) < 0 else _end_of(_STRING, body, start)
    if first not in _OPENING:
        return _end_of(_SCALAR, body, start)
    depth = 1
    position = start + 1
    while depth:
        position = _end_of(_TO_BRACKET, body, position)
        depth += 1 if body[position - 1] in _OPENING else -1
    return position


def _next_start(body: bytes, end: int) -> int:
    """Return the start of the entry after the value that ends at `end`.

    After the last entry, return a position past the container's closing bracket.
    """
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
