"""Errors of the Responses API: the event that ends a stream, in the form that clients read."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wiremend.protocols.base.openai import error_type
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.responses.grammar import FAILED
from wiremend.text import json_value, sse

_CODE_BY_STATUS: Mapping[int, str] = {429: "rate_limit_exceeded"}


_OVERLOADED = frozenset({"server_is_overloaded", "slow_down"})


_OVERLOADED_WAIT_SECONDS = 2.0


def error_code(error: ProviderError) -> str:
    """Return the code for `response.failed`: the error's own, else one that clients retry."""
    return error.code or _CODE_BY_STATUS.get(error.status, "server_error")


def client_error(error: ProviderError, *, before_output: bool) -> ProviderError:
    """Return the error with a code and message that clients act on; neither is empty.

    Codex reads its retry delay from "try again in Ns" with the code `rate_limit_exceeded`. It does
    not retry on an overloaded server, so before any output that code is replaced.
    """
    message = error.with_default_message(error.code or error_type(error)).message
    wait, code = error.retry_after_seconds, error_code(error)
    if before_output and code in _OVERLOADED:
        code, wait = "rate_limit_exceeded", _OVERLOADED_WAIT_SECONDS if wait is None else wait
    is_limit = code == "rate_limit_exceeded" and wait is not None
    if is_limit and "try again in" not in message.lower():
        message = f"{message} Please try again in {wait:g}s."
    return replace(error, code=code, message=message)


def error_event(
    error: ProviderError,
    response: Mapping[str, Any],
    sequence_number: int,
    *,
    before_output: bool = False,
) -> bytes:
    """Return `response.failed`, the only error event that every client reads.

    `response` contains the known fields of the response object.
    """
    shown = client_error(error, before_output=before_output)
    failed = {
        **response_object(response),
        "status": "failed",
        "error": {**shown.own_fields, "code": shown.code, "message": shown.message},
        "incomplete_details": None,
    }
    event = {"type": FAILED, "sequence_number": sequence_number, "response": failed}
    return sse.encode(json_value.write(event), FAILED)


def response_object(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a response object with all fields that the SDKs require; `fields` overrides them."""
    return {
        "id": "resp_unknown",
        "object": "response",
        "created_at": 0,
        "model": "",
        "status": "in_progress",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        **fields,
    }
