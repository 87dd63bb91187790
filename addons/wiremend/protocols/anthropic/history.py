"""The rules on the messages of an Anthropic Messages request, and their passes.

Theory of operation. Consecutive messages of one role form one turn, as in the API. A turn of the
assistant with tool calls must be followed by a turn of the user that starts with the results.

https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/implement-tool-use
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.anthropic.request import (
    EFFORT,
    IDENTIFIERS,
    TOKEN_LIMITS,
    call_arguments,
    call_ids,
    calls_and_results,
    images,
)
from wiremend.protocols.base import parameters
from wiremend.protocols.base.history import (
    CALL_WITHOUT_RESULT,
    EMPTY_MESSAGE,
    EMPTY_TEXT,
    NO_CONTENT,
    NO_RESULT,
    RESULT_DROPPED,
    RESULT_WITHOUT_CALL,
    RESULTS_NOT_FIRST,
)
from wiremend.protocols.base.message_rules import cache_marks, conversation, thinking
from wiremend.protocols.base.message_rules.images import image_passes
from wiremend.protocols.base.message_rules.words import BLANK, LONE_SURROGATES, last_steps
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import HistoryStep, step
from wiremend.protocols.base.traits import MessageTraits
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path
from wiremend.text.json_value import dicts_in, is_blank, objects
from wiremend.text.patterns import whole_pattern

TRAILING_SPACE = Rule(
    code="Q006",
    name="trailing-space",
    detects="The last message is an assistant message and ends in white space.",
    impact="Anthropic: `final assistant content cannot end with trailing whitespace`.",
    action="Removes the trailing white space.",
    protocols=(WireProtocol.ANTHROPIC_MESSAGES,),
    seen=(
        "tailcallhq/forgecode#1872",
        "anomalyco/opencode#1295",
        "aaif-goose/goose#5967",
    ),
    before='{"messages":[{"role":"user","content":"A haiku"},'
    '{"role":"assistant","content":"Here: "}]}',
    after='{"messages":[{"role":"user","content":"A haiku"},'
    '{"role":"assistant","content":"Here:"}]}',
)
EMPTY_SYSTEM = Rule(
    code="Q007",
    name="empty-system",
    detects="The system prompt is empty, or contains a block without text.",
    impact="Anthropic: `text content blocks must be non-empty`.",
    action="Removes the empty prompt or block.",
    protocols=(WireProtocol.ANTHROPIC_MESSAGES,),
    seen=("BiFangKNT/mtga#68",),
    before='{"model":"m","system":[{"type":"text","text":""}],"messages":[]}',
    after='{"model":"m","messages":[]}',
)
THINKING_CACHE_CONTROL = Rule(
    code="Q102",
    name="thinking-cache-control",
    detects="A thinking block contains `cache_control`.",
    impact="Anthropic: `thinking.cache_control: Extra inputs are not permitted`.",
    action="Removes it from thinking blocks only.",
    protocols=(WireProtocol.ANTHROPIC_MESSAGES,),
    seen=("Wei-Shaw/sub2api#225",),
    before='{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.",'
    '"signature":"s","cache_control":{"type":"ephemeral"}}]}]}',
    after='{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.",'
    '"signature":"s"}]}]}',
)
FOREIGN_THINKING = Rule(
    code="Q105",
    name="foreign-thinking",
    detects="A thinking block has no signature, or one that Anthropic cannot have created.",
    impact="After a turn by another provider, Anthropic rejects all further turns: `Invalid "
    "signature in thinking block`.",
    action="Drops the block. If it belongs to an open tool call, thinking with a budget is "
    "disabled for this call; adaptive thinking stays on, as newer models require. Signatures are "
    "never generated.",
    protocols=(WireProtocol.ANTHROPIC_MESSAGES,),
    seen=(
        "router-for-me/CLIProxyAPI#1584",
        "tombii/better-ccflare#52",
        "NousResearch/hermes-agent#24401",
    ),
    before='{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.",'
    '"signature":""},{"type":"text","text":"Hello"}]},{"role":"user","content":"Go on."}]}',
    after='{"messages":[{"role":"assistant","content":[{"type":"text","text":"Hello"}]},'
    '{"role":"user","content":"Go on."}]}',
)
SYSTEM_IN_MESSAGES = Rule(
    code="Q109",
    name="system-in-messages",
    detects="A message in the conversation has the role `system`, as Claude Code sends it.",
    impact="MiniMax: `chat content has invalid message role: system (2013)`.",
    action="Turns it into a user message wrapped in `<system-reminder>`.",
    protocols=(WireProtocol.ANTHROPIC_MESSAGES,),
    seen=("MiniMax-AI/MiniMax-M2.7#43", "codexu/note-gen#918"),
    before='{"messages":[{"role":"user","content":"Hello"},{"role":"system","content":"Be brief."}'
    "]}",
    after='{"messages":[{"role":"user","content":"Hello"},{"role":"user","content":"'
    '<system-reminder>\\nBe brief.\\n</system-reminder>"}]}',
)

_THINKING = ("thinking", "redacted_thinking")
_REMINDER_OPENS, _REMINDER_CLOSES = "<system-reminder>\n", "\n</system-reminder>"
_SHORTEST_SIGNATURE = 64
_SIGNATURE = whole_pattern(r"[A-Za-z0-9+/]++={0,2}")
_HEXADECIMAL = whole_pattern(r"[0-9A-Fa-f]++")


@dataclass(slots=True)
class Turn:
    """Consecutive messages of one role."""

    role: str
    messages: list[tuple[int, dict[str, Any]]]
    _blocks: dict[str, list[tuple[Path, dict[str, Any]]]] = field(default_factory=dict)
    """The content blocks by type."""

    def add(self, index: int, message: dict[str, Any]) -> None:
        """Add the message at this index."""
        self.messages.append((index, message))
        content = message.get("content")
        for number, block in enumerate(content if isinstance(content, list) else ()):
            kind = block.get("type") if isinstance(block, dict) else None
            if isinstance(kind, str):
                path = ("messages", index, "content", number)
                self._blocks.setdefault(kind, []).append((path, block))

    def blocks(self, kind: str) -> Sequence[tuple[Path, dict[str, Any]]]:
        """Return the content blocks of one type, each with its path."""
        return self._blocks.get(kind, ())

    @property
    def calls(self) -> dict[str, None]:
        """The ids of the calls of the client's tools, in order."""
        ids = [block.get("id") for _, block in self.blocks("tool_use")]
        return {call_id: None for call_id in ids if isinstance(call_id, str)}


def turns_of(request: dict[str, Any]) -> list[Turn]:
    """Return the turns of the conversation."""
    turns: list[Turn] = []
    for path, message in objects(request.get("messages"), ("messages",)):
        role, index = str(message.get("role")), path[1]
        assert isinstance(index, int)
        if role not in ("user", "assistant"):
            continue  # instructions do not end a turn
        if not turns or turns[-1].role != role:
            turns.append(Turn(role, []))
        turns[-1].add(index, message)
    return turns


def drop_orphan_results(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop results without a call in the turn before, and second results of one call."""
    open_calls: dict[str, None] = {}
    for turn in edits.once(turns_of, request):
        orphans: dict[int, list[Path]] = {}
        for path, block in turn.blocks("tool_result"):
            call_id = block.get("tool_use_id")
            if turn.role != "user" or not isinstance(call_id, str):
                continue
            if call_id in open_calls:
                del open_calls[call_id]
            elif notes.note(RESULT_WITHOUT_CALL, BodyPlace(path), f"{call_id!r}", "dropped"):
                orphans.setdefault(int(path[1]), []).append(path)
        for index, message in turn.messages:
            dropped = orphans.get(index, [])
            if dropped and len(dropped) == len(message["content"]):
                notice = [{"type": "text", "text": RESULT_DROPPED}]
                edits.replace(("messages", index, "content"), json_value.write(notice))
                continue
            for path in dropped:
                edits.remove(path)
        open_calls = turn.calls if turn.role == "assistant" else {}


def add_missing_results(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Add an error result for each call that the next turn does not answer."""
    turns = edits.once(turns_of, request)
    for number, turn in enumerate(turns):
        calls = turn.calls if turn.role == "assistant" else {}
        following = turns[number + 1] if number + 1 < len(turns) else None
        answering = following if following is not None and following.role == "user" else None
        for _path, block in answering.blocks("tool_result") if answering else ():
            calls.pop(str(block.get("tool_use_id")), None)
        where: Path = ("messages", turn.messages[-1][0])
        missing = [
            {"type": "tool_result", "tool_use_id": call_id, "is_error": True, "content": NO_RESULT}
            for call_id in calls
            if notes.note(
                CALL_WITHOUT_RESULT, BodyPlace(where), f"{call_id!r}", "an error was added"
            )
        ]
        if not missing:
            continue
        results = b",".join(json_value.write(result) for result in missing)
        if answering is None:
            message = b'{"role":"user","content":[' + results + b"]}"
            edits.insert_item(("messages",), turn.messages[-1][0] + 1, message)
            continue
        index, message_after = answering.messages[0]
        path: Path = ("messages", index, "content")
        if isinstance(message_after.get("content"), list):
            edits.insert_item(path, 0, results)
        elif isinstance(message_after.get("content"), str):
            text = _as_blocks(edits, path, message_after["content"])
            edits.replace(path, b"[" + b",".join([results, *text]) + b"]")


def put_results_first(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Move the results to the start of each turn."""
    calls: dict[str, None] = {}
    for turn in edits.once(turns_of, request):
        if turn.role == "user" and calls and _has_late_results(turn):
            path: Path = ("messages", turn.messages[0][0], "content")
            if notes.note(
                RESULTS_NOT_FIRST, BodyPlace(path), "results are not first", "moved first"
            ):
                _move_results(edits, turn)
        calls = turn.calls if turn.role == "assistant" else {}


def drop_empty_text(request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
    """Drop empty text blocks, and white space in a message that contains nothing else.

    White space at the end of a prefilled response is dropped too.
    """
    messages = list(objects(request.get("messages"), ("messages",)))
    for path, message in messages:
        if not any(map(_is_blank_text, dicts_in(message.get("content")))):
            continue
        blocks = list(objects(message.get("content"), (*path, "content")))
        is_prefill = message.get("role") == "assistant" and path == messages[-1][0]
        not_blank = [at for at, (_, block) in enumerate(blocks) if not _is_blank_text(block)]
        end = not_blank[-1] if not_blank else -1
        for number, (block_path, block) in enumerate(blocks):
            is_last = number > end and (is_prefill or not not_blank)
            if not _is_blank_text(block) or (block.get("text") and not is_last):
                continue
            if notes.note(EMPTY_TEXT, BodyPlace(block_path), "no text", "dropped"):
                edits.remove(block_path)


def _is_blank_text(block: dict[str, Any]) -> bool:
    return block.get("type") == "text" and is_blank(block.get("text"))


def drop_empty_system(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop an empty system prompt, or its empty blocks."""
    system = request.get("system")
    empty = [
        path
        for path, block in objects(system, ("system",))
        if block.get("type") == "text" and is_blank(block.get("text"))
    ]
    is_whole = bool(empty) and len(empty) == len(system or ())
    if (is_whole or is_blank(system)) and len(request) > 1:
        if notes.note(EMPTY_SYSTEM, BodyPlace(("system",)), "no text", "dropped"):
            edits.remove(("system",))
        return
    for path in empty:
        if notes.note(EMPTY_SYSTEM, BodyPlace(path), "no text", "dropped"):
            edits.remove(path)


def drop_empty_messages(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop assistant messages without content; give user messages without it `NO_CONTENT`.

    An empty last message of the assistant is legal.
    """
    messages = list(objects(request.get("messages"), ("messages",)))
    for path, message in messages:
        content = message.get("content")
        if content != [] and not is_blank(content):
            continue
        is_last = path == messages[-1][0]
        if message.get("role") == "assistant" and not (is_last and not content):
            if len(messages) > 1 and notes.note(
                EMPTY_MESSAGE, BodyPlace(path), "no content", "dropped"
            ):
                edits.remove(path)
        elif message.get("role") == "user" and notes.note(
            EMPTY_MESSAGE, BodyPlace(path), "no content", "replaced with a text"
        ):
            edits.replace((*path, "content"), json_value.write(NO_CONTENT))


def trim_trailing_space(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Remove the white space at the end of a prefilled response."""
    messages = list(objects(request.get("messages"), ("messages",)))
    while len(messages) > 1 and messages[-1][1].get("content") in ("", []):
        messages.pop()
    if not messages or messages[-1][1].get("role") != "assistant":
        return
    path, message = messages[-1]
    place: Path = (*path, "content")
    text = message.get("content")
    if isinstance(text, list) and text and isinstance(text[-1], dict):
        place, text = (*place, len(text) - 1, "text"), text[-1].get("text")
    if not isinstance(text, str) or is_blank(text) or text == text.rstrip():
        return
    if notes.note(TRAILING_SPACE, BodyPlace(place), "ends in white space", "trimmed"):
        edits.replace(place, json_value.write(text.rstrip()))


def turn_system_into_user(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Turn system messages in the conversation into user messages in `<system-reminder>` tags."""
    for path, message in objects(request.get("messages"), ("messages",)):
        content = message.get("content")
        if message.get("role") != "system" or not isinstance(content, str | list):
            continue
        if not notes.note(SYSTEM_IN_MESSAGES, BodyPlace(path), "role system", "set to user"):
            continue
        edits.replace((*path, "role"), b'"user"')
        place: Path = (*path, "content")
        if isinstance(content, str):
            edits.replace(place, json_value.write(_REMINDER_OPENS + content + _REMINDER_CLOSES))
            continue
        for block_path, block in objects(content, place):
            if block.get("type") == "text" and isinstance(block.get("text"), str):
                reminder = _REMINDER_OPENS + block["text"] + _REMINDER_CLOSES
                edits.replace((*block_path, "text"), json_value.write(reminder))


def strip_thinking_cache_control(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Remove `cache_control` of thinking blocks, which are cached with the blocks after them."""
    for turn in edits.once(turns_of, request):
        for kind in _THINKING:
            for path, block in turn.blocks(kind):
                if "cache_control" in block and notes.note(
                    THINKING_CACHE_CONTROL, BodyPlace(path), "cache_control", "removed"
                ):
                    edits.remove((*path, "cache_control"))


def drop_foreign_thinking(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop thinking that Anthropic did not sign; disable thinking if the last turn needed it."""
    dropped = [
        path
        for turn in edits.once(turns_of, request)
        if turn.role == "assistant"
        for path, block in turn.blocks("thinking")
        if _is_foreign(block.get("signature"))
        and notes.note(FOREIGN_THINKING, BodyPlace(path), "foreign signature", "dropped")
    ]
    for path in dropped:
        edits.remove(path)
    _disable_if_needed(request, edits, notes, FOREIGN_THINKING, dropped)


def drop_all_thinking(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop all thinking of the conversation; disable thinking if the last turn needed it."""
    dropped = [
        path
        for turn in edits.once(turns_of, request)
        if turn.role == "assistant"
        for kind in _THINKING
        for path, _block in turn.blocks(kind)
        if notes.note(conversation.UNVERIFIED_REASONING, BodyPlace(path), kind, "dropped")
    ]
    conversation.remove_with_empty_owners(request, edits, dropped)
    _disable_if_needed(request, edits, notes, conversation.UNVERIFIED_REASONING, dropped)


def _disable_if_needed(
    request: dict[str, Any], edits: Edits, notes: Notes, rule: Rule, dropped: list[Path]
) -> None:
    """Disable thinking with a budget if thinking of an open turn with tool calls was dropped.

    With it, such a turn must start with thinking. With adaptive thinking it need not, and newer
    models refuse to disable that.
    """
    mode = request.get("thinking")
    if not isinstance(mode, dict) or mode.get("type") != "enabled":
        return
    assistants = [turn for turn in edits.once(turns_of, request) if turn.role == "assistant"]
    last = {index for index, _ in assistants[-1].messages} if assistants else set()
    if assistants and assistants[-1].calls and any(path[1] in last for path in dropped):
        notes.note(rule, BodyPlace(("thinking",)), "on", "off for this call")
        edits.replace(("thinking",), b'{"type":"disabled"}')


def end_with_user_message(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Add a user message behind a prefilled answer; drop one without text."""
    messages = list(objects(request.get("messages"), ("messages",)))
    if not messages or messages[-1][1].get("role") != "assistant":
        return
    path, message = messages[-1]
    content = message.get("content")
    blocks = content if isinstance(content, list) else ()
    if not isinstance(content, str | list) or len(dicts_in(content)) < len(blocks):
        return
    if any(block.get("type") == "tool_use" for block in blocks):
        return  # its results are missing, which is another fault
    if (content == [] or is_blank(content)) and len(messages) > 1:
        if notes.note(conversation.PREFILL, BodyPlace(path), "an empty answer", "dropped"):
            edits.remove(path)
    elif notes.note(conversation.PREFILL, BodyPlace(path), "a prefilled answer", "continued"):
        index = path[1]
        assert isinstance(index, int)
        following = json_value.write({"role": "user", "content": conversation.CONTINUE})
        edits.insert_item(("messages",), index + 1, following)


def _is_foreign(signature: Any) -> bool:
    """Return whether a signature is not one of Anthropic's, which are long and in base64."""
    if not isinstance(signature, str) or len(signature) < _SHORTEST_SIGNATURE:
        return True
    return not _SIGNATURE.fullmatch(signature) or bool(_HEXADECIMAL.fullmatch(signature))


def _has_late_results(turn: Turn) -> bool:
    """Return whether a result follows other content in a turn."""
    seen_other = False
    for _, message in turn.messages:
        content = message.get("content")
        if isinstance(content, str):
            seen_other = True
        for _, block in objects(content, ()):
            if block.get("type") != "tool_result":
                seen_other = True
            elif seen_other:
                return True
    return False


def _move_results(edits: Edits, turn: Turn) -> None:
    first, _ = turn.messages[0]
    results = [edits.text(path) for path, _ in turn.blocks("tool_result")]
    for index, message in turn.messages:
        path: Path = ("messages", index, "content")
        content = message.get("content")
        if isinstance(content, list):
            rest = [
                edits.text((*path, number))
                for number, block in enumerate(content)
                if not (isinstance(block, dict) and block.get("type") == "tool_result")
            ]
        else:
            rest = _as_blocks(edits, path, content)
        if index == first:
            edits.replace(path, b"[" + b",".join([*results, *rest]) + b"]")
        elif not rest and content:
            edits.remove(("messages", index))
        elif isinstance(content, list) and len(rest) < len(content):
            edits.replace(path, b"[" + b",".join(rest) + b"]")


def _as_blocks(edits: Edits, path: Path, content: Any) -> list[bytes]:
    """Return a string as text blocks, without changing the bytes of the string."""
    if not isinstance(content, str) or is_blank(content):
        return []
    return [b'{"type":"text","text":' + edits.text(path) + b"}"]


HISTORY_PASSES: tuple[HistoryStep, ...] = (
    step(conversation.LONE_SURROGATE, conversation.replace_lone_surrogates, LONE_SURROGATES),
    step(SYSTEM_IN_MESSAGES, turn_system_into_user, "system"),
    step(thinking.THINKING_TYPE, thinking.fit_thinking_type(EFFORT, TOKEN_LIMITS), "thinking"),
    step(thinking.THINKS_ALWAYS, thinking.drop_off_switch, "thinking", "enable_thinking"),
    step(thinking.FORCED_CHOICE, thinking.turn_off_for_forced_choice, "tool_choice"),
    step(conversation.UNVERIFIED_REASONING, drop_all_thinking, *_THINKING),
    step(FOREIGN_THINKING, drop_foreign_thinking, "thinking"),
    step(THINKING_CACHE_CONTROL, strip_thinking_cache_control, "cache_control"),
    step(cache_marks.CACHE_CONTROL, cache_marks.strip_cache_control, "cache_control"),
    step(
        conversation.REPEATED_CALL_ID, conversation.separate_call_ids(calls_and_results), "tool_use"
    ),
    step(
        conversation.INVALID_ARGUMENTS,
        conversation.complete_arguments(call_arguments, as_text=False),
        "tool_use",
    ),
    step(conversation.PREFILL, end_with_user_message, "assistant"),
    step(EMPTY_SYSTEM, drop_empty_system, BLANK),
    step(EMPTY_TEXT, drop_empty_text, BLANK),
    step(EMPTY_MESSAGE, drop_empty_messages, BLANK),
    step(RESULT_WITHOUT_CALL, drop_orphan_results, "tool_result"),
    step(CALL_WITHOUT_RESULT, add_missing_results, "tool_use"),
    step(RESULTS_NOT_FIRST, put_results_first, "tool_result"),
    step(EMPTY_TEXT, drop_empty_text, BLANK),
    step(EMPTY_MESSAGE, drop_empty_messages, BLANK),
    step(TRAILING_SPACE, trim_trailing_space, "assistant"),
    step(parameters.CALL_ID, parameters.adapt_call_ids(call_ids), "tool_use", "tool_result"),
    step(cache_marks.CACHE_MARK_PLACE, cache_marks.place_marks, "cache_control"),
    step(cache_marks.TOO_MANY_CACHE_MARKS, cache_marks.drop_surplus_marks, "cache_control"),
    step(cache_marks.CACHE_MARK_ORDER, cache_marks.order_marks, "cache_control"),
    *image_passes(images, "image"),
    step(parameters.SAMPLING_PAIR, parameters.drop_sampling_pair, "top_p"),
    step(parameters.SAMPLING_UNSUPPORTED, parameters.drop_sampling, *parameters.SAMPLING),
    step(parameters.SAMPLING_WITH_THINKING, parameters.drop_sampling_with_thinking, "thinking"),
    step(
        parameters.LONG_IDENTIFIER,
        parameters.shorten_identifiers(IDENTIFIERS),
        *last_steps(IDENTIFIERS),
    ),
    step(
        parameters.TOKEN_LIMIT,
        parameters.lower_token_limit(TOKEN_LIMITS),
        *last_steps(TOKEN_LIMITS),
    ),
    step(
        thinking.BUDGET_TOO_LARGE, thinking.cap_budget((("thinking", "budget_tokens"),)), "thinking"
    ),
    step(thinking.BUDGET_EXCEEDS_LIMIT, thinking.lower_budget(TOKEN_LIMITS), "thinking"),
    step(thinking.EFFORT_REFUSED, thinking.fit_effort((EFFORT,)), "effort"),
    step(thinking.EFFORT_WITHOUT_THINKING, thinking.lower_effort_without_thinking, "effort"),
)
"""Passes that may leave a message empty run before those that handle empty text and messages. These
run again at the end: results that were dropped may leave nothing but white space, and after results
that were added a message may not be the last one, which alone may be empty. The passes on images
run after those that add or remove messages, since rejections contain their places."""
