"""Reading errors of providers, in all known shapes, and the HTTP status of each.

The shapes: native envelopes, an envelope inside a 200 stream, bare `{code, message}` objects of
gateways, and JSON inside a message string. Errors are recognised in parsed data, never by a
substring.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeGuard

from wiremend.text.json_envelope import CONTENT_KEYS, is_envelope
from wiremend.text.patterns import linear_pattern, text_pattern

UNKNOWN_STATUS = 502

STATUS_BY_NAME: Mapping[str, int] = {
    # Anthropic: https://docs.anthropic.com/en/api/errors
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
    # OpenAI: https://platform.openai.com/docs/guides/error-codes
    "invalid_api_key": 401,
    "context_length_exceeded": 400,
    "model_not_found": 404,
    "rate_limit_exceeded": 429,
    "too_many_requests": 429,
    "insufficient_quota": 429,
    "usage_limit_reached": 429,
    "usage_not_included": 403,
    "server_error": 500,
    "internal_error": 500,
    "internal_server_error": 500,
    "server_is_overloaded": 503,
    "service_unavailable_error": 503,
    "service_unavailable": 503,
    "slow_down": 503,
    "upstream_error": 502,
    "bad_gateway": 502,
    "network_error": 502,
    # Gateways: names of HTTP statuses and of SDK exceptions, DashScope's throttling
    "bad_request": 400,
    "bad_request_error": 400,
    "unauthorized": 401,
    "payment_required": 402,
    "forbidden": 403,
    "permission_denied_error": 403,
    "request_timeout": 408,
    "throttling": 429,
    "quota_exceeded": 429,
    "gateway_timeout": 504,
    # Google: https://cloud.google.com/apis/design/errors
    "invalid_argument": 400,
    "failed_precondition": 400,
    "out_of_range": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "aborted": 409,
    "already_exists": 409,
    "resource_exhausted": 429,
    "cancelled": 499,
    "internal": 500,
    "unknown": 500,
    "data_loss": 500,
    "unimplemented": 501,
    "unavailable": 503,
    "deadline_exceeded": 504,
}

RETRYABLE_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})

FINAL_CODES = frozenset(
    {
        "insufficient_quota",
        "usage_limit_reached",
        "usage_not_included",
        "context_length_exceeded",
        "billing_hard_limit_reached",
    }
)
"""Codes that the same request would cause again, so it is not retried regardless of the status."""

_TRY_AGAIN = text_pattern(
    r"try again in\s*+(?:(\d+)h)?(?:(\d+)m(?!s))?(\d+(?:\.\d+)?)\s*+(ms|s)", ignore_case=True
)
_NUMBER = text_pattern(r"[45]\d\d\Z")
_WORD_START = linear_pattern(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SEPARATORS = linear_pattern(r"[\s_-]++")
_SECONDS = text_pattern(r"(\d{1,20}+(?:\.\d{1,20}+)?)s\Z")
_LONGEST_NAME = 100
_UNWRAP_LEVELS = 3
_PLACES_DEPTH = 6
_PLACES_LIMIT = 50
_UNKNOWN_SHAPE_CHARACTERS = 500
_BARE_KEYS = frozenset(
    [
        "code",
        "msg",
        "message",
        "request_id",
        "requestid",
        "success",
        "status",
        "type",
        "param",
        "detail",
        "timestamp",
    ]
)
_COMMON_FIELDS = frozenset(
    {"type", "code", "message", "msg", "status", "statusCode", "param", "error"}
    | {"request_id", "requestId"}
)
"""The members of an error object that are read; the others are the provider's own."""
_FINE = frozenset(["0", "200", "ok", "success"])
"""Codes that gateways use for success."""


LONGEST_WAIT_SECONDS = 366 * 24 * 3600.0
"""A longer wait is an error of the provider; clients would sleep, or fail on the number."""


@dataclass(frozen=True, slots=True)
class ErrorPlace:
    """A place in the request that an error names apart from its message."""

    path: tuple[str | int, ...]
    """Keys and indices, as the provider writes them: pydantic begins with `body`."""
    message: str = ""
    kind: str = ""
    """The provider's name of the fault: `extra_forbidden`, `unrecognized_keys`."""


@dataclass(frozen=True, slots=True)
class ProviderError:
    """An error of a provider, independent of its envelope."""

    status: int
    """The HTTP status of the error, also if it arrived in a 200 response."""
    type: str = ""
    code: str = ""
    message: str = ""
    request_id: str = ""
    retry_after_seconds: float | None = None
    param: str | None = None
    own_fields: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What else the provider's error object contains: `failed_generation`, `innererror` …"""
    places: tuple[ErrorPlace, ...] = ()
    """The places in the request that a validator lists: pydantic's `loc`, zod's `path`."""
    is_own: bool = field(default=False, compare=False)
    """Whether wiremend made it: the provider, or the network, failed without reporting an error."""

    def __post_init__(self) -> None:
        """Replace lone surrogates, which cannot be encoded, and drop a wait that no one means."""
        for name in ("type", "code", "message", "request_id", "param"):
            text = getattr(self, name)
            if text and not text.isascii():
                object.__setattr__(self, name, text.encode("utf-8", "replace").decode())
        if not is_wait(self.retry_after_seconds):
            object.__setattr__(self, "retry_after_seconds", None)

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed if it is sent again."""
        names = {self.code.lower(), self.type.lower()}
        return self.status in RETRYABLE_STATUS and FINAL_CODES.isdisjoint(names)

    def with_message(self, message: str) -> "ProviderError":
        """Return the same error with another message."""
        return replace(self, message=message)

    def with_default_message(self, name: str) -> "ProviderError":
        """Return the same error; a blank message is replaced by one with this name of the error."""
        if self.message.strip():
            return self
        return self.with_message(f"The provider reported {name} without a message.")

    def type_or(self, by_status: Mapping[int, str], server_error: str) -> str:
        """Return the type of the error; if it has none, the type of its status in a protocol.

        Other statuses than those in `by_status` give `invalid_request_error` below 500, else
        `server_error`.
        """
        if self.type:
            return self.type
        default = "invalid_request_error" if self.status < 500 else server_error
        return by_status.get(self.status, default)


def read_error(value: Any) -> ProviderError | None:
    """Return the error that a parsed event or body reports, or None.

    `"error": null` does not report an error, nor does an `error` key below the top level.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # Gemini sends errors inside its array
    error = _read_error(value) if isinstance(value, dict) else None
    return error if error is None else _with_places(error, value)


def _read_error(value: Mapping[str, Any]) -> ProviderError | None:
    inner = value.get("error")
    if isinstance(inner, dict) and inner:
        error = error_from(inner, request_id=_request_id(value))
        own_fields = _own_fields(inner) if not _COMMON_FIELDS.isdisjoint(inner) else {}
        return replace(error, own_fields={**own_fields, **error.own_fields})
    if isinstance(inner, str) and inner.strip():
        return _error_named_in_text(value, inner)
    is_flagged = bool(inner) and not isinstance(inner, str)  # `"error": true`
    is_named = value.get("type") == "error" or value.get("object") == "error"
    return error_from(value) if is_flagged or is_named or _is_bare_error(value) else None


def _with_places(error: ProviderError, value: Any) -> ProviderError:
    """Return the error with the places that its parsed body lists, if it has none yet."""
    if error.places:
        return error
    places = tuple(islice(_places(value, _PLACES_DEPTH), _PLACES_LIMIT))
    return replace(error, places=places) if places else error


def _places(value: Any, depth: int) -> Iterator[ErrorPlace]:
    """Yield the places in a parsed error: the objects with `loc`, or with `path` and a code."""
    if isinstance(value, list):
        for item in value[:_PLACES_LIMIT] if depth else ():
            yield from _places(item, depth - 1)
    elif isinstance(value, dict):
        steps = value.get("loc", value.get("path") if "code" in value else None)
        if isinstance(steps, list):
            path = tuple(s for s in steps[:_PLACES_LIMIT] if isinstance(s, str | int))
            message, kind = _message(value), _text(value.get("type") or value.get("code"))
            keys = value.get("keys")
            for key in keys[:_PLACES_LIMIT] if isinstance(keys, list) else ():
                if isinstance(key, str):
                    yield ErrorPlace((*path, key), message, kind)
            if not keys:
                yield ErrorPlace(path, message, kind)
            return
        for item in list(value.values())[:_PLACES_LIMIT] if depth else ():
            yield from _places(item, depth - 1)


def error_in_envelope(value: Any) -> ProviderError | None:
    """Return the error that an envelope without content reports, or None."""
    if not is_envelope(value) or any(value.get(key) for key in CONTENT_KEYS):
        return None
    return read_error({key: item for key, item in value.items() if key not in CONTENT_KEYS})


def error_from(fields: Mapping[str, Any], request_id: str = "") -> ProviderError:
    """Return the error with these fields of an error object (code, type, status, message …)."""
    message = _message(fields)
    error_type = _text(fields.get("type"))
    code = _text(fields.get("code"))
    status = fields.get("status") or fields.get("statusCode")
    has_facts = bool(message or code or error_type or status)
    if not has_facts:
        nested = fields.get("error")
        if isinstance(nested, dict) and nested:
            return error_from(nested, request_id)
        message = json.dumps(dict(fields))[:_UNKNOWN_SHAPE_CHARACTERS]
    error = make_error(
        code=code,
        status=status,
        type="" if error_type == "error" else error_type,
        message=message,
        request_id=request_id or _request_id(fields),
        retry_after_seconds=_retry_delay(fields.get("details"), message),
        param=fields["param"] if isinstance(fields.get("param"), str) else None,
    )
    return _unwrapped(error) if has_facts else error


def make_error(
    *,
    code: str = "",
    status: Any = None,
    type: str = "",
    message: str = "",
    request_id: str = "",
    retry_after_seconds: float | None = None,
    param: str | None = None,
) -> ProviderError:
    """Create an error; its HTTP status comes from code, status or type, in that order.

    No retry delay is read from `message`, which may quote a provider. `error_from` and
    `error_of_text` read the delays in the errors of providers.
    """
    if isinstance(status, str) and not type:
        type = status
    return ProviderError(
        status=_status_of(code, status, type),
        type=type,
        code="" if code.isdigit() else code,
        message=message,
        request_id=request_id,
        retry_after_seconds=retry_after_seconds,
        param=param,
    )


def own_error(
    message: str, *, status: int = UNKNOWN_STATUS, type: str = "", code: str = ""
) -> ProviderError:
    """Create an error that no provider reported."""
    return replace(make_error(status=status, type=type, code=code, message=message), is_own=True)


def error_of_text(text: str, *, status: int | None = None, type: str = "") -> ProviderError:
    """Return the error that a provider reports in plain text, with the delay in the text."""
    return make_error(
        status=status, type=type, message=text, retry_after_seconds=wait_in_seconds(text)
    )


def is_wait(seconds: float | None) -> TypeGuard[float]:
    """Return whether a provider can mean this wait: a number, not negative, of a year at most."""
    return seconds is not None and 0 <= seconds <= LONGEST_WAIT_SECONDS


def wait_in_seconds(message: str) -> float | None:
    """Return the delay in a provider's message ("try again in 1m20s") in seconds, or None."""
    match = _TRY_AGAIN.search(message)
    if match is None:
        return None
    hours, minutes, number, unit = match.groups()
    seconds = float(number) / (1000 if unit.lower() == "ms" else 1)
    # `int` refuses more than 4300 digits; `float` returns infinity for them.
    return float(hours or 0) * 3600 + float(minutes or 0) * 60 + seconds


def _error_named_in_text(value: Mapping[str, Any], text: str) -> ProviderError:
    """Return the error for an `error` string: the message, or a status name next to a message."""
    name = _snake_case(text)
    message = _message(value) or _text(text)
    error = make_error(
        code=_text(value.get("code")),
        status=value.get("status") or value.get("statusCode"),
        type=name if name in STATUS_BY_NAME else "",
        message=message,
        request_id=_request_id(value),
        retry_after_seconds=wait_in_seconds(message),
    )
    return _unwrapped(error)


def _status_of(*names: Any) -> int:
    for name in names:
        number = int(name) if isinstance(name, str) and _NUMBER.match(name) else name
        if isinstance(number, int) and 400 <= number <= 599:
            return number
    for name in names:
        if isinstance(name, str) and (status := STATUS_BY_NAME.get(_snake_case(name))):
            return status
    return UNKNOWN_STATUS


def _snake_case(name: str) -> str:
    """Return a name in snake case, from `InternalServerError`, `Too Many Requests` or `UNKNOWN`.

    A text that is too long for a name becomes an empty one.
    """
    if len(name) > _LONGEST_NAME:
        return ""
    words = _SEPARATORS.split(_WORD_START.sub("_", name.strip()))
    return "_".join(words).lower()


def _is_bare_error(value: Mapping[str, Any]) -> bool:
    """Return whether this is `{code, message}` without members of any protocol's events."""
    keys = {key.lower() for key in value}
    if keys == {"detail"}:
        return bool(_message(value))
    if not keys <= _BARE_KEYS or not isinstance(value.get("message", value.get("msg")), str):
        return False
    if value.get("success") is False:
        return True
    code = value.get("code")
    return isinstance(code, str | int) and not isinstance(code, bool) and _text(code) not in _FINE


def _message(fields: Mapping[str, Any]) -> str:
    """Return the message of an error, with the message of the provider behind a gateway."""
    text: Any = next((fields[key] for key in ("message", "msg", "detail") if fields.get(key)), "")
    if isinstance(text, list | dict):
        text = json.dumps(text)
    message = _text(text)
    metadata = fields.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str) or not raw.strip():
        return message
    inner = _unwrapped(ProviderError(status=UNKNOWN_STATUS, message=raw)).message
    if inner in message:
        return message  # a proxy before this one has appended it
    return f"{message}: {inner}" if message else inner


def _unwrapped(error: ProviderError) -> ProviderError:
    """Return the innermost error if the message is itself JSON, a few levels deep."""
    for _ in range(_UNWRAP_LEVELS):
        text = error.message.lstrip()
        if not text.startswith(("{", "[")):
            break
        try:
            value, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            break
        inner = _inner_error(value)
        if inner is None or not inner.message:
            break
        error = ProviderError(
            status=inner.status if error.status == UNKNOWN_STATUS else error.status,
            type=inner.type or error.type,
            code=inner.code or error.code,
            message=inner.message + text[end:].rstrip(),
            request_id=error.request_id or inner.request_id,
            retry_after_seconds=error.retry_after_seconds or inner.retry_after_seconds,
            param=inner.param or error.param,
            own_fields={**error.own_fields, **inner.own_fields},
            places=error.places or inner.places,
        )
        error = _with_places(error, value)
    return error


def _inner_error(value: Any) -> ProviderError | None:
    """Return the error in parsed message text, where `{"message": …}` or a list is one too."""
    if isinstance(value, list):
        value = value[0] if value else None
    error = read_error(value)
    if error is None and isinstance(value, dict) and _message(value):
        error = error_from(value)
    return error


def _own_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of an error object that no envelope has a field for."""
    return {
        key: value
        for key, value in fields.items()
        if key not in _COMMON_FIELDS and value is not None
    }


def _retry_delay(details: Any, message: str) -> float | None:
    """Return the delay of Google's RetryInfo (`{"retryDelay": "34s"}`) or of the message, in s."""
    for detail in details if isinstance(details, list) else ():
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and (match := _SECONDS.match(delay)):
            return float(match[1])
    return wait_in_seconds(message)


def _request_id(value: Mapping[str, Any]) -> str:
    return _text(value.get("request_id") or value.get("requestId"))


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = value if isinstance(value, str) else str(value)
    return text.encode("utf-8", "replace").decode()  # a lone surrogate cannot be encoded
