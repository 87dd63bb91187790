"""Chat Completions: what its providers insist on in the messages of a request.

An assistant message with `tool_calls` is followed at once by one `tool` message for each call.

https://platform.openai.com/docs/api-reference/chat/create
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wiremend.protocols.base import parameters
from wiremend.protocols.base import request_rules as rules
from wiremend.protocols.base.document import RequestMending
from wiremend.protocols.base.protocol import HistoryPass
from wiremend.protocols.base.traits import NO_RESULT, MessageTraits
from wiremend.protocols.chat.request import TOKEN_LIMITS, call_ids
from wiremend.rules.rule import Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Path
from wiremend.text.json_value import is_blank, objects

_SAYS_SOMETHING = ("tool_calls", "function_call", "refusal", "audio", "reasoning_content")


@dataclass(slots=True)
class Exchange:
    """A message with calls, and the results that follow it at once."""

    index: int
    calls: list[str]
    """The ids of the calls."""
    answered: set[str]
    end: int
    """The index behind the last of the results."""


def exchanges_of(messages: Any) -> list[Exchange]:
    """Every message with calls, in order."""
    exchanges: list[Exchange] = []
    for path, message in objects(messages, ()):
        index = path[0]
        assert isinstance(index, int)
        last = exchanges[-1] if exchanges else None
        if message.get("role") == "assistant" and (calls := call_ids_of(message)):
            exchanges.append(Exchange(index, calls, set(), index + 1))
        elif message.get("role") == "tool" and last is not None and last.end == index:
            last.end = index + 1
            last.answered.add(str(message.get("tool_call_id")))
    return exchanges


def call_ids_of(message: dict[str, Any]) -> list[str]:
    """The ids of a message's tool calls, in order."""
    ids = (call.get("id") for _, call in objects(message.get("tool_calls"), ()))
    return [one for one in ids if isinstance(one, str)]


def drop_orphan_results(mending: RequestMending, request: dict[str, Any], _: MessageTraits) -> None:
    """Drop results whose call does not stand before them, and second results of one call."""
    unanswered: dict[str, int] = {}
    for path, message in objects(request.get("messages"), ("messages",)):
        if message.get("role") == "assistant":
            unanswered.update(Counter(call_ids_of(message)))
        call_id = message.get("tool_call_id")
        if message.get("role") != "tool" or not isinstance(call_id, str):
            continue
        if unanswered.get(call_id):
            unanswered[call_id] -= 1
        elif mending.finds(rules.RESULT_WITHOUT_CALL, path, f"{call_id!r}", "dropped"):
            mending.edits.remove(path)


def put_results_first(mending: RequestMending, request: dict[str, Any], _: MessageTraits) -> None:
    """Move results that come late to where the others of their message are."""
    messages = request.get("messages")
    exchanges = exchanges_of(messages)
    for path, message in objects(messages, ("messages",)):
        index, call_id = path[1], str(message.get("tool_call_id"))
        assert isinstance(index, int)
        if message.get("role") != "tool" or _is_in_place(exchanges, index, call_id):
            continue
        for exchange in reversed(exchanges):
            is_earlier = exchange.end <= index and call_id in exchange.calls
            if is_earlier and call_id not in exchange.answered:
                if mending.finds(rules.RESULTS_NOT_FIRST, path, f"{call_id!r}", "moved"):
                    exchange.answered.add(call_id)
                    text = mending.edits.text(path)
                    mending.edits.insert_item(("messages",), exchange.end, text)
                    mending.edits.remove(path)
                break


def _is_in_place(exchanges: list[Exchange], index: int, call_id: str) -> bool:
    """Whether a result follows its own call, though an earlier call may have the same id."""
    return any(one.index < index < one.end and call_id in one.calls for one in exchanges)


def add_missing_results(mending: RequestMending, request: dict[str, Any], _: MessageTraits) -> None:
    """Answer each call that is left open with a message that says so."""
    for exchange in exchanges_of(request.get("messages")):
        where: Path = ("messages", exchange.index)
        missing = [
            json_value.write({"role": "tool", "tool_call_id": call_id, "content": NO_RESULT})
            for call_id in dict.fromkeys(exchange.calls)
            if call_id not in exchange.answered
            and mending.finds(
                rules.CALL_WITHOUT_RESULT, where, f"{call_id!r}", "a result was added"
            )
        ]
        if missing:
            mending.edits.insert_item(("messages",), exchange.end, b",".join(missing))


def drop_empty_messages(mending: RequestMending, request: dict[str, Any], _: MessageTraits) -> None:
    """Drop the assistant's messages that neither say nor call anything."""
    messages = list(objects(request.get("messages"), ("messages",)))
    for path, message in messages:
        content = message.get("content")
        is_empty = content in (None, []) or is_blank(content)
        if message.get("role") != "assistant" or not is_empty or len(messages) == 1:
            continue
        if any(message.get(name) for name in _SAYS_SOMETHING):
            continue
        if mending.finds(rules.EMPTY_MESSAGE, path, "no content", "dropped"):
            mending.edits.remove(path)


def fill_reasoning_of_calls(
    mending: RequestMending, request: dict[str, Any], _: MessageTraits
) -> None:
    """Give messages with calls some `reasoning_content`, unless thinking is switched off."""
    _fill_reasoning(mending, request, rules.REASONING_MISSING, call_ids_of)


def fill_all_reasoning(mending: RequestMending, request: dict[str, Any], _: MessageTraits) -> None:
    """Give all the assistant's messages some, if one has calls and thinking is not switched off."""
    messages = objects(request.get("messages"), ())
    if any(call_ids_of(message) for _path, message in messages):
        _fill_reasoning(mending, request, rules.REASONING_NOT_PASSED_BACK, lambda _message: True)


def _fill_reasoning(
    mending: RequestMending,
    request: dict[str, Any],
    rule: Rule,
    is_meant: Callable[[dict[str, Any]], object],
) -> None:
    thinking = request.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "disabled":
        return
    for path, message in objects(request.get("messages"), ("messages",)):
        if message.get("role") != "assistant" or not is_meant(message):
            continue
        if message.get("reasoning_content"):
            continue
        if not mending.finds(rule, path, "no reasoning_content", "a space"):
            continue
        if "reasoning_content" in message:
            mending.edits.replace((*path, "reasoning_content"), b'" "')
        else:
            mending.edits.append(path, b'"reasoning_content":" "')


HISTORY_PASSES: tuple[tuple[Rule, HistoryPass], ...] = (
    (rules.CACHE_CONTROL, parameters.strip_cache_control),
    (rules.RESULT_WITHOUT_CALL, drop_orphan_results),
    (rules.RESULTS_NOT_FIRST, put_results_first),
    (rules.CALL_WITHOUT_RESULT, add_missing_results),
    (rules.EMPTY_MESSAGE, drop_empty_messages),
    (rules.REASONING_MISSING, fill_reasoning_of_calls),
    (rules.REASONING_NOT_PASSED_BACK, fill_all_reasoning),
    (rules.CALL_ID, parameters.fit_call_ids(call_ids)),
    (rules.SAMPLING_PAIR, parameters.drop_sampling_pair),
    (rules.SAMPLING_REFUSED, parameters.drop_refused_sampling),
    (rules.TOKEN_LIMIT_NAME, parameters.rename_token_limit),
    (rules.TOKEN_LIMIT, parameters.lower_token_limit(TOKEN_LIMITS)),
)
"""Order counts: what empties a message comes before what looks for empty ones, and a message
that may be empty at the end may not be once a result was added behind it."""
