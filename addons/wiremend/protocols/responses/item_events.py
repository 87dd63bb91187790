"""Mends the events of a Responses stream that belong to its output items."""

from enum import Enum, auto
from typing import Any

from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.responses import rules
from wiremend.protocols.responses.grammar import (
    ANSWERS,
    CALL_TEXT,
    ITEM_ADDED,
    ITEM_DONE,
    ITEM_EVENTS,
    ITEM_FIELDS,
    PART_TEXT,
    REFUSAL_DONE,
    SUMMARY,
    SUMMARY_DONE,
    TEXT_DONE,
    UNFINISHED,
    WITH_STATUS,
    ItemEvent,
    PartFamily,
    is_count,
    owners,
)
from wiremend.protocols.responses.grammar import CONTENT as CONTENT_PARTS
from wiremend.protocols.responses.items import PARTED, Data, Item, Items, Part, new_id, shell_of
from wiremend.protocols.responses.writer import Writer, is_json
from wiremend.rules.rule import Rule, start_of
from wiremend.text import json_value

_DELTAS = {
    belongs.items[0]: kind
    for kind, belongs in ITEM_EVENTS.items()
    if belongs.is_delta and belongs.family is None
}
"""What the fragments of a call come in, by its item's type."""
_TEXT_DONE = {
    "output_text": TEXT_DONE,
    "refusal": REFUSAL_DONE,
    "summary_text": SUMMARY_DONE,
}
"""The event that repeats a part's text."""
_ARGUMENTS_DONE = "response.function_call_arguments.done"


class Fate(Enum):
    """What becomes of an event."""

    SENT = auto()
    DROPPED = auto()
    WITHHELD = auto()
    """It said something, but the client cannot use it yet."""


class ItemEvents:
    """Feed it each event's data; it changes the data, and writes what must come before.

    Its methods raise Unmendable where content is lost.
    """

    def __init__(self, context: StreamContext, writer: Writer) -> None:
        self._context = context
        self._writer = writer
        self.items = Items()
        self.response_id = ""

    def feed(self, data: Data, kind: str) -> Fate:
        """What becomes of an event that is not about the response as a whole."""
        if kind == ITEM_ADDED:
            return self._added(data)
        if kind == ITEM_DONE:
            return self._done(data)
        if kind in ITEM_EVENTS:
            return self._inside(data, kind, ITEM_EVENTS[kind])
        if "output_index" in data:
            # The progress of a hosted tool, or an event of tomorrow: `response.TYPE.STAGE`.
            item = self.items.owner(data, (kind.split(".")[1],), is_shown=True)
            if item is not None and item.number is not None:
                self._mend_index(data, item)
        return Fate.SENT

    @property
    def is_whole(self) -> bool:
        """Whether the items can be a whole answer, though no terminal event said so."""
        if not self.items.all or not all(
            item.is_whole if item.done is None else item.done.get("status") != "incomplete"
            for item in self.items.all
        ):
            return False
        last = self.items.all[-1]
        if last.type == "message" and last.done is not None and not last.done.get("content"):
            return False
        return last.type in ANSWERS and last.added.get("phase") != "commentary"

    def stream(self, output: list[Data]) -> None:
        """Write the events of items that only the terminal event shows."""
        if not self._writer.notes.note(
            rules.ITEMS_NOT_STREAMED, f"{len(output)} items", "streamed"
        ):
            return
        for final in output:
            if not isinstance(final.get("type"), str):
                continue
            item = self.items.add(shell_of(final), None)
            self._finish(final, item)
            self._show(item, shell_of(final))
            content = final.get("content") if item.type == "message" else None
            for given in content if isinstance(content, list) else []:
                type = given.get("type") if isinstance(given, dict) else None
                key = PART_TEXT.get(type, "") if isinstance(type, str) else ""
                text = given.get(key) if key else None
                if not isinstance(text, str) or type not in _TEXT_DONE:
                    continue
                part = self._add_part(item, CONTENT_PARTS, {**given, key: ""}, None)
                delta = _TEXT_DONE[part.type].replace(".done", ".delta")
                self._write_inside(item, delta, content_index=part.number, delta=text, logprobs=[])
                part.fragments.append(text)
            self._close(item, final)

    def settle(self, output: list[Data]) -> None:
        """Before the response completes: every item is done. `output` is the terminal event's."""
        for item in self.items.all:
            if item.done is not None:
                continue
            if not self._writer.notes.note(
                rules.ITEM_NOT_DONE, f"item {item.ordinal} ({item.type})", "done events added"
            ):
                return
            final = self.items.final_of(item, output)
            if final is None and item.number is None:
                message = f"The provider sent parts of a {item.type} that it never began."
                self._writer.lose(rules.ITEM_NOT_ADDED, item.type, message)
            if final is None:
                final = item.snapshot("completed")
            self._finish(final, item)
            self._show(item, shell_of(final))
            self._close(item, final)

    # An item's beginning and end

    def _added(self, data: Data) -> Fate:
        given, source = data.get("item"), data.get("output_index")
        if not isinstance(given, dict) or not isinstance(given.get("type"), str):
            return self._drop(rules.ITEM_INCOMPLETE, "an added item without a type")
        twin = self.items.twin(given, source)
        if twin is not None and twin.number is None:
            item = twin  # it waited for this, some of its parts came first
            item.added = given
        elif twin is not None and self._writer.notes.note(
            rules.ITEM_REPEATED, f"a second {given['type']}", "dropped"
        ):
            return Fate.DROPPED
        else:
            item = self.items.add(given, source)
        if (
            given["type"] in CALL_TEXT
            and not _has(given, "name")
            and len(self._context.tool_names) != 1
            and self._writer.notes.note(
                rules.ITEM_INCOMPLETE, "a call without a name", "withheld until it is known"
            )
        ):
            return Fate.WITHHELD
        self._fill(given, item)
        self._write_arguments_as_text(given, is_done=False)
        if item.fragments:
            self._show(item, given)
            self._write_inside(item, _DELTAS[item.type], delta="".join(item.fragments))
            return Fate.DROPPED
        self.items.name(item)
        self.items.show(item)
        self._mend_index(data, item)
        return Fate.SENT

    def _done(self, data: Data) -> Fate:
        given = data.get("item")
        type = given.get("type") if isinstance(given, dict) else None
        item = self.items.owner(data, (type,) if isinstance(type, str) else ())
        if item is not None and item.done is not None:
            return self._drop(rules.ITEM_OVER, ITEM_DONE)
        if not isinstance(given, dict) or not isinstance(type, str):
            if item is None or (not isinstance(given, dict) and not item.is_whole):
                # The terminal event may still show it.
                return self._drop(rules.ITEM_INCOMPLETE, "a done item without a type")
            if not self._writer.change(
                rules.ITEM_INCOMPLETE, "a done item without a type", item.type
            ):
                return Fate.SENT
            whole = item.snapshot("completed")
            given = data["item"] = whole | (given if isinstance(given, dict) else {})
            given["type"] = item.type
        if item is None:
            if not self._writer.notes.note(
                rules.ITEM_NOT_ADDED, f"a done {given['type']}", "added"
            ):
                return Fate.SENT
            item = self.items.add(shell_of(given), data.get("output_index"), is_ours=True)
        self._finish(given, item)
        self._show(item, shell_of(given))
        self._mend_index(data, item)
        item.done = given
        return Fate.SENT

    def _finish(self, given: Data, item: Item) -> None:
        """Give a done item all that it must have. Raises Unmendable for a call that is cut."""
        key = CALL_TEXT.get(given["type"])
        if (
            key
            and not given.get(key)
            and item.text
            and self._writer.change(
                rules.ITEM_INCOMPLETE, f"{given['type']} lacks {key}", "carried over"
            )
        ):
            given[key] = item.text
        self._fill(given, item)
        status = given.get("status")
        if (
            given["type"] in WITH_STATUS
            and (not isinstance(status, str) or not status or status in UNFINISHED)
            and self._writer.change(
                rules.ITEM_INCOMPLETE, f"{given['type']} is done as {status!r}", "completed"
            )
        ):
            given["status"] = "completed"
        if status == "incomplete" and key and isinstance(given.get(key), str):
            return
        self._write_arguments_as_text(given, is_done=True)
        if given["type"] == "function_call" and not is_json(given.get("arguments")):
            message = "The provider's tool call ended inside its JSON arguments."
            self._writer.lose(rules.ARGUMENTS_BROKEN, str(given.get("arguments"))[-60:], message)

    def _fill(self, given: Data, item: Item) -> None:
        """Give an item's object the fields that it must have, its arguments aside."""
        missing: Data = {}
        for key, type in ITEM_FIELDS.get(given["type"], {}).items():
            if key != CALL_TEXT.get(given["type"]) and not _is_full(given.get(key), type):
                value = self._known(key, given, item)
                if value != given.get(key):
                    missing[key] = value
        if missing and self._writer.change(
            rules.ITEM_INCOMPLETE, f"{given['type']} lacks {', '.join(missing)}", "filled in"
        ):
            given.update(missing)

    def _known(self, key: str, given: Data, item: Item) -> Any:
        if key in ("content", "summary"):
            return item.streamed(key)
        if _has(item.added, key):
            return item.added[key]
        if key == "role":
            return "assistant"
        if key == "name":
            if len(self._context.tool_names) != 1:
                message = "The provider called a tool without naming it."
                self._writer.lose(rules.ITEM_INCOMPLETE, "a call without a name", message)
            return self._context.tool_names[0]
        if key == "call_id" and _has(given, "id"):
            return given["id"]
        prefix = key if key == "call_id" else given["type"]
        return new_id(prefix, self.response_id, item.ordinal)

    def _write_arguments_as_text(self, given: Data, *, is_done: bool) -> None:
        key = CALL_TEXT.get(given["type"])
        if key is None:
            return
        value = given.get(key)
        nothing = "{}" if is_done and key == "arguments" else ""
        if isinstance(value, str):
            better = value or nothing
        else:
            better = json_value.write(value).decode() if value else nothing
        if value != better and self._writer.change(
            rules.ARGUMENTS_AS_OBJECT, f"{key}: {start_of(json_value.write(value))}", "text"
        ):
            given[key] = better

    def mend_output(self, output: list[Data]) -> None:
        """Write items in the terminal event's output as their own events have them."""
        streamed = self.items.done()
        for number, entry in enumerate(output):
            if not isinstance(entry.get("type"), str):
                continue
            self._write_arguments_as_text(entry, is_done=entry.get("status") != "incomplete")
            own = streamed[number] if number < len(streamed) else {}
            for key in ("id", "call_id", "name"):
                if (
                    own.get("type") == entry["type"]
                    and _has(own, key)
                    and not _has(entry, key)
                    and self._writer.change(
                        rules.ITEM_INCOMPLETE, f"output[{number}] lacks {key}", "filled in"
                    )
                ):
                    entry[key] = own[key]

    def _show(self, item: Item, shell: Data) -> None:
        """Write the item's beginning, unless the client has had that."""
        if item.number is None:
            item.added = shell
            self.items.name(item)
            number = self.items.show(item)
            self._writer.write({"type": ITEM_ADDED, "output_index": number, "item": shell})

    def _close(self, item: Item, final: Data) -> None:
        """Write all that is missing until the item is done."""
        for family, part in item.open_parts():
            index = {family.index: part.number}
            key = PART_TEXT.get(part.type, "")
            if part.type in _TEXT_DONE and part.whole is None:
                more: Data = {"logprobs": []} if part.type == "output_text" else {}
                self._write_inside(item, _TEXT_DONE[part.type], **index, **{key: part.text}, **more)
            self._write_inside(item, family.done, **index, part=part.final())
            part.is_done = True
        item.done = final
        self._writer.write({"type": ITEM_DONE, "output_index": item.number, "item": final})

    # Events inside an item

    def _inside(self, data: Data, kind: str, belongs: ItemEvent) -> Fate:
        item = self.items.owner(data, owners(data, belongs))
        if item is None and belongs.family is None:
            other = self.items.owner(data, ())
            if other is not None and other.type not in PARTED:
                # What the call passes comes again when it is done.
                return self._drop(rules.ITEM_NOT_ADDED, f"{kind} of a {other.type}")
        if item is None:
            done = f"{owners(data, belongs)[0]} added or awaited"
            if not self._writer.notes.note(rules.ITEM_NOT_ADDED, kind, done):
                return Fate.SENT
            item = self._add_unseen(data, belongs)
        if item.done is not None:
            return self._drop(rules.ITEM_OVER, kind)
        part: Part | None = None
        if belongs.family is not None:
            found = self._find_part(data, kind, belongs, belongs.family, item)
            if isinstance(found, Fate):
                return found
            part = found
        if belongs.text and not self._mend_text(data, kind, belongs, part or item):
            return Fate.DROPPED
        _remember(part or item, data, kind, belongs)
        if item.number is None:
            return Fate.WITHHELD
        if (
            not _has(data, "item_id")
            and item.id
            and self._writer.change(
                rules.ITEM_ID, f"{kind} without item_id", item.id, once=str(item.ordinal)
            )
        ):
            data["item_id"] = item.id
        self._mend_index(data, item)
        return Fate.SENT

    def _add_unseen(self, data: Data, belongs: ItemEvent) -> Item:
        """The item that an event belongs to; a call waits for the name that its end will tell."""
        type = owners(data, belongs)[0]
        added: Data = {"type": type}
        if _has(data, "item_id"):
            added["id"] = data["item_id"]
        item = self.items.add(added, data.get("output_index"), is_ours=True)
        if type in PARTED:
            if type == "message":
                added["status"] = "in_progress"
            for key in ITEM_FIELDS[type]:
                added[key] = self._known(key, added, item)
            self._show(item, added)
        return item

    def _mend_text(self, data: Data, kind: str, belongs: ItemEvent, holder: Part | Item) -> bool:
        """See to it that the event's text is text; False if the event says nothing."""
        value, holds_arguments = data.get(belongs.text), "arguments" in kind
        if isinstance(value, str) and (value or kind != _ARGUMENTS_DONE):
            return True
        if isinstance(value, dict | list) and holds_arguments:
            if self._writer.change(rules.ARGUMENTS_AS_OBJECT, f"{belongs.text} of {kind}", "text"):
                data[belongs.text] = json_value.write(value).decode()
        elif not belongs.is_delta:
            streamed = holder.text or ("{}" if kind == _ARGUMENTS_DONE else "")
            rule = rules.ARGUMENTS_AS_OBJECT if holds_arguments else rules.TEXT_TYPE
            if self._writer.change(rule, f"{kind} without {belongs.text}", "what was streamed"):
                data[belongs.text] = streamed
        elif value is None:
            return not self._writer.notes.note(rules.TEXT_TYPE, "a delta of nothing", "dropped")
        else:
            message = f"The provider sent {kind} with a delta that is no text."
            self._writer.lose(rules.TEXT_TYPE, start_of(json_value.write(value)), message)
        return True

    def _find_part(
        self, data: Data, kind: str, belongs: ItemEvent, family: PartFamily, item: Item
    ) -> Part | Fate | None:
        """The part that an event belongs to, its index mended; a Fate if it goes no further."""
        source = data.get(family.index)
        if kind == family.added:
            return self._part_added(data, family, item)
        if kind != family.done and not belongs.part:
            if not is_count(source) and self._writer.change(
                rules.PART_INDEX, f"{family.index} {source!r}", "0"
            ):
                data[family.index] = 0
            return None
        given = data.get("part") if kind == family.done else {"type": belongs.part}
        type = given.get("type") if isinstance(given, dict) else None
        part = item.part_of(family, source, type if isinstance(type, str) else "")
        if part is None:
            if not self._writer.notes.note(
                rules.ITEM_NOT_ADDED, f"{kind} of part {source!r}", "part added"
            ):
                return Fate.SENT
            type = type if isinstance(type, str) else _usual_part(family, item)
            part = self._add_part(item, family, _empty_part(type), source)
        if part.is_done:
            return self._drop(rules.ITEM_OVER, kind)
        if not isinstance(given, dict) and self._writer.change(
            rules.ITEM_INCOMPLETE, "a part that is done as nothing", "what was streamed"
        ):
            data["part"] = part.final()
        self._mend_part_index(data, family, part, item)
        return part

    def _part_added(self, data: Data, family: PartFamily, item: Item) -> Part | Fate:
        given, source = data.get("part"), data.get(family.index)
        type = given.get("type") if isinstance(given, dict) else None
        type = type if isinstance(type, str) else ""
        twin = item.part_of(family, source, type)
        if (
            twin is not None
            and not (twin.is_done or twin.fragments)
            and self._writer.notes.note(rules.ITEM_REPEATED, "a second part", "dropped")
        ):
            return Fate.DROPPED
        part = given if isinstance(given, dict) and type else None
        if part is None:
            part = _empty_part(_usual_part(family, item))
        key = PART_TEXT.get(part["type"])
        if key and not isinstance(part.get(key), str):
            part = {**part, key: ""}
        if part is not given and self._writer.change(
            rules.ITEM_INCOMPLETE, "a part without type or text", "filled in"
        ):
            data["part"] = part
        added = item.add_part(family, part, source)
        self._mend_part_index(data, family, added, item)
        return added

    def _mend_index(self, data: Data, item: Item) -> None:
        index = data.get("output_index")
        if (index != item.number or not is_count(index)) and self._writer.change(
            rules.OUTPUT_INDEX, f"output_index {index!r}", str(item.number), once=str(item.ordinal)
        ):
            data["output_index"] = item.number

    def _mend_part_index(self, data: Data, family: PartFamily, part: Part, item: Item) -> None:
        index, once = data.get(family.index), f"{item.ordinal} {family.index} {part.number}"
        if (index != part.number or not is_count(index)) and self._writer.change(
            rules.PART_INDEX, f"{family.index} {index!r}", str(part.number), once=once
        ):
            data[family.index] = part.number

    def _drop(self, rule: Rule, found: str) -> Fate:
        return Fate.DROPPED if self._writer.notes.note(rule, found, "dropped") else Fate.SENT

    def _add_part(self, item: Item, family: PartFamily, part: Data, source: Any) -> Part:
        added = item.add_part(family, part, source)
        self._write_inside(item, family.added, **{family.index: added.number}, part=part)
        return added

    def _write_inside(self, item: Item, kind: str, **fields: Any) -> None:
        own = {"type": kind, "item_id": item.id, "output_index": item.number}
        self._writer.write({**own, **fields})


def _remember(holder: Part | Item, data: Data, kind: str, belongs: ItemEvent) -> None:
    """Keep what the event says of its part, or of its call."""
    text = data.get(belongs.text) if belongs.text else None
    if isinstance(holder, Part) and belongs.family is not None and kind == belongs.family.done:
        given = data.get("part")
        holder.is_done = True
        holder.added = given if isinstance(given, dict) and "type" in given else holder.final()
        text = holder.added.get(PART_TEXT.get(holder.type, ""))
        holder.whole = text if isinstance(text, str) else holder.text
    elif isinstance(text, str):
        if belongs.is_delta:
            holder.fragments.append(text)
        else:
            holder.whole = text


def _has(data: Data, key: str) -> bool:
    return isinstance(data.get(key), str) and bool(data[key])


def _is_full(value: Any, type: type) -> bool:
    return isinstance(value, type) and bool(value)


def _empty_part(type: str) -> Data:
    part: Data = {"type": type}
    if key := PART_TEXT.get(type):
        part[key] = ""
    return part | {"annotations": []} if type == "output_text" else part


def _usual_part(family: PartFamily, item: Item) -> str:
    if family is SUMMARY:
        return "summary_text"
    return "reasoning_text" if item.type == "reasoning" else "output_text"
