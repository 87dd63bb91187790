"""The repair of a Responses event stream: the events of the whole response.

The events of output items are repaired in `item_events` and `inner_events`.
"""

from contextlib import suppress
from typing import Any, ClassVar

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.event_repairer import DONE, EventRepairer, FrameRules
from wiremend.protocols.base.provider_error import (
    ProviderError,
    error_from,
    error_of_text,
    make_error,
    read_error,
)
from wiremend.protocols.base.repairer import (
    EventKind,
    Repaired,
    Repeatable,
    Run,
    StreamContext,
)
from wiremend.protocols.responses.completion import Ending, is_complete
from wiremend.protocols.responses.errors import error_event
from wiremend.protocols.responses.grammar import (
    COMPLETE,
    COMPLETED,
    CREATED,
    FAILED,
    ITEM_ADDED,
    ITEM_DONE,
    ITEM_EVENTS,
    KEEPALIVES,
    LIFECYCLE,
    OWN_FIELDS,
    PREAMBLE,
    UNNUMBERED,
)
from wiremend.protocols.responses.held_events import HeldEvent, HeldEvents
from wiremend.protocols.responses.item_events import ItemEvents
from wiremend.protocols.responses.item_fields import CUT_CALL, CallNames, Disposition
from wiremend.protocols.responses.misplaced import error_inside, move_values, unwrap
from wiremend.protocols.responses.response import ResponseObject, items_in
from wiremend.protocols.responses.terminal import (
    ENDS,
    failure_in,
    is_failed_type,
    settle_end,
)
from wiremend.protocols.responses.writer import EVENT_REPEATED, Writer
from wiremend.rules.rule import Rule
from wiremend.text import sse
from wiremend.text.json_edits import Path
from wiremend.text.json_value import JsonObject

_P = ("responses",)

CREATED_MISSING = Rule(
    code="S302",
    name="created-missing",
    detects="The stream begins without `response.created`.",
    impact="SDK accumulators expect it first and raise an exception.",
    action="Adds the event.",
    protocols=_P,
    before='{"type":"response.in_progress", …}',
    after='{"type":"response.created", …}, {"type":"response.in_progress", …}',
)
CREATED_REPEATED = Rule(
    code="S303",
    name="created-repeated",
    detects="A second `response.created` arrives.",
    impact="Accumulators start again and lose the previous content.",
    action="Drops it.",
    protocols=_P,
    before='{"type":"response.created", …}, {"type":"response.created", …}',
    after='{"type":"response.created", …}',
)
COMPLETED_MISSING = Rule(
    code="S309",
    name="completed-missing",
    detects="The stream ends without a terminal event although every item is complete.",
    impact='"stream closed before response.completed"; the client repeats the request up to five '
    "times.",
    action="Adds `response.completed` with the streamed items, if no further item can have been "
    "cut off. A response that ends with reasoning or inside an item, or whose tools allow another "
    "call, is not complete: the stream ends in an error.",
    protocols=_P,
    seen=("openai/codex#41340", "router-for-me/CLIProxyAPI#1407"),
    before='{"type":"response.output_item.done", …}',
    after='{"type":"response.output_item.done", …}, {"type":"response.completed", …}',
)
KEEPALIVE_FRAME = Rule(
    code="S312",
    name="keepalive-frame",
    detects='The stream contains `{"type":"keepalive"}` or `{"type":"ping"}` frames.',
    impact="openai-node, openai-java and Vercel's xAI provider fail on them.",
    action="Replaces each frame with a blank line.",
    protocols=_P,
    seen=("openai/openai-node#1964", "vercel/ai#20575"),
    before='data: {"type":"keepalive","sequence_number":5}',
    after="(a blank line)",
)
AFTER_THE_END = Rule(
    code="S314",
    name="after-the-end",
    detects="Events follow the terminal event: pings with costs, `[DONE]`.",
    impact="SDKs throw an exception.",
    action="Drops them.",
    protocols=_P,
    seen=("fawney19/Aether#774",),
    before='{"type":"response.completed", …}, {"type":"ping","cost":"0.1"}',
    after='{"type":"response.completed", …}',
)
EARLY_END = Rule(
    code="S329",
    name="early-end",
    detects="`response.completed` arrives inside an item, and the item goes on.",
    impact="Clients show half the text as the whole answer.",
    action="Drops the event, and waits for another one. Without it, the stream ends in an error.",
    protocols=_P,
    before='{"type":"response.completed", …}, {"type":"response.output_text.delta", …}',
    after='{"type":"response.output_text.delta", …}',
)
FOREIGN_FRAME = Rule(
    code="S315",
    name="foreign-frame",
    detects="The data is neither an event of this protocol nor an error.",
    impact="`invalid_union` ends the turn.",
    action="Drops it.",
    protocols=_P,
    seen=("anomalyco/opencode#36428",),
    before='{"tool":"search_files","label":"*","status":"running"}',
)
BROKEN_EVENT = Rule(
    code="S316",
    name="broken-event",
    detects="An event's data is malformed JSON, or its type is lost.",
    impact="Clients fail, or skip the event and lose content.",
    action="Content is lost: ends the stream in the protocol's error event.",
    protocols=_P,
    before='{"type":"response.output_text.delta","del',
    after='{"type":"response.failed", …}',
)
EVENT_LINE = Rule(
    code="S320",
    name="event-line",
    detects="The `event:` line is missing or contradicts the type in the data.",
    impact="Clients that dispatch on this line miss the event and repeat the whole turn.",
    action="Writes the line from the data.",
    protocols=_P,
    before='event: message\ndata: {"type":"response.completed", …}',
    after='event: response.completed\ndata: {"type":"response.completed", …}',
)
TYPE_MISSING = Rule(
    code="S321",
    name="type-missing",
    detects="The data has no `type`, but the event has an `event:` line.",
    impact="Clients that parse the data skip the event or fail.",
    action="Copies the type from the line into the data.",
    protocols=_P,
    before='event: response.output_text.delta\ndata: {"delta":"Hi", …}',
    after='event: response.output_text.delta\ndata: {"delta":"Hi", …, '
    '"type":"response.output_text.delta"}',
)
EMPTY_FRAME = Rule(
    code="S322",
    name="empty-frame",
    detects="The data of an event is empty or `{}`.",
    impact="The official SDK fails to parse empty data; others miss the type.",
    action="Drops the event.",
    protocols=_P,
    before="data: {}",
)


class ResponsesRepairer(EventRepairer):
    """Repairs the stream of one attempt; see `wiremend.protocols.base.event_repairer`."""

    frames = FrameRules(
        after_the_end=AFTER_THE_END,
        foreign_frame=FOREIGN_FRAME,
        broken_event=BROKEN_EVENT,
        done_marker=FOREIGN_FRAME,
        empty_frame=EMPTY_FRAME,
        empty=(b"", b"{}"),
        keepalive_frame=KEEPALIVE_FRAME,
        keepalives=KEEPALIVES,
        event_line=EVENT_LINE,
        type_missing=TYPE_MISSING,
        notes_once=True,
    )
    error_type: ClassVar[str] = "server_error"

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._writer = Writer(self._draft, context)
        self._response = ResponseObject(context, self._draft)
        self._item_events = ItemEvents(context, self._draft, self._writer, self._response)
        self._items = self._item_events.items
        self._began = False
        self._held = HeldEvents(
            self._item_events,
            CallNames(context, self._draft),
            is_enabled=self._draft.is_on(EARLY_END) and self._draft.is_on(CUT_CALL),
        )
        self._ending = Ending()
        self._end_is_void = False
        """Content followed the terminal event, which was dropped."""

    def __repr__(self) -> str:
        state = self._ended.value if self._ended else "open"
        return f"ResponsesRepairer({state}, event={self._events}, items={len(self._items)})"

    @property
    def complete(self) -> bool:
        """False until the terminal event: another item may start at any time."""
        return False

    @property
    def message_at_end(self) -> str:
        """The error message for a stream that upstream left incomplete."""
        if not self._began:
            return "The stream ended before its first event."
        if self._end_is_void:
            return f"The stream went on after {COMPLETED}, and ended without another one."
        return f"The stream ended before its terminal event ({COMPLETED})."

    def close(self) -> bool:
        """Add `response.completed` if every item is complete, and no other can follow."""
        self.flush()
        if self._ended is not None:
            return True
        if self._has_unread or self._end_is_void or not self._is_complete():
            return False
        found = "the end after the last item"
        if not self._draft.note(COMPLETED_MISSING, found, f"{COMPLETED} added"):
            return False
        self._item_events.settle([], {})
        self._writer.write(self._response.completed(self._items.done()))
        return True

    def _is_complete(self) -> bool:
        compacts = self._context.compacts
        return is_complete(self._items.all, self._response.fields, self._ending, compacts=compacts)

    def error_in(self, event: sse.Event, value: Any, kind: str) -> ProviderError | None:
        """Return the error that an event reports; a member `error` alone does not report one."""
        response = value.get("response") if isinstance(value, dict) else None
        inner = response.get("error") if isinstance(response, dict) else None
        if kind in ENDS or is_failed_type(kind):
            return failure_in(kind, response if isinstance(response, dict) else {})
        if kind == FAILED:
            inner = inner or value.get("error")
            if isinstance(inner, str):
                return error_of_text(inner)
            return read_error({"error": inner}) or make_error()
        if kind == "response.error":
            return read_error(value) or error_from(value)
        if kind and kind != "error" and ("." in kind or not value.get("error")):
            return None
        error = read_error(value) or (None if kind else error_inside(value))
        if error is None and event.type == "error":
            error = error_from(value) if isinstance(value, dict) and value else make_error()
        return error

    def report_error(self, event: sse.Event, value: Any, kind: str, error: ProviderError) -> None:
        """Write the error; an event that the client reads as an error is kept."""
        if self._held.is_end:
            self._drop_held_end()
        with suppress(ContentLost):
            self.flush()
        ignores_error_events = self._context.client.reads_only_failed_event
        if kind == FAILED and _has_code_and_message(value):
            self._ensure_began(value)
            self._response.repair(value, kind)
            self._send(event, value, kind)
        elif kind == "error" and _has_message(value) and not ignores_error_events:
            self._send(event, value, kind)
        else:
            super().report_error(event, value, kind, error)

    def error_event(self, error: ProviderError) -> bytes:
        """Return `response.failed`, after writing `response.created` if that is missing."""
        if not self._began:
            self._begin({})
        fields = self._response.fields
        # The instructions are long, and the client has them.
        shown = {key: fields[key] for key in fields if key != "instructions"}
        shown["output"] = self._items.done()
        self._writer.number += 1
        before_output = not self._items.any_shown
        return error_event(error, shown, self._writer.number, before_output=before_output)

    def is_event_type(self, line: str) -> bool:
        """Return whether an `event:` line may replace a missing type."""
        return line.startswith("response.")

    def is_cut(self, event: sse.Event, text: bytes) -> bool:
        """Return whether data that is not JSON is a truncated event."""
        return text[:1] in (b"{", b'"') or self.is_event_type(event.type)

    def put(self, raw: bytes) -> None:
        """Write these bytes, or hold them back behind what is held back."""
        if self._held:
            self._held.put_behind(raw)
        else:
            super().put(raw)

    def read_done(self, event: sse.Event) -> EventKind:
        """Drop `[DONE]`, a marker of another protocol; after an `event:` line it is text."""
        if event.type == "error" or self.is_event_type(event.type):
            return self.read_text(event, DONE)
        self._ending.has_done_marker = True
        if self._held.is_end:
            self.flush()
            self._drop_late(event)
            return EventKind.TERMINAL
        return super().read_done(event)

    def model_path(self, value: Any) -> Path | None:
        """Return the path of the model name, which lifecycle events contain."""
        return ("response", "model") if "response" in value else None

    def unwrap(self, event: sse.Event, value: Any) -> Any:
        """Return the data of an event without an envelope, with its values where they belong."""
        value = unwrap(value, event.type, self._draft)
        kind = value.get("type", event.type) if isinstance(value, dict) else None
        if isinstance(kind, str):
            move_values(value, kind, self._draft)
        return value

    def note_fragment(self, fragment: bytes) -> None:
        """Take the bytes of an event that the end of the stream cut."""
        self._ending.note_fragment(fragment)

    @property
    def holds_back(self) -> bool:
        """Whether an event is held back that can be written without the next one."""
        return self._held.can_be_written

    def release(self) -> Repaired:
        """Write what is held back although no further event came."""
        repaired = super().release()
        if self._ended is EventKind.TERMINAL:
            repaired.kind = EventKind.TERMINAL
        return repaired

    def flush(self) -> None:
        """Write what is held back. Raises ContentLost."""
        self._write_held(is_cut=False)

    def _replace_keepalive(self, event: sse.Event) -> EventKind:
        if self._draft.changed or not self._context.accepts(Deviation.KEEPALIVE):
            return super()._replace_keepalive(event)
        self.pass_event(event)
        return EventKind.IDLE

    def pass_valid(self, event: sse.Event, value: JsonObject) -> EventKind | None:
        """Take a delta with the next number."""
        kind, number = event.type, value.get("sequence_number")
        belongs = ITEM_EVENTS.get(kind)
        if belongs is None or not belongs.is_delta or value.get("type") != kind:
            return None
        if self._held or not self._began or not self._writer.is_next(number):
            return None
        fragments = self._item_events.pass_usual(value, belongs)
        if fragments is None:
            return None
        self._writer.take_next(value, kind)

        def keep(run: Run) -> None:
            fragments.append(run.text)
            self._writer.take_run(value, kind, run)

        padding = value.get("obfuscation")
        self.delta = Repeatable(
            belongs.text,
            value[belongs.text],
            keep,
            number=("sequence_number", value["sequence_number"]),
            padding=[("obfuscation", padding)] if isinstance(padding, str) else (),
        )
        return EventKind.CONTENT

    def dispatch(self, event: sse.Event, value: Any, kind: str) -> EventKind:
        """Repair and write an event; unknown types are forwarded unchanged."""
        if not kind:
            return self._read_untyped(event, value)
        if kind in UNNUMBERED or not kind.startswith("response."):
            if self._draft.changed:  # it was inside an envelope
                self.put(self.send(event, value, kind, changed=True))
            else:
                self.pass_event(event)
            return EventKind.PREAMBLE if kind in UNNUMBERED else EventKind.CONTENT
        if self._writer.source.take(value, kind) and self._draft.note(
            EVENT_REPEATED, f"{kind} again, number {value['sequence_number']}", "dropped"
        ):
            return EventKind.IDLE
        kind = settle_end(value, kind, self._draft)
        if self._held.take_name(value, kind):
            return EventKind.PREAMBLE
        self._settle_held(value, kind)
        if self._held.must_hold(value, kind):
            changed = self._draft.changed
            self._held.hold(HeldEvent(self._events, event, value, kind, changed=changed))
            return EventKind.PREAMBLE
        return self._forward(event, value, kind)

    def _forward(
        self, event: sse.Event, value: Any, kind: str, *, is_cut: bool = False
    ) -> EventKind:
        """Repair and write an event. `is_cut`: the output limit cut its item."""
        if kind in COMPLETE:
            self._complete(value, kind)
            self._send(event, value, kind)
            return EventKind.TERMINAL
        if kind in LIFECYCLE:
            disposition = self._lifecycle(value, kind)
        else:
            if kind in ITEM_EVENTS or value.keys() & OWN_FIELDS:
                self._ensure_began(value)  # an unknown type may come first
            disposition = self._item_events.feed(value, kind, is_cut=is_cut)
        if disposition is Disposition.SENT:
            self._send(event, value, kind)
            return EventKind.PREAMBLE if kind in PREAMBLE else EventKind.CONTENT
        if self._items.any_shown and self._draft.out:
            return EventKind.CONTENT
        # A withheld event is progress, but the call can still be retried.
        is_idle = disposition is Disposition.DROPPED and not self._draft.out
        return EventKind.IDLE if is_idle else EventKind.PREAMBLE

    def _read_untyped(self, event: sse.Event, value: Any) -> EventKind:
        if isinstance(value, dict) and value.keys() & OWN_FIELDS:
            found = "an event without a type"
            self._draft.lose(BROKEN_EVENT, found, f"The provider sent {found}.")
            self.pass_event(event)
            return EventKind.CONTENT
        return self.drop_foreign(event)

    # What is held back

    def _settle_held(self, data: JsonObject, kind: str) -> None:
        """Decide on the events that were held back until this one. Raises ContentLost."""
        if not self._held or self._held.goes_on(data, kind):
            return
        if self._held.is_end:
            if (kind in COMPLETE or kind in ITEM_EVENTS or kind in (ITEM_ADDED, ITEM_DONE)) and (
                self._draft.note(EARLY_END, f"{kind} after {COMPLETED}", f"{COMPLETED} dropped")
            ):
                self._drop_held_end()
                self._end_is_void = kind not in COMPLETE
            return
        self._write_held(is_cut=self._held.explains_cut(data, kind))

    def _drop_held_end(self) -> None:
        """Drop the terminal event that is held back, but not what came behind it."""
        self._draft.out += [held for held in self._held.take() if isinstance(held, bytes)]

    def _write_held(self, *, is_cut: bool) -> None:
        changed = self._draft.changed
        keeps_late = not self._draft.is_on(self.frames.after_the_end)
        for held in self._held.take():
            if isinstance(held, bytes):
                if self._ended is None or keeps_late:
                    self._draft.out.append(held)
                continue
            with self._draft.at(held.place):
                self._draft.changed = held.changed
                kind = self._forward(held.event, held.data, held.kind, is_cut=is_cut)
            if kind is EventKind.TERMINAL:
                self._ended = kind
        self._draft.changed = changed

    # The response as a whole

    def _lifecycle(self, data: JsonObject, kind: str) -> Disposition:
        if kind != CREATED:
            self._ensure_began(data)
        elif self._began and self._draft.note(CREATED_REPEATED, "a second one", "dropped"):
            return Disposition.DROPPED
        self._began = True
        self._response.repair(data, kind)
        return Disposition.SENT

    def _ensure_began(self, data: JsonObject) -> None:
        if not self._began and self._draft.note(CREATED_MISSING, f"no {CREATED}", "added"):
            self._begin(data)
        self._began = True

    def _begin(self, data: JsonObject) -> None:
        """Write `response.created` with fields of the first event."""
        self._began = True
        self._writer.write({"type": CREATED, "response": self._response.begin(data)})

    def _complete(self, data: JsonObject, kind: str) -> None:
        """Make the terminal event and the streamed items consistent, in both directions."""
        self._ensure_began(data)
        self._response.repair(data, kind)
        response = data.get("response")
        if not isinstance(response, dict):
            return
        output = items_in(response)
        self._end_is_void = False
        if kind == COMPLETED:
            if output and not len(self._items):
                self._item_events.stream(output)
            self._item_events.settle(output, data)
        streamed = self._items.done()
        if kind != COMPLETED:
            streamed += self._items.unfinished()
        if not self._response.repair_output(response, output, streamed):
            self._item_events.repair_output(output, is_cut=kind != COMPLETED)
        self._response.repair_usage(response)

    def send(self, event: sse.Event, value: Any, kind: str, *, changed: bool) -> bytes:
        """Return the bytes of an event; without an `event:` line if the client needs none."""
        if not event.type and self._context.accepts(Deviation.NO_EVENT_LINE):
            return sse.with_data(event, self.text_of(event, value, changed=changed), None)
        return super().send(event, value, kind, changed=changed)

    def _send(self, event: sse.Event, data: JsonObject, kind: str) -> None:
        self._writer.number_event(data)
        self.put(self.send(event, data, kind, changed=self._draft.changed))


def _has_code_and_message(failed: JsonObject) -> bool:
    """Return whether `response.failed` has a code and a message."""
    response = failed.get("response")
    error = response.get("error") if isinstance(response, dict) else None
    if not isinstance(error, dict):
        return False
    texts = [error.get(key) for key in ("code", "message")]
    return all(isinstance(text, str) and text.strip() for text in texts)


def _has_message(data: JsonObject) -> bool:
    nested = data.get("error")
    message = data.get("message") or (nested.get("message") if isinstance(nested, dict) else None)
    return isinstance(message, str) and bool(message.strip())
