"""The state of the output items of a Responses stream.

It records the received events and changes none of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.responses.grammar import (
    CALL_TEXT,
    CONTENT,
    PART_TEXT,
    SUMMARY,
    PartFamily,
)
from wiremend.text import json_value
from wiremend.text.json_value import JsonObject, is_integer

PARTED = {"message": ("content", CONTENT), "reasoning": ("summary", SUMMARY)}
"""Types of items that have parts: the field with the parts, and their events."""
_ID_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "mcp_call": "mcp",
    "code_interpreter_call": "ci",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "image_generation_call": "ig",
    "call_id": "call",
}


@dataclass(slots=True, eq=False)
class Part:
    """One part of a message's content or of a reasoning item's summary."""

    number: int
    added: JsonObject
    fragments: list[str] = field(default_factory=list)
    whole: str | None = None
    """Its text in a done event; None if there was none."""
    is_done: bool = False
    gaps: int = 0
    """The gaps in the sequence numbers before its first event."""
    family: PartFamily = CONTENT

    @property
    def type(self) -> str:
        """The type of the part."""
        return str(self.added["type"])

    @property
    def text(self) -> str:
        """The text so far."""
        if self.whole is not None:
            return self.whole
        return joined(self.fragments) or str(self.added.get(PART_TEXT.get(self.type, "")) or "")

    @property
    def is_complete(self) -> bool:
        """Whether its whole text was received."""
        return self.is_done or self.whole is not None

    def final(self) -> JsonObject:
        """Return the part with its final text."""
        key = PART_TEXT.get(self.type)
        return {**self.added, key: self.text} if key else self.added


@dataclass(slots=True, eq=False)
class Item:
    """One output item."""

    added: JsonObject
    """The fields in `response.output_item.added`."""
    ordinal: int
    """The number of items before it."""
    source: Any = None
    """The `output_index` of the provider."""
    number: int | None = None
    """The `output_index` that the client sees; None while the item is withheld."""
    is_generated: bool = False
    """Whether its start was added because the provider's was missing."""
    done: JsonObject | None = None
    fragments: list[str] = field(default_factory=list)
    whole: str | None = None
    """The text of a call in a done event; None if there was none."""
    is_whole_shown: bool = False
    """Whether that event was shown to the client."""
    gaps: int = 0
    """The gaps in the sequence numbers before its first event."""
    parts: dict[PartFamily, list[Part]] = field(default_factory=dict)
    parts_by_source: dict[tuple[PartFamily, int], Part] = field(default_factory=dict)
    _last_parts: dict[tuple[PartFamily, str], Part] = field(default_factory=dict)
    """The last part of each type, and of any type (an empty string)."""
    _doubtful: list[Part] = field(default_factory=list)
    """The parts of a message that were not found to be complete yet."""

    @property
    def type(self) -> str:
        """The type of the item."""
        return str(self.added["type"])

    @property
    def id(self) -> str:
        """The id in its events; empty if it has none."""
        identity = self.added.get("id")
        return identity if isinstance(identity, str) else ""

    @property
    def text(self) -> str:
        """The text of a call so far: its arguments or input."""
        if self.whole:
            return self.whole
        added = self.added.get(CALL_TEXT.get(self.type, ""))
        return joined(self.fragments) or (added if isinstance(added, str) else "")

    @property
    def is_untouched(self) -> bool:
        """Whether only its start was received."""
        return not (self.fragments or self.parts or self.done)

    @property
    def is_open(self) -> bool:
        """Whether it is shown, and its content is not complete."""
        if self.done is not None or self.number is None or self.is_whole:
            return False
        return self.type in CALL_TEXT or self.type == "message"

    @property
    def is_whole(self) -> bool:
        """Whether it is complete although `output_item.done` is missing."""
        if self.type == "message":
            while self._doubtful and self._doubtful[-1].is_complete:
                self._doubtful.pop()
            return bool(self.parts.get(CONTENT)) and not self._doubtful
        return self.type in CALL_TEXT and self.whole is not None and self.number is not None

    def streamed(self, key: str) -> list[JsonObject]:
        """Return the streamed parts for this field of the item."""
        name, family = PARTED.get(self.type, ("", CONTENT))
        return [part.final() for part in self.parts.get(family, ())] if name == key else []

    def snapshot(self, status: str) -> JsonObject:
        """Return the item with its content so far."""
        final = {**self.added, "status": status}
        for key in ("content", "summary"):
            if parts := self.streamed(key):
                final[key] = parts
        if key := CALL_TEXT.get(self.type, ""):
            final[key] = self.text
        return final

    def open_parts(self) -> Iterator[tuple[PartFamily, Part]]:
        """Yield the parts that are not done."""
        for family, parts in self.parts.items():
            for part in parts:
                if not part.is_done:
                    yield family, part

    def add_part(
        self, family: PartFamily, part: JsonObject, source: Any, *, keeps_index: bool = False
    ) -> Part:
        """Add a part; `source` is the provider's index, which is kept if it may have gaps."""
        parts = self.parts.setdefault(family, [])
        number = parts[-1].number + 1 if parts else 0
        if keeps_index and is_integer(source):
            number = max(number, source)
        parts.append(Part(number, part, family=family))
        for type in ("", parts[-1].type):
            self._last_parts[family, type] = parts[-1]
        if family is CONTENT:
            self._doubtful.append(parts[-1])
        if is_integer(source):
            self.parts_by_source[family, source] = parts[-1]
        return parts[-1]

    def part_of(self, family: PartFamily, source: Any, type: str) -> Part | None:
        """Return the part of an event with this index; an empty `type` matches any type."""
        if is_integer(source):
            part = self.parts_by_source.get((family, source))
            return part if part is not None and type in ("", part.type) else None
        return self._last_parts.get((family, type))


class Items:
    """The items of a stream, by id and by the provider's index."""

    def __init__(self) -> None:
        self.all: list[Item] = []
        self._by_key: dict[tuple[str | int, str], Item] = {}
        """By id or provider's index, and by type: broken streams use one key for several items."""
        self._latest_by_key: dict[str | int, Item] = {}
        """By id or provider's index: the last item of any type."""
        self._open: dict[str, dict[Item, None]] = {}
        """The items that are not done, by type and all together (an empty string)."""
        self._open_shown: dict[str, dict[Item, None]] = {}
        """Those of them that were shown."""
        self._done_ids: set[Any] = set()
        """The ids and call ids of the items that are done."""
        self._calls: dict[tuple[str, str], dict[Item, None]] = {}
        """The items that are not done, by type and call id."""
        self._shown = 0

    def __len__(self) -> int:
        return len(self.all)

    @property
    def any_shown(self) -> bool:
        """Whether any was shown to the client."""
        return self._shown > 0

    def add(self, added: JsonObject, source: Any, *, is_generated: bool = False) -> Item:
        """Add an item; it replaces older ones with the same index or id in look-ups."""
        item = Item(added, len(self.all), source, is_generated=is_generated)
        self.all.append(item)
        if is_integer(source):
            self._index(source, item)
        self.index_by_id(item)
        for type in ("", item.type):
            self._open.setdefault(type, {})[item] = None
        return item

    def _index(self, key: str | int, item: Item) -> None:
        self._by_key[key, item.type] = item
        latest = self._latest_by_key.get(key)
        if latest is None or latest.ordinal <= item.ordinal:
            self._latest_by_key[key] = item

    def index_by_id(self, item: Item) -> None:
        """Add the item to the index by its id."""
        if item.id:
            self._index(item.id, item)
        if key := _call_key(item):
            self._calls.setdefault(key, {})[item] = None

    def show(self, item: Item) -> int:
        """Assign the next index that the client expects to the item."""
        item.number = self._shown
        self._shown += 1
        if item.done is None:
            for type in ("", item.type):
                self._open_shown.setdefault(type, {})[item] = None
        return item.number

    def finish(self, item: Item, done: JsonObject) -> None:
        """Record that the item is done, with this object."""
        item.done = done
        for type in ("", item.type):
            for still_open in (self._open, self._open_shown):
                still_open.get(type, {}).pop(item, None)
        if key := _call_key(item):
            self._calls.get(key, {}).pop(item, None)
        self._done_ids |= {_as_key(done[key]) for key in _IDS if done.get(key)}

    def duplicate_of(self, added: JsonObject, source: Any) -> Item | None:
        """Return the item that a new one repeats: an open or a generated one; else None."""
        identity, types = added.get("id"), (added["type"],)
        item = self._find(identity, types) if isinstance(identity, str) else None
        if item is None and not identity and is_integer(source):
            item = self._find(source, types)
            if item is not None and not item.is_untouched:
                return None
        if (
            item is None
            or item.source != source
            or (item.done is not None and not item.is_generated)
        ):
            return None
        call_id = item.added.get("call_id")
        return item if call_id == added.get("call_id") or item.number is None else None

    def owner(
        self, data: JsonObject, types: tuple[str, ...], *, is_shown: bool = False
    ) -> Item | None:
        """Return the item of an event; it has one of these types, or any if `types` is empty.

        With `is_shown`, an event without id and index cannot belong to a withheld item.
        """
        inner = data.get("item")
        identity = data.get("item_id") or (inner.get("id") if isinstance(inner, dict) else None)
        by_call = self._open_call(inner.get("call_id"), types) if isinstance(inner, dict) else None
        if by_call is not None:
            return by_call
        source = data.get("output_index")
        by_source = self._find(source, types) if is_integer(source) else None
        if by_source is not None and by_source.id == identity:
            return by_source  # broken streams also use one id for several items
        by_id = self._find(identity, types) if isinstance(identity, str) else None
        if by_id is not None:
            return by_id
        if by_source is not None:
            return by_source if by_source.done is None or not identity else None
        if identity or is_integer(source):
            return None
        candidates = self._open_shown if is_shown else self._open
        fitting = [found for type in types or ("",) if (found := candidates.get(type))]
        is_single = len(fitting) == 1 and len(fitting[0]) == 1
        return next(iter(fitting[0])) if is_single else None

    def shown_as(self, data: JsonObject, type: str) -> Item | None:
        """Return the open item of an event that has the index and the id it has for the client."""
        index = data.get("output_index")
        item = self._by_key.get((index, type)) if is_integer(index) else None
        if item is None or item.done is not None or item.number != index:
            return None
        return item if item.id and item.id == data.get("item_id") else None

    def _open_call(self, call_id: Any, types: tuple[str, ...]) -> Item | None:
        """Return the only item of these types with this call id that is not done."""
        if not isinstance(call_id, str):
            return None
        found = [item for type in types for item in self._calls.get((type, call_id), ())]
        return found[0] if len(found) == 1 else None

    def _find(self, key: str | int, types: tuple[str, ...]) -> Item | None:
        if not types:
            return self._latest_by_key.get(key)
        matches = [item for type in types if (item := self._by_key.get((key, type)))]
        return max(matches, key=lambda item: item.ordinal, default=None)

    def is_only_open(self, item: Item) -> bool:
        """Return whether no other item of its type is unfinished."""
        return len(self._open.get(item.type, {})) == 1

    def is_id_of_done(self, identity: Any) -> bool:
        """Return whether an item that is done has this id or call id."""
        return _as_key(identity) in self._done_ids

    def done(self) -> list[JsonObject]:
        """Return the items that are done, in the order of the client."""
        shown = [item for item in self.all if item.number is not None and item.done is not None]
        return [item.done for item in sorted(shown, key=lambda item: item.number or 0) if item.done]

    def unfinished(self) -> list[JsonObject]:
        """Return the shown items that are not done, with their content so far."""
        return [
            item.snapshot("incomplete")
            for item in self.all
            if item.number is not None and item.done is None
        ]


class FinalItems:
    """The items in the output of the terminal event, by their ids."""

    def __init__(self, items: Items, output: list[JsonObject]) -> None:
        self._items = items
        self._by_id: dict[tuple[str, str, Any], JsonObject] = {}
        self._by_both: dict[tuple[str, Any, Any], JsonObject] = {}
        self._by_type: dict[str, list[JsonObject]] = {}
        for entry in output:
            both = (entry["type"], *(_as_key(entry.get(key)) for key in _IDS))
            self._by_both.setdefault(both, entry)
            self._by_type.setdefault(entry["type"], []).append(entry)
            for key in _IDS:
                if identity := entry.get(key):
                    self._by_id.setdefault((entry["type"], key, _as_key(identity)), entry)

    def of(self, item: Item) -> JsonObject | None:
        """Return the final form of an unfinished item, if it is unambiguous."""
        both = (item.type, *(_as_key(item.added.get(key)) for key in _IDS))
        if (exact := self._by_both.get(both)) is not None and any(map(item.added.get, _IDS)):
            return dict(exact)
        call_id = item.added.get("call_id")
        for key in _IDS:
            if identity := item.added.get(key):
                entry = self._by_id.get((item.type, key, _as_key(identity)))
                # Broken streams also use one id for several calls.
                if entry is not None and (not call_id or entry.get("call_id") in (None, call_id)):
                    return dict(entry)
        if not self._items.is_only_open(item):
            return None
        free = [
            entry
            for entry in self._by_type.get(item.type, ())
            if not any(self._items.is_id_of_done(entry[key]) for key in _IDS if entry.get(key))
        ]
        return dict(free[0]) if len(free) == 1 else None


_IDS = ("id", "call_id")


def _call_key(item: Item) -> tuple[str, str] | None:
    call_id = item.added.get("call_id")
    return (item.type, call_id) if isinstance(call_id, str) and call_id else None


def _as_key(identity: Any) -> Any:
    return identity if isinstance(identity, str) else json_value.write_sorted(identity)


def joined(fragments: list[str]) -> str:
    """Return the text of all fragments, and keep it as the only one."""
    if len(fragments) > 1:
        fragments[:] = ["".join(fragments)]
    return fragments[0] if fragments else ""


def new_id(type: str, response_id: str, ordinal: int) -> str:
    """Return an id for an item of this type without one; the same for the same stream."""
    return f"{_ID_PREFIXES.get(type, 'item')}_{response_id.removeprefix('resp_')}_{ordinal}"


def opening_of(final: JsonObject) -> JsonObject:
    """Return the item as it is in `response.output_item.added`, without content."""
    opening = dict(final)
    if "status" in opening:
        opening["status"] = "in_progress"
    if final.get("type") in PARTED:
        opening[PARTED[final["type"]][0]] = []
    if key := CALL_TEXT.get(str(final.get("type"))):
        opening[key] = ""
    return opening
