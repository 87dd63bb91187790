"""Deltas that differ from an earlier one only in their text, recognised by their bytes.

Most events of a long answer are such deltas. Parsing each of them costs more than everything else
that is done with a stream. `RepeatedDelta` recognises valid ones without parsing; whatever it does
not recognise is parsed.
"""

from collections.abc import Callable

import orjson

from wiremend.protocols.base.repairer import Repeatable, Run
from wiremend.text import json_value

_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')
"""ASCII characters that stand for themselves in a string of JSON (RFC 8259, 7)."""
_ESCAPES = (b"\\\\", b'\\"', b"\\n", b"\\t", b"\\r", b"\\/")
"""The escape sequences that are recognised. The first one is removed first: its second backslash
begins no other sequence."""
_EVENT_ENDS = (b"\n\n", b"\r\n\r\n")
"""Blank lines after which no byte of the same event can follow."""
_ATTEMPTS = 16
"""Deltas in a row that nothing repeated, after which no repetition is expected any more."""


class RepeatedDelta:
    """Recognises events that equal a delta in all bytes but those of its text."""

    def __init__(
        self,
        before: bytes,
        after: bytes,
        keep: Callable[[str], object] | None = None,
        *,
        reads_tags: bool,
    ) -> None:
        self._before = before
        self._after = after
        self.keep = keep
        """Takes the texts of repetitions, joined; None if nobody keeps them."""
        self._plain = _PLAIN.replace(b"<", b"") if reads_tags else _PLAIN

    @classmethod
    def of(cls, raw: bytes, delta: Repeatable, *, reads_tags: bool) -> "RepeatedDelta | None":
        """Return what recognises repetitions of this event; None if its text is not found.

        `reads_tags`: text with `<` is not recognised.
        """
        try:
            written = orjson.dumps(delta.text)
        except TypeError:  # half of a surrogate pair
            return None
        string = b'"' + delta.key.encode() + b'":' + written
        spaced = string.replace(b":", b": ", 1)
        found = [form for form in (string, spaced) if raw.count(form) == 1]
        if len(found) != 1 or not raw.endswith(_EVENT_ENDS):
            return None
        before, form, after = raw.partition(found[0])
        opening = form[: len(form) - len(written) + 1]
        return cls(before + opening, b'"' + after, delta.keep, reads_tags=reads_tags)

    def matches(self, raw: bytes) -> bool:
        """Return whether an event that was parsed has the same bytes around its text."""
        size = len(self._before) + len(self._after)
        fits = raw.startswith(self._before) and raw.endswith(self._after)
        return len(raw) > size and fits

    def run(self, data: bytes, at: int) -> tuple[int, Run]:
        """Return the end of the repetitions that begin at `at` in `data`, and their texts."""
        before, after = self._before, self._after
        texts: list[bytes] = []
        while data.startswith(before, at):
            start = at + len(before)
            end = data.find(after, start)
            if end <= start or not self._is_text(text := data[start:end]):
                break
            at = end + len(after)
            texts.append(text)
        return at, Run(before, after, texts)

    def _is_text(self, text: bytes) -> bool:
        """Return whether bytes are the inside of a string of JSON, in one of its usual forms."""
        rest = text.translate(None, self._plain)
        if not rest:
            return True
        if b"\\" in rest:
            for sequence in _ESCAPES:
                text = text.replace(sequence, b"")
            rest = text.translate(None, self._plain)
        try:
            return all(character > "\x7f" for character in rest.decode())
        except UnicodeDecodeError:
            return False


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
        elif self.delta is None or not self.delta.matches(raw):
            self.delta = None
            if self._is_on and self._attempts_left:
                self._attempts_left -= 1
                self.delta = RepeatedDelta.of(raw, delta, reads_tags=self._reads_tags)

    def keep(self, run: Run) -> None:
        """Take a run of repetitions."""
        self._attempts_left = _ATTEMPTS
        if self.delta is not None and self.delta.keep is not None:
            self.delta.keep(json_value.read(b'"%b"' % b"".join(run.texts)))

    def stop(self) -> None:
        """Expect no more repetitions."""
        self._is_on = False
        self.delta = None
