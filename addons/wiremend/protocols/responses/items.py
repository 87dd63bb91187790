"""The output items of a Responses stream, as far as they were streamed.

It keeps what came and answers questions about it; it changes no event.
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
from wiremend.text.json_value import JsonObject, is_integer

PARTED = {"message": ("content", CONTENT), "reasoning": ("summary", SUMMARY)}
"""Items that have parts: the field that lists them, and how they are framed."""
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
    """Its text as a done event repeated it."""
    is_done: bool = False

    @property
    def type(self) -> str:
        """What kind of part it is."""
        return str(self.added["type"])

    @property
    def text(self) -> str:
        """Its text so far."""
        if self.whole is not None:
            return self.whole
        return "".join(self.fragments) or str(self.added.get(PART_TEXT.get(self.type, "")) or "")

    def final(self) -> JsonObject:
        """The part as it stands when it is done."""
        key = PART_TEXT.get(self.type)
        return {**self.added, key: self.text} if key else self.added


@dataclass(slots=True, eq=False)
class Item:
    """One output item as far as it was streamed."""

    added: JsonObject
    """Its fields when it was added."""
    ordinal: int
    """How many items came before it."""
    source: Any = None
    """The `output_index` that the provider gave it."""
    number: int | None = None
    """The `output_index` that the client knows; None while it is withheld."""
    is_ours: bool = False
    """Whether its beginning was written because the provider's had not come."""
    done: JsonObject | None = None
    fragments: list[str] = field(default_factory=list)
    whole: str | None = None
    """What a call passes, as a done event repeated it."""
    parts: dict[PartFamily, list[Part]] = field(default_factory=dict)
    parts_by_source: dict[tuple[PartFamily, int], Part] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """What kind of item it is."""
        return str(self.added["type"])

    @property
    def id(self) -> str:
        """The id in its events; empty without one."""
        identity = self.added.get("id")
        return identity if isinstance(identity, str) else ""

    @property
    def text(self) -> str:
        """What a call passes, so far."""
        if self.whole:
            return self.whole
        added = self.added.get(CALL_TEXT.get(self.type, ""))
        return "".join(self.fragments) or (added if isinstance(added, str) else "")

    @property
    def is_untouched(self) -> bool:
        """Nothing of it came but its beginning."""
        return not (self.fragments or self.parts or self.done)

    @property
    def is_whole(self) -> bool:
        """Whether it can be done without loss although `output_item.done` is missing."""
        if self.type == "message":
            parts = self.parts.get(CONTENT, [])
            return bool(parts) and all(part.is_done or part.whole is not None for part in parts)
        return self.type in CALL_TEXT and self.whole is not None and self.number is not None

    def streamed(self, key: str) -> list[JsonObject]:
        """The parts that were streamed for this list of the item."""
        name, family = PARTED.get(self.type, ("", CONTENT))
        return [part.final() for part in self.parts.get(family, ())] if name == key else []

    def snapshot(self, status: str) -> JsonObject:
        """The item as it stands."""
        final = {**self.added, "status": status}
        for key in ("content", "summary"):
            if parts := self.streamed(key):
                final[key] = parts
        if key := CALL_TEXT.get(self.type, ""):
            final[key] = self.text
        return final

    def open_parts(self) -> Iterator[tuple[PartFamily, Part]]:
        """The parts that are not done."""
        for family, parts in self.parts.items():
            for part in parts:
                if not part.is_done:
                    yield family, part

    def add_part(self, family: PartFamily, part: JsonObject, source: Any) -> Part:
        """Remember a new part, whatever number the provider gave it."""
        parts = self.parts.setdefault(family, [])
        parts.append(Part(len(parts), part))
        if is_integer(source):
            self.parts_by_source[family, source] = parts[-1]
        return parts[-1]

    def part_of(self, family: PartFamily, source: Any, type: str) -> Part | None:
        """The part that an event means; `type` is empty where any type will do."""
        if is_integer(source):
            part = self.parts_by_source.get((family, source))
            return part if part is not None and type in ("", part.type) else None
        fitting = [part for part in self.parts.get(family, ()) if type in ("", part.type)]
        return fitting[-1] if fitting else None


class Items:
    """All items of a stream, found by id or by the provider's index."""

    def __init__(self) -> None:
        self.all: list[Item] = []
        self._by_key: dict[tuple[str | int, str], Item] = {}
        """By id or the provider's index, and by type: broken streams use one for several items."""
        self._shown = 0

    def __len__(self) -> int:
        return len(self.all)

    @property
    def any_shown(self) -> bool:
        """Whether the client knows of any."""
        return self._shown > 0

    def add(self, added: JsonObject, source: Any, *, is_ours: bool = False) -> Item:
        """Remember a new item; it takes over the index, and the id, from any older one."""
        item = Item(added, len(self.all), source, is_ours=is_ours)
        self.all.append(item)
        if is_integer(source):
            self._by_key[source, item.type] = item
        self.name(item)
        return item

    def name(self, item: Item) -> None:
        """Let the item be found by its id."""
        if item.id:
            self._by_key[item.id, item.type] = item

    def show(self, item: Item) -> int:
        """Give the item the next index that the client expects."""
        item.number = self._shown
        self._shown += 1
        return item.number

    def duplicate_of(self, added: JsonObject, source: Any) -> Item | None:
        """The item that this one, which is being added, repeats: an open one, or one of ours."""
        identity, types = added.get("id"), (added["type"],)
        item = self._find(identity, types) if isinstance(identity, str) else None
        if item is None and not identity and is_integer(source):
            item = self._find(source, types)
            if item is not None and not item.is_untouched:
                return None
        if item is None or item.source != source or (item.done is not None and not item.is_ours):
            return None
        call_id = item.added.get("call_id")
        return item if call_id == added.get("call_id") or item.number is None else None

    def owner(
        self, data: JsonObject, types: tuple[str, ...], *, is_shown: bool = False
    ) -> Item | None:
        """The item of one of these types (of any, if none is given) that an event means.

        With `is_shown`, an event that names no item means none that the client does not know of.
        """
        inner = data.get("item")
        identity = data.get("item_id") or (inner.get("id") if isinstance(inner, dict) else None)
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
        fitting = [
            item
            for item in self.all
            if item.done is None
            and (not types or item.type in types)
            and not (is_shown and item.number is None)
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _find(self, key: str | int, types: tuple[str, ...]) -> Item | None:
        known = types or tuple({item.type for item in self.all})
        found = [item for type in known if (item := self._by_key.get((key, type)))]
        return max(found, key=lambda item: item.ordinal, default=None)

    def final_of(self, item: Item, output: list[JsonObject]) -> JsonObject | None:
        """The item as the terminal event's output shows it, if it surely does."""
        for key in ("id", "call_id"):
            if identity := item.added.get(key):
                for entry in output:
                    if entry.get("type") == item.type and entry.get(key) == identity:
                        return dict(entry)
        taken = [
            other.done.get(key) for other in self.all if other.done for key in ("id", "call_id")
        ]
        free = [
            entry
            for entry in output
            if entry.get("type") == item.type
            and not any(entry.get(key) in taken for key in ("id", "call_id") if entry.get(key))
        ]
        rivals = [other for other in self.all if other.type == item.type and other.done is None]
        return dict(free[0]) if len(free) == 1 and len(rivals) == 1 else None

    def done(self) -> list[JsonObject]:
        """The items that are done, in the client's order."""
        shown = [item for item in self.all if item.number is not None and item.done is not None]
        return [item.done for item in sorted(shown, key=lambda item: item.number or 0) if item.done]

    def unfinished(self) -> list[JsonObject]:
        """The items that the client knows of and that are not done, as they stand."""
        return [
            item.snapshot("incomplete")
            for item in self.all
            if item.number is not None and item.done is None
        ]


def new_id(type: str, response_id: str, ordinal: int) -> str:
    """An id for an item of this type that has none: the same for the same stream."""
    return f"{_ID_PREFIXES.get(type, 'item')}_{response_id.removeprefix('resp_')}_{ordinal}"


def opening_of(final: JsonObject) -> JsonObject:
    """The item as it was when it was added, before any of its content."""
    opening = dict(final)
    if "status" in opening:
        opening["status"] = "in_progress"
    if final.get("type") in PARTED:
        opening[PARTED[final["type"]][0]] = []
    if key := CALL_TEXT.get(str(final.get("type"))):
        opening[key] = ""
    return opening
