"""Restoring the client's names of renamed tools in responses.

The names that were sent end in a hash (`wiremend.protocols.base.name_limits`). An event that
does not contain one of them is not parsed and keeps its bytes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.repairer import Decoder, Repaired, Repairer, Repeatable
from wiremend.text import json_array, json_value, sse
from wiremend.text.json_edits import Edits, Path, parse
from wiremend.text.patterns import linear_pattern

_OPAQUE = frozenset(
    {
        "input",
        "args",
        "arguments",
        "parameters",
        "input_schema",
        "properties",
        "parametersJsonSchema",
    }
)
"""Members with arguments or schemas of tools; a `name` inside them is not a tool name."""


def restore_tool_names(data: bytes, names_by_sent: Mapping[str, str]) -> bytes:
    """Return the JSON text with the client's tool names; the same object if nothing changes."""
    if not _mentions(data, names_by_sent):
        return data
    try:
        value = parse(data)
    except ValueError:
        return data
    edits = Edits(data)
    for path, name in _names(value):
        if name in names_by_sent:
            edits.replace(path, json_value.write(names_by_sent[name]))
    return edits.apply()


# A string that is not closed ends with the text, or each quote in it would be tried up to there.
_STRING = linear_pattern(rb'"([^"\\]*+(?:\\[\s\S][^"\\]*+)*+)\\?+(?:"|\Z)')


def _mentions(data: bytes, names: Mapping[str, str]) -> bool:
    """Return whether a string of the JSON text is one of these names.

    The time does not depend on the number of names.
    """
    strings = _STRING.finditer(data)
    return any(string[1].decode("utf-8", "replace") in names for string in strings)


class ToolNameRestorer:
    """Wraps a repairer; restores the client's tool names in each event before it."""

    def __init__(
        self, repairer: Repairer, names_by_sent: Mapping[str, str], *, is_array: bool = False
    ) -> None:
        self._repairer = repairer
        self._names_by_sent = names_by_sent
        self._is_array = is_array

    def decoder(self) -> Decoder:
        """Create a decoder for the framing of the stream."""
        return self._repairer.decoder()

    @property
    def complete(self) -> bool:
        """Whether the response is complete, except perhaps for the terminal event."""
        return self._repairer.complete

    @property
    def may_break_off(self) -> bool:
        """Whether the response may be complete if the connection breaks here."""
        return self._repairer.may_break_off

    @property
    def holds_back(self) -> bool:
        """Whether bytes are held back until the next event."""
        return self._repairer.holds_back

    def feed(self, event: sse.Event) -> Repaired:
        """Repair a complete event. Never raises."""
        return self._repairer.feed(self._restored(event))

    @property
    def delta(self) -> Repeatable | None:
        """The delta that was fed last, if it may be repeated."""
        return self._repairer.delta

    def skip(self, events: int) -> None:
        """Count deltas that are not fed."""
        self._repairer.skip(events)

    def release(self) -> Repaired:
        """Write what is held back although no further event came."""
        return self._repairer.release()

    def note_fragment(self, fragment: bytes) -> None:
        """Take the bytes of an event that the end of the stream cut."""
        self._repairer.note_fragment(fragment)

    def end(self) -> Repaired:
        """End the stream after upstream closed: TERMINAL, or ERROR if it is incomplete."""
        return self._repairer.end()

    def fail(self, error: ProviderError) -> bytes:
        """Return the bytes that end the stream in this error."""
        return self._repairer.fail(error)

    def _restored(self, event: sse.Event) -> sse.Event:
        if event.data is None:
            return event
        data = restore_tool_names(event.data, self._names_by_sent)
        if data is event.data:
            return event
        write = json_array.with_data if self._is_array else sse.with_data
        return sse.Event(write(event, data), event.type, data, event.complete)


def _names(value: Any) -> Iterator[tuple[Path, str]]:
    """Yield every `name` outside arguments and schemas. Iterative: values may nest deeply."""
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, list):
            waiting += (((*path, index), item) for index, item in enumerate(value))
        elif isinstance(value, dict):
            for key, item in value.items():
                if key == "name" and isinstance(item, str):
                    yield (*path, key), item
                elif key not in _OPAQUE:
                    waiting.append(((*path, key), item))
