"""Errors of the Messages API: the body of an HTTP error, and the event that ends a stream.

https://docs.anthropic.com/en/api/errors
"""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.provider_error import ProviderError
from wiremend.text import json_value, sse

ERROR_REASONS: Mapping[str, int] = {"error": 500, "network_error": 502}
"""Finish reasons of gateways that report a failure, and the HTTP status of each."""


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


def error_type(error: ProviderError) -> str:
    """Return the type of the error; if it has none, the type of its status."""
    return error.type_or(_TYPE_BY_STATUS, "api_error")


def error_envelope(error: ProviderError) -> bytes:
    """Return the body of an HTTP error."""
    fields: dict[str, Any] = {"type": error_type(error), "message": error.message}
    if error.code:
        fields["code"] = error.code
    envelope: dict[str, Any] = {"type": "error", "error": fields}
    if error.request_id:
        envelope["request_id"] = error.request_id
    return json_value.write(envelope)


def error_event(error: ProviderError) -> bytes:
    """Return the event that ends a stream in an error."""
    return sse.encode(error_envelope(error), "error")
