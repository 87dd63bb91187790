"""The rules on the contents of a Gemini request, and their passes.

Theory of operation. A turn with function calls must be followed by a turn with as many
responses. Calls and responses are paired by `id` if they have one, else by name and order. Code
Assist wraps the request; keys in camel case and in snake case are accepted.

https://ai.google.dev/gemini-api/docs/function-calling
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wiremend.protocols.base import parameters
from wiremend.protocols.base.history import (
    CALL_WITHOUT_RESULT,
    EMPTY_MESSAGE,
    EMPTY_TEXT,
    NO_CONTENT,
    NO_RESULT,
    RESULT_DROPPED,
    RESULT_WITHOUT_CALL,
)
from wiremend.protocols.base.message_rules import conversation, thinking
from wiremend.protocols.base.message_rules.images import image_passes
from wiremend.protocols.base.message_rules.words import BLANK, LONE_SURROGATES, last_steps
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import HistoryStep, step
from wiremend.protocols.base.tools import value_at
from wiremend.protocols.base.traits import MessageTraits
from wiremend.protocols.gemini.request import (
    BUDGETS,
    EFFORTS,
    TOKEN_LIMITS,
    images,
    request_path,
)
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path
from wiremend.text.json_value import objects

THOUGHT_SIGNATURE_MISSING = Rule(
    code="Q107",
    name="thought-signature-missing",
    detects="After the last user message, the first function call of a model turn has no "
    "`thoughtSignature`: another model made the call, or the client lost the signature.",
    impact="Gemini 3: `Function call is missing a thought_signature in functionCall parts`.",
    action="Sets it to `skip_thought_signature_validator`, which Google documents for calls that "
    "it did not sign. Signatures are never generated.",
    protocols=(WireProtocol.GEMINI,),
    seen=("vercel/ai#15550", "musistudio/claude-code-router#1431", "envoyproxy/ai-gateway#2366"),
    before='{"contents":[{"role":"user","parts":[{"text":"Hello"}]},{"role":"model","parts":'
    '[{"functionCall":{"name":"now"}}]}]}',
    after='{"contents":[{"role":"user","parts":[{"text":"Hello"}]},{"role":"model","parts":'
    '[{"functionCall":{"name":"now"},"thoughtSignature":"skip_thought_signature_validator"}]}]}',
)

_CALLS = ("functionCall", "function_call")
_RESPONSES = ("functionResponse", "function_response")
_MEDIA = ("inlineData", "inline_data", "fileData", "file_data")
_SIGNATURES = ("thoughtSignature", "thought_signature")
_UNSIGNED_VALUE = "skip_thought_signature_validator"
_UNSIGNED = json_value.write(_UNSIGNED_VALUE)
"""https://ai.google.dev/gemini-api/docs/thought-signatures (FAQ)"""


@dataclass(slots=True)
class Turn:
    """Consecutive contents of the model, or of other roles."""

    is_model: bool
    contents: list[tuple[Path, dict[str, Any]]]

    def all_parts(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield every part with its path."""
        for path, content in self.contents:
            yield from objects(content.get("parts"), (*path, "parts"))

    def parts(self, keys: tuple[str, str]) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Yield the objects under one of these keys in parts, each with the path of its part."""
        for path, part in self.all_parts():
            value = part.get(keys[0], part.get(keys[1]))
            if isinstance(value, dict):
                yield path, value


def turns_of(request: dict[str, Any]) -> list[Turn]:
    """Return the turns of the conversation."""
    path: Path = (*request_path(request), "contents")
    if len(path) > 1:
        request = request["request"]
    turns: list[Turn] = []
    for content_path, content in objects(request.get("contents"), path):
        is_model = content.get("role") == "model"
        if not turns or turns[-1].is_model != is_model:
            turns.append(Turn(is_model, []))
        turns[-1].contents.append((content_path, content))
    return turns


def drop_orphan_results(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop responses without a call in the turn before, and the media repeated with them."""
    calls = _OpenCalls()
    for turn in edits.once(turns_of, request):
        orphans: dict[Path, list[Path]] = {}
        for path, response in turn.parts(_RESPONSES) if not turn.is_model else ():
            if calls.take(response):
                continue
            name = str(response.get("name"))
            if notes.note(RESULT_WITHOUT_CALL, BodyPlace(path), f"{name!r}", "dropped"):
                orphans.setdefault(path[:-1], []).append(path)
        for path in _repeated_media(turn, orphans) if orphans else ():
            if notes.note(RESULT_WITHOUT_CALL, BodyPlace(path), "the same medium", "dropped"):
                orphans[path[:-1]].append(path)
        for path, content in turn.contents:
            removed = orphans.get((*path, "parts"), [])
            if removed and len(removed) == len(content["parts"]):
                edits.replace((*path, "parts"), json_value.write([{"text": RESULT_DROPPED}]))
                continue
            for part_path in removed:
                edits.remove(part_path)
        calls = _OpenCalls(turn if turn.is_model else None)


def _repeated_media(turn: Turn, orphans: Mapping[Path, list[Path]]) -> Iterator[Path]:
    """Yield the media directly behind dropped responses that an earlier part contains, too.

    Gemini CLI sends the image of a result behind it, and repeats both when it resumes a session.
    """
    dropped = {path for paths in orphans.values() for path in paths}
    seen: set[bytes] = set()
    is_behind = False
    for path, part in turn.all_parts():
        if any(key in part for key in _MEDIA):
            value = json_value.write_sorted(part)
            if is_behind and value in seen:
                yield path
            seen.add(value)
        else:
            is_behind = path in dropped


def add_missing_results(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Add an error response for each call that the next turn does not answer."""
    turns = edits.once(turns_of, request)
    for number, turn in enumerate(turns):
        calls = _OpenCalls(turn if turn.is_model else None)
        answering = turns[number + 1] if number + 1 < len(turns) else None
        for _path, response in answering.parts(_RESPONSES) if answering else ():
            calls.take(response)
        last = turn.contents[-1][0]
        missing = [
            json_value.write(_error_for(call))
            for call in calls.left()
            if notes.note(
                CALL_WITHOUT_RESULT,
                BodyPlace(last),
                f"{call.get('name')!r}",
                "an error was added",
            )
        ]
        if not missing:
            continue
        parts = b",".join(missing)
        first = answering.contents[0] if answering else None
        if first is not None and isinstance(first[1].get("parts"), list):
            edits.insert_item((*first[0], "parts"), 0, parts)
        else:
            index = last[-1]
            assert isinstance(index, int)
            content = b'{"role":"user","parts":[' + parts + b"]}"
            edits.insert_item(last[:-1], index + 1, content)


def drop_empty_text(request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
    """Drop parts with an empty text; a part with only a signature is kept."""
    for turn in edits.once(turns_of, request):
        for part_path, part in turn.all_parts():
            if part == {"text": ""} and notes.note(
                EMPTY_TEXT, BodyPlace(part_path), "no text", "dropped"
            ):
                edits.remove(part_path)


def drop_empty_messages(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Drop contents of the model without parts; give other roles the text `NO_CONTENT`.

    A part that is `{}` is dropped.
    """
    turns = edits.once(turns_of, request)
    for turn in turns:
        for path, content in turn.contents:
            parts = content.get("parts", [])
            if not isinstance(parts, list) or any(part != {} for part in parts):
                _drop_empty_parts(path, parts, edits, notes)
                continue
            if turn.is_model and len(turns) > 1:
                if notes.note(EMPTY_MESSAGE, BodyPlace(path), "no parts", "dropped"):
                    edits.remove(path)
            elif "parts" in content and notes.note(
                EMPTY_MESSAGE, BodyPlace(path), "no parts", "replaced with a text"
            ):
                edits.replace((*path, "parts"), json_value.write([{"text": NO_CONTENT}]))


def _drop_empty_parts(path: Path, parts: Any, edits: Edits, notes: Notes) -> None:
    for part_path, part in objects(parts, (*path, "parts")):
        if part == {} and notes.note(EMPTY_MESSAGE, BodyPlace(part_path), "no data", "dropped"):
            edits.remove(part_path)


def mark_unsigned_calls(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Mark calls without a signature after the last text of the user, as Gemini CLI does.

    Of parallel calls Gemini signs only the first.
    """
    turns = edits.once(turns_of, request)
    texts = [number for number, turn in enumerate(turns) if not turn.is_model and _has_text(turn)]
    for turn in turns[texts[-1] :] if texts else ():
        calls = [call for call in turn.all_parts() if any(key in call[1] for key in _CALLS)]
        if not turn.is_model or not calls:
            continue
        path, part = calls[0]
        if any(part.get(key) for key in _SIGNATURES):
            continue
        if notes.note(THOUGHT_SIGNATURE_MISSING, BodyPlace(path), "no thoughtSignature", "added"):
            kept = next((key for key in _SIGNATURES if key in part), None)
            if kept is not None:
                edits.replace((*path, kept), _UNSIGNED)
            else:
                edits.append(path, b'"thoughtSignature":' + _UNSIGNED)


def replace_signatures(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Mark signed calls as not signed; remove the signatures of other parts."""
    for turn in edits.once(turns_of, request):
        for path, part in turn.all_parts():
            is_call = any(key in part for key in _CALLS)
            for key in _SIGNATURES:
                if key not in part or (is_call and part[key] == _UNSIGNED_VALUE):
                    continue
                place = BodyPlace((*path, key))
                done = "marked as not signed" if is_call else "removed"
                if not notes.note(conversation.UNVERIFIED_REASONING, place, "signature", done):
                    continue
                if is_call:
                    edits.replace((*path, key), _UNSIGNED)
                else:
                    edits.remove((*path, key))


def drop_zero_budget(request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
    """Remove a thinking budget of 0."""
    for path in BUDGETS:
        if value_at(request, path) == 0 and notes.note(
            thinking.THINKS_ALWAYS, BodyPlace(path), "0 tokens", "removed"
        ):
            edits.remove(path)


def end_with_user_content(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Add a content of the user behind an answer at the end, unless it contains calls."""
    turns = edits.once(turns_of, request)
    if not turns or not turns[-1].is_model or any(turns[-1].parts(_CALLS)):
        return
    path = turns[-1].contents[-1][0]
    if notes.note(conversation.PREFILL, BodyPlace(path), "a prefilled answer", "continued"):
        index = path[-1]
        assert isinstance(index, int)
        following = {"role": "user", "parts": [{"text": conversation.CONTINUE}]}
        edits.insert_item(path[:-1], index + 1, json_value.write(following))


def _has_text(turn: Turn) -> bool:
    return any(isinstance(part.get("text"), str) and part["text"] for _, part in turn.all_parts())


class _OpenCalls:
    """The calls of a turn that no response has been assigned to."""

    def __init__(self, turn: Turn | None = None) -> None:
        calls = [call for _, call in turn.parts(_CALLS)] if turn is not None else []
        self._left = dict(enumerate(calls))
        self._by_key: dict[Any, deque[int]] = {}
        """The calls by id; by name; and those without an id by name. In order."""
        for number, call in self._left.items():
            for key in _keys_of(call):
                self._by_key.setdefault(key, deque()).append(number)

    def left(self) -> Iterable[dict[str, Any]]:
        """Return the calls without a response, in order."""
        return self._left.values()

    def take(self, response: dict[str, Any]) -> bool:
        """Remove the first call that the response may belong to; return False if there is none.

        Ids decide if both have one, else names.
        """
        identity, name = response.get("id"), _text_of(response.get("name"))
        if identity:
            keys = [("id", _text_of(identity)), ("unidentified", name)]
        else:
            keys = [("name", name)]
        found = [number for key in keys if (number := self._first(key)) is not None]
        if not found:
            return False
        del self._left[min(found)]
        return True

    def _first(self, key: Any) -> int | None:
        numbers = self._by_key.get(key)
        while numbers and numbers[0] not in self._left:
            numbers.popleft()
        return numbers[0] if numbers else None


def _keys_of(call: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    name = _text_of(call.get("name"))
    yield "name", name
    yield ("id", _text_of(call["id"])) if call.get("id") else ("unidentified", name)


def _text_of(value: Any) -> Any:
    """Return the value, as text if it cannot be a key."""
    return value if isinstance(value, str | None) else json_value.write_sorted(value)


def _error_for(call: dict[str, Any]) -> dict[str, Any]:
    named = {key: call[key] for key in ("id", "name") if key in call}
    return {"functionResponse": {**named, "response": {"error": NO_RESULT}}}


HISTORY_PASSES: tuple[HistoryStep, ...] = (
    step(conversation.LONE_SURROGATE, conversation.replace_lone_surrogates, LONE_SURROGATES),
    step(conversation.UNVERIFIED_REASONING, replace_signatures, *_SIGNATURES),
    step(EMPTY_TEXT, drop_empty_text, BLANK),
    step(RESULT_WITHOUT_CALL, drop_orphan_results, *_RESPONSES),
    step(CALL_WITHOUT_RESULT, add_missing_results, *_CALLS),
    step(EMPTY_MESSAGE, drop_empty_messages, "contents"),
    step(conversation.PREFILL, end_with_user_content, "model"),
    step(THOUGHT_SIGNATURE_MISSING, mark_unsigned_calls, *_CALLS),
    *image_passes(images, *_MEDIA),
    step(
        parameters.TOKEN_LIMIT,
        parameters.lower_token_limit(TOKEN_LIMITS),
        *last_steps(TOKEN_LIMITS),
    ),
    step(thinking.THINKS_ALWAYS, drop_zero_budget, *last_steps(BUDGETS)),
    step(thinking.BUDGET_TOO_LARGE, thinking.cap_budget(BUDGETS), *last_steps(BUDGETS)),
    step(thinking.EFFORT_REFUSED, thinking.fit_effort(EFFORTS), *last_steps(EFFORTS)),
)
"""In order: passes that may leave a content empty run before the one that handles those. The passes
on images run after those that add or remove contents, since rejections contain their places."""
