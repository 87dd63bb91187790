"""Removes secrets from a flow before it is printed, saved or exported.

mitmproxy's addons and its connections use the same flow object. When a flow is complete its request
has been sent, and calls send a separate copy of their request from the start. The client still
receives the original response (`seam.flows`).
"""

from collections.abc import Set
from typing import Any

from mitmproxy import http

from wiremend.call_record.kept_bytes import KeptBytes
from wiremend.call_record.schema import METADATA_KEY
from wiremend.seam.flows import forget_backup, show_response_as
from wiremend.secrets import (
    masked,
    masked_bytes,
    masked_in_place,
    redacted_path,
    redacted_value,
    secret_values,
    without_quoted_bytes,
)


def secrets_of(flow: http.HTTPFlow) -> frozenset[str]:
    """Return the credentials in this request, in all forms in which they may occur."""
    request = flow.request
    fields = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in request.headers.fields]
    return secret_values(fields, request.path)


def conceal_request(flow: http.HTTPFlow, values: Set[str]) -> None:
    """Redact credentials by name, and these values wherever they occur."""
    request = flow.request
    request.headers = http.Headers(_concealed(request.headers.fields, values))
    request.path = masked(redacted_path(request.path), values)
    if request.raw_content:
        request.data.content = masked_bytes(request.raw_content, values)
    forget_backup(flow)


def conceal(flow: http.HTTPFlow, values: Set[str]) -> None:
    """Redact the whole flow: request, response, error and record."""
    conceal_request(flow, values)
    response = flow.response
    if response is not None:
        content = response.raw_content
        show_response_as(
            response,
            _concealed(response.headers.fields, values),
            masked_bytes(content, values) if content else content,
        )
    if flow.error is not None:
        flow.error.msg = masked(without_quoted_bytes(flow.error.msg), values)
    if METADATA_KEY in flow.metadata:
        flow.metadata[METADATA_KEY] = _masked_value(flow.metadata[METADATA_KEY], values)


def _concealed(
    fields: tuple[tuple[bytes, bytes], ...], values: Set[str]
) -> list[tuple[bytes, bytes]]:
    concealed = []
    for name, value in fields:
        shown = redacted_value(name.decode("latin-1"), value.decode("latin-1"))
        concealed.append((name, masked_bytes(shown.encode("latin-1"), values)))
    return concealed


def masked_record(record: dict[str, Any], values: Set[str]) -> dict[str, Any]:
    """Return the record of a call, or a part of it, without secrets.

    Headers are redacted by name. Bytes keep their length, so that the recorded ends of chunks and
    the length headers stay correct.
    """
    return {name: _masked_field(name, value, values) for name, value in record.items()}


def _masked_field(name: str, value: Any, values: Set[str]) -> Any:
    if name == "headers" and isinstance(value, list):
        return [_masked_header(header, values) for header in value]
    if name == "url" and isinstance(value, str):
        return masked(redacted_path(value), values)
    return _masked_value(value, values)


def _masked_value(value: Any, values: Set[str]) -> Any:
    if isinstance(value, str):
        return masked(value, values)
    if isinstance(value, bytes):
        concealed = masked_in_place(value, values)
        is_kept = concealed is value and isinstance(value, KeptBytes)
        return value if is_kept else KeptBytes(concealed)  # plain bytes if loaded from a file
    if isinstance(value, list | tuple):
        return [_masked_value(item, values) for item in value]
    return masked_record(value, values) if isinstance(value, dict) else value


def _masked_header(header: Any, values: Set[str]) -> Any:
    match header:
        case [str() as name, str() as value]:
            return [name, masked(redacted_value(name, value), values)]
        case _:
            return _masked_value(header, values)
