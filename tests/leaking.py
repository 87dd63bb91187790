"""Responses whose text ends in a tool call that the provider did not parse, in every protocol."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from framings import FRAMINGS, Framing
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.repairer import StreamContext

READ_SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "limit": {"type": "integer"}},
}
EDIT_SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "edits": {"type": "array"}},
}
SCHEMAS = {"read": READ_SCHEMA, "edit_file": EDIT_SCHEMA, "get_time": {"type": "object"}}


@dataclass(frozen=True)
class Leak:
    """Text that is calls, and the calls."""

    format: str
    text: str
    calls: tuple[tuple[str, dict[str, Any]], ...]


BAR = "\uff5c"
_READ = ("read", {"path": "src/a.py", "limit": 5})
_TIME: tuple[str, dict[str, Any]] = ("get_time", {})
_EDITS = {"path": "b.md", "edits": [{"old": "<b>", "new": 'say "hi"\n'}]}
_EDIT = ("edit_file", _EDITS)
_EDITS_TEXT = json.dumps(_EDITS["edits"])


def _dsml(section: str, inner: str, bar: str = BAR) -> str:
    text = f"<@DSML@{section}>\n{inner}\n</@DSML@{section}>" if section else inner
    return text.replace("@", bar)


_DSML_READ = (
    '<@DSML@invoke name="read">\n'
    '<@DSML@parameter name="path" string="true">src/a.py</@DSML@parameter>\n'
    '<@DSML@parameter name="limit" string="false">5</@DSML@parameter>\n'
    "</@DSML@invoke>"
)
_DSML_EDIT = (
    '<@DSML@invoke name="edit_file"><@DSML@parameter name="path" string="true">b.md'
    '</@DSML@parameter><@DSML@parameter name="edits" string="false">'
    f"{_EDITS_TEXT}</@DSML@parameter></@DSML@invoke>"
)
_DSML_TIME = '<@DSML@invoke name="get_time">\n</@DSML@invoke>'


def _deepseek(*calls: str) -> str:
    inner = "".join(f"<@tool▁call▁begin@>{call}<@tool▁call▁end@>" for call in calls)
    return f"<@tool▁calls▁begin@>{inner}<@tool▁calls▁end@>".replace("@", BAR)


def _kimi(*calls: tuple[str, dict[str, Any]]) -> str:
    return "".join(
        f"<|tool_call_begin|>functions.{name}:{number}<|tool_call_argument_begin|>"
        f"{json.dumps(arguments)}<|tool_call_end|>"
        for number, (name, arguments) in enumerate(calls)
    )


def _kimi_section(*calls: tuple[str, dict[str, Any]]) -> str:
    return f"<|tool_calls_section_begin|>{_kimi(*calls)}<|tool_calls_section_end|>"


def _hermes(call: tuple[str, dict[str, Any]]) -> str:
    inner = json.dumps({"name": call[0], "arguments": call[1]})
    return f"<tool_call>\n{inner}\n</tool_call>"


_GLM_READ = (
    "<tool_call>read\n<arg_key>path</arg_key>\n<arg_value>src/a.py</arg_value>\n"
    "<arg_key>limit</arg_key>\n<arg_value>5</arg_value>\n</tool_call>"
)
_GLM_EDIT = (
    "<tool_call>edit_file<arg_key>path</arg_key><arg_value>b.md</arg_value>"
    f"<arg_key>edits</arg_key><arg_value>{_EDITS_TEXT}</arg_value></tool_call>"
)
_QWEN_READ = (
    "<function=read>\n<parameter=path>\nsrc/a.py\n</parameter>\n"
    "<parameter=limit>\n5\n</parameter>\n</function>"
)
_QWEN_EDIT = (
    "<function=edit_file><parameter=path>b.md</parameter>"
    f"<parameter=edits>\n{_EDITS_TEXT}\n</parameter></function>"
)
_INVOKE_READ = (
    '<invoke name="read">\n<parameter name="path">src/a.py</parameter>\n'
    '<parameter name="limit">5</parameter>\n</invoke>'
)
_INVOKE_EDIT = (
    '<invoke name="edit_file"><parameter name="path">b.md</parameter>'
    f'<parameter name="edits">\n{_EDITS_TEXT}\n</parameter></invoke>'
)


def _minimax(*invokes: str) -> str:
    return "<minimax:tool_call>\n{}\n</minimax:tool_call>".format("\n".join(invokes))


LEAKS = {
    "dsml": Leak("dsml", _dsml("function_calls", _DSML_READ), (_READ,)),
    "dsml v4, two": Leak("dsml", _dsml("tool_calls", _DSML_READ + _DSML_EDIT), (_READ, _EDIT)),
    "dsml, ASCII bars": Leak("dsml", _dsml("tool_calls", _DSML_READ, "|"), (_READ,)),
    "dsml, two bars": Leak("dsml", _dsml("tool_calls", _DSML_TIME, 2 * BAR), (_TIME,)),
    "dsml without a section": Leak(
        "dsml", _dsml("", f"{_DSML_EDIT}\n{_DSML_TIME}"), (_EDIT, _TIME)
    ),
    "deepseek v3": Leak(
        "deepseek",
        _deepseek(f"function<@tool▁sep@>read\n```json\n{json.dumps(_READ[1])}\n```"),
        (_READ,),
    ),
    "deepseek v3.1": Leak(
        "deepseek", _deepseek(f"edit_file<@tool▁sep@>{json.dumps(_EDITS)}"), (_EDIT,)
    ),
    "deepseek v3.1, two": Leak(
        "deepseek",
        _deepseek(f"read<@tool▁sep@>{json.dumps(_READ[1])}", "get_time<@tool▁sep@>{}"),
        (_READ, _TIME),
    ),
    "kimi": Leak("kimi", _kimi_section(_READ), (_READ,)),
    "kimi, two": Leak("kimi", _kimi_section(_EDIT, _TIME), (_EDIT, _TIME)),
    "kimi without a section": Leak("kimi", _kimi(_READ, _TIME), (_READ, _TIME)),
    "kimi, spaced": Leak(
        "kimi", _kimi_section(_READ).replace("<|tool_call_", " <|tool_call_"), (_READ,)
    ),
    "glm": Leak("glm", _GLM_READ, (_READ,)),
    "glm, two": Leak("glm", f"{_GLM_READ}\n{_GLM_EDIT}", (_READ, _EDIT)),
    "glm, no arguments": Leak("glm", "<tool_call>get_time\n</tool_call>", (_TIME,)),
    "glm, on one line": Leak("glm", _GLM_EDIT, (_EDIT,)),
    "hermes": Leak("hermes", _hermes(_READ), (_READ,)),
    "hermes, two": Leak("hermes", f"{_hermes(_EDIT)}\n{_hermes(_TIME)}", (_EDIT, _TIME)),
    "hermes, compact": Leak(
        "hermes", '<tool_call>{"name":"get_time","arguments":{}}</tool_call>', (_TIME,)
    ),
    "hermes, no arguments": Leak("hermes", '<tool_call>{"name": "get_time"}</tool_call>', (_TIME,)),
    "qwen": Leak("qwen", f"<tool_call>\n{_QWEN_READ}\n</tool_call>", (_READ,)),
    "qwen, two": Leak(
        "qwen", f"<tool_call>\n{_QWEN_READ}\n</tool_call>\n{_QWEN_EDIT}", (_READ, _EDIT)
    ),
    "qwen, bare": Leak("qwen", _QWEN_EDIT, (_EDIT,)),
    "qwen, an orphan end": Leak("qwen", f"{_QWEN_READ}\n</tool_call>", (_READ,)),
    "minimax": Leak("minimax", _minimax(_INVOKE_READ), (_READ,)),
    "minimax, two": Leak("minimax", _minimax(_INVOKE_READ, _INVOKE_EDIT), (_READ, _EDIT)),
    "minimax, indented": Leak(
        "minimax", _minimax("  " + _INVOKE_READ.replace("\n", "\n    ")), (_READ,)
    ),
    "minimax, compact": Leak("minimax", _minimax(_INVOKE_EDIT).replace("\n", ""), (_EDIT,)),
}
"""The forms in which models wrote calls, by name."""
ONE_OF_EACH = {leak.format: leak for leak in reversed(LEAKS.values())}
"""The first form of each format, by its name."""

FINISH = {
    "anthropic": ("end_turn", "max_tokens"),
    "chat": ("stop", "length"),
    "responses": ("completed", "incomplete"),
    "gemini": ("STOP", "MAX_TOKENS"),
    "gemini-array": ("STOP", "MAX_TOKENS"),
}
"""How a normal response ends, and a cut one."""


def request_of(name: str, messages: Sequence[tuple[str, str]] = (), **more: Any) -> dict[str, Any]:
    """Return a request that offers the tools in `SCHEMAS`. `messages` are role and text."""
    messages = [("user", "Please go on."), *messages]
    schemas = SCHEMAS.items()
    match name:
        case "anthropic":
            tools = [{"name": tool, "input_schema": schema} for tool, schema in schemas]
            written = [{"role": role, "content": text} for role, text in messages]
            return {"model": "m", "messages": written, "tools": tools, **more}
        case "chat":
            functions = [{"name": tool, "parameters": schema} for tool, schema in schemas]
            wrapped = [{"type": "function", "function": function} for function in functions]
            written = [{"role": role, "content": text} for role, text in messages]
            return {"model": "m", "messages": written, "tools": wrapped, **more}
        case "responses":
            tools = [
                {"type": "function", "name": tool, "parameters": schema} for tool, schema in schemas
            ]
            return {
                "model": "m",
                "input": [{"role": role, "content": text} for role, text in messages],
                "tools": tools,
                **more,
            }
    functions = [{"name": tool, "parameters": schema} for tool, schema in schemas]
    contents = [
        {"role": "user" if role == "user" else "model", "parts": [{"text": text}]}
        for role, text in messages
    ]
    return {"contents": contents, "tools": [{"functionDeclarations": functions}], **more}


def context_of(
    name: str, formats: Sequence[str], request: dict[str, Any] | None = None, **fields: Any
) -> StreamContext:
    """Return the context of a call to a target that leaks calls in these formats."""
    sent = request_of(name) if request is None else request
    given = {"tool_names": tuple(SCHEMAS), "leaked_formats": tuple(formats), **fields}
    return FRAMINGS[name].context(**given, sent_request=lambda: sent)


def protocol_of(name: str) -> Protocol:
    """Return the protocol of a kind of stream."""
    return framing_of(name).protocol


def framing_of(name: str) -> Framing:
    """Return a kind of stream."""
    return FRAMINGS[name]


def stream_of(name: str, pieces: Sequence[str], finish: str = "") -> list[bytes]:
    """Return the events of a stream whose text arrives in these pieces."""
    finish = finish or FINISH[name][0]
    match name:
        case "anthropic":
            return _anthropic(pieces, finish)
        case "chat":
            return _chat(pieces, finish)
        case "responses":
            return _responses(pieces, finish)
    answers = [_gemini(piece) for piece in pieces]
    answers.append(_gemini("", finish))
    if name == "gemini":
        return [b"data: %s\r\n\r\n" % json.dumps(answer).encode() for answer in answers]
    texts = [json.dumps(answer).encode() for answer in answers]
    return [b"[" + texts[0], *(b",\r\n" + text for text in texts[1:]), b"\n]"]


def _event(type: str, **fields: Any) -> bytes:
    return f"event: {type}\ndata: {json.dumps({'type': type, **fields})}\n\n".encode()


def _message(content: list[Any], stop_reason: str | None) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }


def _anthropic(pieces: Sequence[str], finish: str) -> list[bytes]:
    return [
        _event("message_start", message=_message([], None)),
        _event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        _event("ping"),
        *(
            _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
            for piece in pieces
        ),
        _event("content_block_stop", index=0),
        _event(
            "message_delta",
            delta={"stop_reason": finish, "stop_sequence": None},
            usage={"output_tokens": 9},
        ),
        _event("message_stop"),
    ]


def _chat(pieces: Sequence[str], finish: str) -> list[bytes]:
    frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces]
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    chunks = [{**frame, "choices": [choice]} for choice in choices]
    usage = {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}
    chunks.append({**frame, "choices": [], "usage": usage})
    return [
        *(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks),
        b"data: [DONE]\n\n",
    ]


def _response(status: str, output: list[Any]) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 9, "total_tokens": 12}
    details = {"reason": "max_output_tokens"} if status == "incomplete" else None
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": "m",
        "output": output,
        "error": None,
        "incomplete_details": details,
        "usage": None if status == "in_progress" else usage,
    }


def _item(text: str | None, status: str) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    content = [] if text is None else [part]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _responses(pieces: Sequence[str], finish: str) -> list[bytes]:
    text = "".join(pieces)
    item = _item(text, finish)
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    steps: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": _response("in_progress", [])}),
        ("response.output_item.added", {"output_index": 0, "item": _item(None, "in_progress")}),
        ("response.content_part.added", {**place, "part": {**part, "text": ""}}),
        *(("response.output_text.delta", {**place, "delta": piece}) for piece in pieces),
        ("response.output_text.done", {**place, "text": text}),
        ("response.content_part.done", {**place, "part": part}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        (f"response.{finish}", {"response": _response(finish, [item])}),
    ]
    return [
        _event(type, sequence_number=number, **fields)
        for number, (type, fields) in enumerate(steps)
    ]


def _gemini(text: str, finish: str = "") -> dict[str, Any]:
    candidate: dict[str, Any] = {
        "content": {"parts": [{"text": text}], "role": "model"},
        "index": 0,
    }
    if finish:
        candidate["finishReason"] = finish
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 9, "totalTokenCount": 12}
    return {
        "candidates": [candidate],
        "usageMetadata": usage,
        "modelVersion": "m",
        "responseId": "r1",
    }


def body_of(name: str, text: str, finish: str = "") -> bytes:
    """Return the JSON body of a response with this text."""
    finish = finish or FINISH[name][0]
    match name:
        case "anthropic":
            body = _message([{"type": "text", "text": text}], finish)
        case "chat":
            message = {"role": "assistant", "content": text, "refusal": None}
            body = {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12},
            }
        case "responses":
            body = _response(finish, [_item(text, finish)])
        case _:
            body = _gemini(text, finish)
    return json.dumps(body).encode()
