"""Tools that went under another name, called by the client's name again in the answer.

The names that targets got end in a hash (`wiremend.protocols.base.name_limits`), so an
event that does not hold one of them is not even parsed, and keeps its bytes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.repairer import Decoder, Repaired, Repairer
from wiremend.text import json_array, json_value, sse
from wiremend.text.json_edits import Edits, Path, parse

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
"""What a call is given, and what a tool takes, is the tool's own, whatever it is called."""


def restore_tool_names(data: bytes, names_by_sent: Mapping[str, str]) -> bytes:
    """The JSON text with each `name` that was changed as the client knows it; else the same."""
    if not any(name.encode() in data for name in names_by_sent):
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


class ToolNameRestorer:
    """A repairer before which every event gets the client's names back."""

    def __init__(
        self, repairer: Repairer, names_by_sent: Mapping[str, str], *, is_array: bool = False
    ) -> None:
        self._repairer = repairer
        self._names_by_sent = names_by_sent
        self._is_array = is_array

    def decoder(self) -> Decoder:
        """A fresh decoder for the stream's framing."""
        return self._repairer.decoder()

    @property
    def complete(self) -> bool:
        """The answer is whole: its stop reason came, and only the stream's end may be missing."""
        return self._repairer.complete

    def feed(self, event: sse.Event) -> Repaired:
        """What a complete event becomes. Never raises on any event."""
        return self._repairer.feed(self._restored(event))

    def end(self) -> Repaired:
        """Upstream closed after a whole event: TERMINAL with what was missing, or ERROR."""
        return self._repairer.end()

    def fail(self, error: ProviderError) -> bytes:
        """The bytes that end the stream in this error, given what was fed."""
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
    """Every `name` outside what is a tool's own. No recursion: an answer may nest deeply."""
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
