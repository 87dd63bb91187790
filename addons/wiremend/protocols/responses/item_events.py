"""The repair of the starts and ends of output items in a Responses stream."""

from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.responses.grammar import (
    CALL_TEXT,
    ITEM_ADDED,
    ITEM_DONE,
    ITEM_EVENTS,
    ItemEvent,
)
from wiremend.protocols.responses.inner_events import ITEM_OVER, ITEM_REPEATED, InnerEvents
from wiremend.protocols.responses.item_fields import (
    ITEM_INCOMPLETE,
    Disposition,
    ItemFields,
    drop,
    has_text,
)
from wiremend.protocols.responses.item_writer import ITEM_NOT_ADDED, ItemWriter
from wiremend.protocols.responses.items import FinalItems, Item, Items, opening_of
from wiremend.protocols.responses.response import ResponseObject
from wiremend.protocols.responses.writer import Writer
from wiremend.rules.rule import Rule
from wiremend.text.json_value import JsonObject

_P = ("responses",)

SIGNATURE_LATE = Rule(
    code="S336",
    name="signature-late",
    detects="A reasoning item is done a second time, now with the `encrypted_content` that it "
    "lacked.",
    impact="Without it, the provider rejects or ignores the reasoning in the next request.",
    action="Sends it as a reasoning item of its own.",
    protocols=_P,
    before='{"type":"response.output_item.done","item":{"id":"rs_1","type":"reasoning", …}}, '
    '{"type":"response.output_item.done","item":{"id":"rs_1","type":"reasoning",'
    '"encrypted_content":"gAAA", …}}',
    after='{"type":"response.output_item.done","item":{"id":"rs_1","type":"reasoning", …}}, …, '
    '{"type":"response.output_item.done","item":{"id":"rs_1_1","type":"reasoning",'
    '"encrypted_content":"gAAA", …}}',
)
_DELTAS = {
    belongs.items[0]: kind
    for kind, belongs in ITEM_EVENTS.items()
    if belongs.is_delta and belongs.family is None
}
"""The event type for the deltas of a call, by the type of its item."""


class ItemEvents:
    """Repairs the data of events in place, and writes missing events before them.

    Its methods raise ContentLost.
    """

    def __init__(
        self, context: StreamContext, draft: Draft, writer: Writer, response: ResponseObject
    ) -> None:
        self._tool_names = context.tool_names
        self._draft = draft
        self.items = Items()
        self._fields = ItemFields(context, draft, response)
        self._writer = ItemWriter(context, draft, writer, self.items, self._fields)
        self._inner = InnerEvents(context, draft, self.items, self._fields, self._writer)

    def feed(self, data: JsonObject, kind: str, *, is_cut: bool = False) -> Disposition:
        """Repair an event that is not about the whole response; return its disposition.

        `is_cut`: the output limit cut the call that ends in this event.
        """
        if kind == ITEM_ADDED:
            return self._added(data)
        if kind == ITEM_DONE:
            return self._done(data, is_cut=is_cut)
        if kind in ITEM_EVENTS:
            return self._inner.feed(data, kind, ITEM_EVENTS[kind], is_cut=is_cut)
        if "output_index" in data:
            # Progress of a hosted tool, or an unknown type: `response.TYPE.STAGE`.
            item = self.items.owner(data, (kind.split(".")[1],), is_shown=True)
            if item is not None and item.number is not None:
                self._writer.write_index(data, item)
        return Disposition.SENT

    def pass_usual(self, data: JsonObject, belongs: ItemEvent) -> list[str] | None:
        """Take a delta to which no rule applies; see `InnerEvents.pass_usual`."""
        return self._inner.pass_usual(data, belongs)

    def owner(self, data: JsonObject) -> Item | None:
        """Return the item that an event is the end of, if it is known."""
        done = data.get("item")
        type = done.get("type") if isinstance(done, dict) else None
        return self.items.owner(data, (type,) if isinstance(type, str) else ("function_call",))

    def is_inside(self, output: list[JsonObject]) -> bool:
        """Return whether an item is open whose end is not in this output of a terminal event."""
        finals = FinalItems(self.items, output)
        return any(item.is_open and finals.of(item) is None for item in self.items.all)

    def stream(self, output: list[JsonObject]) -> None:
        """Write the events of items that only the terminal event contains."""
        self._writer.stream(output)

    def settle(self, output: list[JsonObject], data: JsonObject) -> None:
        """Write the end of every item that is not done, before the response completes.

        `output` contains the items of the terminal event `data`, which is empty if there is none.
        """
        self._writer.settle(output, data)

    def repair_output(self, output: list[JsonObject], *, is_cut: bool) -> None:
        """Repair items in the output of the terminal event, with the fields in their own events."""
        self._fields.repair_output(output, self.items.done(), is_cut=is_cut)

    def _added(self, data: JsonObject) -> Disposition:
        added, source = data.get("item"), data.get("output_index")
        if not isinstance(added, dict) or not isinstance(added.get("type"), str):
            return drop(self._draft, ITEM_INCOMPLETE, "an added item without a type")
        duplicate = self.items.duplicate_of(added, source)
        if duplicate is not None and duplicate.number is None:
            item = duplicate  # it was withheld until now; some of its parts came first
            item.added = added
        elif duplicate is not None and self._draft.note(
            ITEM_REPEATED, f"a second {added['type']}", "dropped"
        ):
            return Disposition.DROPPED
        else:
            item = self.items.add(added, source)
        item.gaps = self._writer.gaps_before(data)
        if (
            added["type"] in CALL_TEXT
            and not has_text(added, "name")
            and len(self._tool_names) != 1
            and self._draft.note(
                ITEM_INCOMPLETE, "a call without a name", "withheld until it is known"
            )
        ):
            return Disposition.WITHHELD
        self._fields.fill(added, item)
        self._fields.write_arguments_as_text(added, is_done=False)
        if item.fragments:
            self._writer.show(item, added)
            self._writer.write_inside(item, _DELTAS[item.type], delta="".join(item.fragments))
            return Disposition.DROPPED
        self.items.index_by_id(item)
        self.items.show(item)
        self._writer.write_index(data, item)
        return Disposition.SENT

    def _is_late_signature(self, done: JsonObject, item: Item) -> bool:
        """Return whether this repeats a reasoning item, with the signature that it lacked."""
        return (
            item.done is not None
            and item.type == "reasoning" == done.get("type")
            and has_text(done, "encrypted_content")
            and not has_text(item.done, "encrypted_content")
            and self._draft.note(SIGNATURE_LATE, "encrypted_content after its item", "an item")
        )

    def _done(self, data: JsonObject, *, is_cut: bool) -> Disposition:
        done = data.get("item")
        type = done.get("type") if isinstance(done, dict) else None
        item = self.items.owner(data, (type,) if isinstance(type, str) else ())
        if item is not None and item.done is not None:
            if not isinstance(done, dict) or not self._is_late_signature(done, item):
                return drop(self._draft, ITEM_OVER, ITEM_DONE)
            self._draft.changed = True
            if done.get("summary") == item.done.get("summary"):
                done["summary"] = []
            item = self.items.add(opening_of(done), None, is_generated=True)
            done["id"] = item.added["id"] = f"{done.get('id')}_{item.ordinal}"
            self.items.index_by_id(item)
        if not isinstance(done, dict) or not isinstance(type, str):
            found = "a done item without a type"
            if item is None or (not isinstance(done, dict) and not item.is_whole):
                # The terminal event may still contain it.
                return drop(self._draft, ITEM_INCOMPLETE, found)
            if not self._draft.change(ITEM_INCOMPLETE, found, item.type):
                return Disposition.SENT
            whole = item.snapshot("completed")
            done = data["item"] = whole | (done if isinstance(done, dict) else {})
            done["type"] = item.type
        if item is None:
            if not self._draft.note(ITEM_NOT_ADDED, f"a done {done['type']}", "added"):
                return Disposition.SENT
            item = self.items.add(opening_of(done), data.get("output_index"), is_generated=True)
        self._fields.finish(done, item, is_cut=is_cut)
        self._writer.finish_item(item, done, data)
        self._writer.write_index(data, item)
        self.items.finish(item, done)
        return Disposition.SENT
