"""The bytes of the bench's requests and answers: valid traffic that no rule changes."""

import json
from typing import Any

from benchmarks.load import Route
from benchmarks.upstream import AnswerBytes

HOST = "api.anthropic.com"
PATH = "/v1/messages"
CHAT_PATH = "/v1/chat/completions"
"""What contenders that translate request from the provider."""
MODEL = "claude-sonnet-4-5"
UNSTAMPED_MARK = "@ns:" + "0" * 19 + ";"
"""What the load client counts; the scripted provider replaces the digits in paced answers."""

_SYSTEM = "You are an agent that works on the user's project with care. "
_DELTA_TEXT = " the quick brown fox"
_HEADERS = {
    "accept": "application/json",
    "accept-encoding": "gzip, deflate, br, zstd",
    "anthropic-beta": "fine-grained-tool-streaming-2025-05-14",
    "anthropic-version": "2023-06-01",
    "content-type": "application/json",
    "user-agent": "wiremend-bench",
    "x-api-key": "sk-ant-bench-key-of-the-bench",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600",
}


def body(size: int, tools: int) -> bytes:
    """Return the body of an Anthropic request with `tools` tools, of about `size` bytes."""
    content: dict[str, Any] = {
        "model": MODEL,
        "max_tokens": 1024,
        "stream": True,
        "system": _SYSTEM,
        "messages": [{"role": "user", "content": "Say hello."}],
        "tools": [_tool(number) for number in range(tools)],
    }
    missing = size - len(json.dumps(content))
    content["system"] += _SYSTEM * (missing // len(_SYSTEM))
    return json.dumps(content).encode()


def request(route: Route, content: bytes) -> bytes:
    """Return the bytes of a request with this body for a contender."""
    host = route.tls or (HOST if route.target else f"127.0.0.1:{route.port}")
    headers = {"host": host, **_HEADERS, **route.headers, "content-length": str(len(content))}
    lines = [f"POST {route.target}{PATH} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


def answer_events() -> tuple[list[bytes], bytes, list[bytes]]:
    """Return the events before the deltas, a delta, and the events after them."""
    usage = {"input_tokens": 25, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    block = {"type": "text", "text": ""}
    text = {"type": "text_delta", "text": UNSTAMPED_MARK + _DELTA_TEXT}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    return (
        [
            _event({"type": "message_start", "message": message}),
            _event({"type": "content_block_start", "index": 0, "content_block": block}),
        ],
        _event({"type": "content_block_delta", "index": 0, "delta": text}),
        [
            _event({"type": "content_block_stop", "index": 0}),
            _event({"type": "message_delta", "delta": end, "usage": {"output_tokens": 15}}),
            _event({"type": "message_stop"}),
        ],
    )


def chat_events() -> tuple[list[bytes], bytes, list[bytes]]:
    """Return the same answer in Chat Completions: the first chunk, a delta, and the last ones."""
    chunk: dict[str, Any] = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "model": MODEL,
    }

    def event(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return _data(chunk | {"choices": [choice]})

    usage = {"prompt_tokens": 25, "completion_tokens": 15, "total_tokens": 40}
    return (
        [event({"role": "assistant", "content": ""})],
        event({"content": UNSTAMPED_MARK + _DELTA_TEXT}),
        [event({}, "stop"), _data(chunk | {"choices": [], "usage": usage}), b"data: [DONE]\n\n"],
    )


def answer() -> AnswerBytes:
    """Return a streamed Anthropic answer, with an HTTP chunk for each event."""
    return _answer(*answer_events())


def chat_answer() -> AnswerBytes:
    """Return the same answer in Chat Completions."""
    return _answer(*chat_events())


def _answer(before: list[bytes], delta: bytes, after: list[bytes]) -> AnswerBytes:
    head = (
        b"HTTP/1.1 200 OK\r\n"
        b"content-type: text/event-stream; charset=utf-8\r\n"
        b"cache-control: no-cache\r\n"
        b"request-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    return AnswerBytes(
        head + b"".join(map(_chunk, before)),
        _chunk(delta),
        b"".join(map(_chunk, after)) + b"0\r\n\r\n",
    )


def _tool(number: int) -> dict[str, Any]:
    path = {"type": "string", "description": "The file's path, from the project's root."}
    return {
        "name": f"tool_{number}",
        "description": "Reads a file from the project. " * 20,
        "input_schema": {"type": "object", "properties": {"path": path}, "required": ["path"]},
    }


def _event(data: dict[str, Any]) -> bytes:
    return f"event: {data['type']}\n".encode() + _data(data)


def _data(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
