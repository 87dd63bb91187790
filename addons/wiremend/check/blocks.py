"""Which block of a response an event belongs to, so that findings can be aggregated."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.rules.rule import BodyPlace, EventPlace, Place
from wiremend.text import json_value, sse
from wiremend.text.body_form import BodyForm, form_of
from wiremend.text.json_array import ArrayDecoder
from wiremend.text.json_value import dicts_in

_FORM_BYTES = 256


@dataclass(frozen=True, slots=True)
class Blocks:
    """The names of blocks, by the numbers of their events."""

    by_event: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    before_event: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    """The last block before an event that is in none."""

    def of(self, place: Place) -> str:
        """Return the block of a place, such as `block 2` or `tools`; empty without one."""
        match place:
            case EventPlace(number):
                return self.by_event.get(number, "")
            case BodyPlace(path) if path:
                return _part_of_body(path)
            case _:
                return ""

    def before(self, place: Place) -> str:
        """Return the last block before an event that is in none; empty without one.

        The last event of a block is repaired when the next event arrives.
        """
        return self.before_event.get(place.number, "") if isinstance(place, EventPlace) else ""


def _part_of_body(path: tuple[int | str, ...]) -> str:
    """Return the list or field of the body: `tools` for a path in any of the tools."""
    return str(path[0])


def blocks_of(protocol: WireProtocol, body: bytes, numbers: Set[int]) -> Blocks:
    """Return the blocks of the events with these numbers in a decoded stream."""
    is_array = form_of(body[:_FORM_BYTES]) is BodyForm.ARRAY
    decoder = ArrayDecoder() if is_array else sse.Decoder()
    last, number, is_inside = max(numbers, default=0), 0, False
    found, before, previous = dict[int, str](), dict[int, str](), ""
    for event in (*decoder.feed(body), *decoder.end()):
        if not is_inside:
            number += 1
        is_inside = event.is_part and not event.complete
        if number > last:
            break
        # Few events are parsed: those with findings, and those before them.
        is_wanted = number in numbers or number + 1 in numbers
        name = _block_in(protocol, event.data) if event.data and is_wanted else ""
        if number in numbers:
            (found if name else before)[number] = name or previous
        previous = name
    return Blocks(found, before)


def _block_in(protocol: WireProtocol, data: bytes) -> str:
    try:
        value = json_value.read(data)
    except ValueError:
        return ""
    if not isinstance(value, dict):
        return ""
    match protocol:
        case WireProtocol.ANTHROPIC_MESSAGES:
            return _numbered("block", value.get("index"))
        case WireProtocol.RESPONSES:
            return _numbered("item", value.get("output_index"))
        case WireProtocol.CHAT_COMPLETIONS:
            return _of_chunk(value)
        case WireProtocol.GEMINI:
            candidates = dicts_in((_object(value.get("response")) or value).get("candidates"))
            return _numbered("candidate", candidates[0].get("index", 0)) if candidates else ""


def _of_chunk(value: Mapping[str, Any]) -> str:
    choices = dicts_in(value.get("choices"))
    if not choices:
        return ""
    name = _numbered("choice", choices[0].get("index", 0))
    calls = dicts_in(_object(choices[0].get("delta")).get("tool_calls"))
    return " ".join(filter(None, [name, _numbered("call", calls[0].get("index")) if calls else ""]))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _numbered(name: str, index: Any) -> str:
    return f"{name} {index}" if json_value.is_integer(index) else ""
