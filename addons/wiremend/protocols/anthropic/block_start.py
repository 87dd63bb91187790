"""Repairing the start of a content block: `content_block_start` with missing or misplaced content.

In the Messages API, the start of a block has all of its fields, and its text and input are empty:
both follow in deltas.
"""

from collections.abc import Sequence
from typing import Any, TypeGuard

from wiremend.protocols.anthropic.grammar import EMPTY_BLOCKS, TOOL_BLOCKS, is_called_by_code
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.generated_ids import generated_id
from wiremend.rules.rule import SHOWN_BYTES, Rule, start_of
from wiremend.text import json_value
from wiremend.text.json_value import JsonObject

_P = ("anthropic-messages",)

BLOCK_INCOMPLETE = Rule(
    code="S112",
    name="block-incomplete",
    detects="A block starts with null as its text, without an id, or without a name.",
    impact="Schema errors; `tool_use.name: String should have at least 1 character`.",
    action="Fills in text and id. Fills in the name if the request offers exactly one tool; "
    "otherwise the stream ends in the protocol's error event.",
    protocols=_P,
)
INPUT_IN_START = Rule(
    code="S129",
    name="input-in-block-start",
    detects="A call's whole input is in `content_block_start`, and no delta has it.",
    impact="Clients that read the deltas, Claude Code among them, run the tool with `{}`.",
    action="Sends the input as one `input_json_delta`. Calls that the provider's own code makes "
    "are not changed: the Messages API sends them in this form.",
    protocols=_P,
    seen=("inflaborg/ccrelay#119",),
    before='{"type":"content_block_start",…"input":{"p":1}}}',
    after='{"type":"content_block_start",…"input":{}}}, '
    '{"type":"content_block_delta",…"partial_json":"{\\"p\\":1}"}}',
)
TEXT_IN_START = Rule(
    code="S134",
    name="text-in-block-start",
    detects="The text of a text or thinking block is in `content_block_start` instead of a delta.",
    impact="Claude Code and the Vercel AI SDK, which OpenCode uses, read the deltas only: the text "
    "is lost.",
    action="Sends the text as a delta. A first delta that repeats the text is dropped.",
    protocols=_P,
    before='{"type":"content_block_start",…"text":"Hi"}}',
    after='{"type":"content_block_start",…"text":""}}, '
    '{"type":"content_block_delta",…"text":"Hi"}}',
)


_CALL_KEYS = frozenset({"type", "id", "name", "input", "caller"})


def is_usual(block: Any) -> TypeGuard[JsonObject]:
    """Return whether a starting block has all of its fields in their places, and no content.

    None of the functions below changes it.
    """
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        return False
    if kind in EMPTY_BLOCKS:
        return block.get(kind) == "" and isinstance(block.get("signature", ""), str)
    if kind != "tool_use" or block.get("input") != {} or not block.keys() <= _CALL_KEYS:
        return False
    name = block.get("name")
    return bool(block.get("id")) and isinstance(name, str) and bool(name.strip())


def fill_start(
    draft: Draft, block: JsonObject, tool_names: Sequence[str], answer: str, number: int
) -> bool:
    """Fill in the missing fields of a starting block; return whether anything changed.

    `tool_names`: the tools that the request offers. `answer` and `number` identify the message and
    the block, for a generated id. Raises ContentLost for a call whose name is not known.
    """
    missing: JsonObject = {}
    kind = block["type"]
    if kind in EMPTY_BLOCKS:
        text = "text" if kind == "text" else "thinking"
        if not isinstance(block.get(text), str):
            missing[text] = ""
    elif kind == "tool_use":
        if not block.get("id"):
            missing["id"] = generated_id("toolu", answer, number)
        if not str(block.get("name") or "").strip():
            if len(tool_names) == 1:
                missing["name"] = tool_names[0]
            else:
                what = "a tool call without a name"
                draft.lose(BLOCK_INCOMPLETE, what, f"The provider sent {what}.")
        if block.get("input") in (None, ""):
            missing["input"] = {}
    if missing and draft.note(BLOCK_INCOMPLETE, f"no {', '.join(missing)}", "filled in"):
        block |= missing
        return True
    return False


def take_input(draft: Draft, block: JsonObject) -> str:
    """Remove the input of a call from its start; return its JSON, empty if it stays there."""
    given = block.get("input")
    if block["type"] not in TOOL_BLOCKS or not given or not isinstance(given, dict | str):
        return ""
    text = given if isinstance(given, str) else json_value.write(given).decode()
    found = start_of(text[: SHOWN_BYTES + 1].encode("utf-8", "replace"))
    is_code = block["type"] != "tool_use" or is_called_by_code(block)
    if is_code or not draft.note(INPUT_IN_START, found, "sent as an input_json_delta"):
        return ""
    block["input"] = {}
    return text


def take_text(draft: Draft, block: JsonObject) -> str:
    """Remove the text of a block from its start; return it, empty if it stays there."""
    text = block.get(block["type"]) if block["type"] in EMPTY_BLOCKS else None
    if not isinstance(text, str) or not text:
        return ""
    found = start_of(text[: SHOWN_BYTES + 1].encode("utf-8", "replace"))
    if not draft.note(TEXT_IN_START, found, "sent as a delta"):
        return ""
    block[block["type"]] = ""
    return text
