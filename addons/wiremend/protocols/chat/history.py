"""The rules on the messages of a Chat Completions request, and their passes.

Theory of operation. An assistant message with `tool_calls` must be followed immediately by one
`tool` message for each call.

https://platform.openai.com/docs/api-reference/chat/create
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wiremend.protocols.base import parameters
from wiremend.protocols.base.history import (
    CALL_WITHOUT_RESULT,
    EMPTY_MESSAGE,
    NO_RESULT,
    RESULT_WITHOUT_CALL,
    RESULTS_NOT_FIRST,
)
from wiremend.protocols.base.message_rules import cache_marks, conversation, thinking
from wiremend.protocols.base.message_rules.images import image_passes
from wiremend.protocols.base.message_rules.words import LONE_SURROGATES, last_steps
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.openai import IDENTIFIERS
from wiremend.protocols.base.protocol import HistoryStep, step
from wiremend.protocols.base.traits import MessageTraits
from wiremend.protocols.chat.request import (
    EFFORT,
    EFFORTS,
    TOKEN_LIMITS,
    call_arguments,
    call_ids,
    calls_and_results,
    images,
)
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path
from wiremend.text.json_value import is_blank, objects

REASONING_MISSING = Rule(
    code="Q104",
    name="reasoning-missing",
    detects="An assistant message with tool calls has no `reasoning_content`, or an empty one, and "
    "no `reasoning_details` either.",
    impact="Kimi: `thinking is enabled but reasoning_content is missing in assistant tool call "
    "message`; the empty string is rejected too.",
    action="Sets it to a single space.",
    protocols=(WireProtocol.CHAT_COMPLETIONS,),
    seen=("QuantumNous/new-api#3121", "charmbracelet/crush#2696", "anomalyco/opencode#10996"),
    before='{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}],"reasoning_content":""}]}',
    after='{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}],"reasoning_content":" "}]}',
)
REASONING_NOT_PASSED_BACK = Rule(
    code="Q106",
    name="reasoning-not-passed-back",
    detects="In a conversation with tool calls, an assistant message has no `reasoning_content`, "
    "or an empty one.",
    impact="DeepSeek, since V4: ``The `reasoning_content` in the thinking mode must be passed back "
    "to the API``.",
    action="Sets it to a single space, which DeepSeek accepts, unless thinking is disabled.",
    protocols=(WireProtocol.CHAT_COMPLETIONS,),
    seen=("NousResearch/hermes-agent#18263", "openclaw/openclaw#73417", "earendil-works/pi#3636"),
    before='{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}],"reasoning_content":"Hm."},'
    '{"role":"tool","tool_call_id":"c","content":"ok"},{"role":"assistant","content":"Done."}]}',
    after='{"messages":[{"role":"assistant","tool_calls":[{"id":"c"}],"reasoning_content":"Hm."},'
    '{"role":"tool","tool_call_id":"c","content":"ok"},{"role":"assistant","content":"Done.",'
    '"reasoning_content":" "}]}',
)

_SIGNED_REASONING = ("reasoning_details", "thinking_blocks")
_BUDGETS: tuple[Path, ...] = (("thinking", "budget_tokens"), ("thinking_budget",))
_REASONING_FIELDS = ("reasoning_content", "reasoning_details")
"""OpenRouter returns and accepts the second one, whatever the model's vendor calls it."""
_CONTENT_FIELDS = ("tool_calls", "function_call", "refusal", "audio", "reasoning_content")


@dataclass(slots=True)
class Exchange:
    """A message with calls, and the results that follow it immediately."""

    index: int
    calls: dict[str, None]
    """The ids of the calls, in order."""
    answered: set[str]
    """The ids of the results."""
    end: int
    """The index after the last result."""


def exchanges_of(messages: Any) -> list[Exchange]:
    """Return the exchanges of a conversation, in order."""
    exchanges: list[Exchange] = []
    for path, message in objects(messages, ()):
        index = path[0]
        assert isinstance(index, int)
        last = exchanges[-1] if exchanges else None
        if message.get("role") == "assistant" and (calls := call_ids_of(message)):
            exchanges.append(Exchange(index, dict.fromkeys(calls), set(), index + 1))
        elif message.get("role") == "tool" and last is not None and last.end == index:
            last.end = index + 1
            last.answered.add(str(message.get("tool_call_id")))
    return exchanges


def call_ids_of(message: dict[str, Any]) -> list[str]:
    """Return the ids of a message's tool calls, in order."""
    ids = (call.get("id") for _, call in objects(message.get("tool_calls"), ()))
    return [call_id for call_id in ids if isinstance(call_id, str)]


def drop_orphan_results(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop results without an earlier call, and second results of one call."""
    unanswered: dict[str, int] = {}
    for path, message in objects(request.get("messages"), ("messages",)):
        if message.get("role") == "assistant":
            unanswered.update(Counter(call_ids_of(message)))
        call_id = message.get("tool_call_id")
        if message.get("role") != "tool" or not isinstance(call_id, str):
            continue
        if unanswered.get(call_id):
            unanswered[call_id] -= 1
        elif notes.note(RESULT_WITHOUT_CALL, BodyPlace(path), f"{call_id!r}", "dropped"):
            edits.remove(path)


def put_results_first(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Move late results to the other results of their message."""
    messages = request.get("messages")
    exchanges = exchanges_of(messages)
    waiting: dict[str, list[Exchange]] = {}
    """The exchanges so far, by the ids of their calls."""
    following = 0
    for path, message in objects(messages, ("messages",)):
        index, call_id = path[1], str(message.get("tool_call_id"))
        assert isinstance(index, int)
        if message.get("role") != "tool":
            continue
        while following < len(exchanges) and exchanges[following].index < index:
            for earlier in exchanges[following].calls:
                waiting.setdefault(earlier, []).append(exchanges[following])
            following += 1
        last = exchanges[following - 1] if following else None
        if last is not None and index < last.end and call_id in last.calls:
            continue  # it is in place; an earlier call may have the same id
        with_call = waiting.get(call_id, [])
        while with_call and call_id in with_call[-1].answered:
            with_call.pop()
        if with_call and notes.note(RESULTS_NOT_FIRST, BodyPlace(path), f"{call_id!r}", "moved"):
            exchange = with_call[-1]
            exchange.answered.add(call_id)
            text = edits.text(path)
            edits.insert_item(("messages",), exchange.end, text)
            edits.remove(path)


def add_missing_results(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Add a result to each call that has none."""
    for exchange in exchanges_of(request.get("messages")):
        where: Path = ("messages", exchange.index)
        missing = [
            json_value.write({"role": "tool", "tool_call_id": call_id, "content": NO_RESULT})
            for call_id in exchange.calls
            if call_id not in exchange.answered
            and notes.note(
                CALL_WITHOUT_RESULT, BodyPlace(where), f"{call_id!r}", "a result was added"
            )
        ]
        if missing:
            edits.insert_item(("messages",), exchange.end, b",".join(missing))


def drop_empty_messages(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop assistant messages without content, calls or reasoning."""
    messages = list(objects(request.get("messages"), ("messages",)))
    for path, message in messages:
        content = message.get("content")
        is_empty = content in (None, []) or is_blank(content)
        if message.get("role") != "assistant" or not is_empty or len(messages) == 1:
            continue
        if any(message.get(name) for name in _CONTENT_FIELDS):
            continue
        if notes.note(EMPTY_MESSAGE, BodyPlace(path), "no content", "dropped"):
            edits.remove(path)


def fill_reasoning_of_calls(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Add `reasoning_content` to messages with calls, unless thinking is disabled."""
    _fill_reasoning(request, edits, notes, REASONING_MISSING, call_ids_of)


def fill_all_reasoning(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Add `reasoning_content` to all assistant messages if one has calls, unless disabled."""
    messages = objects(request.get("messages"), ())
    if any(call_ids_of(message) for _path, message in messages):
        _fill_reasoning(request, edits, notes, REASONING_NOT_PASSED_BACK, lambda _message: True)


def _fill_reasoning(
    request: dict[str, Any],
    edits: Edits,
    notes: Notes,
    rule: Rule,
    applies_to: Callable[[dict[str, Any]], object],
) -> None:
    mode = request.get("thinking")
    if isinstance(mode, dict) and mode.get("type") == "disabled":
        return
    for path, message in objects(request.get("messages"), ("messages",)):
        if message.get("role") != "assistant" or not applies_to(message):
            continue
        if any(message.get(name) for name in _REASONING_FIELDS):
            continue
        if not notes.note(rule, BodyPlace(path), "no reasoning_content", "a space"):
            continue
        if "reasoning_content" in message:
            edits.replace((*path, "reasoning_content"), b'" "')
        else:
            edits.append(path, b'"reasoning_content":" "')


def drop_reasoning_details(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop the signed or encrypted reasoning that gateways add to messages."""
    for path, message in objects(request.get("messages"), ("messages",)):
        for key in _SIGNED_REASONING:
            place = BodyPlace((*path, key))
            if key in message and notes.note(
                conversation.UNVERIFIED_REASONING, place, "reasoning", "dropped"
            ):
                edits.remove((*path, key))


def end_with_user_message(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Add a user message behind an answer at the end, unless it contains calls."""
    messages = list(objects(request.get("messages"), ("messages",)))
    if not messages:
        return
    path, message = messages[-1]
    if message.get("role") != "assistant" or message.get("tool_calls"):
        return
    if message.get("prefix") is True:
        return  # Mistral and DeepSeek continue it
    if notes.note(conversation.PREFILL, BodyPlace(path), "a prefilled answer", "continued"):
        index = path[1]
        assert isinstance(index, int)
        following = json_value.write({"role": "user", "content": conversation.CONTINUE})
        edits.insert_item(("messages",), index + 1, following)


HISTORY_PASSES: tuple[HistoryStep, ...] = (
    step(conversation.LONE_SURROGATE, conversation.replace_lone_surrogates, LONE_SURROGATES),
    step(
        conversation.DEVELOPER_ROLE,
        conversation.rename_instructions("messages"),
        *conversation.INSTRUCTIONS,
    ),
    step(cache_marks.CACHE_CONTROL, cache_marks.strip_cache_control, "cache_control"),
    step(conversation.UNVERIFIED_REASONING, drop_reasoning_details, *_SIGNED_REASONING),
    step(
        conversation.REPEATED_CALL_ID,
        conversation.separate_call_ids(calls_and_results),
        "tool_calls",
    ),
    step(
        conversation.INVALID_ARGUMENTS,
        conversation.complete_arguments(call_arguments, as_text=True),
        "tool_calls",
    ),
    step(RESULT_WITHOUT_CALL, drop_orphan_results, "tool"),
    step(RESULTS_NOT_FIRST, put_results_first, "tool"),
    step(CALL_WITHOUT_RESULT, add_missing_results, "tool_calls"),
    step(EMPTY_MESSAGE, drop_empty_messages, "assistant"),
    step(conversation.PREFILL, end_with_user_message, "assistant"),
    step(REASONING_MISSING, fill_reasoning_of_calls, "tool_calls"),
    step(REASONING_NOT_PASSED_BACK, fill_all_reasoning, "tool_calls"),
    step(parameters.CALL_ID, parameters.adapt_call_ids(call_ids), "tool_calls", "tool"),
    step(cache_marks.TOO_MANY_CACHE_MARKS, cache_marks.drop_surplus_marks, "cache_control"),
    step(cache_marks.CACHE_MARK_ORDER, cache_marks.order_marks, "cache_control"),
    *image_passes(images, "image_url"),
    step(parameters.SAMPLING_PAIR, parameters.drop_sampling_pair, "top_p"),
    step(parameters.SAMPLING_REFUSED, parameters.drop_refused_sampling, "temperature"),
    step(parameters.SAMPLING_UNSUPPORTED, parameters.drop_sampling, *parameters.SAMPLING),
    step(parameters.TOKEN_LIMIT_NAME, parameters.rename_token_limit, *last_steps(TOKEN_LIMITS)),
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
    step(thinking.THINKING_TYPE, thinking.fit_thinking_type(EFFORT, TOKEN_LIMITS), "thinking"),
    step(thinking.THINKS_ALWAYS, thinking.drop_off_switch, "thinking", "enable_thinking"),
    step(thinking.FORCED_CHOICE, thinking.turn_off_for_forced_choice, "tool_choice"),
    step(thinking.BUDGET_TOO_LARGE, thinking.cap_budget(_BUDGETS), *last_steps(_BUDGETS)),
    step(thinking.BUDGET_EXCEEDS_LIMIT, thinking.lower_budget(TOKEN_LIMITS), "thinking"),
    step(parameters.SAMPLING_WITH_THINKING, parameters.drop_sampling_with_thinking, "thinking"),
    step(thinking.EFFORT_REFUSED, thinking.fit_effort(EFFORTS), *last_steps(EFFORTS)),
)
"""In order: results are completed before empty messages are dropped. The passes on images run after
those that add or remove messages, since rejections contain their places."""
