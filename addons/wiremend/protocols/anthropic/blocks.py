"""Opening, numbering and closing the content blocks of an Anthropic Messages stream.

Theory of operation. Blocks are shown one after the other. A block that starts while the JSON of
a tool is incomplete waits, with its events, until that tool is closed. The stop of a block that
may go on is held back until the next event, which is either the rest of the block or proves that
the block has ended. If a tool is stopped inside its JSON, the stop is held back until the stop
reason arrives, which determines whether content was lost.
"""

from collections import OrderedDict, deque
from typing import Any

from wiremend.protocols.anthropic.block_start import (
    BLOCK_INCOMPLETE,
    TEXT_IN_START,
    fill_start,
    is_usual,
    take_input,
    take_text,
)
from wiremend.protocols.anthropic.content_block import (
    Block,
    Received,
    Send,
    has_content,
    kind_of,
    new_stop,
    source_of,
    text_delta,
)
from wiremend.protocols.anthropic.grammar import (
    DELTAS_BY_BLOCK,
    EMPTY_BLOCKS,
    TOOL_BLOCKS,
    WHOLE_REASONS,
    is_called_by_code,
)
from wiremend.protocols.base.cut_content import CUT_ARGUMENTS, ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import StreamContext
from wiremend.rules.rule import SHOWN_BYTES, Rule, start_of
from wiremend.text.json_growing import GrowingJson
from wiremend.text.json_value import JsonObject
from wiremend.text.sse import Event

_P = ("anthropic-messages",)

BLOCK_INDEX = Rule(
    code="S105",
    name="block-index",
    detects="Content blocks are not numbered 0, 1, 2 …: the first index is not 0, or indexes have "
    "gaps, repeat, are strings or are missing.",
    impact="`InvalidHTTPResponse`; `Content block not found`, and the client repeats the whole "
    "turn.",
    action="Numbers blocks, with their deltas and stops, in the order in which they are sent.",
    protocols=_P,
    seen=("routatic/proxy#80", "enricoros/big-AGI#917", "router-for-me/CLIProxyAPI#539"),
    before='{"type":"content_block_start","index":1,…}',
    after='{"type":"content_block_start","index":0,…}',
)
BLOCK_START_REPEATED = Rule(
    code="S106",
    name="block-start-repeated",
    detects="`content_block_start` is repeated for a block that is open.",
    impact="The tool's arguments are split in two.",
    action="Drops the repeated event.",
    protocols=_P,
    seen=("routatic/proxy#17",),
)
BLOCKS_OVERLAP = Rule(
    code="S109",
    name="blocks-overlap",
    detects="A block starts while another one is open.",
    impact="Text is assigned to the wrong block; strict clients stop.",
    action="Closes text and thinking blocks first. Blocks that start inside an open tool block "
    "wait for its end.",
    protocols=_P,
    seen=("looplj/axonhub#1677",),
)
STOP_WITHOUT_START = Rule(
    code="S110",
    name="stop-without-start",
    detects="`content_block_stop` arrives for a block that is not open.",
    impact="`Content block not found`.",
    action="Drops it.",
    protocols=_P,
    seen=("decolua/9router#2248",),
)
BLOCK_LEFT_OPEN = Rule(
    code="S111",
    name="block-left-open",
    detects="The message continues or ends although a block was not stopped.",
    impact="The client never completes the block; a tool call is never run.",
    action="Adds the stop; for a tool block only if its JSON is complete.",
    protocols=_P,
)
TOOL_INPUT_BROKEN = Rule(
    code="S113",
    name="tool-input-broken",
    detects="A tool's JSON is malformed or truncated, and the stop reason does not explain it.",
    impact="An older SDK returns the partial message, and the tool runs with truncated arguments.",
    action="Content is lost: ends the stream in the protocol's error event, without closing the "
    "block. A last tool block cut by `max_tokens` or `refusal` is forwarded.",
    protocols=_P,
    seen=("BerriAI/litellm#32159", "anthropics/anthropic-sdk-typescript#920"),
)
BLOCK_AFTER_STOP_REASON = Rule(
    code="S122",
    name="block-after-stop-reason",
    detects="An event of a block arrives after the stop reason was sent.",
    impact="Clients have already closed the message, so they lose the content.",
    action="Drops an event without content; content ends the stream in the protocol's error event.",
    protocols=_P,
)
STOP_TOO_EARLY = Rule(
    code="S126",
    name="block-stop-too-early",
    detects="A block is stopped, and its deltas go on: more of a tool's input, more text, or the "
    "signature of thinking.",
    impact="`Content block not found`; a tool runs with half of its input; a text is torn in two.",
    action="Moves the stop behind the last delta. Other blocks that began in between follow it.",
    protocols=_P,
    seen=("agentgateway/agentgateway#2147",),
)

PROMOTED = frozenset({"end_turn", "stop"})
"""Stop reasons that become `tool_use` if a tool was called."""

_THOUGHT = frozenset({"thinking", "redacted_thinking"})
"""Blocks that are no answer."""


class Blocks:
    """The content blocks of one message, in the order in which the client sees them."""

    def __init__(self, context: StreamContext, draft: Draft, send: Send) -> None:
        self._tool_names = context.tool_names
        self._draft = draft
        self._send = send
        self._current: Block | None = None
        self._waiting: deque[Block] = deque()
        self._is_showing = False
        """Whether waiting blocks are being shown."""
        self._by_source: dict[Any, Block] = {}
        self._under: dict[Any, OrderedDict[Block, None]] = {}
        """The current block and the waiting ones, in order: by the provider's index, and by that
        index and their type. Those that have ended are removed when they are met."""
        self._started = 0
        self.shown = 0
        """The number of blocks that were shown."""
        self.answer = ""
        """Identifies this message, for generated ids."""
        self.called_tool = False
        """Whether a tool of the client was called."""
        self.used_tool = False
        """Whether a tool of the client or of the provider was called."""
        self.has_answer = False
        """Whether there is anything but thinking and empty text."""

    def put(self, raw: bytes) -> None:
        """Write bytes, or hold them back behind a stop."""
        current = self._current
        if current is None or current.stop is None:
            self._draft.out.append(raw)
            return
        last = self._waiting[-1] if self._waiting else current
        if last.stop is None:
            last.waiting.append(raw)
        else:
            last.behind.append(raw)

    # Events

    def start(self, event: Event | None, data: JsonObject, *, changed: bool) -> None:
        """Handle a `content_block_start`."""
        source, block = source_of(data), data.get("content_block")
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            done = "left to its first delta"
            if not self._draft.note(BLOCK_INCOMPLETE, "no content_block", done):
                self.open(Block("unknown"), source, event, data, changed=changed)
            return
        repeated = self._repeated(source, block)
        if repeated is not None:
            if not self._draft.note(BLOCK_START_REPEATED, f"block {source!r} repeated", "dropped"):
                self.place(repeated, event, data, changed=changed)
            return
        identity = block.get("id")
        changed = (
            fill_start(self._draft, block, self._tool_names, self.answer, self.shown) or changed
        )
        new = Block(block["type"], identity)
        if block["type"] == "thinking" and isinstance(block.get("signature"), str):
            new.signature = block["signature"]
        whole_input = take_input(self._draft, block)
        if whole_input:
            new.start_input = GrowingJson(whole_input)
        text = take_text(self._draft, block)
        self.open(new, source, event, data, changed=changed or bool(whole_input or text))
        if text:
            self.place(new, None, text_delta(new.kind, text), changed=True)
            new.start_text = text

    def pass_start(self, data: JsonObject) -> bool:
        """Start a usual block with the next number while no other is open; else return False."""
        block, index = data.get("content_block"), data.get("index")
        is_next = index == self.shown and type(index) is int and index not in self._by_source
        if self._current is not None or self._waiting or not is_next or not is_usual(block):
            return False
        new = Block(block["type"], block.get("id"), signature=block.get("signature", ""))
        self._register(new, index, data)
        self._show(new, data)
        return True

    def add_whole(self, start: JsonObject, deltas: list[JsonObject]) -> None:
        """Write a block that the provider did not send as events: its start, deltas and stop."""
        fill_start(self._draft, start, self._tool_names, self.answer, self.shown)
        block = Block(start["type"])
        data: JsonObject = {"type": "content_block_start", "index": 0, "content_block": start}
        self.release()
        self.open(block, self.shown, None, data, changed=True)
        for delta in deltas:
            event: JsonObject = {"type": "content_block_delta", "index": 0, "delta": delta}
            self.place(block, None, event, changed=True)
        self.place(block, None, new_stop(), changed=True)

    def stop(self, event: Event, data: JsonObject, *, changed: bool) -> None:
        """Handle a `content_block_stop`."""
        source = source_of(data)
        block = self.find(source)
        if block is not None and (block.stop is None or block.goes_on):
            self.place(block, event, data, changed=changed)
        elif not self._draft.note(STOP_WITHOUT_START, f"block {source!r}", "dropped"):
            self._send(event, data, changed)

    def drop_late(self, data: JsonObject) -> bool:
        """Drop a block's event after the stop reason; return False if the rule is disabled.

        Raises ContentLost if it has content.
        """
        if has_content(data):
            self._draft.lose(
                BLOCK_AFTER_STOP_REASON,
                "content after the stop reason",
                "The provider sent content after the stop reason.",
            )
        return self._draft.note(BLOCK_AFTER_STOP_REASON, "a block's event", "dropped")

    def keep_signature(self, event: Event, data: JsonObject, *, changed: bool) -> None:
        """Write a signature whose block has ended, in a block of its own behind the open one."""
        start: JsonObject = {
            "type": "content_block_start",
            "index": 0,
            "content_block": dict(EMPTY_BLOCKS["thinking"]),
        }
        block = Block("thinking", signature=data["delta"]["signature"])
        block.waiting = [
            self._received(None, start, changed=True),
            self._received(event, data, changed=changed),
        ]
        block.stop = self._received(None, new_stop(), changed=True)
        self._waiting.append(block)
        if self._current is None:
            self._show_next()

    # Stops that are held back

    @property
    def holds_back(self) -> bool:
        """Whether a stop is held back until the next event."""
        current = self._current
        return current is not None and current.stop is not None and not current.is_cut

    def settle(self, data: JsonObject) -> None:
        """Write stops that are held back, unless this event continues their block."""
        while (block := self._current) is not None and block.stop is not None:
            if block.is_cut or self._continues(block, data):
                return
            self._close_held(block)

    def release(self) -> None:
        """Write stops that are held back, except within the JSON of a tool."""
        while self._current is not None and self.holds_back:
            self._close_held(self._current)

    def _continues(self, block: Block, data: JsonObject) -> bool:
        """Return whether this is a delta of the block with content, or its stop behind one."""
        if source_of(data) not in (block.source, None):
            return False
        if data["type"] == "content_block_stop":
            return block.goes_on
        delta = data.get("delta")
        return (
            data["type"] == "content_block_delta"
            and self._draft.is_on(STOP_TOO_EARLY)
            and isinstance(delta, dict)
            and kind_of(delta) in DELTAS_BY_BLOCK.get(block.kind, ())
            and block.may_go_on
            and has_content(data)
        )

    def _end_held(self, block: Block) -> None:
        """Write the stop that is held back. Raises ContentLost within the JSON of a tool."""
        if block.stop is None:
            return
        if block.is_cut and self._draft.is_on(TOOL_INPUT_BROKEN):
            raise self._record_cut(block)
        self._close_held(block)

    def _close_held(self, block: Block) -> None:
        assert block.stop is not None
        stop, block.stop = block.stop, None
        self._close(block, stop)

    # Finding blocks

    @property
    def current(self) -> Block | None:
        """The shown block that is not stopped yet."""
        return self._current

    def is_new(self, source: Any) -> bool:
        """Return whether no block has used this index."""
        return source not in self._by_source

    def last_under(self, source: Any) -> Block | None:
        """Return the last block of this index, open or not."""
        return self._by_source.get(source)

    def find(self, source: Any) -> Block | None:
        """Return the open block of this index; without an index, the current one."""
        block = self._by_source.get(source) if source is not None else self._current
        if block is not None and self._is_open(block):
            return block
        return self._first_open(source)

    def find_fitting(self, source: Any, delta: str) -> Block | None:
        """Return the first open block of this index that may have such a delta."""
        fitting = (kind for kind, deltas in DELTAS_BY_BLOCK.items() if delta in deltas)
        found = (self._first_open((source, kind)) for kind in fitting)
        return min((block for block in found if block), key=lambda one: one.ordinal, default=None)

    def has_open(self, source: Any, kind: str) -> bool:
        """Return whether a block of this type is open; an empty string is any unknown type."""
        return self._first_open((source, kind)) is not None

    def _first_open(self, key: Any) -> Block | None:
        blocks = self._under.get(key)
        while blocks:
            block = next(iter(blocks))
            if self._is_open(block):
                return block
            del blocks[block]
        return None

    def _add_open(self, block: Block) -> None:
        block.ordinal = self._started
        self._started += 1
        for key in block.keys:
            self._under.setdefault(key, OrderedDict())[block] = None

    def _discard_open(self, block: Block) -> None:
        for key in block.keys:
            blocks = self._under.get(key)
            if blocks is not None and blocks.pop(block, False) is None and not blocks:
                del self._under[key]

    def _is_open(self, block: Block) -> bool:
        if block.is_stopped or block.stop is None:
            return not block.is_stopped
        return (block.may_go_on and self._draft.is_on(STOP_TOO_EARLY)) or block.goes_on

    def _repeated(self, source: Any, block: JsonObject) -> Block | None:
        """Return the open block that is started again; None if this is a new block."""
        existing = self._by_source.get(source)
        if existing is None or existing.is_stopped or existing.stop is not None:
            return None
        if existing.kind != block["type"]:
            return None
        is_same = not block.get("id") or not existing.identity or block["id"] == existing.identity
        return existing if is_same else None

    # Opening and closing

    def open(
        self, block: Block, source: Any, event: Event | None, data: JsonObject, *, changed: bool
    ) -> None:
        """Start a block, or make it wait for an incomplete tool."""
        self._register(block, source, data)
        while (current := self._current) is not None:  # closing a block may show a waiting one
            found = f"block {source!r} inside another"
            if not self._draft.is_on(BLOCKS_OVERLAP):
                self._end_held(current)
                break
            if current.kind in TOOL_BLOCKS and not current.has_whole_json:
                if current.stop is None:
                    self._draft.note(BLOCKS_OVERLAP, found, "withheld until the open one is closed")
                block.waiting.append(self._received(event, data, changed=changed))
                self._waiting.append(block)
                return
            self._draft.note(BLOCKS_OVERLAP, found, "the open one closed")
            self._close(current, self._received(None, new_stop(), changed=True))
        self._show_start(block, event, data, changed=changed)

    def _register(self, block: Block, source: Any, data: JsonObject) -> None:
        self._by_source[source] = block
        block.source = source
        self._add_open(block)
        self.has_answer |= block.kind not in _THOUGHT and has_content(data)

    def numbered(self, index: Any) -> Block | None:
        """Return the open block if its deltas have this index and are forwarded as they come."""
        block = self._current
        if block is None or block.stop is not None or block.start_text:
            return None
        is_its_own = index == block.number and type(index) is int
        return block if is_its_own and self._by_source.get(index) is block else None

    def place(self, block: Block, event: Event | None, data: JsonObject, *, changed: bool) -> None:
        """Write a delta or a stop of a block, or store it if the block waits."""
        if data["type"] == "content_block_stop":
            self._take_stop(block, self._received(event, data, changed=changed))
            return
        if block.start_text and self._repeats_start(block, data):
            return
        self.remember(block, data)
        if block.stop is not None and not block.goes_on:
            found = f"a delta of block {block.source!r} after its stop"
            self._draft.note(STOP_TOO_EARLY, found, "the stop moved behind it")
            block.goes_on = True
        if not block.is_shown:
            block.waiting += [*block.behind, self._received(event, data, changed=changed)]
            block.behind = []
            return
        if block.stop is None:
            self._send_numbered(block, event, data, changed=changed)
            return
        stop, block.stop = block.stop, None  # what follows is written before it
        self._flush(block)
        self._send_numbered(block, event, data, changed=changed)
        block.stop = stop

    def close_all(self, reason: Any) -> None:
        """Stop all open blocks before the message ends with this stop reason, None if unknown.

        Raises ContentLost for a tool that ends inside its JSON, unless the reason explains it.
        """
        is_whole = not isinstance(reason, str) or not reason or reason in WHOLE_REASONS | PROMOTED
        while (block := self._current) is not None:
            if block.stop is None:
                found = f"block {block.number}"
                if not self._draft.note(BLOCK_LEFT_OPEN, found, "stopped"):
                    self._show_next()
                    continue
                block.stop = self._received(None, new_stop(), changed=True)
            if is_whole:
                self._end_held(block)
            else:
                self._close_held(block)

    def _take_stop(self, block: Block, stop: Received) -> None:
        """Write the stop of a block, or hold it back if the block may go on."""
        block.goes_on = False
        block.stop = stop
        if not block.is_shown:
            return
        is_judged = block.is_cut and self._draft.is_on(TOOL_INPUT_BROKEN)
        if block is not self._current:
            if is_judged:
                raise self._record_cut(block)
        elif is_judged or (
            block.may_go_on and not self._waiting and self._draft.is_on(STOP_TOO_EARLY)
        ):
            return
        self._close_held(block)

    def remember(self, block: Block, data: JsonObject) -> None:
        """Keep what later decisions depend on."""
        delta = data.get("delta")
        kind = delta.get("type") if isinstance(delta, dict) else None
        if delta is None or kind is None:
            return
        if kind == "input_json_delta":
            text = delta.get("partial_json")
            block.tool_json.add(text if isinstance(text, str) else "")
        elif kind == "signature_delta":
            block.signature = str(delta.get("signature") or "") or block.signature
        elif kind != "thinking_delta" and not self.has_answer:
            self.has_answer = has_content(data)

    def _show_start(
        self, block: Block, event: Event | None, data: JsonObject, *, changed: bool
    ) -> None:
        if self._current is not None:  # it was not closed, since the rule is disabled
            self._discard_open(self._current)
        self._show(block, data)
        self._send_numbered(block, event, data, changed=changed)

    def _show(self, block: Block, data: JsonObject) -> None:
        self._current = block
        block.number = self.shown
        self.shown += 1
        self.note_use(data.get("content_block"))

    def begin_after(self, content: list[Any]) -> None:
        """Take the blocks that `message_start` contains as the first ones."""
        self.shown = len(content)
        for block in content:
            self.note_use(block)
            if isinstance(block, dict):
                start = {"type": "content_block_start", "content_block": block}
                self.has_answer |= kind_of(block) not in _THOUGHT and has_content(start)

    def note_use(self, block: Any) -> None:
        """Record whether this block calls a tool."""
        kind = kind_of(block) if isinstance(block, dict) else ""
        is_own = kind == "tool_use" and not is_called_by_code(block)
        self.called_tool = self.called_tool or is_own
        self.used_tool = self.used_tool or kind in TOOL_BLOCKS

    def _close(self, block: Block, stop: Received) -> None:
        if block.start_input and not block.tool_json:
            delta = {"type": "input_json_delta", "partial_json": block.start_input.text}
            whole: JsonObject = {"type": "content_block_delta", "index": 0, "delta": delta}
            self._send_numbered(block, None, whole, changed=True)
        block.is_stopped = True
        self._discard_open(block)
        self._send_received(block, stop)
        self._flush(block)
        if block is self._current:
            self._show_next()

    def _flush(self, block: Block) -> None:
        self._draft.out += block.behind
        block.behind = []

    def _show_next(self) -> None:
        """Show the blocks that have waited longest, up to one that is still open."""
        if self._current is not None:
            self._discard_open(self._current)
        self._current = None
        if self._is_showing:
            return  # a block that waited has ended: the loop below goes on
        self._is_showing = True
        while self._current is None and self._waiting:
            following = self._waiting.popleft()
            waiting, following.waiting = following.waiting, []
            stop, following.stop = following.stop, None
            for item in waiting:
                if isinstance(item, bytes):
                    self._draft.out.append(item)
                elif following.is_shown:
                    self._send_received(following, item)
                else:
                    with self._draft.at(item.place):
                        self._show_start(following, item.event, item.data, changed=item.changed)
            if stop is not None:
                goes_on = following.goes_on
                self._take_stop(following, stop)
                following.goes_on = goes_on
        self._is_showing = False

    def _record_cut(self, block: Block) -> ContentLost:
        """Record a tool that was cut inside its JSON; return the exception to raise."""
        text = block.input.text[: SHOWN_BYTES + 1]
        found = start_of(text.encode("utf-8", "surrogatepass"))
        self._draft.note(TOOL_INPUT_BROKEN, found, "ended in an error")
        return ContentLost(CUT_ARGUMENTS)

    def _repeats_start(self, block: Block, data: JsonObject) -> bool:
        """Drop the first delta of a block if its text was in the start; return whether it was."""
        text, block.start_text = block.start_text, ""
        delta = data.get("delta")
        is_same = isinstance(delta, dict) and delta.get(block.kind) == text
        return is_same and self._draft.note(TEXT_IN_START, "the first delta repeats it", "dropped")

    def _received(self, event: Event | None, data: JsonObject, *, changed: bool) -> Received:
        return Received(event, data, changed, self._draft.place)

    def _send_received(self, block: Block, received: Received) -> None:
        """Write an event; findings in it are placed where it came."""
        with self._draft.at(received.place):
            self._send_numbered(block, received.event, received.data, changed=received.changed)

    def _send_numbered(
        self, block: Block, event: Event | None, data: JsonObject, *, changed: bool
    ) -> None:
        index = data.get("index")
        if index != block.number or isinstance(index, bool | float):
            if event is not None and not self._draft.note(
                BLOCK_INDEX, f"block {index!r}", f"block {block.number}"
            ):
                self._send(event, data, changed)
                return
            data["index"] = block.number
            changed = True
        self._send(event, data, changed)
