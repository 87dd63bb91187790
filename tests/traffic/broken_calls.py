"""Calls of a coding agent that go wrong, one of each kind, for the page of mitmweb."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wiremend.testing.exchange import Received, Reply, Script, Step

from . import faults, good
from .clients import model_call
from .proxy import Proxy

ANTHROPIC = good.ANTHROPIC
OTHER_HOST = "opencode.ai"
HOSTS = (good.HOSTS[ANTHROPIC], OTHER_HOST)
IDLE_SECONDS = 1.5
CONFIGURATION = f"""
[breaker]
failures = 0
[retry]
budget = 0
attempts = 4
backoff_initial = 0.2
backoff_max = 0.4
[timeouts]
idle = {IDLE_SECONDS}
[[models]]
match = "claude-haiku-*"
model = "minimax-m3"
provider = "opencode-go"
fallback = ["qwen3.7-plus"]
[providers.opencode-go]
base_url = "https://{OTHER_HOST}/zen/go"
api_key = "sk-test-DO-NOT-LOG-other"
"""
_SYSTEM = """You are a coding agent. Answer briefly, and use the tools.
Work in the directory /home/me/parser. Never commit.
Before you change a file, read it. After a change, run the tests."""
_REFUSED_SCHEMA = (
    "tools.3.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12 "
    "(https://json-schema.org/draft/2020-12)."
)
_SOURCE = """def split(line):
    return line.split(",")

def fields(line):
    return [part.strip() for part in split(line)]
"""
_ANSWER = (
    "`split` breaks a quoted field at the comma inside it. ",
    "The module `csv` of the standard library ",
    "reads quoted fields, so I replace the body of `split` with it ",
    "and run the tests again.",
)
_EDIT = {
    "path": "src/parser.py",
    "old": 'return line.split(",")',
    "new": "return next(csv.reader([line]))",
}


@dataclass(frozen=True)
class BrokenCall:
    """A call, what the provider does with it, and whether the client cancels it."""

    name: str
    replies: tuple[Script, ...]
    model: str = good.MODELS[ANTHROPIC]
    cancels_after: bytes = b""
    """The client cancels when it has received this text."""

    def make(self, proxy: Proxy) -> None:
        """Make the call and receive its answer. The provider has the replies as its script."""
        with model_call(proxy, ANTHROPIC, True, body=request(self.model)) as call:
            if self.cancels_after:
                call.read_until(self.cancels_after)
                call.cancel()
            else:
                call.response()


def request(model: str = good.MODELS[ANTHROPIC]) -> bytes:
    """Return the body of an agent's request: a system prompt, tools, and a task half done."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"path": "src/parser.py"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": _SOURCE}
    messages = [
        {"role": "user", "content": "The test of quoted fields fails. Find out why and fix it."},
        {"role": "assistant", "content": [{"type": "text", "text": "I read the parser."}, use]},
        {"role": "user", "content": [result]},
    ]
    regex = {"type": "object", "properties": {}, "patternProperties": {"^(.*)$": {}}}
    tools = [
        _tool("Bash", "command"),
        _tool("Read", "path"),
        _tool("Edit", "path", "old", "new"),
        {**_tool("mcp__notion__create_page"), "input_schema": regex},
        _tool("mcp__notion__search", "query"),
    ]
    body = {"model": model, "max_tokens": 4096, "stream": True, "system": _SYSTEM}
    return json.dumps({**body, "messages": messages, "tools": tools}).encode()


def _tool(name: str, *parameters: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {one: {"type": "string"} for one in parameters}}
    return {"name": name, "description": f"The tool {name}.", "input_schema": schema}


def answer(first_index: int = 0) -> list[bytes]:
    """Return the events of an answer: a text, and a call of a tool."""
    text, call = first_index, first_index + 1
    usage = {"input_tokens": 412, "cache_read_input_tokens": 18_944, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": "msg_01Test",
        "type": "message",
        "role": "assistant",
        "model": good.MODELS[ANTHROPIC],
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    tool = {"type": "tool_use", "id": "toolu_01Test", "name": "Edit", "input": {}}
    written = json.dumps(_EDIT)
    parts = [written[at : at + 40] for at in range(0, len(written), 40)]
    return [
        _event("message_start", message=message),
        _event("content_block_start", index=text, content_block={"type": "text", "text": ""}),
        *(_delta(text, type="text_delta", text=words) for words in _ANSWER),
        _event("content_block_stop", index=text),
        _event("content_block_start", index=call, content_block=tool),
        *(_delta(call, type="input_json_delta", partial_json=part) for part in parts),
        _event("content_block_stop", index=call),
        _event(
            "message_delta",
            delta={"stop_reason": "tool_use", "stop_sequence": None},
            usage={"output_tokens": 118},
        ),
        _event("message_stop"),
    ]


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _delta(index: int, **delta: Any) -> bytes:
    return _event("content_block_delta", index=index, delta=delta)


def partly(count: int, *fault: Step) -> Reply:
    """Return the first `count` events of the answer, then a fault."""
    head = faults.head(headers=faults.EVENT_STREAM)
    return Reply("partly", (head, faults.chunks(answer()[:count]), *fault))


def growing(count: int) -> Reply:
    """Return an answer that goes on after `count` events when the provider is released."""
    head = faults.head(headers=faults.EVENT_STREAM)
    first, rest = answer()[:count], answer()[count:]
    steps = (head, faults.chunks(first), faults.stall, faults.chunks(rest), faults.end)
    return Reply("growing", steps)


def _refusing_patterns(received: Received) -> Reply:
    for tool in received.json()["tools"]:
        if "patternProperties" in tool["input_schema"]:
            kind = "invalid_request_error"
            error = faults.native_error(ANTHROPIC, 400, kind, _REFUSED_SCHEMA)
            return faults.status(400, error)
    return faults.streamed(answer())


def _unknown_model() -> Reply:
    error = faults.native_error(ANTHROPIC, 404, "not_found_error", "model: minimax-m3")
    return faults.status(404, error)


_WRAPPED = faults.wrapped_error_first(ANTHROPIC)
_GOOD = faults.streamed(answer())
IN_THE_TOOL_CALL = 9
"""So many events end inside the JSON of the tool call; 4 end inside the text."""
BROKEN_CALLS: Sequence[BrokenCall] = (
    BrokenCall("wrapped error, retried", (_WRAPPED, _GOOD)),
    BrokenCall("reset", (partly(4, faults.reset),)),
    BrokenCall("cut", (partly(IN_THE_TOOL_CALL, faults.end),)),
    BrokenCall("bad index", (faults.streamed(answer(first_index=1)),)),
    BrokenCall("refused schema", (_refusing_patterns,)),
    BrokenCall("fallback", (_unknown_model(), _GOOD), model="claude-haiku-4-5"),
    BrokenCall("stall", (partly(4, faults.stall),)),
    BrokenCall("cancelled", (partly(4, faults.stall),), cancels_after=_ANSWER[1].encode()[:20]),
)
