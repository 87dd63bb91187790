"""The repair of an Anthropic Messages event stream: the events of the message.

The events of content blocks are repaired in `blocks` and `deltas`, the stop reason in
`message_end`, values in the wrong place in `misplaced`. Unknown events are forwarded unchanged.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

from wiremend.protocols.anthropic.blocks import Blocks
from wiremend.protocols.anthropic.content_block import source_of
from wiremend.protocols.anthropic.deltas import Deltas
from wiremend.protocols.anthropic.errors import error_event, error_type
from wiremend.protocols.anthropic.grammar import KEEPALIVES, STREAM_EVENTS, blocks_to_send
from wiremend.protocols.anthropic.message_end import MessageEnd
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
    fill_start,
    missing_in,
)
from wiremend.protocols.anthropic.whole import divided
from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.event_repairer import EventRepairer, FrameRules
from wiremend.protocols.base.provider_error import (
    ProviderError,
    error_in_envelope,
    read_error,
)
from wiremend.protocols.base.repairer import EventKind, StreamContext
from wiremend.rules.rule import Rule
from wiremend.text import json_value, sse
from wiremend.text.json_edits import Path
from wiremend.text.json_envelope import unwrapped
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
CONTENT_IN_MESSAGE_START = Rule(
    code="S135",
    name="content-in-message-start",
    detects="`message_start` contains blocks, which the Messages API sends there only for calls "
    "that the provider's own code makes.",
    impact="Claude Code ignores them and repeats the call without streaming; the Vercel AI SDK, "
    "which OpenCode uses, rejects the event.",
    action="Sends the blocks as events, and a stop reason behind them.",
    protocols=_P,
    before='{"type":"message_start","message":{…"content":[{"type":"text","text":"Hi"}]…}}',
    after='{"type":"message_start","message":{…"content":[]…}}, '
    '{"type":"content_block_start",…}, …',
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

_KNOWN_TYPES = STREAM_EVENTS - {"error"}
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
        self._start: tuple[sse.Event, JsonObject, bool] | None = None
        """A `message_start` with content, held back: the blocks may repeat that content."""
        self._is_whole = False
        """The message was whole at its start, with its stop reason."""
        self._held: list[bytes] = []
        """The bytes behind the `message_start` that is held back."""
        self._end = MessageEnd(self._draft, self._blocks, self._send, self._ensure_began)
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
        return self._end.is_sent or self._end.is_held or self._is_whole

    @property
    def message_at_end(self) -> str:
        """A message with words on which clients retry; see `ClientTraits.retried_words`."""
        missing = "its stop reason" if self._began else "its first event"
        return f"Connection lost: the stream ended before {missing}."

    @property
    def holds_back(self) -> bool:
        """Whether an event is held back until the next one."""
        return self._end.is_held or self._start is not None or self._blocks.holds_back

    def flush(self) -> None:
        """Write what is held back. Raises ContentLost."""
        self._write_start()
        self._blocks.release()
        self._end.write()

    def close(self) -> bool:
        """Add the missing `message_stop` where the turn is complete."""
        self._write_start()
        self._end.write_at_end()
        is_complete = self._end.is_sent or self._is_whole
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

    def _error_of(self, lost: ContentLost) -> ProviderError:
        """Return the error for lost content, with words on which the client retries.

        Without them, OpenCode ends the turn, although it would go on after a cut connection.
        """
        error, words = super()._error_of(lost), self._context.client.retried_words
        if words is None or words.search(error.message):
            return error
        return replace(error, message=f"Connection lost: {error.message}")

    def is_event_type(self, line: str) -> bool:
        """Return whether an `event:` line may replace a missing type."""
        return line in STREAM_EVENTS

    def model_path(self, value: Any) -> Path | None:
        """Return the path of the model name in `message_start`, the only event that has one."""
        return ("message", "model") if value["type"] == "message_start" else None

    def put(self, raw: bytes) -> None:
        """Write these bytes, or hold them back behind what is held back."""
        if self._start is not None:
            self._held.append(raw)
        elif self._end.is_held:
            self._end.put_behind(raw)
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
        if kind == "ping":  # stays behind what is held back and does not end the wait
            self.put(self.send(event, value, kind, changed=changed))
            return _KINDS[kind]
        if kind != "content_block_delta" or not is_whole_delta(value.get("delta")):
            changed = self._move(value, kind) or changed
        if self._start is not None or self._end.is_waiting:
            self._settle_message(value, kind)
        if not self._end.is_held:
            self._blocks.settle(value)
        if kind == "message_delta" and self._end.take_counts(event, value):
            return EventKind.PREAMBLE
        handler = self._handlers.get(kind, self._send)
        handler(event, value, changed)
        return _KINDS.get(kind, EventKind.CONTENT)

    def known_type(self, value: Any) -> str:
        """Return the type of an event of this protocol that is not an error."""
        kind = value.get("type") if isinstance(value, dict) else None
        return kind if isinstance(kind, str) and kind in _KNOWN_TYPES else ""

    def pass_valid(self, event: sse.Event, value: JsonObject) -> EventKind | None:
        """Take an event before the stop reason, other than the stop of a block."""
        kind = event.type
        if value.get("type") != kind or self._start is not None or self._end.has_arrived:
            return None
        match kind:
            case "content_block_delta":
                self.delta = self._deltas.pass_usual(value)
                is_passed = self.delta is not None
            case "content_block_start":
                has_begun = self._began and not self._is_whole
                is_passed = has_begun and self._blocks.pass_start(value)
            case "message_start":
                is_passed = not self._began and self._pass_start(value)
            case "ping":
                current = self._blocks.current
                is_passed = current is None or current.stop is None
            case _:
                return None
        return _KINDS.get(kind, EventKind.CONTENT) if is_passed else None

    def _pass_start(self, data: JsonObject) -> bool:
        """Take a whole `message_start` without content; return False for others."""
        message, shown = data.get("message"), self._context.shown_model
        if not isinstance(message, dict) or len(data) > 2 or message.get("content") != []:
            return False
        if missing_in(message) or shown not in (None, message["model"]):
            return False
        self._begin(message)
        return True

    def _begin(self, message: JsonObject) -> None:
        self._began = True
        self._blocks.answer = f"{message.get('id')} {message.get('usage')}"

    def _move(self, data: JsonObject, kind: str) -> bool:
        """Move values that are in the wrong place; return whether anything changed."""
        match kind:
            case "message_start":
                return move_message(data, self._draft)
            case "content_block_start":
                return move_block(data, self._draft)
            case "content_block_delta":
                block = self._blocks.find(source_of(data))
                return move_delta(data, block.kind if block else None, self._draft)
            case "message_delta":
                return move_final(data, self._draft)
        return False

    # What is held back

    def _settle_message(self, data: JsonObject, kind: str) -> None:
        """Write what was held back until this event, or change it. Raises ContentLost."""
        if self._start is not None:
            self._write_start(data if kind == "content_block_start" else None)
        self._end.settle(data, began=self._began)

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
        blocks = blocks_to_send(content)
        if blocks and self._draft.note(
            CONTENT_IN_MESSAGE_START, f"{len(blocks)} of {len(content)} blocks", "sent as events"
        ):
            message["content"] = content = content[: -len(blocks)]
            changed = True
        else:
            blocks = []
        reason = message.get("stop_reason")
        is_whole = first is None and bool(reason) and bool(content or blocks)
        final = self._take_final(message) if is_whole and blocks else None
        self._is_whole = is_whole and not final
        self._blocks.begin_after(content)
        self._send(event, data, changed)
        held, self._held = self._held, []
        for raw in held:
            self._blocks.put(raw)
        for block in blocks:
            move_block({"content_block": block}, self._draft)
            self._blocks.add_whole(*divided(block))
        if final is not None:
            self._end.take(self._events, None, final, changed=True)

    @staticmethod
    def _take_final(message: JsonObject) -> JsonObject:
        """Remove the stop reason of a starting message; return a `message_delta` with it."""
        names = ("stop_reason", "stop_sequence")
        delta = {name: message.get(name) for name in names}
        message |= dict.fromkeys(names)
        return {"type": "message_delta", "delta": delta, "usage": message["usage"]}

    # The message's beginning

    def _message_start(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        if self._began and self._draft.note(MESSAGE_START_REPEATED, "a second one", "dropped"):
            return
        message = data.get("message")
        if not isinstance(message, dict):
            message = data["message"] = {}
        content = message.get("content")
        if isinstance(content, str) and content and self._draft.is_on(CONTENT_IN_MESSAGE_START):
            message["content"], changed = [{"type": "text", "text": content}], True
        changed = fill_start(message, self._context.model, self._draft) or changed
        self._begin(message)
        if message.get("content") and isinstance(message["content"], list):
            changed = self._end.check_reason(message) or changed
            self._start = event, data, changed
        else:
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
        self._is_whole = False
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
        return self._end.is_sent and self._blocks.drop_late(data)

    # The message's end

    def _message_delta(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        self._end.take(self._events, event, data, changed=changed)

    def _message_stop(self, event: sse.Event, data: JsonObject, changed: bool) -> None:
        self._end.write()
        if not (self._end.is_sent or self._is_whole):
            self._complete(data)
        self._blocks.close_all(None)
        self._send(event, data, changed)

    def _complete(self, data: JsonObject) -> None:
        """Write a stop reason before `message_stop`. Raises ContentLost without an answer."""
        if not self._began:
            raise ContentLost("The provider sent no content.")
        if self._has_unread:
            raise ContentLost(
                "The provider sent text that is not an event and ended without a stop reason."
            )
        self._end.complete(self._events, data)

    def _send(self, event: sse.Event | None, data: JsonObject, changed: bool) -> None:
        kind = data["type"]
        if event is None:
            self._blocks.put(sse.encode(json_value.write(data), kind))
        else:
            self._blocks.put(self.send(event, data, kind, changed=changed))
