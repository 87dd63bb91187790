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
from wiremend.protocols.base.message_rules import conversation, thinking
from wiremend.protocols.base.message_rules.images import image_passes
from wiremend.protocols.base.message_rules.words import LONE_SURROGATES, last_steps
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.openai import IDENTIFIERS
from wiremend.protocols.base.protocol import HistoryStep, step
from wiremend.protocols.base.traits import MessageTraits
from wiremend.protocols.responses.request import (
    TOKEN_LIMITS,
    call_arguments,
    call_ids,
    calls_and_results,
    images,
)
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path
from wiremend.text.json_value import objects
from wiremend.text.patterns import whole_pattern

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

FOREIGN_ITEM_ID = Rule(
    code="Q114",
    name="foreign-item-id",
    detects="The id of an item does not start as the provider's ids for that type do, or contains "
    "other characters, or is too long: another provider created it.",
    impact="OpenAI rejects every further turn: `Invalid 'input[342].id': 'item_d774…'. Expected an "
    "ID that begins with 'rs'.`",
    action="Removes the id, which is optional.",
    protocols=(WireProtocol.RESPONSES,),
    seen=(
        "jlcodes99/cockpit-tools#2543",
        "jlcodes99/cockpit-tools#2090",
        "Wei-Shaw/sub2api#3981",
        "openai/codex#33176",
        "mastra-ai/mastra#10815",
        "ranxianglei/billion-context#1052",
    ),
    before='{"input":[{"type":"reasoning","id":"item_d774","summary":[]}]}',
    after='{"input":[{"type":"reasoning","summary":[]}]}',
)
ITEM_NOT_STORED = Rule(
    code="Q115",
    name="item-not-stored",
    detects="The request has `store: false`, and its items refer to stored ones by their ids.",
    impact="OpenAI: `Item with id 'rs_...' not found. Items are not persisted when store is set to "
    "false.`",
    action="Removes the ids, and reasoning that consists of an id only.",
    protocols=(WireProtocol.RESPONSES,),
    seen=("can1357/oh-my-pi#41", "anomalyco/opencode#7724", "anomalyco/opencode#8987"),
    before='{"store":false,"input":[{"type":"reasoning","id":"rs_1","summary":[]},{"role":"user",'
    '"content":"Go on."}]}',
    after='{"store":false,"input":[{"role":"user","content":"Go on."}]}',
)

_ID_PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "web_search_call": "ws",
    "file_search_call": "fs",
    "image_generation_call": "ig",
    "code_interpreter_call": "ci",
    "computer_call": "cu",
    "mcp_call": "mcp",
}
"""How OpenAI's ids start, by the type of the item."""
_ITEM_ID = whole_pattern(r"[A-Za-z0-9_-]{1,64}+")
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


def drop_encrypted_reasoning(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop all reasoning, and the ids of the items that it belongs to.

    A compaction is kept, although it is encrypted too: it contains the conversation.
    """
    items = list(objects(request.get("input"), ("input",)))
    reasoning = [path for path, item in items if item.get("type") == "reasoning"]
    if not reasoning or len(reasoning) == len(items):
        return
    for path, item in items:
        place = BodyPlace(path)
        if item.get("type") == "reasoning":
            if notes.note(conversation.UNVERIFIED_REASONING, place, "reasoning", "dropped"):
                edits.remove(path)
        elif _is_of_model(item) and isinstance(item.get("id"), str):
            # The id of a call refers to its reasoning: `function_call was provided without …`
            found = "the id of an item with reasoning"
            if notes.note(conversation.UNVERIFIED_REASONING, place, found, "removed"):
                edits.remove((*path, "id"))


def drop_foreign_ids(request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
    """Remove ids that the provider cannot have created."""
    for path, item in objects(request.get("input"), ("input",)):
        prefix, item_id = _ID_PREFIXES.get(_kind_of(item)), item.get("id")
        if prefix is None or not isinstance(item_id, str):
            continue
        is_own = item_id.startswith(prefix) and _ITEM_ID.fullmatch(item_id) is not None
        if not is_own and notes.note(
            FOREIGN_ITEM_ID, BodyPlace((*path, "id")), f"{item_id!r}", "removed"
        ):
            edits.remove((*path, "id"))


def drop_unstored_items(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Remove ids, and reasoning without its content, if the request does not store its items."""
    if request.get("store") is not False:
        return
    items = list(objects(request.get("input"), ("input",)))
    for path, item in items:
        if not isinstance(item.get("id"), str):
            continue
        is_reference = item.get("type") == "item_reference" and item["id"].startswith("rs")
        is_empty = item.get("type") == "reasoning" and not item.get("encrypted_content")
        if (is_reference or is_empty) and len(items) > 1:
            if notes.note(ITEM_NOT_STORED, BodyPlace(path), "reasoning by its id", "dropped"):
                edits.remove(path)
        elif item.get("type") != "item_reference" and notes.note(
            ITEM_NOT_STORED, BodyPlace((*path, "id")), "an id", "removed"
        ):
            edits.remove((*path, "id"))


def drop_repeated_items(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop items that repeat another with their id; remove the id if they differ."""
    seen: dict[str, bytes] = {}
    for path, item in objects(request.get("input"), ("input",)):
        item_id = item.get("id")
        if not isinstance(item_id, str) or item.get("type") == "item_reference":
            continue
        text = json_value.write_sorted(item)
        first = seen.get(item_id)
        seen.setdefault(item_id, text)
        if first is None:
            continue
        is_same = first == text
        done = "dropped" if is_same else "its id was removed"
        if notes.note(conversation.REPEATED_CALL_ID, BodyPlace(path), f"{item_id!r} again", done):
            edits.remove(path if is_same else (*path, "id"))


def _kind_of(item: dict[str, Any]) -> str:
    return str(item.get("type", "message"))


def _is_of_model(item: dict[str, Any]) -> bool:
    """Return whether the model created an item, and not the client."""
    kind = _kind_of(item)
    return item.get("role") == "assistant" or (kind != "message" and not kind.endswith("_output"))


HISTORY_PASSES: tuple[HistoryStep, ...] = (
    step(conversation.LONE_SURROGATE, conversation.replace_lone_surrogates, LONE_SURROGATES),
    step(
        conversation.DEVELOPER_ROLE,
        conversation.rename_instructions("input"),
        *conversation.INSTRUCTIONS,
    ),
    step(FOREIGN_ITEM_ID, drop_foreign_ids, "id"),
    step(ITEM_NOT_STORED, drop_unstored_items, "id"),
    step(conversation.UNVERIFIED_REASONING, drop_encrypted_reasoning, "reasoning"),
    step(ORPHAN_REASONING, drop_orphan_reasoning, "reasoning"),
    step(conversation.REPEATED_CALL_ID, drop_repeated_items, "id"),
    step(
        conversation.REPEATED_CALL_ID, conversation.separate_call_ids(calls_and_results), "call_id"
    ),
    step(
        conversation.INVALID_ARGUMENTS,
        conversation.complete_arguments(call_arguments, as_text=True),
        "function_call",
    ),
    step(RESULT_WITHOUT_CALL, drop_orphan_results, *OUTPUT_OF.values()),
    step(CALL_WITHOUT_RESULT, add_missing_results, *OUTPUT_OF),
    step(parameters.CALL_ID, parameters.adapt_call_ids(call_ids), "call_id"),
    *image_passes(images, "input_image"),
    step(parameters.SAMPLING_REFUSED, parameters.drop_refused_sampling, "temperature"),
    step(
        parameters.TOKEN_LIMIT,
        parameters.lower_token_limit(TOKEN_LIMITS),
        *last_steps(TOKEN_LIMITS),
    ),
    step(
        parameters.LONG_IDENTIFIER,
        parameters.shorten_identifiers(IDENTIFIERS),
        *last_steps(IDENTIFIERS),
    ),
    step(thinking.EFFORT_REFUSED, thinking.fit_effort((("reasoning", "effort"),)), "effort"),
)
"""The passes, in order."""
