"""What Chat Completions and Responses share: credentials, schemas, model lists, HTTP errors.

https://platform.openai.com/docs/guides/error-codes
"""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.protocol import KeyHeader, ModelList
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.tools import SchemaForm
from wiremend.text import json_value
from wiremend.text.json_edits import Path

KEY_HEADER = KeyHeader("authorization", "Bearer {}")
IDENTIFIERS: Mapping[Path, int] = {
    ("prompt_cache_key",): 64,
    ("safety_identifier",): 64,
}
"""The identifiers that the client chooses, and their longest lengths."""
SCHEMA_FORM = SchemaForm(b'{"type":"object","properties":{},"additionalProperties":false}')


def _entry(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "wiremend"}


# https://platform.openai.com/docs/api-reference/models/list
MODEL_LIST = ModelList("data", "id", lambda answer: answer.get("object") == "list", _entry)

_TYPE_BY_STATUS: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
    504: "timeout_error",
    529: "service_unavailable_error",
}


def error_type(error: ProviderError) -> str:
    """Return the type of the error; if it has none, the type of its status."""
    return error.type_or(_TYPE_BY_STATUS, "server_error")


def error_envelope(error: ProviderError) -> bytes:
    """Return the body of an HTTP error, with the provider's own fields of the error."""
    envelope: dict[str, Any] = {
        "error": {
            **error.own_fields,
            "message": error.message,
            "type": error_type(error),
            "param": error.param,
            "code": error.code or None,
        }
    }
    if error.request_id:
        envelope["request_id"] = error.request_id
    return json_value.write(envelope)
