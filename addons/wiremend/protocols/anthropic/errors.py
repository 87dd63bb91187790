"""Errors of the Messages API: the body of an HTTP error, and the event that ends a stream.

https://docs.anthropic.com/en/api/errors
"""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.provider_error import ProviderError
from wiremend.text import json_value, sse

ERROR_REASONS: Mapping[str, int] = {
    "error": 500,
    "network_error": 502,
    "failed": 502,
    # vLLM and SGLang: the engine gave the request up
    "abort": 502,
    "aborted": 502,
    "cancelled": 502,
    "canceled": 502,
    # DeepSeek
    "insufficient_system_resource": 503,
    # Gemini and Bedrock: the model's output cannot be used
    "malformed_function_call": 502,
    "unexpected_tool_call": 502,
    "too_many_tool_calls": 502,
    "malformed_response": 502,
    "malformed_model_output": 502,
    "malformed_tool_use": 502,
    # gateways
    "server_error": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "upstream_error": 502,
    "connection_error": 502,
    "provider_error": 502,
    "timeout": 504,
    "overloaded": 529,
    "overloaded_error": 529,
    "rate_limit": 429,
}
"""Finish reasons that report a failure, and the HTTP status of each.

A reason of this protocol is none of them, even if it reports no answer: `refusal`."""


_TYPE_BY_STATUS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""https://docs.anthropic.com/en/api/errors"""


def normalised(reason: str) -> str:
    """Return a finish reason in lower case with underscores: `network-error`, `ABORT`."""
    return reason.strip().lower().replace("-", "_").replace(" ", "_")


def error_status(reason: str) -> int | None:
    """Return the HTTP status of a finish reason that reports a failure, else None."""
    return ERROR_REASONS.get(normalised(reason))


def error_type(error: ProviderError) -> str:
    """Return the type of the error; if it has none, the type of its status."""
    return error.type_or(_TYPE_BY_STATUS, "api_error")


def error_envelope(error: ProviderError) -> bytes:
    """Return the body of an HTTP error."""
    fields: dict[str, Any] = {"type": error_type(error), "message": error.message}
    fields |= error.own_fields
    if error.code:
        fields["code"] = error.code
    envelope: dict[str, Any] = {"type": "error", "error": fields}
    if error.request_id:
        envelope["request_id"] = error.request_id
    return json_value.write(envelope)


def error_event(error: ProviderError) -> bytes:
    """Return the event that ends a stream in an error."""
    return sse.encode(error_envelope(error), "error")
