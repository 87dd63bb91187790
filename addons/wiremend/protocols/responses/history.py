"""The rules on the input items of a Responses request, and their passes.

Theory of operation. Calls and their outputs are items of one list, paired by `call_id`. If the
provider stores a part of the history (`previous_response_id`, `conversation`, item references),
that part may contain the call of an output: then no output is dropped.

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
    "response was interrupted, or the client lost the item or the id of its message.",
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
"""The types of calls of the client's tools, and the type of the output of each."""
_REFERENCES = ("item_reference", "compaction")
"""Types of items that refer to items outside the request."""


def drop_orphan_results(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop outputs without a call, and second outputs of one call."""
    items = list(objects(request.get("input"), ("input",)))
    if request.get("previous_response_id") or request.get("conversation"):
        return
    if any(str(item.get("type")).startswith(_REFERENCES) for _, item in items):
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
        # None: Codex sends a function's output for its `local_shell_call`.
        calls = [call for call in ((kind, call_id), (None, call_id)) if unanswered[call]]
        if calls:
            unanswered[calls[0]] -= 1
        elif notes.note(RESULT_WITHOUT_CALL, BodyPlace(path), f"{call_id!r}", "dropped"):
            edits.remove(path)


def drop_orphan_reasoning(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop reasoning items that are followed by a user message, an output or the end.

    A message of the assistant without an id is not the one that the reasoning led to.
    """
    items = list(objects(request.get("input"), ("input",)))
    if request.get("previous_response_id") or request.get("conversation"):
        return
    orphans: list[Path] = []
    has_successor = False
    for path, item in reversed(items):
        if item.get("type") != "reasoning":
            kind, role = str(item.get("type")), item.get("role")
            is_output = role is None or (role == "assistant" and isinstance(item.get("id"), str))
            has_successor = is_output and not kind.endswith("_output")
        elif not has_successor and isinstance(item.get("id"), str):
            orphans.append(path)
    for path in orphans if len(orphans) < len(items) else ():
        if notes.note(ORPHAN_REASONING, BodyPlace(path), "nothing follows it", "dropped"):
            edits.remove(path)


def add_missing_results(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Add an output directly after each call without one."""
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
"""The passes, in order."""
