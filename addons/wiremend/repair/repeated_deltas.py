"""Deltas that differ from an earlier one only in a few values, recognised by their bytes.

Most events of a long answer are such deltas: their text differs, and their number, the counts of
tokens, or a padding. Parsing each of them costs more than everything else that is done with a
stream. `RepeatedDelta` recognises valid ones without parsing; whatever it does not recognise is
parsed.
"""

from enum import Enum, auto

import orjson

from wiremend.protocols.base.repairer import Repeatable, Run
from wiremend.text.patterns import linear_pattern

_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
"""ASCII characters that stand for themselves in a string of JSON (RFC 8259, 7)."""
_WITHOUT_TAGS = _PLAIN.replace(b"<", b"")
_ESCAPES = (b'\\"', b"\\n", b"\\t", b"\\r", b"\\/")
"""The escape sequences that are recognised, besides an escaped backslash and `_UNICODE`."""
_UNICODE = linear_pattern(rb"\\u(?!00[0-7]|0085|202[89]|[Dd][89A-Fa-f])[0-9A-Fa-f]{4}")
"""An escaped character, but no ASCII character, no half of a pair, and none of `_LINE_ENDS`."""
_LINE_ENDS = frozenset("\x85\u2028\u2029")
"""Characters at which some clients end a line, although JSON does not; rules look at them."""
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n")
"""Blank lines after which no byte of the same event can follow."""
_LONGEST_COUNT = 15
"""Digits of a number that is recognised."""
_ATTEMPTS = 16
"""Deltas in a row that nothing repeated, after which no repetition is expected any more."""


class _Kind(Enum):
    """What may differ at one place of a delta."""

    TEXT = auto()
    NUMBER = auto()
    """The number after that of the delta before it."""
    COUNT = auto()
    """Any number."""
    PADDING = auto()
    """A string without a meaning."""
    SPACES = auto()


class RepeatedDelta:
    """Recognises events that equal a delta in all bytes but those at certain places."""

    def __init__(
        self, literals: list[bytes], kinds: list[_Kind], delta: Repeatable, *, reads_tags: bool
    ) -> None:
        self._literals = literals
        """The bytes before, between and behind the places."""
        self._has_text_only = len(kinds) == 1
        self._slots = (
            ()
            if self._has_text_only
            else tuple(zip(literals[:-1], kinds, literals[1:], strict=True))
        )
        self._plain = _WITHOUT_TAGS if reads_tags else _PLAIN
        self._text = b""
        self._next_number = delta.number[1] + 1 if delta.number is not None else 0
        self.keep = delta.keep
        """Takes a run of repetitions; None if they are not kept."""

    @classmethod
    def of(cls, raw: bytes, delta: Repeatable, *, reads_tags: bool) -> "RepeatedDelta | None":
        """Return what recognises repetitions of this event; None if its text is not found.

        `reads_tags`: text with `<` is not recognised.
        """
        try:
            written = orjson.dumps(delta.text)
        except TypeError:  # half of a surrogate pair
            return None
        text = _place_of(raw, delta.key, written)
        if text is None or not raw.endswith(_EVENT_ENDS):
            return None
        places = [(text[0] + 1, text[1] - 1, _Kind.TEXT)]
        if delta.number is not None:
            number = _place_of(raw, delta.number[0], b"%d" % delta.number[1])
            if number is None:
                return None
            places.append((*number, _Kind.NUMBER))
        for key, count in delta.counts:
            if (found := _place_of(raw, key, b"%d" % count)) is not None:
                places.append((*found, _Kind.COUNT))
        for key, padding in delta.padding:
            if (
                found := _place_of(raw, key, b'"%b"' % padding.encode("utf-8", "surrogatepass"))
            ) is not None:
                places.append((found[0] + 1, found[1] - 1, _Kind.PADDING))
        end = raw.rfind(b"}")
        if raw.startswith(b" ", end - 1):
            places.append((len(raw[:end].rstrip(b" ")), end, _Kind.SPACES))
        places.sort(key=_start_of_place)
        literals, at = [], 0
        for start, end, _ in places:
            literals.append(raw[at:start])
            at = end
        literals.append(raw[at:])
        if delta.keep is not None and any(b"\\" in literal for literal in literals):
            return None  # an escaped name of a member could be that of the text
        return cls(literals, [kind for _, _, kind in places], delta, reads_tags=reads_tags)

    def matches(self, raw: bytes, delta: Repeatable) -> bool:
        """Return whether an event that was parsed differs from the delta only at its places.

        Then its repetitions are recognised as well.
        """
        if self._has_text_only:
            before, after = self._literals
            fits = raw.startswith(before) and raw.endswith(after)
            return len(raw) > len(before) + len(after) and fits
        if delta.number is not None:
            self._next_number = delta.number[1]
        if self._end_of(raw, 0, is_parsed=True) != len(raw):
            return False
        self._next_number += 1
        return True

    def run(self, data: bytes, at: int) -> tuple[int, Run]:
        """Return the end of the repetitions that begin at `at` in `data`, and their texts."""
        texts: list[bytes] = []
        before, after = self._literals[0], self._literals[-1]
        if self._has_text_only:
            while data.startswith(before, at):
                start = at + len(before)
                end = data.find(after, start)
                if end <= start or not self._is_text(text := data[start:end]):
                    break
                at = end + len(after)
                texts.append(text)
            return at, Run(before, after, texts)
        while (end := self._end_of(data, at)) >= 0:
            texts.append(self._text)
            self._next_number += 1
            at = end
        return at, Run(before, after, texts, is_alike=False)

    def _end_of(self, data: bytes, at: int, *, is_parsed: bool = False) -> int:
        """Return the end of the repetition at `at`, whose text is then in `_text`; -1 without one.

        `is_parsed`: the text was parsed and is not looked at.
        """
        for before, kind, after in self._slots:
            if not data.startswith(before, at):
                return -1
            at += len(before)
            if kind is _Kind.NUMBER:
                number = b"%d" % self._next_number
                if not data.startswith(number, at):
                    return -1
                at += len(number)
                continue
            end = data.find(after, at)
            value = data[at:end] if end >= 0 else b""
            if kind is _Kind.TEXT:
                self._text = value
                if not is_parsed and not (value and self._is_text(value)):
                    return -1
            elif kind is _Kind.COUNT:
                if not _is_count(value):
                    return -1
            elif value.translate(None, _PLAIN if kind is _Kind.PADDING else b" "):
                return -1
            at = end
        last = self._literals[-1]
        return at + len(last) if at >= 0 and data.startswith(last, at) else -1

    def _is_text(self, text: bytes) -> bool:
        """Return whether bytes are the inside of a string of JSON, in one of its usual forms."""
        rest = text.translate(None, self._plain)
        if not rest:
            return True
        if b"\\" in rest:
            text = text.replace(b"\\\\", b"x")  # first: its second backslash begins no sequence
            if b"\\u" in text:
                text = _UNICODE.sub(b"", text)
            for sequence in _ESCAPES:
                text = text.replace(sequence, b"")
            rest = text.translate(None, self._plain)
        try:
            others = rest.decode()
        except UnicodeDecodeError:
            return False
        return all(character > "\x7f" for character in others) and _LINE_ENDS.isdisjoint(others)


class Repetitions:
    """What may follow the last event of a stream: repetitions of it, if it is a delta."""

    def __init__(self, *, is_on: bool, reads_tags: bool) -> None:
        self.delta: RepeatedDelta | None = None
        """What recognises repetitions of the last event; None if none are expected."""
        self._is_on = is_on
        self._reads_tags = reads_tags
        self._attempts_left = _ATTEMPTS

    def expect(self, raw: bytes, delta: Repeatable | None) -> None:
        """Expect repetitions of the event that was parsed last; none if `delta` is None."""
        if delta is None or not delta.text:
            self.delta = None
        elif self.delta is None or not self.delta.matches(raw, delta):
            self.delta = None
            if self._is_on and self._attempts_left:
                self._attempts_left -= 1
                self.delta = RepeatedDelta.of(raw, delta, reads_tags=self._reads_tags)

    def keep(self, run: Run) -> None:
        """Take a run of repetitions."""
        self._attempts_left = _ATTEMPTS
        if self.delta is not None and self.delta.keep is not None:
            self.delta.keep(run)

    def stop(self) -> None:
        """Expect no more repetitions."""
        self._is_on = False
        self.delta = None


def _start_of_place(place: tuple[int, int, _Kind]) -> int:
    return place[0]


def _place_of(raw: bytes, key: str, written: bytes) -> tuple[int, int] | None:
    """Return where this value of the only member with this name is; None if it is not certain."""
    name = b'"%b":' % key.encode()
    at = raw.find(name)
    if at < 0 or raw.find(name, at + 1) >= 0:
        return None
    at += len(name)
    at += raw.startswith(b" ", at)
    end = at + len(written)
    is_there = raw.startswith(written, at) and raw[end : end + 1] in (b",", b"}", b" ")
    return (at, end) if is_there else None


def _is_count(digits: bytes) -> bool:
    """Return whether bytes are a number of JSON, without sign, fraction and exponent."""
    if not digits.isdigit() or len(digits) > _LONGEST_COUNT:
        return False
    return len(digits) == 1 or digits[:1] != b"0"
