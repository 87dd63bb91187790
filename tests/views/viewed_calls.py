"""Calls as the views are given them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from wiremend.call_record.schema import CallRecord
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing import answers
from wiremend.views.content.view_list import VIEWS, View, render
from wiremend.views.content.viewed import ShownRequest, ShownResponse, ViewedCall

RULE_NAMES = {"S105": "block-index", "R002": "connection-lost", "R005": "retryable-status"}
JSON = "application/json"


def view_named(name: str) -> View:
    return next(view for view in VIEWS if view.name == name)


def lines_of(view: str, call: ViewedCall, *, of: str) -> list[str]:
    return render(view_named(view), call, is_request=of == "request").split("\n")


def request(protocol: WireProtocol, body: Mapping[str, Any] | bytes | None = None) -> ShownRequest:
    shown = answers.request_body(protocol, stream=True) if body is None else body
    data = shown if isinstance(shown, bytes) else json.dumps(shown).encode()
    return ShownRequest("POST", answers.PATHS[protocol, True], JSON, data)


def kept_body(
    data: bytes, seconds: Sequence[float] = (), ends: Sequence[int] = ()
) -> dict[str, Any]:
    chunks = list(zip(seconds, ends, strict=True)) or [(0.1, len(data))]
    return {"data": data, "size": len(data), "chunks": chunks}


def kept_request(body: bytes, url: str = "https://api.anthropic.com/v1/messages") -> dict[str, Any]:
    headers = [("content-type", JSON)]
    return {"method": "POST", "url": url, "headers": headers, "body": kept_body(body)}


def kept_response(body: dict[str, Any]) -> dict[str, Any]:
    return {"status": 200, "headers": [("content-type", "text/event-stream")], "body": body}


def attempt(number: int = 1, **fields: Any) -> dict[str, Any]:
    usual = {
        "number": number,
        "provider": "api.anthropic.com",
        "model": "claude-opus-5",
        "outcome": "answered",
        "detail": "ok",
        "start_seconds": 0.0,
        "end_seconds": 2.0,
    }
    return {**usual, **fields}


def record(**fields: Any) -> CallRecord:
    usual = {
        "protocol": "anthropic-messages",
        "client": "claude-code",
        "model_asked": "claude-opus-5",
        "model_used": "claude-opus-5",
        "provider": "api.anthropic.com",
        "outcome": "answered",
        "detail": "ok",
        "head_seconds": 0.25,
        "end_seconds": 2.0,
        "attempts": [attempt()],
    }
    return CallRecord.model_validate({**usual, **fields})


def found(code: str, where: Mapping[str, Any], found: str, done: str) -> dict[str, Any]:
    return {"code": code, "place": where, "found": found, "done": done}


def event(number: int) -> dict[str, Any]:
    return {"kind": "event", "number": number}


def call(
    protocol: WireProtocol = answers.ANTHROPIC,
    *,
    body: Mapping[str, Any] | bytes | None = None,
    answer: bytes | None = None,
    status: int = 200,
    record: CallRecord | None = None,
    error: str = "",
    earlier: Sequence[ViewedCall] = (),
) -> ViewedCall:
    return ViewedCall(
        request=request(protocol, body),
        response=None if answer is None else ShownResponse(status, answer),
        record=record,
        error=error,
        rule_names=RULE_NAMES,
        earlier=lambda: earlier,
    )
