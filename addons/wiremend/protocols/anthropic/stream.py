"""The repair of an Anthropic Messages event stream: the events of the message.

The events of content blocks are repaired in `blocks` and `deltas`. Unknown events are forwarded
unchanged.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from wiremend.protocols.anthropic.blocks import PROMOTED, Blocks
from wiremend.protocols.anthropic.deltas import Deltas
from wiremend.protocols.anthropic.errors import ERROR_REASONS, error_event, error_type
from wiremend.protocols.anthropic.grammar import KEEPALIVES, STREAM_EVENTS, stop_reason_of
from wiremend.protocols.anthropic.usage import EMPTY_MESSAGE, fill_final_usage, fill_start
from wiremend.protocols.base.draft import ContentLost
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
    action="Drops it.",
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
    action="Replaces it with this protocol's name.",
    protocols=_P,
)

_KINDS: Mapping[str, EventKind] = {
    "ping": EventKind.IDLE,
    "message_start": EventKind.PREAMBLE,
    "message_stop": EventKind.TERMINAL,
}


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
        self._has_stop_reason = False
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
        """Whether the stop reason has arrived."""
        return self._has_stop_reason

    @property
    def message_at_end(self) -> str:
        """A message with words on which clients retry; see `ClientTraits.retried_words`."""
        missing = "its stop reason" if self._began else "its first event"
        return f"Connection lost: the stream ended before {missing}."

    def close(self) -> bool:
        """Add the missing `message_stop` where the turn is complete."""
        if self._has_stop_reason and self._draft.note(
            MESSAGE_STOP_MISSING, "the end after the stop reason", "added"
        ):
            self._send(None, {"type": "message_stop"}, True)
        return self._has_stop_reason

    def error_in(self, event: sse.Event, value: Any, kind: str) -> ProviderError | None:
        """Return the error in an `error` event, or in data without a type of the protocol."""
        return read_error(value) if kind == "error" or kind not in STREAM_EVENTS else None

    def report_error(self, event: sse.Event, value: Any, kind: str, error: ProviderError) -> None:
        """Write the error; an event that the official SDKs read as an error keeps its bytes."""
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
        """Write these bytes, or withhold them with the blocks."""
        self._blocks.put(raw)

    def dispatch(self, event: sse.Event, value: Any, kind: str) -> EventKind:
        """Repair and write an event; drop one without a type."""
        if not kind:
            return self.drop_foreign(event)
        handler = self._handlers.get(kind, self._send)
        handler(event, value, self._draft.changed)
        return _KINDS.get(kind, EventKind.CONTENT)

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
        self._send(event, data, changed)

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
        if not self._blocks.drop_late(self._has_stop_reason):
            self._ensure_began()
            self._blocks.start(event, data, changed=changed)

    def _block_delta(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        if self._blocks.drop_late(self._has_stop_reason):
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
        if not self._blocks.drop_late(self._has_stop_reason):
            self._blocks.stop(event, data, changed=changed)

    # The message's end

    def _message_delta(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        self._ensure_began()
        if self._has_stop_reason:
            if not self._draft.note(MESSAGE_DELTA_REPEATED, "a second one", "dropped"):
                self._send(event, data, changed)
            return
        delta = data.get("delta")
        reason = delta.get("stop_reason") if isinstance(delta, dict) else None
        if isinstance(delta, dict) and isinstance(reason, str):
            if reason in ERROR_REASONS:
                message = f"The provider gave up: stop reason {reason!r}."
                raise ContentLost(message, ERROR_REASONS[reason])
            name = stop_reason_of(reason)
            if name != reason and self._draft.note(STOP_REASON_FOREIGN, repr(reason), repr(name)):
                reason = delta["stop_reason"] = name
                changed = True
        self._blocks.close_all(reason)
        if not isinstance(reason, str) or not reason:
            if self._draft.is_on(STOP_REASON_MISSING):
                self._without_reason = (event, data)
            else:
                self._send(event, data, changed)
            return
        self._finish(event, data, changed)

    def _message_stop(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        is_empty = not (self._has_stop_reason or self._blocks.shown)
        if not self._began or (is_empty and self._draft.is_on(STOP_REASON_MISSING)):
            raise ContentLost("The provider sent no content.")
        if self._has_unread and not self._has_stop_reason:
            raise ContentLost(
                "The provider sent text that is not an event and ended without a stop reason."
            )
        self._blocks.close_all(None)
        reason = "tool_use" if self._blocks.called_tool else "end_turn"
        if not self._has_stop_reason and self._draft.note(
            STOP_REASON_MISSING, "message_stop without one", reason
        ):
            self._finish_with(reason)
        self._send(event, data, changed)

    def _finish_with(self, reason: str) -> None:
        """Write the withheld `message_delta`, or a new one, with this stop reason."""
        event, data = self._without_reason or (None, {"type": "message_delta"})
        delta = data.get("delta")
        data["delta"] = {
            "stop_sequence": None,
            **(delta if isinstance(delta, dict) else {}),
            "stop_reason": reason,
        }
        self._finish(event, data, True)

    def _finish(self, event: sse.Event | None, data: JsonObject, changed: bool) -> None:
        """Write the only `message_delta`, with its stop reason and usage corrected."""
        self._has_stop_reason = True
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
        before = self._without_reason[1].get("usage") if self._without_reason else None
        changed = fill_final_usage(data, before, self._draft) or changed
        self._send(event, data, changed)

    def _send(self, event: sse.Event | None, data: JsonObject, changed: bool) -> None:
        kind = data["type"]
        if event is None:
            self.put(sse.encode(json_value.write(data), kind))
        else:
            self.put(self.send(event, data, kind, changed=changed))
