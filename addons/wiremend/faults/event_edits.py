"""Faults inside the events and bodies of answers, by protocol."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.text import json_value, sse
from wiremend.text.json_value import JsonObject, dicts_in

type EventEdit = Callable[[sse.Event], bytes]
"""Returns the bytes to send for an event; empty: the event is left out."""
type BodyEdit = Callable[[bytes], bytes]
"""Returns the bytes to send for a body that is JSON."""


class WrongIndex:
    """Makes each index one too high, as of a provider that counts from 1."""

    missing = "the answer has no index"

    def __init__(self, protocol: WireProtocol) -> None:
        self._places = _INDICES[protocol]

    def event(self, event: sse.Event) -> bytes:
        """Return the event with its indices changed; its own bytes if it has none."""
        value = _parsed(event)
        return sse.with_data(event, json_value.write(value)) if self._shift(value) else event.raw

    def body(self, body: bytes) -> bytes:
        """Return the body with its indices changed; its own bytes if it has none."""
        value = _read(body)
        return json_value.write(value) if self._shift(value) else body

    def _shift(self, value: Any) -> bool:
        places = [place for item in _roots(value) for place in self._places(item)]
        for holder, key in places:
            holder[key] += 1
        return bool(places)


type _Place = tuple[JsonObject, str]


def _indices_in_messages(event: JsonObject) -> Iterator[_Place]:
    if str(event.get("type", "")).startswith("content_block_"):
        yield from _with_integer(event, "index")


def _indices_in_chat(chunk: JsonObject) -> Iterator[_Place]:
    """Yield the indices of the fragments that follow the opening of a call.

    The fragments then belong to a call that was never opened (dirac PR 215).
    """
    for choice in dicts_in(chunk.get("choices")):
        delta = choice.get("delta")
        for call in dicts_in(delta.get("tool_calls")) if isinstance(delta, dict) else []:
            if not call.get("id"):
                yield from _with_integer(call, "index")


def _indices_in_responses(event: JsonObject) -> Iterator[_Place]:
    yield from _with_integer(event, "output_index")


def _indices_in_gemini(response: JsonObject) -> Iterator[_Place]:
    for candidate in dicts_in(response.get("candidates")):
        yield from _with_integer(candidate, "index")


def _with_integer(holder: JsonObject, key: str) -> Iterator[_Place]:
    if type(holder.get(key)) is int:
        yield holder, key


_INDICES: Mapping[WireProtocol, Callable[[JsonObject], Iterator[_Place]]] = {
    WireProtocol.ANTHROPIC_MESSAGES: _indices_in_messages,
    WireProtocol.CHAT_COMPLETIONS: _indices_in_chat,
    WireProtocol.RESPONSES: _indices_in_responses,
    WireProtocol.GEMINI: _indices_in_gemini,
}


class CutToolJson:
    """Ends the arguments of the first tool call in the middle, and keeps all else."""

    missing = "the answer has no tool call with arguments"

    def __init__(self, protocol: WireProtocol) -> None:
        self._protocol = protocol
        self._call: Any = None
        """What identifies the cut call in the stream; None: there was none yet."""
        self._kept = ""
        """The arguments that were sent for it."""

    def event(self, event: sse.Event) -> bytes:
        """Return the event without the arguments behind the cut; empty if nothing is left."""
        if self._protocol is WireProtocol.GEMINI:
            return self._cut_object_in(event)
        value = _parsed(event)
        if not isinstance(value, dict):
            return event.raw
        match self._protocol:
            case WireProtocol.ANTHROPIC_MESSAGES:
                changed = self._cut_message_event(value)
            case WireProtocol.CHAT_COMPLETIONS:
                changed = self._cut_chunk(value)
            case _:
                changed = self._cut_responses_event(value)
        if changed is None:
            return b""
        return sse.with_data(event, json_value.write(value)) if changed else event.raw

    def body(self, body: bytes) -> bytes:
        """Return a body whose first call has half of its arguments.

        Arguments that are an object, not a text, can only be cut together with the body.
        """
        key = {WireProtocol.ANTHROPIC_MESSAGES: b'"input"', WireProtocol.GEMINI: b'"args"'}
        if self._protocol in key:
            return _cut_behind(body, key[self._protocol])
        value = _read(body)
        holders = _functions_of(value) if isinstance(value, dict) else iter(())
        for holder in holders:
            holder["arguments"] = _half(holder["arguments"])
            return json_value.write(value)
        return body

    def _cut_object_in(self, event: sse.Event) -> bytes:
        if self._call is not None or not event.data or b'"functionCall"' not in event.data:
            return event.raw
        data = _cut_behind(event.data, b'"args"')
        if data == event.data:
            return event.raw
        self._call = True
        return sse.with_data(event, data)

    def _fragment(self, call: Any, text: str) -> str | None:
        """Return what is sent of a fragment of a call's arguments; None: all of it."""
        if not text or (self._call is not None and call != self._call):
            return None
        if self._call is None:
            self._call, self._kept = call, _half(text)
            return self._kept
        return ""

    def _cut_message_event(self, event: JsonObject) -> bool | None:
        delta = event.get("delta")
        if not isinstance(delta, dict) or delta.get("type") != "input_json_delta":
            return False
        kept = self._fragment(event.get("index"), str(delta.get("partial_json") or ""))
        if kept == "":
            return None
        if kept is not None:
            delta["partial_json"] = kept
        return kept is not None

    def _cut_chunk(self, chunk: JsonObject) -> bool | None:
        is_changed = False
        for choice in dicts_in(chunk.get("choices")):
            delta = choice.get("delta")
            for call in dicts_in(delta.get("tool_calls")) if isinstance(delta, dict) else []:
                function = call.get("function")
                text = function.get("arguments") if isinstance(function, dict) else None
                if isinstance(text, str) and isinstance(function, dict):
                    kept = self._fragment(call.get("index"), text)
                    if kept is not None:
                        function["arguments"] = kept
                        is_changed = True
        return is_changed

    def _cut_responses_event(self, event: JsonObject) -> bool | None:
        kind = event.get("type")
        if kind == "response.function_call_arguments.delta":
            kept = self._fragment(event.get("item_id"), str(event.get("delta") or ""))
            if kept == "":
                return None
            if kept is not None:
                event["delta"] = kept
            return kept is not None
        is_changed = False
        if kind == "response.function_call_arguments.done":
            is_changed |= self._replace(event, event.get("item_id"))
        item, response = event.get("item"), event.get("response")
        items = [item] if isinstance(item, dict) else []
        items += dicts_in(response.get("output")) if isinstance(response, dict) else []
        for found in items:
            is_changed |= self._replace(found, found.get("id"))
        return is_changed

    def _replace(self, holder: JsonObject, call: Any) -> bool:
        """Replace the whole arguments of the cut call, which follow its fragments."""
        is_cut = self._call is not None and call == self._call and bool(holder.get("arguments"))
        if is_cut:
            holder["arguments"] = self._kept
        return is_cut


def _functions_of(body: JsonObject) -> Iterator[JsonObject]:
    """Yield what has the arguments of each call, as text, in a body of Chat or Responses."""
    for choice in dicts_in(body.get("choices")):
        message = choice.get("message")
        for call in dicts_in(message.get("tool_calls")) if isinstance(message, dict) else []:
            function = call.get("function")
            if isinstance(function, dict) and isinstance(function.get("arguments"), str):
                yield function
    for item in dicts_in(body.get("output")):
        if isinstance(item.get("arguments"), str):
            yield item


def rename_event(event: sse.Event, *, drop: bool) -> bytes:
    """Return an event with another name, or without its name; its own bytes if it has none."""
    if not event.type:
        return event.raw
    if not drop:
        return sse.with_data(event, event.data or b"", "injected.wrong_name")
    return sse.join_lines(
        line for line in sse.split_lines(event.raw) if sse.read_field(line)[0] != b"event"
    )


def _half(text: str) -> str:
    return text[: max(1, len(text) // 2)]


def _cut_behind(text: bytes, key: bytes) -> bytes:
    """Return JSON text that ends within the object that is the first member with this key.

    The text itself if there is none, or if the object is empty.
    """
    at = text.find(key)
    start = text.find(b'"', at + len(key)) if at >= 0 else -1
    if start < 0 or b"".join(text[at + len(key) : start].split()) != b":{":
        return text
    return text[: start + 2]


def _parsed(event: sse.Event) -> Any:
    return _read(event.data) if event.data else None


def _read(text: bytes) -> Any:
    try:
        return json_value.read(text)
    except ValueError:
        return None


def _roots(value: Any) -> list[JsonObject]:
    """Return the objects that a body consists of: one, or those of an array."""
    return [value] if isinstance(value, dict) else dicts_in(value)
