"""Replaces folders in recorded tool calls, so that they name those of the replay.

Arguments arrive in pieces, so a folder may begin in one event and end in the next. Only the
arguments of tools are changed; events without a change keep their bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wiremend.recording.path_maps import PathMaps
from wiremend.recording.recorded_calls import DECODED_LIMIT_BYTES, RecordedAnswer
from wiremend.text import json_array, json_value, sse
from wiremend.text.body_form import BodyForm, form_of
from wiremend.text.content_coding import UndecodableBody, decode_whole

_ARGUMENT_DELTAS = ("function_call_arguments.delta", "custom_tool_call_input.delta")
"""Ends of the types of Responses events whose `delta` is a piece of arguments."""
_ARGUMENTS = ("input", "arguments", "args", "action")
"""Members that contain complete arguments."""
_DEPTH_LIMIT = 100

type Slot = tuple[Any, str | int]
"""An object or list, and the name or index of a piece of arguments in it."""


@dataclass(slots=True)
class _Element:
    """An event, or the whole body."""

    raw: bytes
    value: Any
    write: Callable[[bytes], bytes]
    """Returns the bytes of the element with other data."""
    is_changed: bool = False

    def new(self) -> bytes:
        return self.write(json_value.write(self.value)) if self.is_changed else self.raw


def mapped_answer(answer: RecordedAnswer, maps: PathMaps) -> RecordedAnswer:
    """Return an answer with the folders of `maps` replaced in the arguments of tool calls."""
    if not maps or not answer.body:
        return answer
    body, headers, chunks = answer.body, answer.headers, answer.chunks
    if answer.coding:
        try:
            body = decode_whole(answer.coding, body, DECODED_LIMIT_BYTES)
        except UndecodableBody:
            return answer
        headers = tuple(field for field in headers if field[0].lower() != "content-encoding")
        chunks = ()
    elements = list(_elements(body))
    _replace(elements, maps)
    if not any(element.is_changed for element in elements):
        return answer
    parts = [element.new() for element in elements]
    moved = _moved(chunks, [len(element.raw) for element in elements], [len(p) for p in parts])
    return replace(answer, headers=headers, body=b"".join(parts), chunks=moved)


def _elements(body: bytes) -> Iterator[_Element]:
    form = form_of(body)
    if form is BodyForm.EVENTS:
        decoder = sse.Decoder()
        for event in (*decoder.feed(body), *decoder.end()):
            yield _Element(event.raw, _parsed(event.data), _event_writer(event))
    elif form is BodyForm.ARRAY:
        array = json_array.ArrayDecoder()
        for event in (*array.feed(body), *array.end()):
            yield _Element(event.raw, _parsed(event.data), _item_writer(event))
    else:
        yield _Element(body, _parsed(body), lambda data: data)


def _event_writer(event: sse.Event) -> Callable[[bytes], bytes]:
    return lambda data: sse.with_data(event, data)


def _item_writer(event: sse.Event) -> Callable[[bytes], bytes]:
    return lambda data: json_array.with_data(event, data)


def _parsed(data: bytes | None) -> Any:
    try:
        return json_value.read(data) if data else None
    except ValueError:
        return None


def _replace(elements: Sequence[_Element], maps: PathMaps) -> None:
    """Replace folders in the arguments of all tool calls."""
    pieces: dict[object, list[tuple[_Element, Slot]]] = {}
    for number, element in enumerate(elements):
        for key, slot in _slots(element.value, number):
            pieces.setdefault(key, []).append((element, slot))
    for slots in pieces.values():
        old = [holder[name] for _, (holder, name) in slots]
        for (element, (holder, name)), before, after in zip(
            slots, old, maps.fragments(old), strict=True
        ):
            if before != after:
                holder[name] = after
                element.is_changed = True


def _slots(value: Any, number: int) -> Iterator[tuple[object, Slot]]:
    """Yield the pieces of arguments in an element; those of one call have the same key."""
    if not isinstance(value, dict):
        return
    kind = value.get("type")
    if isinstance(kind, str) and kind.endswith(_ARGUMENT_DELTAS):  # Responses
        if isinstance(value.get("delta"), str):
            yield ("delta", value.get("output_index"), value.get("item_id")), (value, "delta")
        return
    delta = value.get("delta")
    if isinstance(delta, dict) and isinstance(delta.get("partial_json"), str):  # Messages
        yield ("partial_json", value.get("index")), (delta, "partial_json")
        return
    for choice in json_value.dicts_in(value.get("choices")):  # Chat Completions
        streamed = choice.get("delta")
        calls = streamed.get("tool_calls") if isinstance(streamed, dict) else None
        for call in json_value.dicts_in(calls):
            function = call.get("function")
            if isinstance(function, dict) and isinstance(function.get("arguments"), str):
                key = ("arguments", choice.get("index"), call.get("index"))
                yield key, (function, "arguments")
        if calls:
            return
    yield from _whole_slots(value, number, (), is_argument=False)


def _whole_slots(
    value: Any, number: int, path: tuple[str | int, ...], *, is_argument: bool
) -> Iterator[tuple[object, Slot]]:
    """Yield every text in complete arguments: `input`, `arguments`, `args`, `action`."""
    if len(path) > _DEPTH_LIMIT:
        return
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for name, item in items:
        inside = is_argument or name in _ARGUMENTS
        if isinstance(item, str) and inside:
            yield (number, *path, name), (value, name)
        elif isinstance(item, dict | list):
            yield from _whole_slots(item, number, (*path, name), is_argument=inside)


def _moved(
    chunks: Sequence[tuple[float, int]], old: Sequence[int], new: Sequence[int]
) -> tuple[tuple[float, int], ...]:
    """Return the chunks of a body whose elements have other lengths."""
    moved = []
    at = 0
    old_start = new_start = 0
    for seconds, end in chunks:
        while at < len(old) and old_start + old[at] <= end:
            old_start += old[at]
            new_start += new[at]
            at += 1
        inside = min(end - old_start, new[at]) if at < len(new) else 0
        moved.append((seconds, new_start + inside))
    return tuple(moved)
