"""Mends a whole chat completion: the answer to a call that does not stream."""

from collections.abc import Iterator
from typing import Any

from wiremend.protocols.base.generated_ids import made_up_id
from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.repairer import MendedBody, StreamContext
from wiremend.protocols.chat.errors import error_in
from wiremend.protocols.chat.grammar import WHOLE_REASONS, finish_reason_of
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Path

_P = ("chat-completions",)

BODY_FINISH_REASON = Rule(
    "S251",
    "body-finish-reason",
    "`stop` or nothing although tools are called, `tool_calls` although none is, or another "
    "protocol's name (`tool_use`, `end_turn`, `max_tokens`).",
    "The agent stops silently, or waits for a call that is not there.",
    "The reason follows the message; `length`, `content_filter` and others are never touched.",
    _P,
    ("anomalyco/opencode#20719",),
    '{"message":{"tool_calls":[{…}]},"finish_reason":"stop"}',
    '{"message":{"tool_calls":[{…}]},"finish_reason":"tool_calls"}',
)
BODY_ARGUMENTS = Rule(
    "S252",
    "body-arguments",
    "A call's arguments are an object, null or empty instead of JSON text.",
    "SDKs expect a string and parse it.",
    "They become JSON text; nothing becomes `{}`.",
    _P,
    (),
    '{"function":{"name":"f","arguments":{"p":1}}}',
    '{"function":{"name":"f","arguments":"{\\"p\\":1}"}}',
)
BODY_CALL_INCOMPLETE = Rule(
    "S253",
    "body-call-incomplete",
    "A call lacks its id or type.",
    "Schemas refuse the message; the result cannot be matched to its call.",
    "They are filled in.",
    _P,
    (),
    '{"function":{"name":"f","arguments":"{}"}}',
    '{"function":{"name":"f","arguments":"{}"},"id":"call_…","type":"function"}',
)
BODY_ARGUMENTS_BROKEN = Rule(
    "S254",
    "body-arguments-broken",
    "A call's arguments are broken or truncated although the finish reason says all is well.",
    "The tool runs with half its arguments, or the agent stops.",
    "Content is lost: an HTTP error.",
    _P,
    (),
    '{"message":{"tool_calls":[{"function":{"name":"f","arguments":"{\\"p\\":"}}]},…}',
    '{"error":{"message":"The provider\'s tool call ended inside its JSON arguments.",…}}',
)
RULES = (BODY_FINISH_REASON, BODY_ARGUMENTS, BODY_CALL_INCOMPLETE, BODY_ARGUMENTS_BROKEN)

Data = dict[str, Any]


def mend_body(body: bytes, context: StreamContext) -> MendedBody:
    """What a 2xx body becomes; `error` is set when it is one, or is no JSON at all."""
    try:
        completion = json_value.read(body)
    except ValueError:
        what = "an empty body" if not body.strip() else "a body that is not JSON"
        message = f"The provider sent {what}."
        return MendedBody(body, error=make_error(status=502, type="server_error", message=message))
    error = error_in(completion)
    if error is not None:
        return MendedBody(body, error=error)
    if not isinstance(completion, dict):
        return MendedBody(body)
    if _says_nothing(completion):
        message = "The provider sent a completion without choices."
        return MendedBody(body, error=make_error(status=502, type="server_error", message=message))
    notes = Notes(context.disabled)
    for number, choice in enumerate(_dicts(completion.get("choices"))):
        path: Path = ("choices", number)
        _mend_choice(choice, path, str(completion.get("id")), notes)
        for broken in _broken_arguments(choice):
            if notes.note(BODY_ARGUMENTS_BROKEN, BodyPlace(path), broken[-60:], "an error"):
                message = "The provider's tool call ended inside its JSON arguments."
                error = make_error(status=502, type="server_error", message=message)
                return MendedBody(body, notes.findings, error)
    mended = json_value.write(completion) if notes.findings else body
    return MendedBody(with_model(mended, ("model",), context.shown_model), notes.findings)


def _says_nothing(completion: Data) -> bool:
    """No choices, and no usage that would prove an answer."""
    if "choices" not in completion or completion["choices"]:
        return False
    usage = completion.get("usage")
    return not (isinstance(usage, dict) and usage.get("completion_tokens"))


def _mend_choice(choice: Data, path: Path, answer_id: str, notes: Notes) -> None:
    message = choice.get("message")
    calls = _dicts(message.get("tool_calls")) if isinstance(message, dict) else []
    for number, call in enumerate(calls):
        _mend_call(call, (*path, "message", "tool_calls", number), answer_id, number, notes)
    reason = choice.get("finish_reason")
    better = finish_reason_of(reason) if isinstance(reason, str) else reason
    if calls and better in (None, "", "stop"):
        better = "tool_calls"
    elif not calls and better == "tool_calls":
        better = "stop"
    if better != reason and notes.note(
        BODY_FINISH_REASON, BodyPlace((*path, "finish_reason")), repr(reason), repr(better)
    ):
        choice["finish_reason"] = better


def _mend_call(call: Data, path: Path, answer_id: str, number: int, notes: Notes) -> None:
    missing: Data = {}
    if not call.get("id"):
        missing["id"] = made_up_id("call", answer_id, number)
    if not call.get("type"):
        missing["type"] = "function"
    if missing and notes.note(
        BODY_CALL_INCOMPLETE, BodyPlace(path), f"no {', '.join(missing)}", "filled in"
    ):
        call |= missing
    function = call.get("function")
    if not isinstance(function, dict):
        return
    arguments = function.get("arguments")
    if isinstance(arguments, str) and arguments.strip():
        return
    better = json_value.write(arguments).decode() if isinstance(arguments, dict | list) else "{}"
    if notes.note(
        BODY_ARGUMENTS,
        BodyPlace((*path, "function", "arguments")),
        type(arguments).__name__,
        "JSON text",
    ):
        function["arguments"] = better


def _broken_arguments(choice: Data) -> Iterator[str]:
    """Arguments that are no JSON although the choice is said to be whole."""
    reason, message = choice.get("finish_reason"), choice.get("message")
    if not isinstance(reason, str) or reason not in WHOLE_REASONS or not isinstance(message, dict):
        return
    for call in _dicts(message.get("tool_calls")):
        function = call.get("function")
        arguments = function.get("arguments") if isinstance(function, dict) else None
        if not isinstance(arguments, str) or not arguments.strip():
            continue
        try:
            json_value.read(arguments)
        except ValueError:
            yield arguments


def _dicts(value: Any) -> list[Data]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
