"""Errors of the Gemini API: the status names of Google, and the envelope.

https://google.aip.dev/193
"""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.provider_error import (
    ProviderError,
    error_in_envelope,
    read_error,
)
from wiremend.text import json_value, sse

NAME_BY_STATUS: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""https://cloud.google.com/apis/design/errors"""


_NAMES = frozenset(NAME_BY_STATUS.values()) | {
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "ALREADY_EXISTS",
    "UNKNOWN",
    "DATA_LOSS",
}


STATUS_BY_FAILED_REASON: Mapping[str, int] = {
    "error": 500,
    "failed": 502,
    "network_error": 502,
    # vLLM and SGLang: the engine gave the request up
    "abort": 502,
    "aborted": 502,
    "cancelled": 502,
    "canceled": 502,
    # DeepSeek
    "insufficient_system_resource": 503,
    # gateways
    "server_error": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "upstream_error": 502,
    "connection_error": 502,
    "provider_error": 502,
    "timeout": 504,
    "overloaded": 503,
    "overloaded_error": 503,
    "unavailable": 503,
    "rate_limit": 429,
}
"""The HTTP status of the finish reasons that report a failure, in lower case.

None of them is one of this protocol. Its own (`OTHER`, `MALFORMED_FUNCTION_CALL`) are answers.
"""

_TYPE_URL = "type.googleapis.com/google.rpc."


def error_in_response(value: Any) -> ProviderError | None:
    """Return the error that a response reports, in Code Assist's wrapper or another envelope."""
    error = read_error(value)
    if error is not None or not isinstance(value, dict) or "candidates" in value:
        return error
    return read_error(value.get("response")) or error_in_envelope(value)


def error_name(error: ProviderError) -> str:
    """Return the status name of the error: its own if it has one, else the one of its status."""
    if error.type in _NAMES:
        return error.type
    if error.status in NAME_BY_STATUS:
        return NAME_BY_STATUS[error.status]
    return "INVALID_ARGUMENT" if error.status < 500 else "UNAVAILABLE"


def failed_status(reason: str) -> int | None:
    """Return the HTTP status of a finish reason that reports a failure, else None."""
    name = reason.strip().lower().replace("-", "_").replace(" ", "_")
    return STATUS_BY_FAILED_REASON.get(name.removeprefix("finish_reason_"))


def error_envelope(error: ProviderError) -> bytes:
    """Return the body of an HTTP error: `{"error": {"code", "message", "status", "details"?}}`."""
    name = error_name(error)
    details: list[dict[str, Any]] = []
    reason = error.code or (error.type if error.type != name else "")
    if reason:
        details.append({"@type": f"{_TYPE_URL}ErrorInfo", "reason": reason})
    if error.request_id:
        details.append({"@type": f"{_TYPE_URL}RequestInfo", "requestId": error.request_id})
    if error.retry_after_seconds is not None:
        delay = f"{error.retry_after_seconds:g}s"
        details.append({"@type": f"{_TYPE_URL}RetryInfo", "retryDelay": delay})
    fields: dict[str, Any] = {
        **error.own_fields,
        "code": error.status,
        "message": error.with_default_message(name).message.strip(),
        "status": name,
    }
    own = error.own_fields.get("details")
    if isinstance(own, list):
        kinds = {detail.get("@type") for detail in own if isinstance(detail, dict)}
        details = [*own, *(detail for detail in details if detail["@type"] not in kinds)]
    if details:
        fields["details"] = details
    return json_value.write({"error": fields})


def error_event(error: ProviderError) -> bytes:
    """Return the event that ends a stream with `alt=sse`: a data line with the envelope."""
    return sse.encode(error_envelope(error))
