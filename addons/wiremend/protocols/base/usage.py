"""Token counts in one form for all protocols, and reading them from a response."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wiremend.text import json_value, sse
from wiremend.text.patterns import LinearPattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The tokens of one response; None where the provider did not count them."""

    input_tokens: int | None = None
    """The whole prompt, tokens from and for the provider's cache included."""
    output_tokens: int | None = None
    """Everything that was generated, reasoning included."""
    cached_tokens: int | None = None
    """The part of the prompt that was read from the provider's cache."""
    cache_write_tokens: int | None = None
    """The part of the prompt that was written to the provider's cache."""
    reasoning_tokens: int | None = None
    """The part of the output that was reasoning."""

    def merged(self, other: "Usage") -> "Usage":
        """Return the larger of each count: the counts of one response only grow."""
        return Usage(
            input_tokens=_larger(self.input_tokens, other.input_tokens),
            output_tokens=_larger(self.output_tokens, other.output_tokens),
            cached_tokens=_larger(self.cached_tokens, other.cached_tokens),
            cache_write_tokens=_larger(self.cache_write_tokens, other.cache_write_tokens),
            reasoning_tokens=_larger(self.reasoning_tokens, other.reasoning_tokens),
        )


NO_USAGE = Usage()
BYTES_PER_TOKEN = 4
"""The usual approximation for English and code; no tokenizer is used."""
NAME_OF_COUNTS = b"usage"
"""Part of what the pattern of each `UsageFormat` finds."""


@dataclass(frozen=True, slots=True)
class UsageFormat:
    """How a protocol writes token counts."""

    pattern: LinearPattern[bytes]
    """What an event or a body contains if it has counts. Text that contains the same is escaped in
    JSON, so it is not found."""
    read: Callable[[Mapping[str, Any]], Usage]
    """The counts of a parsed event or body; `NO_USAGE` if it has none."""


type _Source = tuple[bytes, Mapping[str, Any] | None]
"""Events or a body, and the parsed data of one event if it is kept."""
_KEPT_BYTES = 4096
"""The size of an event whose parsed data is kept; that of a longer one is parsed again."""


class UsageMeter:
    """Finds the token counts in the bytes of one response.

    Nothing is parsed until the counts are asked for. Counts are at the start of a response or at
    its end, so the first and the last bytes with counts are kept.
    """

    def __init__(self, form: UsageFormat) -> None:
        self._form = form
        self._search = form.pattern.search
        self._first: _Source = b"", None
        self._last: _Source = b"", None
        self._usage: Usage | None = None
        self._is_read = True

    def feed(self, data: bytes, value: Any = None) -> None:
        """Take whole events of a stream, or a whole body, without a content coding.

        `value` is the parsed data of one event; None if that is not known.
        """
        if self._search(data) is not None:
            is_kept = len(data) <= _KEPT_BYTES and isinstance(value, dict)
            self._last = data, value if is_kept else None
            if not self._first[0]:
                self._first = self._last
            self._is_read = False

    @property
    def usage(self) -> Usage | None:
        """The counts so far; None if there were none."""
        if not self._is_read:
            self._is_read = True
            self._usage = self._read()
        return self._usage

    def _read(self) -> Usage | None:
        usage: Usage | None = None
        sources = [self._first] if self._first[0] is self._last[0] else [self._first, self._last]
        for data, parsed in sources:
            for value in self._objects(data) if parsed is None else (parsed,):
                found = self._form.read(value)
                usage = found if usage is None else usage.merged(found)
        return None if usage == NO_USAGE else usage

    def _objects(self, data: bytes) -> Iterator[Mapping[str, Any]]:
        """The JSON objects with counts: a body, an element of an array, or data of events."""
        body = data.strip(b" \t\r\n,[]")
        texts = [body] if body.startswith(b"{") else [event.data for event in _events(data)]
        for text in texts:
            if text is None or self._search(text) is None:
                continue
            try:
                value = json_value.read(text)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value


def count_in(counts: object, *path: str) -> int | None:
    """Return the count at this path of nested objects; None if there is none."""
    value = counts
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if value is None:
        return None
    if type(value) is int:
        return value if 0 <= value < 2**63 else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if json_value.is_integer(value) and 0 <= value < 2**63 else None


def total(*counts: int | None) -> int | None:
    """Return the sum of the counts that are not None; None if all are."""
    given = [count for count in counts if count is not None]
    return sum(given) if given else None


def _events(data: bytes) -> list[sse.Event]:
    """Return events, with all those that have counts; others are decoded if it is not plain."""
    if b"\r" not in data and _BYTE_ORDER_MARK not in data:  # else events end in other ways, too
        end = b"\n\n"
        data = end.join([event for event in data.split(end) if NAME_OF_COUNTS in event]) + end
    decoder = sse.Decoder()
    return [*decoder.feed(data), *decoder.end()]


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def _larger(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return second if first is None else first
    return max(first, second)
