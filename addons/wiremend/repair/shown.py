"""What the bytes of a response show to the user or the agent."""

from collections.abc import Iterator, Mapping
from typing import Any

from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import Shows
from wiremend.text import json_value, sse


def shown_by(protocol: Protocol, data: bytes, value: Any = None) -> Shows:
    """Return what a body, an element of an array, or whole events show.

    `value` is the parsed data of one event; None if that is not known.
    """
    if isinstance(value, dict):
        return protocol.shows(value)
    return max(map(protocol.shows, _objects_in(data)), default=Shows.NOTHING)


def _objects_in(data: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in the bytes of a body, an element of an array, or whole events."""
    body = data.strip(b" \t\r\n,[]")
    texts: list[bytes | None] = [body]
    if not body.startswith(b"{"):
        decoder = sse.Decoder()
        texts = [event.data for event in [*decoder.feed(data), *decoder.end()]]
    for text in texts:
        if text is None or not text.lstrip().startswith(b"{"):
            continue
        try:
            value = json_value.read(text)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value
