"""Opening, numbering and closing the content blocks of an Anthropic Messages stream.

Theory of operation. Blocks are shown one after the other. A block that starts while the JSON of
a tool is incomplete waits, with its events, until that tool is closed. If a tool is stopped
inside its JSON, the stop and all later events are withheld until the stop reason arrives, which
determines whether content was lost.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.anthropic.grammar import (
    DELTAS_BY_BLOCK,
    EMPTY_BLOCKS,
    TOOL_BLOCKS,
    WHOLE_REASONS,
)
from wiremend.protocols.base.cut_content import CUT_ARGUMENTS, ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.generated_ids import generated_id
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
BLOCK_INCOMPLETE = Rule(
    code="S112",
    name="block-incomplete",
    detects="A block starts with null as its text, without an id, or without a name.",
    impact="Schema errors; `tool_use.name: String should have at least 1 character`.",
    action="Fills in text and id. Fills in the name if the request offers exactly one tool; "
    "otherwise the stream ends in the protocol's error event.",
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
    detects="An event of a block arrives after the stop reason.",
    impact="Clients have already closed the message.",
    action="Drops it.",
    protocols=_P,
)

PROMOTED = frozenset({"end_turn", "stop"})
"""Stop reasons that become `tool_use` if a tool was called."""

type Send = Callable[[Event | None, JsonObject, bool], None]
"""Writes an event (None: a new one) with this data; the flag: whether the data was changed."""


@dataclass(slots=True, eq=False)
class Block:
    """One content block; `waiting` contains its events while it cannot be shown."""

    kind: str
    identity: Any = None
    source: Any = None
    """The index that the provider used."""
    ordinal: int = -1
    """The number of blocks that were started before it."""
    number: int = -1
    """The index that the client sees; -1 while it is not shown."""
    is_stopped: bool = False
    json: GrowingJson = field(default_factory=GrowingJson)
    """The input of a tool so far."""
    waiting: list[tuple[Event | None, JsonObject, bool]] = field(default_factory=list)

    @property
    def is_shown(self) -> bool:
        """Whether its start was sent to the client."""
        return self.number >= 0

    @property
    def has_whole_json(self) -> bool:
        """Whether the input of a tool so far is complete JSON."""
        return self.json.is_whole


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
        self._open: dict[Any, OrderedDict[Block, None]] = {}
        """The current block and the waiting ones that are not stopped, by the provider's index, and
        by that index and their type; in order."""
        self._cut: Block | None = None
        """A tool that was stopped inside its JSON."""
        self._held: list[bytes] = []
        """The bytes that are withheld since then."""
        self._started = 0
        self.shown = 0
        """The number of blocks that were shown."""
        self.answer = ""
        """Identifies this message, for generated ids."""
        self.called_tool = False
        """Whether a tool of the client was called."""
        self.used_tool = False
        """Whether a tool of the client or of the provider was called."""

    def put(self, raw: bytes) -> None:
        """Write bytes, or withhold them after a tool that was stopped inside its JSON."""
        (self._draft.out if self._cut is None else self._held).append(raw)

    # Events

    def start(self, event: Event, data: JsonObject, *, changed: bool) -> None:
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
        changed = self._fill(block) or changed
        self.open(Block(block["type"], identity), source, event, data, changed=changed)

    def stop(self, event: Event, data: JsonObject, *, changed: bool) -> None:
        """Handle a `content_block_stop`."""
        source = source_of(data)
        block = self.find(source)
        if block is not None:
            self.place(block, event, data, changed=changed)
        elif not self._draft.note(STOP_WITHOUT_START, f"block {source!r}", "dropped"):
            self._send(event, data, changed)

    def drop_late(self, has_stop_reason: bool) -> bool:
        """Drop a block's event after the stop reason; return False if the event is not late.

        Raises ContentLost if a tool before it was stopped inside its JSON.
        """
        if self._cut is not None:
            raise self._record_cut(self._cut)
        return has_stop_reason and self._draft.note(
            BLOCK_AFTER_STOP_REASON, "a block's event", "dropped"
        )

    # Finding blocks

    @property
    def current(self) -> Block | None:
        """The shown block that is not stopped yet."""
        return self._current

    def is_new(self, source: Any) -> bool:
        """Return whether no block has used this index."""
        return source not in self._by_source

    def find(self, source: Any) -> Block | None:
        """Return the open block of this index; without an index, the current one."""
        block = self._by_source.get(source) if source is not None else self._current
        if block is not None and not block.is_stopped:
            return block
        return self._first_open(source)

    def find_fitting(self, source: Any, delta: str) -> Block | None:
        """Return the first open block of this index that may have such a delta."""
        fitting = (kind for kind, deltas in DELTAS_BY_BLOCK.items() if delta in deltas)
        found = (self._first_open((source, kind)) for kind in fitting)
        return min((block for block in found if block), key=lambda one: one.ordinal, default=None)

    def _first_open(self, key: Any) -> Block | None:
        return next(iter(self._open.get(key, ())), None)

    def _add_open(self, block: Block) -> None:
        block.ordinal = self._started
        self._started += 1
        for key in (block.source, (block.source, block.kind)):
            self._open.setdefault(key, OrderedDict())[block] = None

    def _discard_open(self, block: Block) -> None:
        for key in (block.source, (block.source, block.kind)):
            blocks = self._open.get(key)
            if blocks is not None and blocks.pop(block, False) is None and not blocks:
                del self._open[key]

    def _repeated(self, source: Any, block: JsonObject) -> Block | None:
        """Return the open block that is started again; None if this is a new block."""
        existing = self._by_source.get(source)
        if existing is None or existing.is_stopped or existing.kind != block["type"]:
            return None
        is_same = not block.get("id") or not existing.identity or block["id"] == existing.identity
        return existing if is_same else None

    # Opening and closing

    def open(
        self, block: Block, source: Any, event: Event | None, data: JsonObject, *, changed: bool
    ) -> None:
        """Start a block, or make it wait for an incomplete tool."""
        self._by_source[source] = block
        block.source = source
        self._add_open(block)
        while (current := self._current) is not None:  # closing a block may show a waiting one
            found = f"block {source!r} inside another"
            if not self._draft.is_on(BLOCKS_OVERLAP):
                break
            if current.kind in TOOL_BLOCKS and not current.has_whole_json:
                self._draft.note(BLOCKS_OVERLAP, found, "withheld until the open one is closed")
                block.waiting.append((event, data, changed))
                self._waiting.append(block)
                return
            self._draft.note(BLOCKS_OVERLAP, found, "the open one closed")
            self._close(current, None, {"type": "content_block_stop", "index": 0}, changed=True)
        self._show_start(block, event, data, changed=changed)

    def place(self, block: Block, event: Event | None, data: JsonObject, *, changed: bool) -> None:
        """Write a delta or a stop of a block, or store it if the block waits."""
        if not block.is_shown:
            block.waiting.append((event, data, changed))
            if data["type"] == "content_block_stop":
                block.is_stopped = True
                self._discard_open(block)
        elif data["type"] == "content_block_stop":
            self._close(block, event, data, changed=changed)
        else:
            delta = data.get("delta")
            if delta and delta["type"] == "input_json_delta":
                text = delta.get("partial_json")
                block.json.add(text if isinstance(text, str) else "")
            self._send_numbered(block, event, data, changed=changed)

    def close_all(self, reason: Any) -> None:
        """Stop all open blocks before the message ends with this stop reason, None if unknown.

        Raises ContentLost for a tool that ends inside its JSON, unless the reason explains it.
        """
        while self._current is not None:
            if self._draft.note(BLOCK_LEFT_OPEN, f"block {self._current.number}", "stopped"):
                stop = {"type": "content_block_stop", "index": 0}
                self._close(self._current, None, stop, changed=True)
            else:
                self._show_next()
        if self._cut is not None:
            if not isinstance(reason, str) or not reason or reason in WHOLE_REASONS | PROMOTED:
                raise self._record_cut(self._cut)
            self._cut = None
            self._draft.out += self._held
            self._held = []

    def _show_start(
        self, block: Block, event: Event | None, data: JsonObject, *, changed: bool
    ) -> None:
        if self._current is not None:  # it was not closed, since the rule is disabled
            self._discard_open(self._current)
        self._current = block
        block.number = self.shown
        self.shown += 1
        self.called_tool = self.called_tool or block.kind == "tool_use"
        self.used_tool = self.used_tool or block.kind in TOOL_BLOCKS
        self._send_numbered(block, event, data, changed=changed)

    def _close(self, block: Block, event: Event | None, data: JsonObject, *, changed: bool) -> None:
        is_cut = block.kind in TOOL_BLOCKS and block.json and not block.has_whole_json
        if is_cut and self._draft.is_on(TOOL_INPUT_BROKEN):
            if self._waiting:
                raise self._record_cut(block)
            self._cut = block
        block.is_stopped = True
        self._discard_open(block)
        self._send_numbered(block, event, data, changed=changed)
        if block is self._current:
            self._show_next()

    def _show_next(self) -> None:
        """Show the blocks that have waited longest, up to one that is still open."""
        if self._current is not None:
            self._discard_open(self._current)
        self._current = None
        if self._is_showing:
            return  # a block that waited is stopped: the loop below continues
        self._is_showing = True
        while self._current is None and self._waiting:
            following = self._waiting.popleft()
            ((event, data, changed), *rest) = following.waiting
            following.waiting = []
            self._show_start(following, event, data, changed=changed)
            for event, data, changed in rest:
                self.place(following, event, data, changed=changed)
        self._is_showing = False

    def _record_cut(self, block: Block) -> ContentLost:
        """Record a tool that was cut inside its JSON; return the exception to raise."""
        found = start_of(block.json.text[: SHOWN_BYTES + 1].encode("utf-8", "surrogatepass"))
        self._draft.note(TOOL_INPUT_BROKEN, found, "ended in an error")
        return ContentLost(CUT_ARGUMENTS)

    def _fill(self, block: JsonObject) -> bool:
        """Fill in the missing fields of a starting block; return whether anything changed."""
        missing: JsonObject = {}
        kind = block["type"]
        if kind in EMPTY_BLOCKS:
            text = "text" if kind == "text" else "thinking"
            if not isinstance(block.get(text), str):
                missing[text] = ""
        elif kind == "tool_use":
            if not block.get("id"):
                missing["id"] = generated_id("toolu", self.answer, self.shown)
            if not str(block.get("name") or "").strip():
                if len(self._tool_names) == 1:
                    missing["name"] = self._tool_names[0]
                else:
                    what = "a tool call without a name"
                    self._draft.lose(BLOCK_INCOMPLETE, what, f"The provider sent {what}.")
            if block.get("input") is None:
                missing["input"] = {}
        if missing and self._draft.note(BLOCK_INCOMPLETE, f"no {', '.join(missing)}", "filled in"):
            block |= missing
            return True
        return False

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


def source_of(data: JsonObject) -> Any:
    """Return the index as a key, the same for 1 and "1"; None without an index."""
    index = data.get("index")
    if isinstance(index, str) and index.isdigit():
        return int(index)
    return index if isinstance(index, int | str) and not isinstance(index, bool) else None
