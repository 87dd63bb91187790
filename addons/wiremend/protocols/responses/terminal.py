"""What the terminal event of a Responses stream, or a whole response, reports as its end."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.draft import Draft
from wiremend.protocols.base.provider_error import ProviderError, make_error, read_error
from wiremend.protocols.responses.grammar import COMPLETE, COMPLETED, INCOMPLETE, UNFINISHED
from wiremend.rules.rule import Rule
from wiremend.text.json_value import JsonObject

_P = ("responses",)

END_CONTRADICTED = Rule(
    code="S328",
    name="end-contradicted",
    detects="`response.completed` contains a response that is incomplete, or the reverse; or the "
    "terminal event is `response.done`.",
    impact="Clients take a cut answer for a complete one, and run or show it.",
    action="The response that is incomplete wins: the event becomes `response.incomplete`, the "
    "status `incomplete`.",
    protocols=_P,
    seen=("vllm-project/vllm#45386",),
    before='{"type":"response.completed","response":{"status":"incomplete", …}}',
    after='{"type":"response.incomplete","response":{"status":"incomplete", …}}',
)
DONE_TYPE = "response.done"
"""The terminal event of the Realtime API, which gateways use here, too."""
ENDS = COMPLETE | {DONE_TYPE}

_FAILURES: Mapping[str, int] = {
    "failed": 500,
    "error": 500,
    "errored": 500,
    "server_error": 500,
    "internal_error": 500,
    # vLLM and SGLang: the engine gave the request up
    "abort": 502,
    "aborted": 502,
    "cancelled": 502,
    "canceled": 502,
    "expired": 502,
    "network_error": 502,
    "upstream_error": 502,
    "provider_error": 502,
    "connection_error": 502,
    "malformed_function_call": 502,
    "insufficient_system_resource": 503,
    "timeout": 504,
}
"""Statuses and reasons that report a failure, and the HTTP status of each."""
_FAILED_TYPES = {
    f"response.{status}": status for status in ("cancelled", "canceled", "aborted", "expired")
}


def failure_in(kind: str, response: Mapping[str, Any]) -> ProviderError | None:
    """Return the failure that a response reports by its status or reason, or by its event's type.

    `kind` is empty for a whole response.
    """
    words = [_FAILED_TYPES.get(kind), response.get("status"), _reason_in(response)]
    for word in words:
        name = word.strip().lower().replace("-", "_") if isinstance(word, str) else ""
        if name in _FAILURES:
            error = response.get("error")
            found = read_error({"error": error}) if isinstance(error, dict) else None
            if found is not None:
                return found
            if name == "failed":
                return make_error()
            message = f"The provider ended the response as {word!r}."
            return make_error(status=_FAILURES[name], type="server_error", message=message)
    return None


def is_failed_type(kind: str) -> bool:
    """Return whether an event of this type reports that the response failed."""
    return kind in _FAILED_TYPES


def is_incomplete(response: Mapping[str, Any], kind: str = "") -> bool:
    """Return whether a response was cut: by the output limit, or by a filter."""
    if kind == INCOMPLETE or response.get("status") == "incomplete":
        return True
    return bool(_reason_in(response))


def settle_end(data: JsonObject, kind: str, draft: Draft) -> str:
    """Make the type of a terminal event and its status agree; return the type."""
    response = data.get("response")
    if kind not in ENDS or not isinstance(response, dict):
        return kind
    end = INCOMPLETE if is_incomplete(response, kind) else COMPLETED
    status = response.get("status")
    is_wrong = end == INCOMPLETE and isinstance(status, str) and status != "incomplete"
    if (kind != end or (is_wrong and status not in UNFINISHED)) and draft.change(
        END_CONTRADICTED, f"{kind} with the status {status!r}", end
    ):
        kind = data["type"] = end
        if end == INCOMPLETE:
            response["status"] = "incomplete"
    return kind


def _reason_in(response: Mapping[str, Any]) -> str:
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    return reason if isinstance(reason, str) else ""
