"""The repair of a whole chat completion, the response to a call that does not stream."""

from collections.abc import Iterator
from typing import Any

from wiremend.protocols.base.body import BodyGrammar, repair_json_body
from wiremend.protocols.base.draft import CUT_ARGUMENTS, ContentLost, Draft
from wiremend.protocols.base.generated_ids import generated_id
from wiremend.protocols.base.repairer import RepairedBody, StreamContext
from wiremend.protocols.chat.errors import error_in
from wiremend.protocols.chat.grammar import WHOLE_REASONS, finish_reason_of
from wiremend.rules.rule import BodyPlace, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Path
from wiremend.text.json_value import JsonObject, dicts_in, parses

_P = ("chat-completions",)

BODY_FINISH_REASON = Rule(
    code="S251",
    name="body-finish-reason",
    detects="The finish reason is `stop` or missing although tools are called, `tool_calls` "
    "although none is, or another protocol's name (`tool_use`, `end_turn`, `max_tokens`).",
    impact="The agent stops silently, or waits for a call that does not exist.",
    action="Sets the finish reason that matches the message. `length`, `content_filter` and others "
    "are never changed.",
    protocols=_P,
    seen=("anomalyco/opencode#20719",),
    before='{"message":{"tool_calls":[{…}]},"finish_reason":"stop"}',
    after='{"message":{"tool_calls":[{…}]},"finish_reason":"tool_calls"}',
)
BODY_ARGUMENTS = Rule(
    code="S252",
    name="body-arguments",
    detects="A call's arguments are an object, null or empty instead of JSON text.",
    impact="SDKs expect a string and parse it.",
    action="Replaces an object with its JSON text, and missing arguments with `{}`.",
    protocols=_P,
    before='{"function":{"name":"f","arguments":{"p":1}}}',
    after='{"function":{"name":"f","arguments":"{\\"p\\":1}"}}',
)
BODY_CALL_INCOMPLETE = Rule(
    code="S253",
    name="body-call-incomplete",
    detects="A call lacks its id or type.",
    impact="Schemas reject the message; the result cannot be matched to its call.",
    action="Fills them in.",
    protocols=_P,
    before='{"function":{"name":"f","arguments":"{}"}}',
    after='{"function":{"name":"f","arguments":"{}"},"id":"call_…","type":"function"}',
)
BODY_ARGUMENTS_BROKEN = Rule(
    code="S254",
    name="body-arguments-broken",
    detects="A call's arguments are malformed or truncated, and the finish reason does not explain "
    "it.",
    impact="The tool runs with truncated arguments, or the agent stops.",
    action="Content is lost: responds with an HTTP error.",
    protocols=_P,
    before='{"message":{"tool_calls":[{"function":{"name":"f","arguments":"{\\"p\\":"}}]},…}',
    after='{"error":{"message":"The provider\'s tool call ended inside its JSON arguments.",…}}',
)


def repair_body(body: bytes, context: StreamContext) -> RepairedBody:
    """Repair a 2xx body; `error` is set if the body reports one or cannot be used."""
    return repair_json_body(_GRAMMAR, body, context)


def _repair(completion: Any, _: StreamContext, draft: Draft) -> Any:
    """Repair a completion in place and return it; None for any other body."""
    if not isinstance(completion, dict):
        return None
    if _is_empty(completion):
        raise ContentLost("The provider sent a completion without choices.")
    for number, choice in enumerate(dicts_in(completion.get("choices"))):
        path: Path = ("choices", number)
        _repair_choice(choice, path, str(completion.get("id")), draft)
        for broken in _broken_arguments(choice):
            if draft.note_at(BODY_ARGUMENTS_BROKEN, BodyPlace(path), broken[-60:], "an error"):
                raise ContentLost(CUT_ARGUMENTS)
    return completion


_GRAMMAR = BodyGrammar(
    error_type="server_error",
    error_in=error_in,
    repair=_repair,
    model_path=lambda _: ("model",),
)


def _is_empty(completion: JsonObject) -> bool:
    """Return whether there are neither choices nor usage that proves an answer."""
    if "choices" not in completion or completion["choices"]:
        return False
    usage = completion.get("usage")
    return not (isinstance(usage, dict) and usage.get("completion_tokens"))


def _repair_choice(choice: JsonObject, path: Path, answer_id: str, draft: Draft) -> None:
    message = choice.get("message")
    calls = dicts_in(message.get("tool_calls")) if isinstance(message, dict) else []
    for number, call in enumerate(calls):
        _repair_call(call, (*path, "message", "tool_calls", number), answer_id, draft)
    reason = choice.get("finish_reason")
    replacement = finish_reason_of(reason) if isinstance(reason, str) else reason
    if calls and replacement in (None, "", "stop"):
        replacement = "tool_calls"
    elif not calls and replacement == "tool_calls":
        replacement = "stop"
    if replacement != reason and draft.note_at(
        BODY_FINISH_REASON, BodyPlace((*path, "finish_reason")), repr(reason), repr(replacement)
    ):
        choice["finish_reason"] = replacement


def _repair_call(call: JsonObject, path: Path, answer_id: str, draft: Draft) -> None:
    """Fill in the missing fields of a call; the last step of its path is its index."""
    missing: JsonObject = {}
    if not call.get("id"):
        missing["id"] = generated_id("call", answer_id, int(path[-1]))
    if not call.get("type"):
        missing["type"] = "function"
    if missing and draft.note_at(
        BODY_CALL_INCOMPLETE, BodyPlace(path), f"no {', '.join(missing)}", "filled in"
    ):
        call |= missing
    function = call.get("function")
    if not isinstance(function, dict):
        return
    raw = function.get("arguments")
    if isinstance(raw, str) and raw.strip():
        return
    text = json_value.write(raw).decode() if isinstance(raw, dict | list) else "{}"
    place = BodyPlace((*path, "function", "arguments"))
    if draft.note_at(BODY_ARGUMENTS, place, type(raw).__name__, "JSON text"):
        function["arguments"] = text


def _broken_arguments(choice: JsonObject) -> Iterator[str]:
    """Yield the arguments that are not JSON although the finish reason requires it."""
    reason, message = choice.get("finish_reason"), choice.get("message")
    if not isinstance(reason, str) or reason not in WHOLE_REASONS or not isinstance(message, dict):
        return
    for call in dicts_in(message.get("tool_calls")):
        function = call.get("function")
        arguments = function.get("arguments") if isinstance(function, dict) else None
        if isinstance(arguments, str) and arguments.strip() and not parses(arguments):
            yield arguments
