"""The events of a Responses stream that are held back until the next one explains them.

A call whose arguments are empty or truncated may have been cut by the output limit, which only the
terminal event reports. A terminal event inside an item is early if the item goes on. A call may
start with a piece of its name.
"""

from dataclasses import dataclass, replace

from wiremend.protocols.responses.grammar import COMPLETE, COMPLETED, ITEM_ADDED, ITEM_DONE
from wiremend.protocols.responses.item_events import ItemEvents
from wiremend.protocols.responses.item_fields import CallNames
from wiremend.protocols.responses.response import items_in
from wiremend.protocols.responses.terminal import is_incomplete
from wiremend.text import sse
from wiremend.text.json_value import JsonObject, parses

_ARGUMENTS_DONE = "response.function_call_arguments.done"


@dataclass(frozen=True, slots=True)
class HeldEvent:
    """An event as it was received."""

    place: int
    """Its number in the stream."""
    event: sse.Event
    data: JsonObject
    kind: str
    changed: bool
    """Whether its data was already changed."""


class HeldEvents:
    """The events that are held back: the start or the ends of one call, or a terminal event."""

    def __init__(self, items: ItemEvents, names: CallNames, *, is_enabled: bool) -> None:
        self._names = names
        self._is_enabled = is_enabled
        self._items = items
        self._events: list[HeldEvent] = []
        self._queue: list[HeldEvent | bytes] = []
        """The events, and the bytes behind each."""

    def __bool__(self) -> bool:
        return bool(self._events)

    @property
    def is_end(self) -> bool:
        """Whether a terminal event is held back."""
        return bool(self._events) and self._events[0].kind == COMPLETED

    @property
    def is_start(self) -> bool:
        """Whether the start of a call is held back, which has a piece of its name."""
        return bool(self._events) and self._events[0].kind == ITEM_ADDED

    @property
    def can_be_written(self) -> bool:
        """Whether the events are of use to the client without the next event.

        A call with truncated arguments is not: it is an error unless the next event explains it.
        """
        return bool(self._events) and not any(
            self._text_of(held.data, held.kind) for held in self._events
        )

    def must_hold(self, data: JsonObject, kind: str) -> bool:
        """Return whether the next event has to decide on this one."""
        if not self._is_enabled:
            return False
        if kind == COMPLETED:
            response = data.get("response")
            output = items_in(response) if isinstance(response, dict) else []
            return self._items.is_inside(output)
        item = data.get("item")
        if kind == ITEM_ADDED:
            return isinstance(item, dict) and self._names.is_piece(item)
        if kind == ITEM_DONE and (not isinstance(item, dict) or _is_incomplete(item)):
            return False
        text = self._text_of(data, kind)
        return text is not None and not parses(text)

    def goes_on(self, data: JsonObject, kind: str) -> bool:
        """Return whether this event is another end of the call that is held back."""
        return (
            not (self.is_end or self.is_start)
            and kind == ITEM_DONE
            and self._items.owner(data) is self._items.owner(self._events[-1].data)
            and self.must_hold(data, kind)
        )

    def explains_cut(self, data: JsonObject, kind: str) -> bool:
        """Return whether this event explains a call that ends without its arguments."""
        if kind in COMPLETE:
            response = data.get("response")
            return isinstance(response, dict) and is_incomplete(response, kind)
        item = data.get("item")
        is_end = kind == ITEM_DONE and isinstance(item, dict) and _is_incomplete(item)
        return is_end and self._items.owner(data) is self._items.owner(self._events[-1].data)

    def take_name(self, data: JsonObject, kind: str) -> bool:
        """Take the next piece of the name from another start of the call; return whether it is one.

        The starts become one event.
        """
        added = data.get("item")
        if not self.is_start or kind != ITEM_ADDED or not isinstance(added, dict):
            return False
        held = self._events[0]
        first = held.data["item"]
        is_same = all(
            added.get(key) in (None, "", first.get(key)) for key in ("id", "call_id", "type")
        ) and data.get("output_index") in (None, held.data.get("output_index"))
        piece = {"type": first["type"], "name": added.get("name")}
        if not is_same or not self._names.join(piece, first):
            return False
        item = {**first, "name": piece["name"]}
        joined = replace(held, data={**held.data, "item": item}, changed=True)
        self._events, self._queue[0] = [joined], joined
        return True

    def hold(self, held: HeldEvent) -> None:
        """Hold an event back."""
        self._events.append(held)
        self._queue.append(held)

    def put_behind(self, raw: bytes) -> None:
        """Hold bytes back behind the events, so that the order stays."""
        self._queue.append(raw)

    def take(self) -> list[HeldEvent | bytes]:
        """Return the events and the bytes behind them, and hold nothing."""
        queue, self._queue = self._queue, []
        self._events = []
        return queue

    def _text_of(self, data: JsonObject, kind: str) -> str | None:
        """Return the arguments in the end of a function call; None for any other event."""
        holder = data
        if kind == ITEM_DONE:
            inner = data.get("item")
            if not isinstance(inner, dict) or inner.get("type") != "function_call":
                return None
            holder = inner
        elif kind != _ARGUMENTS_DONE:
            return None
        text = holder.get("arguments")
        if isinstance(text, dict | list):
            return None
        item = self._items.owner(data)
        if not text and kind == _ARGUMENTS_DONE and item is not None and item.whole is not None:
            return None  # a second end, which is dropped
        streamed = item.text if item is not None else ""
        return text if isinstance(text, str) and text else streamed


def _is_incomplete(item: JsonObject) -> bool:
    return item.get("status") == "incomplete"
