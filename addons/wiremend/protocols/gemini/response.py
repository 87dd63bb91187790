"""The repair of one Gemini response object: an event of a stream, or a whole body."""

from contextlib import suppress
from typing import Any

from wiremend.protocols.base.cut_content import ContentLost
from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.gemini.errors import failed_status
from wiremend.protocols.gemini.finish import is_set, is_whole
from wiremend.protocols.gemini.grammar import (
    FINISH_REASON_BY_NUMBER,
    FINISH_REASONS,
    FOREIGN_FINISH_REASONS,
    RESPONSE_KEYS,
    UNSET_FINISH_REASON,
)
from wiremend.protocols.gemini.misplaced import MISPLACED, is_misplaced, move_in_response
from wiremend.protocols.gemini.usage import repair_usage
from wiremend.rules.rule import Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Path
from wiremend.text.json_value import JsonObject, dicts_in

_GEMINI = ("gemini",)
_PYTHON = "googleapis/python-genai 3.4.0"
_CLI = "google-gemini/gemini-cli 0.61.0"

FINISH_REASON_EMPTY = Rule(
    code="S402",
    name="finish-reason-empty",
    detects="`finishReason` is empty, null, unspecified or not a name in an event that does not "
    "end the response.",
    impact="Clients treat it as the end, or reject the value.",
    action="Removes it.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before='{"content":{"parts":[{"text":"Hel"}]},"finishReason":""}',
    after='{"content":{"parts":[{"text":"Hel"}]}}',
)
CONTENT_SHAPE = Rule(
    code="S403",
    name="content-shape",
    detects="`candidates`, `content`, `parts` or a part is null, or one object is sent instead of "
    "a list.",
    impact="SDKs iterate over it: a validation error or a TypeError ends the turn.",
    action="Removes null; wraps one object in a list. Any other type hides content that cannot be "
    "read: the stream ends in the protocol's error event.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before='"content":{"parts":{"text":"Hi"}}',
    after='"content":{"parts":[{"text":"Hi"}]}',
)
ARGS_NOT_AN_OBJECT = Rule(
    code="S404",
    name="args-not-an-object",
    detects="A function call's `args` is JSON text or null instead of an object.",
    impact="SDKs reject the response, or the tool is called with a string.",
    action="Parses text that contains an object; replaces null and empty text with `{}`. A call "
    "with truncated JSON is removed: the finish reason decides. `MAX_TOKENS` and the like explain "
    "it; otherwise content is lost, and the stream ends in the protocol's error event.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before='{"functionCall":{"name":"read","args":"{\\"path\\":\\"a\\"}"}}',
    after='{"functionCall":{"name":"read","args":{"path":"a"}}}',
)
CALL_WITHOUT_NAME = Rule(
    code="S405",
    name="call-without-name",
    detects="A function call has no name.",
    impact='The client cannot select the tool; Gemini CLI calls "generic_tool".',
    action="Fills in the name if the request offers exactly one tool; otherwise the stream ends in "
    "the protocol's error event.",
    protocols=_GEMINI,
    seen=(_CLI,),
    before='{"functionCall":{"name":"","args":{"city":"Oslo"}}}',
    after='{"functionCall":{"name":"get_weather","args":{"city":"Oslo"}}}',
)
FINISH_REASON_SPELLED = Rule(
    code="S414",
    name="finish-reason-misspelled",
    detects="A `finishReason` is written in lower case or has the name of another protocol "
    "(`length`, `tool_calls`), or is the number of its enumeration although the client did not ask "
    "for numbers (`enum-encoding=int`).",
    impact="Clients compare exact names: a truncated response is treated as complete.",
    action="Replaces it with the name.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before='"finishReason":"max_tokens"',
    after='"finishReason":"MAX_TOKENS"',
)
FINISH_REASON_MISSING = Rule(
    code="S408",
    name="finish-reason-missing",
    detects="The stream ends and a candidate has no finish reason, or content or a code "
    "execution followed it. A whole response contains thoughts alone and no finish reason.",
    impact='"Model stream ended without a finish reason": Gemini CLI repeats the turn.',
    action="Ends the stream in the protocol's error event: nothing shows that the response is "
    "complete.",
    protocols=_GEMINI,
    seen=("google-gemini/gemini-cli#8073", "google-gemini/gemini-cli#7861", _CLI),
    after='data: {"error":{"code":502,"message":"…","status":"UNAVAILABLE"}}\n\n',
)
CANDIDATE_INDEX = Rule(
    code="S415",
    name="candidate-index",
    detects="A candidate's index is not a number, or two candidates of one event have the same "
    "index.",
    impact="Typed clients reject it; others mix two responses into one.",
    action="Parses text as a number; otherwise numbers the candidates by position.",
    protocols=_GEMINI,
    before='"candidates":[{"content":{…}},{"content":{…}}]',
    after='"candidates":[{"content":{…},"index":0},{"content":{…},"index":1}]',
)
RESPONSE_IN_A_LIST = Rule(
    code="S416",
    name="response-in-a-list",
    detects="A response is wrapped in a list: `data: [{…}]`.",
    impact="SDKs see a response without candidates: the response is empty.",
    action="Removes the list.",
    protocols=_GEMINI,
    seen=(_PYTHON,),
    before='data: [{"candidates":[…]}]\n\n',
    after='data: {"candidates":[…]}\n\n',
)
STREAMED_ARGUMENTS_CUT = Rule(
    code="S418",
    name="streamed-arguments-cut",
    detects="A function call is marked as unfinished (`willContinue`), but its candidate has the "
    "finish reason `STOP`.",
    impact="The tool runs with truncated arguments, or the call is lost.",
    action="Content is lost: ends the stream in the protocol's error event.",
    protocols=_GEMINI,
    after='data: {"error":{"code":502,"message":"…","status":"UNAVAILABLE"}}\n\n',
)


FAILED = Rule(
    code="S422",
    name="finish-reason-of-a-failure",
    detects="The finish reason reports a failure of the provider: `abort`, `error`, "
    "`network_error`, `insufficient_system_resource`.",
    impact="Clients take the part of a response that was generated for all of it.",
    action="Ends the stream in the protocol's error event. The protocol's own reasons, such as "
    "`MALFORMED_FUNCTION_CALL`, are not changed.",
    protocols=_GEMINI,
    seen=("vllm-project/vllm#57082",),
    before='{"content":{"parts":[{"text":"Hel"}]},"finishReason":"abort"}',
    after='data: {"error":{"code":502,"message":"…","status":"UNAVAILABLE"}}\n\n',
)


def is_response(value: Any, draft: Draft) -> bool:
    """Return whether a parsed value is a response, wrapped by Code Assist or not.

    With the rule on misplaced values, this includes one without any member in its place.
    """
    if not isinstance(value, dict):
        return False
    is_plain = not value.keys().isdisjoint(RESPONSE_KEYS)
    return is_plain or (draft.is_on(MISPLACED) and is_misplaced(value))


def unwrapped(value: JsonObject) -> JsonObject:
    """Return the response inside Code Assist's wrapper, or the value itself."""
    inner = value.get("response")
    return inner if isinstance(inner, dict) else value


def candidates_of(response: JsonObject) -> list[JsonObject]:
    """Return the candidates that are objects."""
    return dicts_in(response.get("candidates"))


def model_path(value: JsonObject) -> Path:
    """Return the path of the model name."""
    return ("modelVersion",) if unwrapped(value) is value else ("response", "modelVersion")


class ResponseRepairer:
    """Repairs responses in place; tracks which function calls continue in the next one."""

    def __init__(self, context: StreamContext, draft: Draft) -> None:
        self._tool_names = context.tool_names
        self._numeric_enums = context.numeric_enums
        self._draft = draft
        self._calling: set[int] = set()
        """The candidates whose last function call is continued."""
        self._cut: dict[int, str] = {}
        """What is wrong with a function call that was removed, by candidate."""

    def repair(self, response: JsonObject) -> bool:
        """Repair a response; return whether it was changed. Raises ContentLost."""
        self._draft.changed = False
        move_in_response(response, self._draft)
        repair_usage(response, self._draft)
        if "candidates" in response:
            self._repair_list(response, "candidates")
            if response and response.keys().isdisjoint(RESPONSE_KEYS):
                response["candidates"] = []  # otherwise it is no longer recognised as a response
            self._repair_indices(candidates_of(response))
        for candidate in candidates_of(response):
            self._repair_candidate(candidate)
            if is_set(candidate.get("finishReason")):
                self._end_calls(candidate, _index(candidate) or 0)
        return self._draft.changed

    def lose_cut_calls(self) -> None:
        """Raise ContentLost if a cut call was removed and no finish reason explained it."""
        for found in self._cut.values():
            self._lose(ARGS_NOT_AN_OBJECT, found)

    def _end_calls(self, candidate: JsonObject, index: int) -> None:
        """Judge the unfinished calls of a candidate by its finish reason."""
        reason = candidate["finishReason"]
        cut = self._cut.pop(index, None)
        if cut is not None:
            if is_whole(reason):
                self._lose(ARGS_NOT_AN_OBJECT, cut)
            self._draft.change(ARGS_NOT_AN_OBJECT, cut, f"removed: {reason}")
        if is_whole(reason) and index in self._calling:
            self._lose(
                STREAMED_ARGUMENTS_CUT, "an unfinished function call with the finish reason STOP"
            )

    def _repair_list(self, owner: JsonObject, key: str) -> None:
        """Repair a list of objects: null is removed, one object becomes a list of one."""
        raw = owner[key]
        if raw is None:
            self._remove(CONTENT_SHAPE, owner, key, f"{key}: null")
        elif isinstance(raw, dict):
            if self._draft.change(CONTENT_SHAPE, f"{key} is one object", "a list of one"):
                owner[key] = [raw]
        elif not isinstance(raw, list):
            self._lose(CONTENT_SHAPE, f"{key} is {_kind(raw)}")
        else:
            self._repair_items(owner, key, raw)

    def _repair_items(self, owner: JsonObject, key: str, raw: list[Any]) -> None:
        odd = [item for item in raw if not isinstance(item, dict)]
        if not odd:
            return
        if any(item is not None for item in odd):
            self._lose(CONTENT_SHAPE, f"{key} contains {_kind(odd[0])}")
        elif self._draft.change(CONTENT_SHAPE, f"{key} contains null", "removed"):
            owner[key] = [item for item in raw if item is not None]

    def _repair_indices(self, candidates: list[JsonObject]) -> None:
        indices = [_index(candidate) for candidate in candidates]
        replacements = list(range(len(indices)))
        if None not in indices and len(set(indices)) == len(indices):
            replacements = [index or 0 for index in indices]
        raw = [candidate.get("index") for candidate in candidates]
        if [index or 0 for index in raw] == replacements and not any(
            isinstance(index, bool | float | str) for index in raw
        ):
            return
        if self._draft.change(CANDIDATE_INDEX, f"indices {raw!r}"[:80], f"{replacements!r}"[:80]):
            for candidate, index in zip(candidates, replacements, strict=True):
                candidate["index"] = index

    def _repair_candidate(self, candidate: JsonObject) -> None:
        if "finishReason" in candidate:
            self._repair_finish_reason(candidate)
        content = candidate.get("content")
        if not isinstance(content, dict):
            if "content" not in candidate:
                return
            if content is None:
                self._remove(CONTENT_SHAPE, candidate, "content", "content: null")
            else:
                self._lose(CONTENT_SHAPE, f"content is {_kind(content)}")
            return
        if "parts" in content:
            self._repair_list(content, "parts")
        parts = content.get("parts")
        if not isinstance(parts, list):
            return
        index = _index(candidate) or 0
        kept = [
            part for part in parts if not (isinstance(part, dict) and self._is_cut(part, index))
        ]
        if len(kept) < len(parts):
            content["parts"] = kept

    def _repair_finish_reason(self, candidate: JsonObject) -> None:
        raw = candidate["finishReason"]
        if self._numeric_enums and type(raw) is int:
            return
        name = FINISH_REASON_BY_NUMBER.get(raw) if type(raw) is int else raw
        if not isinstance(name, str) or name.strip() in ("", UNSET_FINISH_REASON):
            found = f"finishReason {raw!r}"[:80]
            self._remove(FINISH_REASON_EMPTY, candidate, "finishReason", found)
            return
        if name not in FINISH_REASONS:
            self._fail_for(name)
            plain = name.strip().upper().removeprefix("FINISH_REASON_")
            known = FOREIGN_FINISH_REASONS.get(plain.lower(), plain)
            name = known if known in FINISH_REASONS else name
        if name != raw and self._draft.change(FINISH_REASON_SPELLED, f"{raw!r}", name):
            candidate["finishReason"] = name

    def _fail_for(self, reason: str) -> None:
        """Raise ContentLost if a finish reason reports a failure."""
        status = failed_status(reason)
        if status is not None and self._draft.note(FAILED, f"{reason!r}"[:80], "ended in an error"):
            message = f"The provider ended the response with the finish reason {reason!r}."
            raise ContentLost(message, status)

    def _is_cut(self, part: JsonObject, index: int) -> bool:
        """Repair a part; return whether it is a cut function call, which is removed."""
        if not isinstance(part.get("text", ""), str | None):
            self._lose(CONTENT_SHAPE, f"text is {_kind(part['text'])}")
        call = part.get("functionCall")
        if isinstance(call, dict):
            return self._is_cut_call(call, index)
        if call is not None:
            self._lose(CONTENT_SHAPE, f"functionCall is {_kind(call)}")
        return False

    def _is_cut_call(self, call: JsonObject, index: int) -> bool:
        name = call.get("name")
        continues = index in self._calling and not name
        if not (isinstance(name, str) and name.strip()) and not continues:
            self._repair_name(call)
        if call.get("willContinue") is True:
            self._calling.add(index)
        else:
            self._calling.discard(index)
        return not isinstance(call.get("args", {}), dict) and self._is_cut_in_args(call, index)

    def _repair_name(self, call: JsonObject) -> None:
        if len(self._tool_names) != 1:
            self._lose(CALL_WITHOUT_NAME, "a function call without a name")
        elif self._draft.change(CALL_WITHOUT_NAME, "no name", self._tool_names[0]):
            call["name"] = self._tool_names[0]

    def _is_cut_in_args(self, call: JsonObject, index: int) -> bool:
        """Repair the args of a call; return whether they are truncated."""
        raw = call["args"]
        replacement: Any = None
        if raw is None or (isinstance(raw, str) and not raw.strip()):
            replacement = {}
        elif isinstance(raw, str):
            with suppress(ValueError):
                replacement = json_value.read(raw)
        if isinstance(replacement, dict):
            if self._draft.change(ARGS_NOT_AN_OBJECT, f"args is {_kind(raw)}", "an object"):
                call["args"] = replacement
            return False
        if not isinstance(raw, str):
            self._lose(ARGS_NOT_AN_OBJECT, f"args is {_kind(raw)}")
            return False
        if self._draft.is_on(ARGS_NOT_AN_OBJECT):
            self._cut[index] = "args is broken JSON text"
            self._draft.changed = True
        return index in self._cut

    def _remove(self, rule: Rule, owner: JsonObject, key: str, found: str) -> None:
        if self._draft.change(rule, found, "removed"):
            del owner[key]

    def _lose(self, rule: Rule, found: str) -> None:
        message = f"The provider sent a response that cannot be read: {found}."
        self._draft.lose(rule, found, message)


def _index(candidate: JsonObject) -> int | None:
    """Return the index of a candidate; 0 if it is missing, None if it is invalid."""
    raw = candidate.get("index")
    if raw is None:
        return 0
    if isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) < 6:
        return int(raw)
    if isinstance(raw, float) and raw.is_integer() and 0 <= raw < 1_000_000:
        return int(raw)
    is_valid = isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0
    return raw if is_valid else None


def _kind(value: Any) -> str:
    """Return the JSON type of a value, with its article."""
    names = {str: "a string", bool: "a boolean", list: "a list", dict: "an object"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")
