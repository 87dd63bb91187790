"""The repair of a whole chat completion, the response to a call that does not stream."""

from collections.abc import Iterator
from typing import Any

from wiremend.protocols.base.body import BodyGrammar, repair_json_body
from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.cut_content import CUT_ARGUMENTS, ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.generated_ids import generated_id
from wiremend.protocols.base.repairer import RepairedBody, StreamContext
from wiremend.protocols.chat.answer import Answer
from wiremend.protocols.chat.errors import error_in
from wiremend.protocols.chat.grammar import (
    CONTENT_KEYS,
    WHOLE_REASONS,
    finish_reason_of,
    is_limit,
)
from wiremend.protocols.chat.misplaced import is_usual, move_in_answer, without_envelope
from wiremend.protocols.chat.usage import broken_counts, fill_counts
from wiremend.rules.rule import BodyPlace, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Path
from wiremend.text.json_value import JsonObject, dicts_in, parses

_P = ("chat-completions",)

BODY_FINISH_REASON = Rule(
    code="S251",
    name="body-finish-reason",
    detects="The finish reason is `stop` or missing although tools are called, `tool_calls` "
    "although none is or `native_finish_reason` reports that the output limit cut a call, or "
    "another protocol's name (`tool_use`, `end_turn`, `max_tokens`).",
    impact="The agent stops silently, or waits for a call that does not exist.",
    action="Sets the finish reason that matches the message. `length`, `content_filter` and others "
    "are never changed, nor is `stop` after a call that the request forces by the tool's name.",
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
    action="Replaces an object with its JSON text, and missing arguments with `{}`. Empty "
    "arguments stay where the finish reason is `length` or another one that cuts calls.",
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


BODY_MISPLACED = Rule(
    code="S255",
    name="body-value-misplaced",
    detects="A value is in the wrong place: a message's members in the choice or beside the "
    "choices, a delta in place of the message, a function's members in its call.",
    impact="Clients do not find it: the answer is empty, or they fail on the missing field.",
    action="Moves it.",
    protocols=_P,
    before='{"choices":[{"index":0,"text":"Hi","finish_reason":"stop"}]}',
    after='{"choices":[{"index":0,"finish_reason":"stop","message":{"content":"Hi"}}]}',
)
BODY_ENVELOPE = Rule(
    code="S256",
    name="body-envelope",
    detects="The completion is inside an envelope of the gateway, such as `{success, data}`.",
    impact="Clients find no choices.",
    action="Removes the envelope.",
    protocols=_P,
    before='{"success":true,"data":{"choices":[…]}}',
    after='{"choices":[…]}',
)
BODY_USAGE_COUNTS = Rule(
    code="S257",
    name="body-usage-counts",
    detects="The usage has counts that are null or text.",
    impact="Clients that add them up fail.",
    action="Writes numbers: the count under another name, the difference to the total, or zero.",
    protocols=_P,
    seen=("livekit/agents#6596",),
    before='{"usage":{"prompt_tokens":9,"completion_tokens":null,"total_tokens":12}}',
    after='{"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}',
)
BODY_REASONING_ALONE = Rule(
    code="S258",
    name="body-reasoning-alone",
    detects="A message has reasoning, no text and no call, and its choice no finish reason.",
    impact="The turn ends without an answer, as if it were complete.",
    action="Reasoning alone is no answer: responds with an HTTP error.",
    protocols=_P,
    before='{"choices":[{"message":{"content":"","reasoning":"Hm"},"finish_reason":null}]}',
    after='{"error":{"message":"The provider sent only reasoning.",…}}',
)


def repair_body(body: bytes, context: StreamContext) -> RepairedBody:
    """Repair a 2xx body; `error` is set if the body reports one or cannot be used."""
    return repair_json_body(_GRAMMAR, body, context)


def _repair(value: Any, context: StreamContext, draft: Draft) -> Any:
    """Repair a completion in place and return it; None for any other body. Raises ContentLost."""
    completion = _moved(value, draft)
    if not isinstance(completion, dict):
        return None
    if _is_empty(completion):
        raise ContentLost("The provider sent a completion without choices.")
    for number, choice in enumerate(dicts_in(completion.get("choices"))):
        path: Path = ("choices", number)
        if _has_reasoning_alone(choice) and draft.note_at(
            BODY_REASONING_ALONE, BodyPlace(path), "no finish reason", "an error"
        ):
            raise ContentLost("The provider sent only reasoning.")
        _repair_choice(choice, path, str(completion.get("id")), context, draft)
        for broken in _broken_arguments(choice):
            if draft.note_at(BODY_ARGUMENTS_BROKEN, BodyPlace(path), broken[-60:], "an error"):
                raise ContentLost(CUT_ARGUMENTS)
    _repair_usage(completion, context, draft)
    return completion


_GRAMMAR = BodyGrammar(
    error_type="server_error",
    error_in=error_in,
    repair=_repair,
    model_path=lambda _: ("model",),
)


def _moved(value: Any, draft: Draft) -> Any:
    """Return a body without an envelope, and with its values in their places."""
    if draft.is_on(BODY_ENVELOPE) and (inner := without_envelope(value)) is not None:
        found = f"{', '.join(map(str, value))[:60]}"
        draft.note_at(BODY_ENVELOPE, BodyPlace(), found, "removed")
        value = inner
    if not isinstance(value, dict) or is_usual(value, "message"):
        return value
    if draft.is_on(BODY_MISPLACED):
        for moved in move_in_answer(value, "message"):
            draft.note_at(BODY_MISPLACED, BodyPlace(), moved, "moved")
    return value


def _is_empty(completion: JsonObject) -> bool:
    """Return whether there are neither choices nor usage that proves an answer."""
    if "choices" not in completion or completion["choices"]:
        return False
    usage = completion.get("usage")
    return not (isinstance(usage, dict) and usage.get("completion_tokens"))


def _has_reasoning_alone(choice: JsonObject) -> bool:
    message = choice.get("message")
    if choice.get("finish_reason") or not isinstance(message, dict):
        return False
    if message.get("tool_calls") or message.get("function_call"):
        return False
    answer = Answer()
    answer.feed(message)
    has_reasoning = any(message.get(key) for key in CONTENT_KEYS)
    return has_reasoning and not answer.has_any


def _repair_usage(completion: JsonObject, context: StreamContext, draft: Draft) -> None:
    broken = broken_counts(completion.get("usage"))
    if not broken or context.accepts(Deviation.NULL_COUNTS):
        return
    if draft.note_at(BODY_USAGE_COUNTS, BodyPlace(("usage",)), ", ".join(broken), "numbers"):
        fill_counts(completion["usage"])


def _repair_choice(
    choice: JsonObject, path: Path, answer_id: str, context: StreamContext, draft: Draft
) -> None:
    message = choice.get("message")
    calls = dicts_in(message.get("tool_calls")) if isinstance(message, dict) else []
    reason = choice.get("finish_reason")
    replacement = finish_reason_of(reason) if isinstance(reason, str) else reason
    if (
        isinstance(replacement, str)
        and replacement in WHOLE_REASONS
        and _was_cut_at_limit(choice, calls)
    ):
        replacement = "length"
    elif calls and (
        replacement in (None, "") or (replacement == "stop" and not context.forced_tool)
    ):
        replacement = "tool_calls"
    elif not calls and replacement == "tool_calls":
        replacement = "stop"
    if replacement != reason and draft.note_at(
        BODY_FINISH_REASON, BodyPlace((*path, "finish_reason")), repr(reason), repr(replacement)
    ):
        choice["finish_reason"] = replacement
    needs_whole = choice.get("finish_reason") in (None, "", *WHOLE_REASONS)
    accepts_no_type = context.accepts(Deviation.NO_CALL_TYPE)
    for number, call in enumerate(calls):
        call_path: Path = (*path, "message", "tool_calls", number)
        _fill_call(call, call_path, answer_id, draft, accepts_no_type=accepts_no_type)
        _write_arguments(call, call_path, draft, is_whole=needs_whole)


def _was_cut_at_limit(choice: JsonObject, calls: list[JsonObject]) -> bool:
    """Return whether the output limit, which OpenRouter reports natively, cut a call."""
    return is_limit(choice.get("native_finish_reason")) and not all(
        parses(arguments) or isinstance(arguments, dict)
        for function in (call.get("function") for call in calls)
        if isinstance(function, dict)
        for arguments in [function.get("arguments")]
    )


def _fill_call(
    call: JsonObject, path: Path, answer_id: str, draft: Draft, *, accepts_no_type: bool
) -> None:
    """Fill in the missing fields of a call; the last step of its path is its index."""
    missing: JsonObject = {}
    if not call.get("id"):
        missing["id"] = generated_id("call", answer_id, int(path[-1]))
    if not call.get("type") and not accepts_no_type:
        missing["type"] = "function"
    if missing and draft.note_at(
        BODY_CALL_INCOMPLETE, BodyPlace(path), f"no {', '.join(missing)}", "filled in"
    ):
        call |= missing


def _write_arguments(call: JsonObject, path: Path, draft: Draft, *, is_whole: bool) -> None:
    """Write the arguments of a call as JSON text; empty ones of a cut call stay empty."""
    function = call.get("function")
    if not isinstance(function, dict):
        return
    raw = function.get("arguments")
    if isinstance(raw, str) and (raw.strip() or not is_whole):
        return
    empty = "{}" if is_whole else ""
    text = json_value.write(raw).decode() if isinstance(raw, dict | list) else empty
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
