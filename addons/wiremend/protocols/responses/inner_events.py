"""The repair of events inside output items: parts, their text, and the text of calls."""

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.responses.grammar import (
    CONTENT,
    ITEM_FIELDS,
    PART_TEXT,
    SUMMARY,
    ItemEvent,
    PartFamily,
    owners,
)
from wiremend.protocols.responses.item_fields import (
    ARGUMENTS_AS_OBJECT,
    ITEM_INCOMPLETE,
    Disposition,
    ItemFields,
    drop,
    has_text,
)
from wiremend.protocols.responses.item_writer import ITEM_NOT_ADDED, ItemWriter
from wiremend.protocols.responses.items import PARTED, Item, Items, Part
from wiremend.rules.rule import Rule, start_of
from wiremend.text import json_value
from wiremend.text.json_value import JsonObject, is_integer

_P = ("responses",)

ITEM_OVER = Rule(
    code="S317",
    name="item-over",
    detects="An event belongs to an item, or to a part, that is already done.",
    impact="Accumulators append to a finished item.",
    action="Drops it: the done event contained the complete content.",
    protocols=_P,
    before='{"type":"response.output_item.done", …}, {"type":"response.output_text.delta", …}',
    after='{"type":"response.output_item.done", …}',
)
PART_INDEX = Rule(
    code="S318",
    name="part-index",
    detects="`content_index` or `summary_index` is missing, has gaps, or is used for two parts.",
    impact="Index errors in accumulators; Codex skips reasoning text without an index.",
    action="Numbers parts 0, 1, 2 … in the order in which they were added.",
    protocols=_P,
    before='{"type":"response.content_part.added","content_index":1, …} first',
    after='{"type":"response.content_part.added","content_index":0, …}',
)
ITEM_REPEATED = Rule(
    code="S319",
    name="item-repeated",
    detects="An item, or a part, is added a second time.",
    impact="The official SDK raises an exception: duplicate output index.",
    action="Drops the second event.",
    protocols=_P,
    before='{"type":"response.output_item.added", …}, {"type":"response.output_item.added", …}',
    after='{"type":"response.output_item.added", …}',
)
TEXT_TYPE = Rule(
    code="S323",
    name="text-type",
    detects="The text of a delta, or the text that a done event repeats, is null or not a string.",
    impact="Type errors; `undefined` or `null` in the text.",
    action="Drops a delta with null; sets a done event's text to the streamed text. With any other "
    "delta, content is lost: the stream ends in the protocol's error event.",
    protocols=_P,
    before='{"type":"response.output_text.delta","delta":null, …}',
)
ITEM_ID = Rule(
    code="S324",
    name="item-id",
    detects="An event of an item lacks `item_id`.",
    impact="The Vercel AI SDK skips the event: text is lost.",
    action="Fills in the item's id. Existing ids are never changed.",
    protocols=_P,
    before='{"type":"response.output_text.delta","output_index":0, …}',
    after='{"type":"response.output_text.delta","output_index":0,"item_id":"msg_1", …}',
)

_ARGUMENTS_DONE = "response.function_call_arguments.done"
_NESTED = frozenset({"response", "item", "part"})
"""Members that a delta does not have, and that would be looked at."""


class InnerEvents:
    """Repairs the data of events inside items in place. Its methods raise ContentLost."""

    def __init__(
        self,
        context: StreamContext,
        draft: Draft,
        items: Items,
        fields: ItemFields,
        writer: ItemWriter,
    ) -> None:
        self._keeps_index = context.accepts(Deviation.PART_INDEX)
        self._draft = draft
        self._items = items
        self._fields = fields
        self._writer = writer

    def feed(
        self, data: JsonObject, kind: str, belongs: ItemEvent, *, is_cut: bool = False
    ) -> Disposition:
        """Repair an event inside an item; return its disposition."""
        item = self._items.owner(data, owners(data, belongs))
        if item is None and belongs.family is None:
            other = self._items.owner(data, ())
            if other is not None and other.type not in PARTED:
                # The done event of the call repeats its text.
                return drop(self._draft, ITEM_NOT_ADDED, f"{kind} of a {other.type}")
        if item is None:
            done = f"{owners(data, belongs)[0]} added or awaited"
            if not self._draft.note(ITEM_NOT_ADDED, kind, done):
                return Disposition.SENT
            item = self._add_unseen(data, belongs)
        if item.done is not None:
            return drop(self._draft, ITEM_OVER, kind)
        part: Part | None = None
        if belongs.family is not None:
            resolved = self._resolve_part(data, kind, belongs, belongs.family, item)
            if isinstance(resolved, Disposition):
                return resolved
            part = resolved
        if belongs.text and not self._coerce_text(data, kind, belongs, part or item, is_cut=is_cut):
            return Disposition.DROPPED
        whole = _text_at_end(data, kind, belongs, part)
        if item.number is not None and whole is not None:
            self._writer.restore_delta(item, part, whole, self._writer.gaps_before(data))
        _record(part or item, data, kind, belongs)
        if item.number is None:
            return Disposition.WITHHELD
        item.is_whole_shown |= part is None and bool(belongs.text) and not belongs.is_delta
        self._write_id(data, kind, item)
        self._writer.write_index(data, item)
        return Disposition.SENT

    def pass_usual(self, data: JsonObject, belongs: ItemEvent) -> list[str] | None:
        """Take a delta of an open item, or part, that has all of its ids and indices.

        Nothing else can be wrong with it, apart from its number. Return the fragments that it was
        added to; None for other deltas, which are not taken.
        """
        item, text = self._items.shown_as(data, belongs.items[0]), data.get(belongs.text)
        if item is None or not isinstance(text, str) or not _NESTED.isdisjoint(data):
            return None
        holder: Part | Item | None = item
        if belongs.family is not None:
            index = data.get(belongs.family.index)
            if not is_integer(index):
                return None
            if belongs.part:
                holder = item.part_of(belongs.family, index, belongs.part)
                if holder is None or holder.is_done or holder.number != index:
                    return None
        assert holder is not None
        holder.fragments.append(text)
        return holder.fragments

    def _write_id(self, data: JsonObject, kind: str, item: Item) -> None:
        if (
            not has_text(data, "item_id")
            and item.id
            and self._draft.change(
                ITEM_ID, f"{kind} without item_id", item.id, once=str(item.ordinal)
            )
        ):
            data["item_id"] = item.id

    def _add_unseen(self, data: JsonObject, belongs: ItemEvent) -> Item:
        """Add the item of an event; a call is withheld until its done event, which has its name."""
        type = owners(data, belongs)[0]
        added: JsonObject = {"type": type}
        if has_text(data, "item_id"):
            added["id"] = data["item_id"]
        item = self._items.add(added, data.get("output_index"), is_generated=True)
        if type in PARTED:
            if type == "message":
                added["status"] = "in_progress"
            for key in ITEM_FIELDS[type]:
                added[key] = self._fields.value_of(key, added, item)
            self._writer.show(item, added)
        return item

    def _coerce_text(
        self,
        data: JsonObject,
        kind: str,
        belongs: ItemEvent,
        holder: Part | Item,
        *,
        is_cut: bool,
    ) -> bool:
        """Make the text of the event a string; return False if there is nothing to forward."""
        raw, holds_arguments = data.get(belongs.text), "arguments" in kind
        if isinstance(raw, str) and (raw or kind != _ARGUMENTS_DONE or is_cut):
            return True
        if isinstance(raw, dict | list) and holds_arguments:
            if self._draft.change(ARGUMENTS_AS_OBJECT, f"{belongs.text} of {kind}", "text"):
                data[belongs.text] = json_value.write(raw).decode()
        elif not belongs.is_delta:
            if holder.whole is not None and self._draft.note(ITEM_OVER, kind, "dropped"):
                return False
            is_empty_call = kind == _ARGUMENTS_DONE and not is_cut
            streamed = holder.text or ("{}" if is_empty_call else "")
            rule = ARGUMENTS_AS_OBJECT if holds_arguments else TEXT_TYPE
            if self._draft.change(
                rule, f"{kind} without {belongs.text}", "set to the streamed text"
            ):
                data[belongs.text] = streamed
        elif raw is None:
            return not self._draft.note(TEXT_TYPE, "a delta without text", "dropped")
        else:
            message = f"The provider sent {kind} with a delta that is no text."
            self._draft.lose(TEXT_TYPE, start_of(json_value.write(raw)), message)
        return True

    # Parts

    def _resolve_part(
        self, data: JsonObject, kind: str, belongs: ItemEvent, family: PartFamily, item: Item
    ) -> Part | Disposition | None:
        """Return the part of an event and repair its index; or how the event is disposed of."""
        source = data.get(family.index)
        if kind == family.added:
            return self._part_added(data, family, item)
        if kind != family.done and not belongs.part:
            if not is_integer(source) and self._draft.change(
                PART_INDEX, f"{family.index} {source!r}", "0"
            ):
                data[family.index] = 0
            return None
        raw = data.get("part") if kind == family.done else {"type": belongs.part}
        type = raw.get("type") if isinstance(raw, dict) else None
        part = item.part_of(family, source, type if isinstance(type, str) else "")
        if part is None:
            if not self._draft.note(ITEM_NOT_ADDED, f"{kind} of part {source!r}", "part added"):
                return Disposition.SENT
            type = type if isinstance(type, str) else _default_part(family, item)
            part = self._writer.add_part(item, family, _empty_part(type), source)
        if part.is_done:
            return drop(self._draft, ITEM_OVER, kind)
        if not isinstance(raw, dict) and self._draft.change(
            ITEM_INCOMPLETE, "a done event without its part", "set to the streamed text"
        ):
            data["part"] = part.final()
        self._write_part_index(data, family, part, item)
        return part

    def _part_added(self, data: JsonObject, family: PartFamily, item: Item) -> Part | Disposition:
        raw, source = data.get("part"), data.get(family.index)
        type = raw.get("type") if isinstance(raw, dict) else None
        type = type if isinstance(type, str) else ""
        duplicate = item.part_of(family, source, type)
        if (
            duplicate is not None
            and not (duplicate.is_done or duplicate.fragments)
            and self._draft.note(ITEM_REPEATED, "a second part", "dropped")
        ):
            return Disposition.DROPPED
        part = raw if isinstance(raw, dict) and type else None
        if part is None:
            part = _empty_part(_default_part(family, item))
        key = PART_TEXT.get(part["type"])
        if key and not isinstance(part.get(key), str):
            part = {**part, key: ""}
        if part is not raw and self._draft.change(
            ITEM_INCOMPLETE, "a part without type or text", "filled in"
        ):
            data["part"] = part
        keeps_index = self._keeps_index and family is CONTENT
        added = item.add_part(family, part, source, keeps_index=keeps_index)
        added.gaps = self._writer.gaps_before(data)
        self._write_part_index(data, family, added, item)
        return added

    def _write_part_index(
        self, data: JsonObject, family: PartFamily, part: Part, item: Item
    ) -> None:
        index, once = data.get(family.index), f"{item.ordinal} {family.index} {part.number}"
        if (index != part.number or not is_integer(index)) and self._draft.change(
            PART_INDEX, f"{family.index} {index!r}", str(part.number), once=once
        ):
            data[family.index] = part.number


def _text_at_end(data: JsonObject, kind: str, belongs: ItemEvent, part: Part | None) -> str | None:
    """Return the whole text in a done event; None for any other event."""
    if part is not None and belongs.family is not None and kind == belongs.family.done:
        done = data.get("part")
        text = done.get(PART_TEXT.get(part.type, "")) if isinstance(done, dict) else None
        return text if isinstance(text, str) else None
    text = data.get(belongs.text) if belongs.text and not belongs.is_delta else None
    return text if isinstance(text, str) else None


def _record(holder: Part | Item, data: JsonObject, kind: str, belongs: ItemEvent) -> None:
    """Record the text in the event with its part, or its call."""
    text = data.get(belongs.text) if belongs.text else None
    if isinstance(holder, Part) and belongs.family is not None and kind == belongs.family.done:
        done = data.get("part")
        holder.is_done = True
        holder.added = done if isinstance(done, dict) and "type" in done else holder.final()
        text = holder.added.get(PART_TEXT.get(holder.type, ""))
        holder.whole = text if isinstance(text, str) else holder.text
    elif isinstance(text, str):
        if belongs.is_delta:
            holder.fragments.append(text)
        else:
            holder.whole = text


def _empty_part(type: str) -> JsonObject:
    part: JsonObject = {"type": type}
    if key := PART_TEXT.get(type):
        part[key] = ""
    return part | {"annotations": []} if type == "output_text" else part


def _default_part(family: PartFamily, item: Item) -> str:
    if family is SUMMARY:
        return "summary_text"
    return "reasoning_text" if item.type == "reasoning" else "output_text"
