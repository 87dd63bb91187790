"""Mends an Anthropic Messages event stream, event by event.

Blocks are shown one after the other. A block that starts while a tool's JSON is unfinished
waits, with its events, until that tool is closed. The stop of a tool inside its JSON waits, with
all that follows, for the stop reason, which alone can say that this is no loss. Everything else
goes out as it comes.
What the rules are called and why they exist stands in anthropic_messages_rules.py.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.anthropic import rules
from wiremend.protocols.anthropic.errors import ERROR_REASONS, error_event, error_type
from wiremend.protocols.anthropic.grammar import (
    BLOCK_BY_DELTA,
    DELTAS_BY_BLOCK,
    EMPTY_BLOCKS,
    KEEPALIVES,
    STREAM_EVENTS,
    TEXT_BY_DELTA,
    TOOL_BLOCKS,
    WHOLE_REASONS,
    stop_reason_of,
)
from wiremend.protocols.anthropic.rules import RULES
from wiremend.protocols.anthropic.usage import EMPTY_MESSAGE, final_usage, missing_fields
from wiremend.protocols.base.generated_ids import made_up_id
from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.base.provider_error import (
    ProviderError,
    error_of_text,
    make_error,
    read_error,
)
from wiremend.protocols.base.repairer import Kind, Mended, StreamContext
from wiremend.rules.rule import EventPlace, PlacedNotes, Rule, start_of
from wiremend.text import json_value, sse

__all__ = ["RULES", "AnthropicMender"]

Data = dict[str, Any]
_KINDS: Mapping[str, Kind] = {
    "ping": Kind.IDLE,
    "message_start": Kind.PREAMBLE,
    "message_stop": Kind.TERMINAL,
}
_PROMOTED = frozenset({"end_turn", "stop"})
_STARTING_DELTAS = frozenset({"text_delta", "thinking_delta"})
"""A block that these belong to can be started without knowing more of it."""


@dataclass(slots=True, eq=False)
class _Block:
    """One content block; `waiting` holds its events while it may not be shown."""

    kind: str
    identity: Any = None
    source: Any = None
    """The index that it came under."""
    number: int = -1
    is_stopped: bool = False
    tool_json: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[sse.Event | None, Data, bool]] = field(default_factory=list)

    @property
    def is_shown(self) -> bool:
        return self.number >= 0

    @property
    def has_whole_json(self) -> bool:
        return bool(self.tool_json) and _parses(bytes(self.tool_json))


class _Unmendable(Exception):
    """Content is lost: the stream must end in the protocol's error."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(error.message)
        self.error = error


class AnthropicMender:
    """One attempt's stream; see `wiremend.protocols.base.repairer.Mender`."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._events = 0
        self._out: list[bytes] = []
        self._notes = PlacedNotes(context.disabled)
        self._began = False
        self._answer = ""
        self._current: _Block | None = None
        self._waiting: list[_Block] = []
        self._by_source: dict[Any, _Block] = {}
        self._next_number = 0
        self._called_tool = False
        self._used_tool = False
        self._has_stop_reason = False
        self._has_unread = False
        """Text came that is no JSON: it may have told of a failure."""
        self._without_reason: tuple[sse.Event, Data] | None = None
        self._cut: _Block | None = None
        """A tool that was stopped inside its JSON."""
        self._kept: list[bytes] = []
        """What came since then."""
        self._verdict: Kind | None = None
        self._handlers: Mapping[str, Callable[[sse.Event, Data, bool], None]] = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
        }

    def __repr__(self) -> str:
        return f"AnthropicMender(event={self._events}, blocks={self._next_number})"

    @property
    def complete(self) -> bool:
        """The stop reason came."""
        return self._has_stop_reason

    def decoder(self) -> sse.Decoder:
        """Server-sent events."""
        return sse.Decoder()

    def feed(self, event: sse.Event) -> Mended:
        """What one event becomes."""
        self._events += 1
        self._out = []
        self._notes.enter(EventPlace(self._events))
        if event.data is None:
            is_late = self._verdict is not None and self._notes.is_on(rules.AFTER_THE_END)
            return Mended(b"" if is_late else self._passed(event.raw), Kind.IDLE)
        if self._verdict is not None:
            return self._dropped(rules.AFTER_THE_END, event, start_of(event.data))
        try:
            return self._feed_data(event, event.data)
        except _Unmendable as unmendable:
            return self._failed(unmendable.error)

    def end(self) -> Mended:
        """The missing `message_stop` where the turn is complete, else the protocol's error."""
        self._out = []
        self._notes.enter(EventPlace(self._events))
        if self._verdict is Kind.TERMINAL:
            return Mended(b"", Kind.TERMINAL)
        if self._has_stop_reason:
            if self._notes.note(
                rules.MESSAGE_STOP_MISSING, "the end after the stop reason", "added"
            ):
                self._send(None, {"type": "message_stop"})
            self._verdict = Kind.TERMINAL
            return self._mended(Kind.TERMINAL)
        missing = "before its stop reason" if self._began else "before its first event"
        # These are words that clients retry; see `ClientTraits.retried_words`.
        message = f"Connection lost: the stream ended {missing}."
        return self._failed(make_error(status=502, type="api_error", message=message))

    def fail(self, error: ProviderError) -> bytes:
        """The event that ends the stream in this error."""
        self._verdict = Kind.ERROR
        return error_event(_worded(error))

    # Reading an event

    def _feed_data(self, event: sse.Event, raw: bytes) -> Mended:
        try:
            data = json_value.read(raw)
        except ValueError:
            return self._not_json(event, raw)
        kind = data.get("type") if isinstance(data, dict) else None
        kind = kind if isinstance(kind, str) and kind.isprintable() else None
        if kind not in STREAM_EVENTS or kind == "error":
            error = read_error(data)
            if error is not None:
                return self._reported(event, data, error)
        if isinstance(data, dict) and kind is None and event.type in STREAM_EVENTS:
            kind = data["type"] = event.type
            changed = self._notes.note(rules.EVENT_LINE, "no type in the data", f"{kind} added")
            error = read_error(data) if kind == "error" else None
            if error is not None:
                return self._reported(event, data, error)
            return self._dispatch(event, data, kind, changed=changed)
        if not isinstance(kind, str):
            return self._dropped(rules.FOREIGN_FRAME, event, start_of(raw))
        if kind in KEEPALIVES and self._notes.note(
            rules.KEEPALIVE_FRAME, start_of(raw), "a blank line"
        ):
            return Mended(self._passed(b"\n"), Kind.IDLE, self._notes.findings)
        return self._dispatch(event, data, kind, changed=False)

    def _dispatch(self, event: sse.Event, data: Data, kind: str, *, changed: bool) -> Mended:
        handler = self._handlers.get(kind, self._send)
        handler(event, data, changed)
        return self._mended(_KINDS.get(kind, Kind.CONTENT))

    def _not_json(self, event: sse.Event, raw: bytes) -> Mended:
        if raw.strip() == b"[DONE]":
            return self._dropped(rules.AFTER_THE_END, event, "[DONE]")
        if event.type == "error":
            said = raw.decode("utf-8", "replace").strip()
            return self._reported(event, {}, error_of_text(said))
        if raw.lstrip()[:1] not in (b"{", b"[", b'"'):
            self._has_unread |= bool(raw.strip())
            return self._dropped(rules.FOREIGN_FRAME, event, start_of(raw) or "an empty frame")
        if not self._notes.note(rules.BROKEN_EVENT, start_of(raw), "ended in an error"):
            return Mended(self._passed(event.raw), Kind.CONTENT)
        message = "The provider sent an event that is not valid JSON."
        return self._failed(make_error(status=502, type="api_error", message=message))

    def _dropped(self, rule: Rule, event: sse.Event, found: str) -> Mended:
        raw = b"" if self._notes.note(rule, found, "dropped") else self._passed(event.raw)
        return Mended(raw, Kind.IDLE, self._notes.findings)

    def _reported(self, event: sse.Event, data: Data, error: ProviderError) -> Mended:
        self._verdict = Kind.ERROR
        is_native = (
            event.type == "error"
            and data.get("type") == "error"
            and isinstance(data.get("error"), dict)
            and bool(data["error"].get("message"))
        )
        ending = event.raw if is_native else self.fail(error)
        return Mended(ending, Kind.ERROR, self._notes.findings, error)

    # The events

    def _message_start(self, event: sse.Event, data: Data, changed: bool) -> None:
        if self._began and self._notes.note(
            rules.MESSAGE_START_REPEATED, "a second one", "dropped"
        ):
            return
        self._began = True
        message = data.get("message")
        if not isinstance(message, dict):
            message = data["message"] = {}
        missing = missing_fields(message)
        if missing and self._notes.note(
            rules.MESSAGE_START_INCOMPLETE, f"no {', '.join(missing)}", "filled in"
        ):
            if "id" in missing:
                missing["id"] = "msg_unknown"
            if "model" in missing:
                missing["model"] = self._context.model
            message |= missing
            changed = True
        self._answer = f"{message.get('id')} {message.get('usage')}"
        shown = self._context.shown_model
        if changed and shown is not None:
            message["model"] = shown
        elif event.data is not None:
            renamed = with_model(event.data, ("message", "model"), shown)
            event = sse.Event(sse.with_data(event, renamed), event.type, renamed)
        self._send(event, data, changed)

    def _block_start(self, event: sse.Event, data: Data, changed: bool) -> None:
        if self._too_late():
            return
        self._ensure_began()
        source, block = _source(data), data.get("content_block")
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            done = "left to its first delta"
            if not self._notes.note(rules.BLOCK_INCOMPLETE, "no content_block", done):
                self._open(_Block("unknown"), source, event, data, changed)
            return
        known = self._repeated(source, block)
        if known is not None:
            if not self._notes.note(
                rules.BLOCK_START_REPEATED, f"block {source!r} again", "dropped"
            ):
                self._place(known, event, data, changed)
            return
        identity = block.get("id")
        changed = self._complete_block(block) or changed
        self._open(_Block(block["type"], identity), source, event, data, changed)

    def _repeated(self, source: Any, block: Data) -> _Block | None:
        """The open block that is started again; None for a new one under an index used before."""
        known = self._by_source.get(source)
        if known is None or known.is_stopped or known.kind != block["type"]:
            return None
        is_same = not block.get("id") or not known.identity or block["id"] == known.identity
        return known if is_same else None

    def _block_delta(self, event: sse.Event, data: Data, changed: bool) -> None:
        if self._too_late():
            return
        delta = data.get("delta")
        if not isinstance(delta, dict) or not isinstance(delta.get("type"), str):
            if not self._notes.note(rules.FOREIGN_FRAME, "a delta without a type", "dropped"):
                self._send(event, data, changed)
            return
        self._ensure_began()
        text = TEXT_BY_DELTA.get(delta["type"])
        if text is not None and not isinstance(delta.get(text), str):
            given = delta.get(text)
            is_json = text == "partial_json" and isinstance(given, dict | list)
            if self._notes.note(
                rules.DELTA_TEXT, f"{text}: {type(given).__name__}", "written as text"
            ):
                delta[text] = json_value.write(given).decode() if is_json else ""
                changed = True
        known = self._known(_source(data))
        if known is None and not self._notes.is_on(rules.DELTA_WITHOUT_START):
            self._send(event, data, changed)
            return
        block = self._block_for(known, _source(data), delta)
        if block is not None:
            self._place(block, event, data, changed)

    def _known(self, source: Any) -> _Block | None:
        """The block under this index, or the one that is shown; None if it is not open."""
        known = self._by_source.get(source) if source is not None else self._current
        if known is not None and not known.is_stopped:
            return known
        return next(self._open_under(source), None)

    def _open_under(self, source: Any) -> Iterator[_Block]:
        """The blocks under this index that are not stopped: the shown one, then those that wait."""
        for block in (self._current, *self._waiting):
            if block is not None and block.source == source and not block.is_stopped:
                yield block

    def _block_for(self, known: _Block | None, source: Any, delta: Data) -> _Block | None:
        """The block that a delta belongs to, started if need be; None when it is dropped."""
        kind = delta["type"]
        if known is not None:
            fits = kind not in BLOCK_BY_DELTA or kind in DELTAS_BY_BLOCK.get(known.kind, (kind,))
            if fits or not self._notes.is_on(rules.DELTA_DOES_NOT_FIT):
                return known
            for block in self._open_under(source):
                if kind in DELTAS_BY_BLOCK.get(block.kind, ()):
                    found = f"{kind} under the index of a {known.kind} block"
                    self._notes.note(rules.DELTA_DOES_NOT_FIT, found, f"of the {block.kind} block")
                    return block
            if kind == "input_json_delta":
                what = f"{kind} in a {known.kind} block, the tool's name is unknown"
                raise self._lost(what, rules.DELTA_DOES_NOT_FIT)
            self._notes.note(rules.DELTA_DOES_NOT_FIT, f"{kind} in a {known.kind} block", "moved")
            return self._start_for(source, kind)
        is_new, current = source not in self._by_source, self._current
        if is_new and current is not None and kind in DELTAS_BY_BLOCK.get(current.kind, ()):
            self._notes.note(
                rules.DELTA_WITHOUT_START, f"{kind} of block {source!r}", "of the open one"
            )
            return current
        if kind == "input_json_delta" and delta.get("partial_json"):
            what = f"{kind} of block {source!r}, which is not open"
            raise self._lost(what, rules.DELTA_WITHOUT_START)
        if kind not in _STARTING_DELTAS:
            self._notes.note(rules.DELTA_WITHOUT_START, f"{kind} of block {source!r}", "dropped")
            return None
        self._notes.note(rules.DELTA_WITHOUT_START, f"{kind} of block {source!r}", "started")
        return self._start_for(source, kind)

    def _start_for(self, source: Any, delta_kind: str) -> _Block:
        block = _Block(BLOCK_BY_DELTA[delta_kind])
        start: Data = {
            "type": "content_block_start",
            "index": 0,
            "content_block": dict(EMPTY_BLOCKS[block.kind]),
        }
        self._open(block, source, None, start, changed=True)
        return block

    def _block_stop(self, event: sse.Event, data: Data, changed: bool) -> None:
        if self._too_late():
            return
        source = _source(data)
        block = self._known(source)
        if block is None:
            if not self._notes.note(rules.STOP_WITHOUT_START, f"block {source!r}", "dropped"):
                self._send(event, data, changed)
            return
        self._place(block, event, data, changed)

    def _message_delta(self, event: sse.Event, data: Data, changed: bool) -> None:
        self._ensure_began()
        if self._has_stop_reason:
            if not self._notes.note(rules.MESSAGE_DELTA_REPEATED, "a second one", "dropped"):
                self._send(event, data, changed)
            return
        delta = data.get("delta")
        reason = delta.get("stop_reason") if isinstance(delta, dict) else None
        if isinstance(delta, dict) and isinstance(reason, str):
            if reason in ERROR_REASONS:
                raise _Unmendable(_error_of_reason(reason))
            known = stop_reason_of(reason)
            if known != reason and self._notes.note(
                rules.STOP_REASON_FOREIGN, repr(reason), repr(known)
            ):
                reason = delta["stop_reason"] = known
                changed = True
        self._close_everything(reason)
        if not isinstance(reason, str) or not reason:
            if not self._notes.is_on(rules.STOP_REASON_MISSING):
                self._send(event, data, changed)
                return
            # Whether the message is over shows with the next event.
            self._without_reason = (event, data)
            return
        self._finish(event, data, changed)

    def _message_stop(self, event: sse.Event, data: Data, changed: bool) -> None:
        is_empty = not (self._has_stop_reason or self._next_number)
        if not self._began or (is_empty and self._notes.is_on(rules.STOP_REASON_MISSING)):
            raise _Unmendable(
                make_error(status=502, type="api_error", message="The provider sent no content.")
            )
        if self._has_unread and not self._has_stop_reason:
            message = (
                "The provider sent text that is no event, and then ended without a stop reason."
            )
            raise _Unmendable(make_error(status=502, type="api_error", message=message))
        self._close_everything(None)
        reason = "tool_use" if self._called_tool else "end_turn"
        if not self._has_stop_reason and self._notes.note(
            rules.STOP_REASON_MISSING, "message_stop without one", reason
        ):
            given = self._without_reason
            last: Data = given[1] if given else {"type": "message_delta"}
            delta = last.get("delta")
            last["delta"] = {
                "stop_sequence": None,
                **(delta if isinstance(delta, dict) else {}),
                "stop_reason": reason,
            }
            self._finish(given[0] if given else None, last, True)
        self._send(event, data, changed)
        self._verdict = Kind.TERMINAL

    def _finish(self, event: sse.Event | None, data: Data, changed: bool) -> None:
        """Show the one `message_delta`, its reason and usage put right."""
        self._has_stop_reason = True
        delta = data["delta"]
        reason = delta["stop_reason"]
        better = None
        if self._called_tool and reason in _PROMOTED:
            better = "tool_use"
        elif reason == "tool_use" and not self._used_tool:
            better = "end_turn"
        if better and self._notes.note(rules.STOP_REASON_CONTRADICTS, repr(reason), repr(better)):
            delta["stop_reason"] = better
            changed = True
        before = self._without_reason[1].get("usage") if self._without_reason else None
        usage = final_usage(data.get("usage"), before)
        if usage is not data.get("usage") and self._notes.note(
            rules.USAGE_MISSING, start_of(repr(data.get("usage")).encode()), "filled in"
        ):
            data["usage"] = usage
            changed = True
        self._send(event, data, changed)

    # Blocks

    def _open(
        self, block: _Block, source: Any, event: sse.Event | None, data: Data, changed: bool
    ) -> None:
        """Start a block now, or let it wait for an unfinished tool."""
        self._by_source[source] = block
        block.source = source
        while (current := self._current) is not None:  # closing one may show one that waited
            found = f"block {source!r} inside another"
            if not self._notes.is_on(rules.BLOCKS_OVERLAP):
                break
            if current.kind in TOOL_BLOCKS and not current.has_whole_json:
                self._notes.note(rules.BLOCKS_OVERLAP, found, "kept until the open one is closed")
                block.waiting.append((event, data, changed))
                self._waiting.append(block)
                return
            self._notes.note(rules.BLOCKS_OVERLAP, found, "the open one closed")
            self._close(current, None, {"type": "content_block_stop", "index": 0}, changed=True)
        self._show_start(block, event, data, changed)

    def _show_start(
        self, block: _Block, event: sse.Event | None, data: Data, changed: bool
    ) -> None:
        self._current = block
        block.number = self._next_number
        self._next_number += 1
        self._called_tool = self._called_tool or block.kind == "tool_use"
        self._used_tool = self._used_tool or block.kind in TOOL_BLOCKS
        self._send_numbered(block, event, data, changed)

    def _place(self, block: _Block, event: sse.Event | None, data: Data, changed: bool) -> None:
        """Show a delta or a stop of a block, or keep it with a block that waits."""
        if not block.is_shown:
            block.waiting.append((event, data, changed))
            block.is_stopped = data["type"] == "content_block_stop"
        elif data["type"] == "content_block_stop":
            self._close(block, event, data, changed)
        else:
            delta = data.get("delta")
            if delta and delta["type"] == "input_json_delta":
                block.tool_json += _bytes_of(data["delta"].get("partial_json"))
            self._send_numbered(block, event, data, changed)

    def _close(self, block: _Block, event: sse.Event | None, data: Data, changed: bool) -> None:
        is_cut = block.kind in TOOL_BLOCKS and block.tool_json and not block.has_whole_json
        if is_cut and self._notes.is_on(rules.TOOL_INPUT_BROKEN):
            if self._waiting:
                raise self._cut_short(block)
            self._cut = block
        block.is_stopped = True
        self._send_numbered(block, event, data, changed)
        if block is self._current:
            self._show_next()

    def _show_next(self) -> None:
        """Nothing is open any more: the block that waited longest begins."""
        self._current = None
        if self._waiting:
            following = self._waiting.pop(0)
            (start, *rest) = following.waiting
            following.waiting = []
            self._show_start(following, *start)
            for held in rest:
                self._place(following, *held)

    def _close_everything(self, reason: Any) -> None:
        """Stop what is open before a message ends for this reason, if any was given."""
        while self._current is not None:
            if self._notes.note(rules.BLOCK_LEFT_OPEN, f"block {self._current.number}", "stopped"):
                stop = {"type": "content_block_stop", "index": 0}
                self._close(self._current, None, stop, changed=True)
            else:
                self._show_next()
        if self._cut is not None:
            if not isinstance(reason, str) or not reason or reason in WHOLE_REASONS | _PROMOTED:
                raise self._cut_short(self._cut)
            self._cut = None
            self._out += self._kept
            self._kept = []

    def _cut_short(self, block: _Block) -> _Unmendable:
        self._notes.note(
            rules.TOOL_INPUT_BROKEN, start_of(bytes(block.tool_json)), "ended in an error"
        )
        message = "The provider's tool call ended inside its JSON arguments."
        return _Unmendable(make_error(status=502, type="api_error", message=message))

    def _complete_block(self, block: Data) -> bool:
        """Fill in what a starting block lacks; True if anything changed."""
        missing: Data = {}
        kind = block["type"]
        if kind in EMPTY_BLOCKS:
            text = "text" if kind == "text" else "thinking"
            if not isinstance(block.get(text), str):
                missing[text] = ""
        elif kind == "tool_use":
            if not block.get("id"):
                missing["id"] = made_up_id("toolu", self._answer, self._next_number)
            if not str(block.get("name") or "").strip():
                if len(self._context.tool_names) == 1:
                    missing["name"] = self._context.tool_names[0]
                elif self._notes.is_on(rules.BLOCK_INCOMPLETE):
                    raise self._lost("a tool call without a name", rules.BLOCK_INCOMPLETE)
            if block.get("input") is None:
                missing["input"] = {}
        if missing and self._notes.note(
            rules.BLOCK_INCOMPLETE, f"no {', '.join(missing)}", "filled in"
        ):
            block |= missing
            return True
        return False

    def _too_late(self) -> bool:
        if self._cut is not None:
            raise self._cut_short(self._cut)
        return self._has_stop_reason and self._notes.note(
            rules.BLOCK_AFTER_STOP_REASON, "a block's event", "dropped"
        )

    def _ensure_began(self) -> None:
        if not self._began:
            self._began = True
            if not self._notes.note(rules.MESSAGE_START_MISSING, "no message_start", "added"):
                return
            model = self._context.shown_model or self._context.model
            message = {**EMPTY_MESSAGE, "id": "msg_unknown", "model": model}
            self._send(None, {"type": "message_start", "message": message})

    # Writing

    def _send_numbered(
        self, block: _Block, event: sse.Event | None, data: Data, changed: bool
    ) -> None:
        index = data.get("index")
        if index != block.number or isinstance(index, bool | float):
            if event is not None and not self._notes.note(
                rules.BLOCK_INDEX, f"block {index!r}", f"block {block.number}"
            ):
                self._send(event, data, changed)
                return
            data["index"] = block.number
            changed = True
        self._send(event, data, changed)

    def _send(self, event: sse.Event | None, data: Data, changed: bool = True) -> None:
        kind = data["type"]
        out = self._out if self._cut is None else self._kept
        if event is None:
            out.append(sse.encode(json_value.write(data), kind))
        elif event.type != kind and self._notes.note(
            rules.EVENT_LINE, f"{event.type!r} over {kind!r}", "written from the data"
        ):
            text = json_value.write(data) if changed else event.data or b""
            out.append(sse.with_data(event, text, kind))
        elif changed:
            out.append(sse.with_data(event, json_value.write(data)))
        else:
            out.append(event.raw)

    def _passed(self, raw: bytes) -> bytes:
        """The bytes of an event that is shown as it came, now or later."""
        if self._cut is None:
            return raw
        self._kept.append(raw)
        return b""

    def _mended(self, kind: Kind) -> Mended:
        return Mended(b"".join(self._out), kind, self._notes.findings)

    def _lost(self, what: str, rule: Rule) -> _Unmendable:
        self._notes.note(rule, what, "ended in an error")
        message = f"The provider sent {what}."
        return _Unmendable(make_error(status=502, type="api_error", message=message))

    def _failed(self, error: ProviderError) -> Mended:
        self._out.append(self.fail(error))
        return Mended(b"".join(self._out), Kind.ERROR, self._notes.findings, error)


def _source(data: Data) -> Any:
    """The index as a key: the same for 1 and "1"; None for none."""
    index = data.get("index")
    if isinstance(index, str) and index.isdigit():
        return int(index)
    return index if isinstance(index, int | str) and not isinstance(index, bool) else None


def _bytes_of(text: Any) -> bytes:
    """The text's bytes; half of a character counts too, its other half may be yet to come."""
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else b""


def _parses(text: bytes) -> bool:
    try:
        json_value.read(text.decode("utf-8", "surrogatepass"))
    except ValueError:
        return False
    return True


def _error_of_reason(reason: str) -> ProviderError:
    message = f"The provider gave up: stop reason {reason!r}."
    return make_error(status=ERROR_REASONS[reason], type="api_error", message=message)


def _worded(error: ProviderError) -> ProviderError:
    if error.message.strip():
        return error
    return error.with_message(f"The provider reported {error_type(error)} without a message.")
