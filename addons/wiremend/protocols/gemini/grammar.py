"""The grammar of Gemini streams in both framings: tables, and a checker of whole streams.

Theory of operation (https://ai.google.dev/api/generate-content). Every event is a whole
`GenerateContentResponse`; the parts of its candidates add up. Events have no types, and there is
no terminal event: the last event of a candidate contains its `finishReason`, events with only
metadata may follow, then upstream closes. Content may follow a `finishReason` (code execution,
Gemini 1.x) and then needs another one. A client that asks for numbers (`enum-encoding=int`) gets
those of the enumerations. The response to a refused prompt has
`promptFeedback.blockReason` and no candidates. The Code Assist endpoint wraps each response in
`{"response": …}`.

Two framings contain the same objects. With `alt=sse` they are server-sent events of one `data: `
line each. The official SDKs are not SSE parsers and refuse all other lines (tested with
python-genai 3.4; read in js-genai, as bundled in Gemini CLI 0.61). Without `alt=sse` they are the
elements of one JSON array.

A function call is in one event, except with the streamed arguments of Vertex AI: the first event
contains the name of the function and `willContinue`, the following ones contain `partialArgs`
without a name, and the last one lacks `willContinue`.
"""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.gemini.errors import STATUS_BY_FAILED_REASON
from wiremend.text import json_value, sse
from wiremend.text.patterns import whole_pattern

RESPONSE_KEYS = frozenset(
    {
        "candidates",
        "promptFeedback",
        "usageMetadata",
        "modelVersion",
        "responseId",
        "createTime",
        "modelStatus",
        "automaticFunctionCallingHistory",
        "response",
        "traceId",
    }
)
"""An object with one of these is a response (`response` is Code Assist's wrapper)."""

BARE_CANDIDATE_KEYS = frozenset({"content", "index"})
"""A candidate with only these members, and without parts, has no content yet."""

FINISH_REASONS = frozenset(
    {
        "STOP",
        "MAX_TOKENS",
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "OTHER",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MALFORMED_FUNCTION_CALL",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_OTHER",
        "NO_IMAGE",
        "IMAGE_RECITATION",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    }
)
"""The known finish reasons; unknown ones are legal too."""
WHOLE_REASON = "STOP"
"""The finish reason that requires function calls to be complete."""
WHOLE_REASON_NUMBER = 1
"""Its number, for clients that ask for numbers (`$alt=json;enum-encoding=int`)."""
UNSET_FINISH_REASON = "FINISH_REASON_UNSPECIFIED"
"""The default of the enumeration: the model has not stopped."""
FINISH_REASON_BY_NUMBER: Mapping[int, str] = {
    1: "STOP",
    2: "MAX_TOKENS",
    3: "SAFETY",
    4: "RECITATION",
    5: "OTHER",
}
"""The numbers of the enumeration on which the Gemini API and Vertex AI agree."""
FOREIGN_FINISH_REASONS: Mapping[str, str] = {
    "length": "MAX_TOKENS",
    "max_output_tokens": "MAX_TOKENS",
    "model_length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "tool_calls": "STOP",
    "tool_use": "STOP",
    "function_call": "STOP",
    "end_turn": "STOP",
    "stop_sequence": "STOP",
    "eos": "STOP",
}
"""The reasons of other protocols, in lower case, and what they are here."""

_DATA_LINES = whole_pattern(rb"(?:data: [^\r\n]*+(?>\r\n|\r|\n))++(?>\r\n|\r|\n)")
_BLANK_LINES = whole_pattern(rb"[\r\n]*+")


def is_terminal(event: sse.Event) -> bool:
    """Return whether this event has a finish reason: there is no other end of a stream.

    A `STOP` on code is not the end: its result follows.
    """
    response = json_value.member(event.data, "response")
    value = response if isinstance(response, dict) else json_value.member(event.data)
    if not isinstance(value, dict):
        return False
    feedback = value.get("promptFeedback")
    is_blocked = isinstance(feedback, dict) and bool(feedback.get("blockReason"))
    candidates = json_value.dicts_in(value.get("candidates"))
    return is_blocked or any(
        candidate.get("finishReason") and not _waits_for_code(candidate) for candidate in candidates
    )


def _waits_for_code(candidate: Mapping[str, Any]) -> bool:
    content = candidate.get("content")
    parts = json_value.dicts_in(content.get("parts")) if isinstance(content, dict) else []
    is_whole = candidate["finishReason"] in (WHOLE_REASON, WHOLE_REASON_NUMBER)
    return is_whole and bool(parts) and "executableCode" in parts[-1]


class Grammar:
    """Reports the violations in a stream; shares only the tables above with the repairer.

    With `array`, events are those of a `json_array.ArrayDecoder`: a stream without `alt=sse`.
    """

    def __init__(self, array: bool = False, *, numeric_enums: bool = False) -> None:
        self._array = array
        self._numeric_enums = numeric_enums
        self._elements = 0
        self._is_closed = False
        self._failed = False
        self._blocked = False
        self._begun: set[int] = set()
        self._finished: set[int] = set()
        self._calling: set[int] = set()
        self._running: set[int] = set()
        """The candidates whose last part is code."""
        self._final: bytes | None = None

    def feed(self, event: sse.Event) -> list[str]:
        """Return the violations in one event."""
        problems = self._punctuation(event) if self._array else self._lines(event)
        if event.data is None:
            return problems
        if self._failed:
            return [*problems, "an event after an error"]
        try:
            data = json_value.read(event.data)
        except ValueError:
            return [*problems, "data that is not JSON"]
        if not isinstance(data, dict):
            return [*problems, "data that is not an object"]
        error = data.get("error")
        if error and not (isinstance(error, str) and error.isspace()):
            self._failed = True
            return problems + self._error(error)
        if data and data.keys().isdisjoint(RESPONSE_KEYS):
            return [*problems, "data that is not a response"]
        return problems + self._response(data) + self._repetition(data)

    def end(self) -> list[str]:
        """Return the violations of a stream that ends here."""
        problems = ["the array is not closed"] if self._array and not self._is_closed else []
        if self._failed or self._blocked:
            return problems
        if not self._finished:
            return [*problems, "the end without a finish reason"]
        unfinished = sorted(self._begun - self._finished)
        problems += [f"candidate {index} without a finish reason" for index in unfinished]
        return problems + [f"candidate {index} ends in code" for index in sorted(self._running)]

    def _lines(self, event: sse.Event) -> list[str]:
        legal = _BLANK_LINES if event.data is None else _DATA_LINES
        return [] if legal.fullmatch(event.raw) else ["a line other than `data: `"]

    def _punctuation(self, event: sse.Event) -> list[str]:
        if self._is_closed:
            return ["text after the array"] if event.raw.strip() else []
        if event.data is None:
            self._is_closed = event.raw.strip() == b"]" and self._elements > 0
            return [] if self._is_closed or not event.raw.strip() else ["misplaced punctuation"]
        before = event.raw[: len(event.raw) - len(event.data)].strip()
        self._elements += 1
        expected = b"[" if self._elements == 1 else b","
        return [] if before == expected else [f"{before!r} before an element"]

    def _error(self, error: Any) -> list[str]:
        if not isinstance(error, dict):
            return ["an error that is not an object"]
        problems = []
        if not isinstance(error.get("code"), int):
            problems.append("an error without a numeric code")
        if not isinstance(error.get("message"), str) or not error["message"].strip():
            problems.append("an error without a message")
        return problems

    def _response(self, data: dict[str, Any]) -> list[str]:
        response = data["response"] if isinstance(data.get("response"), dict) else data
        feedback = response.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._blocked = True
        problems = self._usage(response)
        candidates = response.get("candidates", [])
        if not isinstance(candidates, list):
            return [*problems, "candidates that are not a list"]
        problems += [problem for item in candidates for problem in self._candidate(item)]
        indices = [item.get("index") or 0 for item in candidates if isinstance(item, dict)]
        if len(indices) != len({repr(index) for index in indices}):
            problems.append("two candidates with one index")
        return problems

    def _usage(self, response: dict[str, Any]) -> list[str]:
        usage = response.get("usageMetadata", {})
        if not isinstance(usage, dict):
            return ["usage that is not an object"] if usage is None else []
        return [
            f"{key} that is not a number"
            for key, count in usage.items()
            if key.endswith("TokenCount") and (count is None or isinstance(count, str))
        ]

    def _repetition(self, data: dict[str, Any]) -> list[str]:
        """New parts increase the number of tokens, so an equal event is the same event again."""
        response = data["response"] if isinstance(data.get("response"), dict) else data
        usage = response.get("usageMetadata")
        is_counted = isinstance(usage, dict) and bool(usage.get("candidatesTokenCount"))
        candidates = response.get("candidates") if is_counted else None
        is_final = any(
            isinstance(one, dict)
            and bool(one.get("finishReason"))
            and isinstance(one.get("content"), dict)
            and bool(one["content"].get("parts"))
            for one in (candidates if isinstance(candidates, list) else ())
        )
        previous, self._final = self._final, json_value.write(data) if is_final else None
        return ["the final event twice"] if is_final and self._final == previous else []

    def _candidate(self, candidate: Any) -> list[str]:
        if not isinstance(candidate, dict):
            return ["a candidate that is not an object"]
        index = candidate.get("index") or 0
        if not isinstance(index, int) or isinstance(index, bool) or index < 0:
            return [f"index {index!r}"]
        self._begun.add(index)
        problems = []
        if "finish_reason" in candidate and "finishReason" not in candidate:
            problems.append("a finish reason in snake case")
        if "content" not in candidate and (
            isinstance(candidate.get("text"), str) or isinstance(candidate.get("parts"), list)
        ):
            problems.append("a candidate with text outside of its content")
        if "finishReason" in candidate and not self._is_reason(candidate["finishReason"]):
            problems.append(f"finish reason {candidate['finishReason']!r}")
        content = candidate.get("content", {})
        if not isinstance(content, dict):
            return [*problems, "content that is not an object"]
        parts = content.get("parts", [])
        if not isinstance(parts, list):
            return [*problems, "parts that are not a list"]
        problems += [problem for part in parts for problem in self._part(part, index)]
        self._follow(candidate, index, [part for part in parts if isinstance(part, dict)])
        if (
            candidate.get("finishReason") in (WHOLE_REASON, WHOLE_REASON_NUMBER)
            and index in self._calling
        ):
            problems.append(f"{WHOLE_REASON} inside a function call")
        return problems

    def _follow(self, candidate: dict[str, Any], index: int, parts: list[dict[str, Any]]) -> None:
        """Track whether the candidate has ended: content after its finish reason continues it."""
        empty = {"text", "thought", "thoughtSignature"}
        content = [part for part in parts if part.get("text") or not part.keys() <= empty]
        if content:
            self._finished.discard(index)
            self._running.discard(index)
            if content[-1].get("executableCode"):
                self._running.add(index)
        reason = candidate.get("finishReason")
        if reason:
            self._finished.add(index)
            if reason not in (WHOLE_REASON, WHOLE_REASON_NUMBER):
                self._running.discard(index)

    def _is_reason(self, reason: Any) -> bool:
        if self._numeric_enums and type(reason) is int:
            return True
        if not isinstance(reason, str) or reason.strip() in ("", UNSET_FINISH_REASON):
            return False
        if reason.lower() in (*STATUS_BY_FAILED_REASON, *FOREIGN_FINISH_REASONS):
            return False
        return reason in FINISH_REASONS or reason.upper() not in FINISH_REASONS

    def _part(self, part: Any, index: int) -> list[str]:
        if not isinstance(part, dict):
            return ["a part that is not an object"]
        problems = []
        if not isinstance(part.get("text", ""), str | None):
            problems.append("text that is not a string")
        call = part.get("functionCall")
        if call is None:
            return problems
        if not isinstance(call, dict):
            return [*problems, "a function call that is not an object"]
        name = call.get("name")
        if not (isinstance(name, str) and name.strip()) and (index not in self._calling or name):
            problems.append("a function call without a name")
        if not isinstance(call.get("args", {}), dict):
            problems.append("function call args that are not an object")
        if call.get("willContinue") is True:
            self._calling.add(index)
        else:
            self._calling.discard(index)
        return problems
