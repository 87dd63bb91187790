"""When a Gemini stream has ended: what its finish reasons prove.

Theory of operation. Every event may have a finish reason, and `STOP` does not always end the
response. With code execution it stands on the `executableCode` part, whose result and answer
follow. Gemini 1.x sends it with every event. Content after a finish reason voids it.

A stream that upstream closes is complete with a finish reason that is not void. A broken connection
or silence is not such an end: there a `STOP` also needs a proof that it is the last one.

- Token counts come with it: Gemini 2 and later counts in every event, and stops once.
- `finishMessage` explains it.
- Earlier content came without a finish reason, so this provider does not send one with each event.

After content has followed a `STOP`, none of these is a proof any more. Other reasons are never
sent early.
"""

from dataclasses import dataclass
from typing import Any

from wiremend.protocols.gemini.grammar import WHOLE_REASON, WHOLE_REASON_NUMBER
from wiremend.text.json_value import JsonObject, dicts_in
from wiremend.text.patterns import text_pattern

_EMPTY_KEYS = frozenset({"text", "thought", "thoughtSignature"})
"""A part with only these members, and without text, has no content."""
_STOPS_IN_EVERY_EVENT = text_pattern(r"(?:models/)?gemini-(?:1[.]|pro(?:-vision)?\Z)")


@dataclass(slots=True)
class _Candidate:
    is_finished: bool = False
    """It has a finish reason that no content followed."""
    is_proven: bool = False
    """That finish reason is known to be the last one."""
    runs_code: bool = False
    """Its last part is code, whose result follows."""
    had_content_before: bool = False
    """Content came without a finish reason."""
    stopped_early: bool = False
    """Content followed a `STOP` that was not on code."""

    @property
    def stops_once(self) -> bool:
        """Whether this provider is known to send `STOP` at the end only."""
        return self.had_content_before and not self.stopped_early


CANDIDATES_LIMIT = 100
"""So many candidates of a stream are observed; the API has at most 8."""


class Finishes:
    """The finish reasons of the candidates of one stream."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._candidates: dict[int, _Candidate] = {}
        self._is_blocked = False
        self.is_over = False
        """Whether the response is complete if upstream closed the stream here."""
        self.is_proven = False
        """Whether the response is complete, however the connection ends."""
        self.waits_for_code = False
        """Whether a candidate lacks the result of its code."""

    def __repr__(self) -> str:
        return f"{sorted(self._candidates.items())}"

    def read(self, response: JsonObject) -> None:
        """Take the next response of the stream."""
        feedback = response.get("promptFeedback")
        if isinstance(feedback, dict) and is_set(feedback.get("blockReason")):
            self._is_blocked = True
        version = response.get("modelVersion")
        if isinstance(version, str) and version:
            self._model = version
        for item in dicts_in(response.get("candidates")):
            index = item.get("index")
            index = index if isinstance(index, int) else 0
            if index in self._candidates or len(self._candidates) < CANDIDATES_LIMIT:
                _advance(self._candidates.setdefault(index, _Candidate()), item)
        candidates = self._candidates.values()
        finished = [one for one in candidates if one.is_finished]
        if finished and has_counts(response) and not _STOPS_IN_EVERY_EVENT.match(self._model):
            for candidate in finished:
                candidate.is_proven |= not candidate.stopped_early
        self.waits_for_code = any(one.runs_code for one in candidates)
        self.is_over = self._is_blocked or (
            0 < len(finished) == len(candidates) and not self.waits_for_code
        )
        self.is_proven = self._is_blocked or (
            self.is_over and all(one.is_proven for one in candidates)
        )

    def stops_once(self, index: int) -> bool:
        """Whether a second finish reason of this candidate cannot be one of another event."""
        candidate = self._candidates.get(index)
        return candidate is not None and candidate.stops_once


def is_set(reason: Any) -> bool:
    """Return whether a reason, by name or number, is more than the default of its enumeration."""
    if isinstance(reason, str):
        return bool(reason.strip()) and not reason.endswith("_UNSPECIFIED")
    return bool(reason)


def is_whole(reason: Any) -> bool:
    """Return whether a finish reason, by name or number, requires whole function calls."""
    return reason == WHOLE_REASON or (type(reason) is int and reason == WHOLE_REASON_NUMBER)


def has_counts(response: JsonObject) -> bool:
    """Return whether a response contains the number of tokens that were generated up to it."""
    usage = response.get("usageMetadata")
    return isinstance(usage, dict) and any(
        usage.get(key) for key in ("candidatesTokenCount", "totalTokenCount")
    )


def content_of(candidate: JsonObject) -> list[JsonObject]:
    """Return the parts that a client shows or runs."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return []
    return [
        part
        for part in parts
        if isinstance(part, dict) and (part.get("text") or not part.keys() <= _EMPTY_KEYS)
    ]


def _advance(candidate: _Candidate, item: JsonObject) -> None:
    reason = item.get("finishReason")
    parts = content_of(item)
    if parts:
        if candidate.is_finished and not candidate.runs_code:
            candidate.stopped_early = True
        candidate.is_finished = candidate.is_proven = False
        candidate.had_content_before |= not is_set(reason)
        candidate.runs_code = _ends_in_code(parts)
    if is_set(reason):
        candidate.is_finished = True
        candidate.runs_code &= is_whole(reason)
        candidate.is_proven = not candidate.runs_code and (
            not is_whole(reason) or bool(item.get("finishMessage")) or candidate.stops_once
        )


def _ends_in_code(parts: list[JsonObject]) -> bool:
    return any(parts[-1].get(key) for key in ("executableCode", "executable_code"))
