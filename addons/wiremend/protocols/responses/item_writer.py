"""Writes the events of output items that a provider left out, and numbers the items."""

from typing import Any

from wiremend.protocols.base.draft import Draft
from wiremend.protocols.responses.grammar import (
    CONTENT,
    ITEM_ADDED,
    ITEM_DONE,
    PART_TEXT,
    REFUSAL_DONE,
    SUMMARY_DONE,
    TEXT_DONE,
    PartFamily,
)
from wiremend.protocols.responses.item_fields import ItemFields
from wiremend.protocols.responses.items import FinalItems, Item, Items, Part, opening_of
from wiremend.protocols.responses.writer import Writer
from wiremend.rules.rule import Rule
from wiremend.text.json_value import JsonObject, dicts_in, is_integer

_P = ("responses",)

ITEM_NOT_ADDED = Rule(
    code="S304",
    name="item-not-added",
    detects="An event belongs to an output item, or to a part of one, that was never added.",
    impact="SDK accumulators raise an exception or lose the text.",
    action="Adds the item or part. Argument fragments of a call without a known name are withheld "
    "until the call's done event, which repeats them; if there is none, the stream ends in an "
    "error.",
    protocols=_P,
    before='{"type":"response.output_text.delta","output_index":0, …}',
    after='{"type":"response.output_item.added", …}, {"type":"response.content_part.added", …}, '
    '{"type":"response.output_text.delta","output_index":0, …}',
)
OUTPUT_INDEX = Rule(
    code="S305",
    name="output-index",
    detects="`output_index` is missing, has gaps, or is used for two items.",
    impact="Accumulators raise an exception or write into the wrong item.",
    action="Numbers items 0, 1, 2 … in the order in which they were added.",
    protocols=_P,
    seen=("router-for-me/CLIProxyAPI#539",),
    before='{"type":"response.output_item.added","output_index":1, …} first',
    after='{"type":"response.output_item.added","output_index":0, …}',
)
ITEM_NOT_DONE = Rule(
    code="S306",
    name="item-not-done",
    detects="The response completes although an item has no done event.",
    impact="Codex reads items only from `output_item.done`: the text or the call is lost.",
    action="Adds the missing events, from the terminal event's output if it contains the item; for "
    "a call only if its arguments are complete.",
    protocols=_P,
    before='{"type":"response.output_text.done", …}, {"type":"response.completed", …}',
    after='{"type":"response.output_text.done", …}, {"type":"response.content_part.done", …}, '
    '{"type":"response.output_item.done", …}, {"type":"response.completed", …}',
)
ITEMS_NOT_STREAMED = Rule(
    code="S325",
    name="items-not-streamed",
    detects="The terminal event's output contains items, and none of them was streamed.",
    impact="Codex and the Vercel AI SDK read only the streamed events: the response is empty.",
    action="Adds the items' events before it.",
    protocols=_P,
    before='{"type":"response.created", …}, {"type":"response.completed", …}',
    after='{"type":"response.created", …}, {"type":"response.output_item.added", …}, …, '
    '{"type":"response.output_item.done", …}, {"type":"response.completed", …}',
)

_TEXT_DONE = {
    "output_text": TEXT_DONE,
    "refusal": REFUSAL_DONE,
    "summary_text": SUMMARY_DONE,
}
"""The event that repeats the text of a part, by the type of the part."""


class ItemWriter:
    """Writes the missing events of items. Its methods raise ContentLost."""

    def __init__(self, draft: Draft, writer: Writer, items: Items, fields: ItemFields) -> None:
        self._draft = draft
        self._writer = writer
        self._items = items
        self._fields = fields

    def stream(self, output: list[JsonObject]) -> None:
        """Write the events of items that only the terminal event contains."""
        if not self._draft.note(ITEMS_NOT_STREAMED, f"{len(output)} items", "streamed"):
            return
        for final in output:
            item = self._items.add(opening_of(final), None)
            self._fields.finish(final, item)
            self.show(item, opening_of(final))
            self._write_parts(item, final)
            self.close(item, final)

    def settle(self, output: list[JsonObject]) -> None:
        """Write the end of every item that is not done, before the response completes.

        `output` contains the items of the terminal event.
        """
        finals = FinalItems(self._items, output)
        for item in self._items.all:
            if item.done is not None:
                continue
            found = f"item {item.ordinal} ({item.type})"
            if not self._draft.note(ITEM_NOT_DONE, found, "done events added"):
                return
            final = finals.of(item)
            if final is None and item.number is None:
                message = f"The provider sent parts of a {item.type} that it never began."
                self._draft.lose(ITEM_NOT_ADDED, item.type, message)
                continue
            if final is None:
                final = item.snapshot("completed")
            self._fields.finish(final, item)
            self.show(item, opening_of(final))
            self.close(item, final)

    def show(self, item: Item, opening: JsonObject) -> None:
        """Write the start of the item, unless the client has received it."""
        if item.number is None:
            item.added = opening
            self._items.index_by_id(item)
            number = self._items.show(item)
            self._writer.write({"type": ITEM_ADDED, "output_index": number, "item": opening})

    def close(self, item: Item, final: JsonObject) -> None:
        """Write the missing events up to the end of the item."""
        for family, part in item.open_parts():
            index = {family.index: part.number}
            key = PART_TEXT.get(part.type, "")
            if part.type in _TEXT_DONE and part.whole is None:
                more: JsonObject = {"logprobs": []} if part.type == "output_text" else {}
                self.write_inside(item, _TEXT_DONE[part.type], **index, **{key: part.text}, **more)
            self.write_inside(item, family.done, **index, part=part.final())
            part.is_done = True
        self._items.finish(item, final)
        self._writer.write({"type": ITEM_DONE, "output_index": item.number, "item": final})

    def add_part(self, item: Item, family: PartFamily, part: JsonObject, source: Any) -> Part:
        """Write the start of a part."""
        added = item.add_part(family, part, source)
        self.write_inside(item, family.added, **{family.index: added.number}, part=part)
        return added

    def write_inside(self, item: Item, kind: str, **fields: Any) -> None:
        """Write an event of the item with these fields."""
        common = {"type": kind, "item_id": item.id, "output_index": item.number}
        self._writer.write({**common, **fields})

    def write_index(self, data: JsonObject, item: Item) -> None:
        """Set the index of an event to that of its item for the client."""
        index = data.get("output_index")
        if (index != item.number or not is_integer(index)) and self._draft.change(
            OUTPUT_INDEX, f"output_index {index!r}", str(item.number), once=str(item.ordinal)
        ):
            data["output_index"] = item.number

    def _write_parts(self, item: Item, final: JsonObject) -> None:
        """Write the text of the parts of a message."""
        for part_data in dicts_in(final.get("content")) if item.type == "message" else ():
            type = part_data.get("type")
            key = PART_TEXT.get(type, "") if isinstance(type, str) else ""
            text = part_data.get(key) if key else None
            if not isinstance(text, str) or type not in _TEXT_DONE:
                continue
            part = self.add_part(item, CONTENT, {**part_data, key: ""}, None)
            delta = _TEXT_DONE[part.type].replace(".done", ".delta")
            self.write_inside(item, delta, content_index=part.number, delta=text, logprobs=[])
            part.fragments.append(text)
