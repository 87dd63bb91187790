"""One content block of an Anthropic Messages stream: what is kept of it, and its events."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.anthropic.grammar import (
    DELTAS_BY_BLOCK,
    EMPTY_BLOCKS,
    TEXT_BY_DELTA,
    TOOL_BLOCKS,
)
from wiremend.protocols.base.repairer import Run
from wiremend.rules.rule import Place
from wiremend.text.json_growing import GrowingJson
from wiremend.text.json_value import JsonObject
from wiremend.text.sse import Event

type Send = Callable[[Event | None, JsonObject, bool], None]
"""Writes an event (None: a new one) with this data; the flag: whether the data was changed."""


@dataclass(frozen=True, slots=True)
class Received:
    """An event that may be written later: what `Send` takes, and where it came."""

    event: Event | None
    data: JsonObject
    changed: bool
    place: Place


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
    """Whether its stop was sent to the client."""
    stop: Received | None = None
    """The stop that arrived and is held back."""
    goes_on: bool = False
    """Whether a delta followed the stop."""
    tool_json: GrowingJson = field(default_factory=GrowingJson)
    """The input of a tool in its deltas."""
    start_input: GrowingJson | None = None
    """The input of a call in its start, as JSON text; None if there is none."""
    start_text: str = ""
    """The text in its start, until its first delta."""
    signature: str = ""
    waiting: list[Received | bytes] = field(default_factory=list)
    behind: list[bytes] = field(default_factory=list)
    """The bytes behind the stop that is held back."""

    @property
    def keys(self) -> tuple[Any, ...]:
        """The keys under which it is found: its index, and its index and type."""
        return self.source, (self.source, self.kind if self.kind in DELTAS_BY_BLOCK else "")

    @property
    def is_shown(self) -> bool:
        """Whether its start was sent to the client."""
        return self.number >= 0

    @property
    def has_whole_json(self) -> bool:
        """Whether the input of a tool so far is complete JSON."""
        return self.input.is_whole

    @property
    def input(self) -> GrowingJson:
        """The input of a tool so far: that in its deltas, else that in its start."""
        return self.tool_json or self.start_input or self.tool_json

    @property
    def is_cut(self) -> bool:
        """Whether the input of a tool has begun and is not complete."""
        return self.kind in TOOL_BLOCKS and bool(self.input) and not self.has_whole_json

    @property
    def may_go_on(self) -> bool:
        """Whether the block may lack something although it was stopped."""
        match self.kind:
            case "text":
                return True
            case "thinking":
                return not self.signature
        return self.kind in TOOL_BLOCKS and not self.has_whole_json

    def keep_input(self, run: Run) -> None:
        """Take more of the input of a tool."""
        self.tool_json.add(run.text)


def source_of(data: JsonObject) -> Any:
    """Return the index as a key, the same for 1 and "1"; None without an index."""
    index = data.get("index")
    if isinstance(index, str) and index.isdigit():
        return int(index)
    return index if isinstance(index, int | str) and not isinstance(index, bool) else None


def has_content(data: JsonObject) -> bool:
    """Return whether this event of a block has anything that a client shows, runs or keeps."""
    match data["type"]:
        case "content_block_start":
            block = data.get("content_block")
            if not isinstance(block, dict):
                return False
            kind = kind_of(block)
            return bool(block.get(kind)) if kind in EMPTY_BLOCKS else True
        case "content_block_delta":
            delta = data.get("delta")
            if not isinstance(delta, dict):
                return bool(delta)
            key = TEXT_BY_DELTA.get(str(delta.get("type")))
            return bool(delta.get(key)) if key else bool(delta)
    return False


def kind_of(block: JsonObject) -> str:
    """Return the type of a content block or a delta as text."""
    return str(block.get("type"))


def text_delta(kind: str, text: str) -> JsonObject:
    """Return a delta with this text, for a block of the type `text` or `thinking`."""
    delta = {"type": f"{kind}_delta", kind: text}
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def new_stop() -> JsonObject:
    """Return the stop of a block; its index is set when it is written."""
    return {"type": "content_block_stop", "index": 0}
