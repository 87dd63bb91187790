"""The deltas of an Anthropic Messages stream: their text, and the block of each."""

from typing import Any

from wiremend.protocols.anthropic.blocks import Blocks
from wiremend.protocols.anthropic.content_block import Block, source_of
from wiremend.protocols.anthropic.grammar import (
    BLOCK_BY_DELTA,
    DELTAS_BY_BLOCK,
    EMPTY_BLOCKS,
    TEXT_BY_DELTA,
)
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import Repeatable
from wiremend.rules.rule import Rule
from wiremend.text import json_value
from wiremend.text.json_value import JsonObject
from wiremend.text.sse import Event

_P = ("anthropic-messages",)

DELTA_WITHOUT_START = Rule(
    code="S107",
    name="delta-without-start",
    detects="A delta belongs to a block that never started or has already stopped.",
    impact="`Content block not found`; the client repeats the whole turn without streaming.",
    action="Starts a block that fits the delta; a signature gets a thinking block of its own, "
    "behind the open block. A tool's delta cannot be assigned to a call: the stream ends in the "
    "protocol's error event.",
    protocols=_P,
    seen=(
        "BerriAI/litellm#13373",
        "router-for-me/CLIProxyAPI#3720",
        "router-for-me/CLIProxyAPI#5873",
    ),
)
DELTA_DOES_NOT_FIT = Rule(
    code="S108",
    name="delta-does-not-fit",
    detects="A delta's type does not fit its block: thinking inside text, or one index for all "
    "content.",
    impact="`Mismatched content block type content_block_delta thinking`.",
    action="Assigns it to the open block with that index that it fits, or starts a new block.",
    protocols=_P,
    seen=("router-for-me/CLIProxyAPI#539",),
)
DELTA_TEXT = Rule(
    code="S123",
    name="delta-text",
    detects="A delta's text is null or missing, or `partial_json` is an object instead of JSON "
    "text.",
    impact="SDKs concatenate strings: TypeError, or `[object Object]`.",
    action="Replaces a missing text with an empty string, and an object with its JSON text.",
    protocols=_P,
)

_STARTING_DELTAS = frozenset({"text_delta", "thinking_delta"})
"""Deltas whose block can be started without further information."""


class Deltas:
    """Takes each `content_block_delta`, repairs it and adds it to its block."""

    def __init__(self, draft: Draft, blocks: Blocks) -> None:
        self._draft = draft
        self._blocks = blocks

    def pass_usual(self, data: JsonObject) -> Repeatable | None:
        """Take a delta that has its text, fits the open block, and has the number of that block.

        Nothing else can be wrong with it. Return None for others, which are not taken.
        """
        block, delta = self._blocks.numbered(data.get("index")), data.get("delta")
        if block is None or not isinstance(delta, dict):
            return None
        kind = delta.get("type")
        if not isinstance(kind, str) or kind not in DELTAS_BY_BLOCK.get(block.kind, ()):
            return None
        key = TEXT_BY_DELTA.get(kind, "")
        text = delta.get(key)
        if not isinstance(text, str) or kind == "signature_delta":
            return None
        self._blocks.remember(block, data)
        # Of a text or a thought, only the first one changes the state of the block.
        return Repeatable(key, text, block.keep_input if key == "partial_json" else None)

    def feed(self, event: Event, data: JsonObject, *, changed: bool) -> bool:
        """Write a delta that has a type; return False if it has no block and is left unchanged."""
        delta, source = data["delta"], source_of(data)
        changed = self._coerce_text(delta) or changed
        existing = self._blocks.find(source)
        if existing is None and not self._draft.is_on(DELTA_WITHOUT_START):
            return False
        if delta["type"] == "signature_delta" and self._keeps_signature(existing, source, delta):
            self._blocks.keep_signature(event, data, changed=changed)
            return True
        block = self._find_or_start(existing, source, delta)
        if block is not None:
            self._blocks.place(block, event, data, changed=changed)
        return True

    def _coerce_text(self, delta: JsonObject) -> bool:
        """Make the text of the delta a string; return whether that changed it."""
        key = TEXT_BY_DELTA.get(delta["type"])
        if key is None or isinstance(delta.get(key), str):
            return False
        raw = delta.get(key)
        is_json = key == "partial_json" and isinstance(raw, dict | list)
        if not self._draft.note(DELTA_TEXT, f"{key}: {type(raw).__name__}", "written as text"):
            return False
        delta[key] = json_value.write(raw).decode() if is_json else ""
        return True

    def _keeps_signature(self, existing: Block | None, source: Any, delta: JsonObject) -> bool:
        """Return whether this signature needs a block of its own: its block has ended."""
        if not delta.get("signature"):
            return False
        rule, current = DELTA_WITHOUT_START, self._blocks.current
        if existing is not None:
            rule = DELTA_DOES_NOT_FIT
            if existing.kind == "thinking" or _is_unknown(existing):
                return False
            if self._blocks.has_open(source, "thinking") or self._blocks.has_open(source, ""):
                return False
        elif current is not None and current.kind == "thinking" and not current.signature:
            return False
        ended = self._blocks.last_under(source)
        if ended is not None and ended.signature == delta["signature"]:
            return False
        found = f"signature_delta of block {source!r}"
        return self._draft.note(rule, found, "kept in a thinking block of its own")

    def _find_or_start(
        self, existing: Block | None, source: Any, delta: JsonObject
    ) -> Block | None:
        """Return the block of a delta, started if necessary; None if the delta is dropped."""
        kind = delta["type"]
        if existing is not None:
            fits = kind not in BLOCK_BY_DELTA or kind in DELTAS_BY_BLOCK.get(existing.kind, (kind,))
            if fits or not self._draft.is_on(DELTA_DOES_NOT_FIT):
                return existing
            return self._find_or_start_fitting(existing, source, kind)
        current = self._blocks.current
        found = f"{kind} of block {source!r}"
        if (
            self._blocks.is_new(source)
            and current is not None
            and kind in DELTAS_BY_BLOCK.get(current.kind, ())
        ):
            self._draft.note(DELTA_WITHOUT_START, found, "assigned to the open block")
            return current
        if kind == "input_json_delta" and delta.get("partial_json"):
            what = f"{found}, which is not open"
            self._draft.lose(DELTA_WITHOUT_START, what, f"The provider sent {what}.")
        if kind not in _STARTING_DELTAS:
            self._draft.note(DELTA_WITHOUT_START, found, "dropped")
            return None
        self._draft.note(DELTA_WITHOUT_START, found, "started")
        return self._start_block(source, kind)

    def _find_or_start_fitting(self, existing: Block, source: Any, kind: str) -> Block:
        """Return another open block of the index that the delta fits, or start one."""
        block = self._blocks.find_fitting(source, kind)
        if block is not None:
            found = f"{kind} under the index of a {existing.kind} block"
            self._draft.note(DELTA_DOES_NOT_FIT, found, f"assigned to the {block.kind} block")
            return block
        found = f"{kind} in a {existing.kind} block"
        if kind == "input_json_delta":
            what = f"{found}, the tool's name is unknown"
            self._draft.lose(DELTA_DOES_NOT_FIT, what, f"The provider sent {what}.")
        self._draft.note(DELTA_DOES_NOT_FIT, found, "moved")
        return self._start_block(source, kind)

    def _start_block(self, source: Any, delta_kind: str) -> Block:
        block = Block(BLOCK_BY_DELTA[delta_kind])
        start: JsonObject = {
            "type": "content_block_start",
            "index": 0,
            "content_block": dict(EMPTY_BLOCKS[block.kind]),
        }
        self._blocks.open(block, source, None, start, changed=True)
        return block


def _is_unknown(block: Block) -> bool:
    return block.kind not in DELTAS_BY_BLOCK
