"""Writes the events of output items that a provider left out, and numbers the items."""

from typing import Any

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.responses.grammar import (
    CALL_TEXT,
    CONTENT,
    ITEM_ADDED,
    ITEM_DONE,
    PART_TEXT,
    REFUSAL_DELTA,
    REFUSAL_DONE,
    SUMMARY_DELTA,
    SUMMARY_DONE,
    TEXT_DELTA,
    TEXT_DONE,
    PartFamily,
)
from wiremend.protocols.responses.item_fields import ItemFields
from wiremend.protocols.responses.items import (
    PARTED,
    FinalItems,
    Item,
    Items,
    Part,
    joined,
    opening_of,
)
from wiremend.protocols.responses.writer import Writer
from wiremend.rules.rule import Rule
from wiremend.text.counted import counted
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

DELTA_LOST = Rule(
    code="S335",
    name="delta-lost",
    detects="The text in a done event is longer than its deltas, and sequence numbers are left "
    "out: deltas at its end were lost.",
    impact="Clients that show the deltas lose the end of the text.",
    action="Adds the rest as a delta. Text that was lost before other text cannot be added.",
    protocols=_P,
    before='{"type":"response.output_text.delta","sequence_number":4,"delta":"Hel", …}, '
    '{"type":"response.output_text.done","sequence_number":6,"text":"Hello", …}',
    after='{"type":"response.output_text.delta","sequence_number":4,"delta":"Hel", …}, '
    '{"type":"response.output_text.delta","sequence_number":5,"delta":"lo", …}, '
    '{"type":"response.output_text.done","sequence_number":6,"text":"Hello", …}',
)
PART_NOT_DONE = Rule(
    code="S330",
    name="part-not-done",
    detects="An item is done although one of its parts has no done event.",
    impact="Clients that end a text with its part leave it open.",
    action="Adds the event.",
    protocols=_P,
    before='{"type":"response.output_text.done", …}, {"type":"response.output_item.done", …}',
    after='{"type":"response.output_text.done", …}, {"type":"response.content_part.done", …}, '
    '{"type":"response.output_item.done", …}',
)

_TEXT_DONE = {
    "output_text": TEXT_DONE,
    "refusal": REFUSAL_DONE,
    "summary_text": SUMMARY_DONE,
}
"""The event that repeats the text of a part, by the type of the part."""
_DELTAS = {
    "output_text": TEXT_DELTA,
    "refusal": REFUSAL_DELTA,
    "summary_text": SUMMARY_DELTA,
    "function_call": "response.function_call_arguments.delta",
    "custom_tool_call": "response.custom_tool_call_input.delta",
}
"""The event with a fragment of the text of a part or of a call, by its type."""


class ItemWriter:
    """Writes the missing events of items. Its methods raise ContentLost."""

    def __init__(
        self,
        context: StreamContext,
        draft: Draft,
        writer: Writer,
        items: Items,
        fields: ItemFields,
    ) -> None:
        self._leaves_tools_open = context.accepts(Deviation.TOOL_LIST_OPEN)
        self._draft = draft
        self._writer = writer
        self._items = items
        self._fields = fields

    def stream(self, output: list[JsonObject]) -> None:
        """Write the events of items that only the terminal event contains."""
        if not self._draft.note(ITEMS_NOT_STREAMED, counted(len(output), "item"), "streamed"):
            return
        for final in output:
            item = self._items.add(opening_of(final), None)
            self._fields.finish(final, item)
            self.show(item, opening_of(final))
            self._write_parts(item, final)
            self.close(item, final)

    def settle(self, output: list[JsonObject], data: JsonObject) -> None:
        """Write the end of every item that is not done, before the response completes.

        `output` contains the items of the terminal event `data`, which is empty if there is none.
        """
        gaps = self.gaps_before(data)
        finals = FinalItems(self._items, output)
        for item in self._items.all:
            if item.done is not None or (self._leaves_tools_open and item.type == "mcp_list_tools"):
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
            elif item.id:
                final["id"] = item.id
            self._fields.finish(final, item)
            # The written done event repeats the whole text, as a provider's would.
            self._restore_call(item, final, gaps)
            self._restore_parts(item, final, gaps)
            self.show(item, opening_of(final))
            self.close(item, final)

    def show(self, item: Item, opening: JsonObject) -> None:
        """Write the start of the item, unless the client has received it."""
        if item.number is None:
            item.added = opening
            self._items.index_by_id(item)
            number = self._items.show(item)
            self._writer.write({"type": ITEM_ADDED, "output_index": number, "item": opening})
            item.gaps = self._writer.gaps

    def gaps_before(self, data: JsonObject) -> int:
        """Return the number of gaps in the sequence numbers up to this event."""
        return self._writer.gaps_before(data)

    def restore_delta(self, item: Item, part: Part | None, whole: str, gaps: int) -> None:
        """Write the end of the text if the sequence numbers show that its deltas were lost.

        `whole` is the text in its done event, with this number of gaps before it.
        """
        holder, kind = part or item, _DELTAS.get(part.type if part is not None else item.type)
        is_over = part.whole is not None if part is not None else item.is_whole_shown
        if kind is None or is_over:
            return
        if gaps <= holder.gaps:
            return
        streamed = joined(holder.fragments)
        if not whole.startswith(streamed) or whole == streamed:
            return
        if part is None and not streamed:
            return  # providers may send a call whole
        rest = whole[len(streamed) :]
        if not self._draft.note(
            DELTA_LOST, f"{counted(len(rest), 'character')} of {kind} missing", "added"
        ):
            return
        more: JsonObject = {"logprobs": []} if kind == TEXT_DELTA else {}
        at = {part.family.index: part.number} if part is not None else {}
        self.write_inside(item, kind, **at, delta=rest, **more)
        holder.fragments.append(rest)

    def finish_item(self, item: Item, done: JsonObject, data: JsonObject) -> None:
        """Write what is missing of an item before its done event `data`, which contains `done`."""
        gaps = self.gaps_before(data)
        self._restore_call(item, done, gaps)
        self.show(item, opening_of(done))
        open_parts = list(item.open_parts())
        found = f"{counted(len(open_parts), 'open part')} of item {item.ordinal}"
        if not open_parts or not self._draft.note(PART_NOT_DONE, found, "done events added"):
            return
        self._restore_parts(item, done, gaps)
        self._close_parts(item)

    def _restore_call(self, item: Item, done: JsonObject, gaps: int) -> None:
        """Write the lost end of a call's text, unless its deltas were withheld."""
        text = done.get(CALL_TEXT.get(item.type, ""))
        if item.number is not None and isinstance(text, str):
            self.restore_delta(item, None, text, gaps)

    def _restore_parts(self, item: Item, done: JsonObject, gaps: int) -> None:
        """Write the lost end of the text of each open part."""
        name, family = PARTED.get(item.type, ("", CONTENT))
        for part, final in zip(item.parts.get(family, ()), dicts_in(done.get(name)), strict=False):
            text = final.get(PART_TEXT.get(part.type, ""))
            if not part.is_done and final.get("type") == part.type and isinstance(text, str):
                self.restore_delta(item, part, text, gaps)

    def close(self, item: Item, final: JsonObject) -> None:
        """Write the missing events up to the end of the item."""
        self._close_parts(item)
        self._items.finish(item, final)
        self._writer.write({"type": ITEM_DONE, "output_index": item.number, "item": final})

    def _close_parts(self, item: Item) -> None:
        for family, part in item.open_parts():
            index = {family.index: part.number}
            key = PART_TEXT.get(part.type, "")
            if part.type in _TEXT_DONE and part.whole is None:
                more: JsonObject = {"logprobs": []} if part.type == "output_text" else {}
                self.write_inside(item, _TEXT_DONE[part.type], **index, **{key: part.text}, **more)
            self.write_inside(item, family.done, **index, part=part.final())
            part.is_done = True

    def add_part(self, item: Item, family: PartFamily, part: JsonObject, source: Any) -> Part:
        """Write the start of a part."""
        added = item.add_part(family, part, source)
        added.gaps = self._writer.gaps
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
