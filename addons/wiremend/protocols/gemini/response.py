"""Mends one Gemini response object: an event of a stream, or the whole answer."""

from contextlib import suppress
from typing import Any

from wiremend.protocols.base.model_name import with_model
from wiremend.protocols.gemini import rules
from wiremend.protocols.gemini.grammar import (
    FINISH_REASON_BY_NUMBER,
    FINISH_REASONS,
    RESPONSE_KEYS,
    UNSET_FINISH_REASON,
    WHOLE_REASON,
)
from wiremend.rules.rule import PlacedNotes, Rule
from wiremend.text import json_value

type Response = dict[str, Any]

_LOST = "ended in an error"


class ContentLost(Exception):
    """What the response says cannot be read: the call must end in the protocol's error."""


def is_response(value: Any) -> bool:
    """Whether a parsed value is a response, wrapped by Code Assist or not."""
    return isinstance(value, dict) and not value.keys().isdisjoint(RESPONSE_KEYS)


def unwrapped(value: Response) -> Response:
    """The response inside Code Assist's wrapper, or the value itself."""
    inner = value.get("response")
    return inner if isinstance(inner, dict) else value


def candidates_of(response: Response) -> list[Response]:
    """Its candidates that are objects."""
    given = response.get("candidates")
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def renamed(text: bytes, value: Response, shown_model: str | None) -> bytes:
    """The JSON text of `value` with only its model's name replaced, if it bears another one."""
    path = ("modelVersion",) if unwrapped(value) is value else ("response", "modelVersion")
    return with_model(text, path, shown_model)


class ResponseMender:
    """Puts responses right in place; remembers the function calls that go on in the next one."""

    def __init__(self, tool_names: tuple[str, ...], notes: PlacedNotes) -> None:
        self._tool_names = tool_names
        self._notes = notes
        self._calling: set[int] = set()
        self._is_changed = False

    def mend(self, response: Response) -> bool:
        """True when the response was changed. Raises ContentLost."""
        self._is_changed = False
        if "candidates" in response:
            self._mend_list(response, "candidates")
            if response and response.keys().isdisjoint(RESPONSE_KEYS):
                response["candidates"] = []  # its only key that says what it is
            self._mend_indices(candidates_of(response))
        for candidate in candidates_of(response):
            self._mend_candidate(candidate)
            goes_on = (_index(candidate) or 0) in self._calling
            if goes_on and candidate.get("finishReason") == WHOLE_REASON:
                self._lose(rules.STREAMED_ARGUMENTS_CUT, "a function call that goes on at STOP")
        return self._is_changed

    def _mend_list(self, owner: Response, key: str) -> None:
        """Let a list of objects be one: null is no list, one object is a list of one."""
        given = owner[key]
        if given is None:
            self._remove(rules.CONTENT_SHAPE, owner, key, f"{key}: null")
        elif isinstance(given, dict):
            if self._changes(rules.CONTENT_SHAPE, f"{key} is one object", "a list of one"):
                owner[key] = [given]
        elif not isinstance(given, list):
            self._lose(rules.CONTENT_SHAPE, f"{key} is {_kind(given)}")
        else:
            self._mend_items(owner, key, given)

    def _mend_items(self, owner: Response, key: str, given: list[Any]) -> None:
        odd = [one for one in given if not isinstance(one, dict)]
        if not odd:
            return
        if any(one is not None for one in odd):
            self._lose(rules.CONTENT_SHAPE, f"{key} holds {_kind(odd[0])}")
        elif self._changes(rules.CONTENT_SHAPE, f"{key} holds null", "removed"):
            owner[key] = [one for one in given if one is not None]

    def _mend_indices(self, candidates: list[Response]) -> None:
        indices = [_index(candidate) for candidate in candidates]
        right = list(range(len(indices)))
        if None not in indices and len(set(indices)) == len(indices):
            right = [index or 0 for index in indices]
        given = [candidate.get("index") for candidate in candidates]
        if [index or 0 for index in given] == right and not any(
            isinstance(index, bool | float | str) for index in given
        ):
            return
        if self._changes(rules.CANDIDATE_INDEX, f"indices {given!r}"[:80], f"{right!r}"[:80]):
            for candidate, index in zip(candidates, right, strict=True):
                candidate["index"] = index

    def _mend_candidate(self, candidate: Response) -> None:
        if "finishReason" in candidate:
            self._mend_finish_reason(candidate)
        content = candidate.get("content")
        if not isinstance(content, dict):
            if "content" not in candidate:
                return
            if content is None:
                self._remove(rules.CONTENT_SHAPE, candidate, "content", "content: null")
            else:
                self._lose(rules.CONTENT_SHAPE, f"content is {_kind(content)}")
            return
        if "parts" in content:
            self._mend_list(content, "parts")
        parts = content.get("parts")
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict):
                self._mend_part(part, _index(candidate) or 0)

    def _mend_finish_reason(self, candidate: Response) -> None:
        given = candidate["finishReason"]
        name = FINISH_REASON_BY_NUMBER.get(given) if type(given) is int else given
        if not isinstance(name, str) or name.strip() in ("", UNSET_FINISH_REASON):
            found = f"finishReason {given!r}"[:80]
            self._remove(rules.FINISH_REASON_EMPTY, candidate, "finishReason", found)
            return
        if name not in FINISH_REASONS and name.upper() in FINISH_REASONS:
            name = name.upper()
        if name != given and self._changes(rules.FINISH_REASON_SPELLED, f"{given!r}", name):
            candidate["finishReason"] = name

    def _mend_part(self, part: Response, index: int) -> None:
        if not isinstance(part.get("text", ""), str | None):
            self._lose(rules.CONTENT_SHAPE, f"text is {_kind(part['text'])}")
        call = part.get("functionCall")
        if isinstance(call, dict):
            self._mend_call(call, index)
        elif call is not None:
            self._lose(rules.CONTENT_SHAPE, f"functionCall is {_kind(call)}")

    def _mend_call(self, call: Response, index: int) -> None:
        name = call.get("name")
        goes_on = index in self._calling and not name
        if not (isinstance(name, str) and name.strip()) and not goes_on:
            self._mend_name(call)
        if call.get("willContinue") is True:
            self._calling.add(index)
        else:
            self._calling.discard(index)
        if not isinstance(call.get("args", {}), dict):
            self._mend_args(call)

    def _mend_name(self, call: Response) -> None:
        if len(self._tool_names) != 1:
            self._lose(rules.CALL_WITHOUT_NAME, "a function call without a name")
        elif self._changes(rules.CALL_WITHOUT_NAME, "no name", self._tool_names[0]):
            call["name"] = self._tool_names[0]

    def _mend_args(self, call: Response) -> None:
        given = call["args"]
        better: Any = None
        if given is None or (isinstance(given, str) and not given.strip()):
            better = {}
        elif isinstance(given, str):
            with suppress(ValueError):
                better = json_value.read(given)
        if not isinstance(better, dict):
            what = "broken JSON text" if isinstance(given, str) else _kind(given)
            self._lose(rules.ARGS_NOT_AN_OBJECT, f"args is {what}")
        elif self._changes(rules.ARGS_NOT_AN_OBJECT, f"args is {_kind(given)}", "an object"):
            call["args"] = better

    # Noting what was done

    def _changes(self, rule: Rule, found: str, done: str) -> bool:
        is_on = self._notes.note(rule, found, done)
        self._is_changed = self._is_changed or is_on
        return is_on

    def _remove(self, rule: Rule, owner: Response, key: str, found: str) -> None:
        if self._changes(rule, found, "removed"):
            del owner[key]

    def _lose(self, rule: Rule, found: str) -> None:
        """Content is lost, unless the rule is off and the client is to see for itself."""
        if self._notes.note(rule, found, _LOST):
            raise ContentLost(f"The provider sent a response that cannot be read: {found}.")


def _index(candidate: Response) -> int | None:
    """The index that it means, or None when it means none."""
    given = candidate.get("index")
    if given is None:
        return 0
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 6:
        return int(given)
    if isinstance(given, float) and given.is_integer() and 0 <= given < 1_000_000:
        return int(given)
    is_right = isinstance(given, int) and not isinstance(given, bool) and given >= 0
    return given if is_right else None


def _kind(value: Any) -> str:
    """What a value is, in JSON's own words."""
    names = {str: "a string", bool: "a boolean", list: "a list", dict: "an object"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")
