"""Errors of the Responses API: the events that end a stream, in the form that each client reads."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from wiremend.protocols.base.openai_errors import error_type
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.responses.grammar import FAILED
from wiremend.text import sse

_CODE_BY_STATUS: Mapping[int, str] = {429: "rate_limit_exceeded"}


_OVERLOADED = frozenset({"server_is_overloaded", "slow_down"})


_OVERLOADED_WAIT_SECONDS = 2.0


def error_code(error: ProviderError) -> str:
    """The code of `response.failed`: the error's own, else one that every client retries."""
    return error.code or _CODE_BY_STATUS.get(error.status, "server_error")


def client_error(error: ProviderError, *, before_output: bool) -> ProviderError:
    """The error in the words that clients act on: code and message are never empty.

    Codex takes its delay from "try again in Ns" under the code `rate_limit_exceeded`, and gives
    up on an overloaded server, which before any output is better asked again.
    """
    message, wait, code = error.message, error.retry_after_seconds, error_code(error)
    if not message.strip():
        message = f"The provider reported {error.code or error_type(error)} without a message."
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
    """`response.failed`, the one error that every client reads.

    `response` is the response object as far as it is known.
    """
    worded = client_error(error, before_output=before_output)
    failed = {
        **response_object(response),
        "status": "failed",
        "error": {"code": worded.code, "message": worded.message},
        "incomplete_details": None,
    }
    event = {"type": FAILED, "sequence_number": sequence_number, "response": failed}
    return sse.encode(orjson.dumps(event), FAILED)


def response_object(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A response object with everything that the SDKs require; `fields` overrides it."""
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
