"""Responses: calls and their outputs are items of one list, paired by `call_id`.

What the provider keeps itself (`previous_response_id`, `conversation`, item references) may hold
the other half of a pair: then no output is judged.

https://platform.openai.com/docs/api-reference/responses/create
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base import parameters
from wiremend.protocols.base.history import (
    CALL_WITHOUT_RESULT,
    NO_RESULT,
    RESULT_WITHOUT_CALL,
)
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import HistoryPass
from wiremend.protocols.base.traits import MessageTraits
from wiremend.protocols.responses.request import TOKEN_LIMITS, call_ids
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path
from wiremend.text.json_value import objects

ORPHAN_REASONING = Rule(
    code="Q108",
    name="orphan-reasoning",
    detects="A reasoning item with an id is not followed by an item that it could belong to: the "
    "response was interrupted, or the client lost the item.",
    impact="OpenAI rejects every further turn: `Item 'rs_...' of type 'reasoning' was provided "
    "without its required following item`.",
    action="Drops the reasoning item, unless the provider stores the conversation itself.",
    protocols=(WireProtocol.RESPONSES,),
    seen=("vercel/ai#7099", "continuedev/continue#8933", "openclaw/openclaw#18632"),
    before='{"input":[{"type":"reasoning","id":"rs_1","summary":[]},{"role":"user",'
    '"content":"Go on."}]}',
    after='{"input":[{"role":"user","content":"Go on."}]}',
)

OUTPUT_OF: Mapping[str, str] = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
}
"""The calls that the client's own tools get, and the type of what answers them."""
_HOLDING_OTHERS = ("item_reference", "compaction")
"""Items that stand for items which the request does not show."""


def drop_orphan_results(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop outputs without a call, and second outputs of one call."""
    items = list(objects(request.get("input"), ("input",)))
    if request.get("previous_response_id") or request.get("conversation"):
        return
    if any(str(item.get("type")).startswith(_HOLDING_OTHERS) for _, item in items):
        return
    unanswered: Counter[tuple[str | None, str]] = Counter()
    for _path, item in items:
        kind, call_id = str(item.get("type")), item.get("call_id")
        if isinstance(call_id, str) and not kind.endswith("_output"):
            unanswered[OUTPUT_OF.get(kind), call_id] += 1
    for path, item in items:
        kind, call_id = str(item.get("type")), item.get("call_id")
        if kind not in OUTPUT_OF.values() or not isinstance(call_id, str):
            continue
        # None: Codex answers its `local_shell_call` with a function's output
        calls = [call for call in ((kind, call_id), (None, call_id)) if unanswered[call]]
        if calls:
            unanswered[calls[0]] -= 1
        elif notes.note(RESULT_WITHOUT_CALL, BodyPlace(path), f"{call_id!r}", "dropped"):
            edits.remove(path)


def drop_orphan_reasoning(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop reasoning that the user's words, an output or nothing follows."""
    items = list(objects(request.get("input"), ("input",)))
    if request.get("previous_response_id") or request.get("conversation"):
        return
    orphans: list[Path] = []
    leads_on = False
    for path, item in reversed(items):
        if item.get("type") != "reasoning":
            kind, role = str(item.get("type")), item.get("role")
            leads_on = not kind.endswith("_output") and role in (None, "assistant")
        elif not leads_on and isinstance(item.get("id"), str):
            orphans.append(path)
    for path in orphans if len(orphans) < len(items) else ():
        if notes.note(ORPHAN_REASONING, BodyPlace(path), "nothing follows it", "dropped"):
            edits.remove(path)


def add_missing_results(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Answer each call without an output, right behind it."""
    items = list(objects(request.get("input"), ("input",)))
    answered = {(str(item.get("type")), str(item.get("call_id"))) for _, item in items}
    for path, item in items:
        kind, call_id = OUTPUT_OF.get(str(item.get("type"))), item.get("call_id")
        if kind is None or not isinstance(call_id, str) or (kind, call_id) in answered:
            continue
        answered.add((kind, call_id))
        if notes.note(CALL_WITHOUT_RESULT, BodyPlace(path), f"{call_id!r}", "an output was added"):
            output = {"type": kind, "call_id": call_id, "output": NO_RESULT}
            index = path[1]
            assert isinstance(index, int)
            edits.insert_item(("input",), index + 1, json_value.write(output))


HISTORY_PASSES: tuple[tuple[Rule, HistoryPass], ...] = (
    (ORPHAN_REASONING, drop_orphan_reasoning),
    (RESULT_WITHOUT_CALL, drop_orphan_results),
    (CALL_WITHOUT_RESULT, add_missing_results),
    (parameters.CALL_ID, parameters.adapt_call_ids(call_ids)),
    (parameters.SAMPLING_REFUSED, parameters.drop_refused_sampling),
    (parameters.TOKEN_LIMIT, parameters.lower_token_limit(TOKEN_LIMITS)),
)
"""In order."""
