"""Calls that together run most of the library: what the client sends and what providers answer."""

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from leaking import body_of, stream_of
from traffic import faults, good
from wiremend.protocols.base.names import WireProtocol

ANTHROPIC, CHAT, RESPONSES, GEMINI = (
    good.ANTHROPIC,
    good.CHAT,
    good.RESPONSES,
    good.GEMINI,
)
NAME = "mcp__notion-server__create a page/" + "x" * 80
"""The name of a tool that has to be renamed."""
SCHEMA = {
    "type": "object",
    "properties": {
        "a": {"type": ["string", "null"], "pattern": "^x", "enum": ["a", "b"]},
        "b": {"$ref": "#/$defs/B"},
        "c": {"oneOf": [{"type": "object", "properties": {"x": {"const": 1}}}, {"type": "string"}]},
        "d": {"allOf": [{"type": "array", "items": {"type": "integer"}}, {"maxItems": 3}]},
    },
    "required": ["a", "missing"],
    "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
    "$defs": {"B": {"type": "object", "properties": {"n": {"anyOf": [{"type": "number"}]}}}},
}
_RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "r"}
REQUESTS: dict[WireProtocol, dict[str, Any]] = {
    ANTHROPIC: {
        "model": "claude-opus-5",
        "max_tokens": 10,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t", "signature": "s"},
                    {"type": "tool_use", "id": "toolu_1", "name": NAME, "input": {"a": 1}},
                    {"type": "tool_use", "id": "toolu_2", "name": "b", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "go"},
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": ""},
                ],
            },
        ],
        "tools": [
            {"name": NAME, "description": "d", "input_schema": SCHEMA},
            {"type": "custom", "name": "b", "input_schema": {"type": "object"}},
        ],
        "tool_choice": {"type": "tool", "name": NAME},
        "metadata": {"user_id": "u"},
        "temperature": 0.5,
    },
    CHAT: {
        "model": "o3-mini",
        "messages": [
            {"role": "developer", "content": "s"},
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": NAME, "arguments": "{bad"},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "r"},
            {"role": "user", "content": "go"},
        ],
        "tools": [{"type": "function", "function": {"name": NAME, "parameters": SCHEMA}}],
        "tool_choice": {"type": "function", "function": {"name": NAME}},
        "max_tokens": 5,
        "temperature": 1.5,
        "metadata": {"a": "b"},
    },
    RESPONSES: {
        "model": "gpt-5",
        "input": [
            {"role": "user", "content": "x"},
            {"type": "function_call", "call_id": "call_1", "name": NAME, "arguments": "{}"},
            _RESULT,
        ],
        "tools": [{"type": "function", "name": NAME, "parameters": SCHEMA, "strict": False}],
        "tool_choice": {"type": "function", "name": NAME},
        "reasoning": {"effort": "high"},
        "metadata": {"a": "b"},
    },
    GEMINI: {
        "contents": [
            {"role": "user", "parts": [{"text": "x"}]},
            {"role": "model", "parts": [{"functionCall": {"name": NAME, "args": {"a": 1}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": NAME, "response": {}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": NAME, "parameters": SCHEMA}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [NAME]}},
    },
}

LEAKED = 'I look.\n<tool_call>\n{"name":"get_weather","arguments":{"city":"Paris"}}\n</tool_call>'
"""Text with a call that the provider did not parse. api.openai.com is known to send it."""
_WEATHER = {"name": "get_weather", "description": "d", "parameters": {"type": "object"}}
SMALL_TOOL: dict[WireProtocol, list[dict[str, Any]]] = {
    ANTHROPIC: [{"name": "get_weather", "input_schema": {"type": "object"}}],
    CHAT: [{"type": "function", "function": _WEATHER}],
    RESPONSES: [{"type": "function", **_WEATHER, "strict": False}],
    GEMINI: [{"functionDeclarations": [_WEATHER]}],
}
SHORT_NAMES = {
    ANTHROPIC: "anthropic",
    CHAT: "chat",
    RESPONSES: "responses",
    GEMINI: "gemini",
}


@dataclass(frozen=True)
class Answer:
    """What a provider sends on one connection, in pieces, and whether it then closes it."""

    pieces: tuple[bytes, ...]
    closes: bool = False


@dataclass(frozen=True)
class Scenario:
    """One call. The last answer is repeated for further attempts."""

    name: str
    method: str
    path: str
    body: bytes
    answers: tuple[Answer, ...]
    fields: tuple[tuple[str, str], ...] = ()
    client_leaves: bool = False
    protocol: WireProtocol | None = None
    is_streaming: bool = False
    provider_protocol: WireProtocol | None = None
    """The protocol of the answers, if they are translated."""
    reports: bool = False
    """Whether the rules only report."""

    @property
    def host(self) -> str:
        """The host that the client addresses."""
        return good.HOSTS[self.protocol or ANTHROPIC]

    @property
    def upstream(self) -> bytes:
        """Everything that providers send."""
        return b"".join(piece for answer in self.answers for piece in answer.pieces)

    @property
    def sends_json(self) -> bool:
        """Whether a provider sends a whole answer."""
        return (
            b"content-type: application/json" in self.upstream and b"HTTP/1.1 200" in self.upstream
        )


def head(status: int, kind: str, *fields: tuple[str, str], length: int | None = None) -> bytes:
    framing = (
        ("transfer-encoding", "chunked") if length is None else ("content-length", str(length))
    )
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}"]
    lines += [f"{name}: {value}" for name, value in (framing, *fields)]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST = b"0\r\n\r\n"
SSE, JSON = "text/event-stream", "application/json"


def streamed(events: Sequence[bytes], *fields: tuple[str, str], end: bytes = LAST) -> Answer:
    middle = max(1, len(events) // 2)
    first, second = b"".join(events[:middle]), b"".join(events[middle:])
    return Answer((head(200, SSE, *fields), chunk(first), chunk(second) if second else b"", end))


def whole(status: int, body: bytes, *fields: tuple[str, str], kind: str = JSON) -> Answer:
    return Answer((head(status, kind, *fields, length=len(body)), body))


def _error(protocol: WireProtocol, status: int, type: str, message: str) -> bytes:
    return json.dumps(faults.native_error(protocol, status, type, message)).encode()


def scenarios_of(protocol: WireProtocol) -> list[Scenario]:
    """Return the calls in one protocol."""
    made: list[Scenario] = []

    def add(
        name: str,
        *answers: Answer,
        streaming: bool = True,
        model: str = "",
        tools: Sequence[dict[str, Any]] = (),
        **more: Any,
    ) -> None:
        request = dict(REQUESTS[protocol])
        request["tools"] = [*request["tools"], *tools]
        path = good.PATHS[protocol, streaming]
        if protocol is not GEMINI:
            request |= {"stream": streaming}
            if model:
                request["model"] = model
        elif model:
            path = path.replace(good.MODELS[GEMINI], model)
        body = json.dumps(request).encode()
        scenario = Scenario(
            f"{protocol}: {name}",
            "POST",
            path,
            body,
            answers,
            protocol=protocol,
            is_streaming=streaming,
            **more,
        )
        made.append(scenario)

    text, tool = good.text_stream(protocol), good.tool_stream(protocol)
    limited = _error(protocol, 429, "rate_limit_error", "Please try again in 1s.")
    refused = _error(
        protocol, 400, "invalid_request_error", "metadata: Extra inputs are not permitted"
    )
    tool_refused = _error(
        protocol,
        400,
        "invalid_request_error",
        "tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the "
        "top level",
    )
    add("a stream", streamed(text.events))
    add("a stream with a tool", streamed(tool.events))
    add(
        "a coded stream",
        Answer(
            (head(200, SSE, ("content-encoding", "gzip")), chunk(gzip.compress(text.data)), LAST)
        ),
    )
    add("JSON", whole(200, good.json_body(protocol)), streaming=False)
    add("JSON with a tool", whole(200, good.json_tool_body(protocol)), streaming=False)
    add("an error, then a stream", whole(429, limited, ("retry-after", "1")), streamed(text.events))
    add("a rejection, then a stream", whole(400, refused), streamed(tool.events))
    add("a rejected tool, then a stream", whole(400, tool_refused), streamed(text.events))
    add("a web page", whole(502, b"<html><title>Bad</title></html>", kind="text/html"))
    add("an error in a 200", whole(200, limited))
    add(
        "an error in a stream",
        streamed([*text.events[: text.places["mid_content"]], b"data: " + limited + b"\n\n"]),
    )
    add("a cut stream", Answer((head(200, SSE), chunk(b"".join(text.events[:-2]))), closes=True))
    add("a cut event", streamed([text.data[:-30]]))
    add("a tool that is cut", streamed(tool.events[:-3]))
    add(
        "damaged events",
        streamed(
            [
                *text.events[:2],
                b": c\n\n",
                b"id: 1\n\n",
                b"data: \n\n",
                b'data: {"odd":1}\n\n',
                *text.events[2:],
                b"data: late\n\n",
            ]
        ),
    )
    add("a reset", Answer((), closes=True), streamed(text.events))
    add("silence", Answer(()))
    add("a client that leaves", Answer((head(200, SSE), chunk(text.events[0]))), client_leaves=True)
    add("no content", whole(204, b""))
    add("an unknown coding", whole(200, b"odd", ("content-encoding", "odd")))
    add("a route with a fallback", whole(500, limited), streamed(text.events), model="routed-haiku")
    leaks, short = [LEAKED[:20], LEAKED[20:]], SHORT_NAMES[protocol]
    add("a call as text", streamed(stream_of(short, leaks)), tools=SMALL_TOOL[protocol])
    answer = whole(200, body_of(short, LEAKED))
    add("a call as text in JSON", answer, streaming=False, tools=SMALL_TOOL[protocol])
    if protocol in (ANTHROPIC, GEMINI):
        count = (
            "/v1/messages/count_tokens"
            if protocol is ANTHROPIC
            else "/v1beta/models/routed-haiku:countTokens"
        )
        made.append(
            Scenario(
                f"{protocol}: a count",
                "POST",
                count,
                json.dumps(
                    {**REQUESTS[protocol], "model": "routed-haiku"}
                    if protocol is ANTHROPIC
                    else REQUESTS[protocol]
                ).encode(),
                (whole(404, b"{}"),),
            )
        )
    return made


def translated_scenarios() -> list[Scenario]:
    """Return calls of Anthropic clients that a provider of Chat Completions answers."""
    made: list[Scenario] = []

    def add(name: str, *answers: Answer, streaming: bool = True) -> None:
        request = REQUESTS[ANTHROPIC] | {"model": "translated", "stream": streaming}
        scenario = Scenario(
            f"translated: {name}",
            "POST",
            good.PATHS[ANTHROPIC, streaming],
            json.dumps(request).encode(),
            answers,
            protocol=ANTHROPIC,
            is_streaming=streaming,
            provider_protocol=CHAT,
        )
        made.append(scenario)

    text, tool = good.text_stream(CHAT), good.tool_stream(CHAT)
    refused = _error(CHAT, 400, "invalid_request_error", "This model cannot do that.")
    add("a stream", streamed(text.events))
    add("a stream with a tool", streamed(tool.events))
    add("JSON", whole(200, good.json_body(CHAT)), streaming=False)
    add("JSON with a tool", whole(200, good.json_tool_body(CHAT)), streaming=False)
    add("a stream for a call without one", streamed(text.events), streaming=False)
    add("JSON for a call with a stream", whole(200, good.json_tool_body(CHAT)))
    add("a refusal", whole(400, refused))
    add("a refusal of JSON", whole(400, refused), streaming=False)
    add("an error in a 200", whole(200, refused))
    add("an error, then a stream", whole(429, refused, ("retry-after", "1")), streamed(text.events))
    add("a cut stream", Answer((head(200, SSE), chunk(b"".join(text.events[:-2]))), closes=True))
    add("a tool that is cut", streamed(tool.events[:-3]))
    return made


def all_scenarios() -> list[Scenario]:
    """Return all calls."""
    others = [
        Scenario(
            "a list of models",
            "GET",
            "/v1/models",
            b"",
            (whole(200, b'{"object":"list","data":[{"id":"a","object":"model"}]}'),),
        ),
        Scenario("another request", "POST", "/v1/files", b"{}", (whole(200, b"{}"),)),
        Scenario("fire and forget", "POST", "/session/1/prompt_async", b"{}", (whole(200, b"{}"),)),
        Scenario(
            "fire and forget that fails",
            "POST",
            "/session/1/prompt_async",
            b"{}",
            (whole(500, b"{}"),),
        ),
        Scenario(
            "fire and forget that is silent",
            "POST",
            "/session/1/prompt_async",
            b"{}",
            (Answer(()),),
        ),
        Scenario(
            "a call of a web page",
            "POST",
            "/v1/messages",
            b'{"model":"routed-haiku"}',
            (whole(200, b"{}"),),
            fields=(("origin", "https://evil.example"),),
        ),
    ]
    native = [scenario for protocol in good.PROTOCOLS for scenario in scenarios_of(protocol)]
    return native + translated_scenarios() + others + reported_scenarios(native)


def reported_scenarios(native: Sequence[Scenario]) -> list[Scenario]:
    """Return calls whose traffic passes unchanged while the rules report."""
    kinds = tuple(f": {kind}" for kind in ("a stream", "JSON"))
    return [
        replace(scenario, name=f"reported {scenario.name}", reports=True)
        for scenario in native
        if scenario.name.endswith(kinds)
    ]
