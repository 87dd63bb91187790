"""Gemini generateContent: what a legal stream and a native error look like.

Theory of operation (https://ai.google.dev/api/generate-content). Every event is a whole
`GenerateContentResponse`; the parts of its candidates add up. There is no terminal event: a
candidate's last event bears its `finishReason`, then the stream ends. A prompt that is refused
gets `promptFeedback.blockReason` and no candidates. With `alt=sse` the events are server-sent,
with `data:` lines only; without it they are the elements of one JSON array.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from wiremend import sse
from wiremend.protocols.errors import ProviderError

RESPONSE_KEYS = frozenset(
    {
        "candidates",
        "promptFeedback",
        "usageMetadata",
        "modelVersion",
        "responseId",
        "modelStatus",
        "response",
        "traceId",
    }
)
"""An object with one of these is a response (`response` wraps it in Code Assist)."""
CONTENT_KEYS = frozenset({"candidates", "promptFeedback"})

_NAME_BY_STATUS: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""https://cloud.google.com/apis/design/errors"""
_NAMES = frozenset(_NAME_BY_STATUS.values()) | {"FAILED_PRECONDITION", "OUT_OF_RANGE", "UNKNOWN"}


def error_name(error: ProviderError) -> str:
    """Google's name for the error: its own where it has one, else by its status."""
    if error.type in _NAMES:
        return error.type
    if error.status in _NAME_BY_STATUS:
        return _NAME_BY_STATUS[error.status]
    return "INVALID_ARGUMENT" if error.status < 500 else "UNAVAILABLE"


def error_envelope(error: ProviderError) -> bytes:
    """The body of an HTTP error."""
    fields: dict[str, Any] = {
        "code": error.status,
        "message": error.message,
        "status": error_name(error),
    }
    details: list[dict[str, Any]] = []
    reason = error.code or (error.type if error.type != fields["status"] else "")
    if reason:
        details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason})
    if error.request_id:
        kind = "type.googleapis.com/google.rpc.RequestInfo"
        details.append({"@type": kind, "requestId": error.request_id})
    if error.retry_after_seconds is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details.append({"@type": kind, "retryDelay": f"{error.retry_after_seconds:g}s"})
    if details:
        fields["details"] = details
    return orjson.dumps({"error": fields})


def error_event(error: ProviderError) -> bytes:
    """The event that ends a server-sent stream in an error."""
    return sse.encode(error_envelope(error))


class Grammar:
    """Says what is illegal in a stream; shares nothing with the mender but the tables above."""

    def __init__(self) -> None:
        self._began = False
        self._failed = False
        self._finished: set[int] = set()
        self._open: set[int] = set()
        self._blocked = False

    def feed(self, event: sse.Event) -> list[str]:
        """The violations of one event, of either framing."""
        if event.data is None:
            return ["a comment"] if b":" in event.raw else []
        if self._failed:
            return ["an event after an error"]
        try:
            data = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            return ["data that is not JSON"]
        if not isinstance(data, dict):
            return ["data that is no object"]
        if isinstance(data.get("error"), dict):
            self._failed = True
            return [] if data["error"].get("message") else ["an error without a message"]
        if data.keys().isdisjoint(RESPONSE_KEYS):
            return ["data that is no response"]
        self._began = True
        response = data.get("response") if isinstance(data.get("response"), dict) else data
        assert isinstance(response, dict)
        feedback = response.get("promptFeedback")
        self._blocked = self._blocked or bool(
            isinstance(feedback, dict) and feedback.get("blockReason")
        )
        candidates = response.get("candidates")
        if candidates is None:
            return ["candidates: null"] if "candidates" in response else []
        if not isinstance(candidates, list):
            return ["candidates that are no list"]
        return [problem for one in candidates for problem in self._candidate(one)]

    def end(self) -> list[str]:
        """The violations of a stream that ends here."""
        if self._failed or self._blocked:
            return []
        if not self._finished:
            return ["the end without a finish reason"]
        unfinished = sorted(self._open - self._finished)
        return [f"candidate {one} without a finish reason" for one in unfinished]

    def _candidate(self, candidate: Any) -> list[str]:
        if not isinstance(candidate, dict):
            return ["a candidate that is no object"]
        index = candidate.get("index", 0)
        self._open.add(index)
        problems = []
        reason = candidate.get("finishReason")
        if reason is not None:
            if not isinstance(reason, str) or not reason:
                problems.append(f"finish reason {reason!r}")
            self._finished.add(index)
        content = candidate.get("content")
        if content is None:
            return problems
        parts = content.get("parts") if isinstance(content, dict) else content
        if parts is None:
            return problems
        if not isinstance(parts, list):
            return [*problems, "parts that are no list"]
        for part in parts:
            call = part.get("functionCall") if isinstance(part, dict) else None
            if isinstance(call, dict):
                if not call.get("name"):
                    problems.append("a function call without a name")
                if not isinstance(call.get("args", {}), dict):
                    problems.append("function call args that are no object")
        return problems
