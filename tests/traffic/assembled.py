"""Assembles answers from response bodies: an independent reader of the four protocols.

It shares no code with the core under test. It trusts the order of events and is strict about
their form.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.base.names import WireProtocol

from . import good


@dataclass
class Answer:
    """An assembled answer."""

    text: str = ""
    calls: list[list[Any]] = field(default_factory=list)
    """Name and argument text of each tool call."""
    finished: bool = False
    """Whether the terminal event or body of a complete answer was received."""
    error: str = ""
    """The message of the error event or body; empty without an error."""

    @property
    def tool_calls(self) -> tuple[tuple[str, Any], ...]:
        """The tool calls with parsed arguments."""
        return tuple((name, json.loads(arguments)) for name, arguments in self.calls)


def events(body: bytes) -> Iterator[Any]:
    """Yield the parsed data of each event of a stream; `[DONE]` as None."""
    blocks = body.replace(b"\r\n", b"\n").split(b"\n\n")
    assert not blocks[-1].strip(), f"unterminated event: {blocks[-1]!r}"
    for block in blocks[:-1]:
        data = [line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:")]
        if data:
            yield None if data == [b"[DONE]"] else json.loads(b"\n".join(data))


def read_answer(protocol: WireProtocol, body: bytes, *, stream: bool) -> Answer:
    """Assemble the answer of a stream or a JSON body. Raises if it is not well formed."""
    answer = Answer()
    if stream:
        for event in events(body):
            _EVENTS[protocol](answer, event)
        return answer
    parsed = json.loads(body)
    if parsed.get("error"):
        answer.error = parsed["error"]["message"]
    else:
        _BODIES[protocol](answer, parsed)
        answer.finished = True
    return answer


def _anthropic_event(answer: Answer, event: Any) -> None:
    match event["type"]:
        case "content_block_start" if event["content_block"]["type"] == "tool_use":
            answer.calls.append([event["content_block"]["name"], ""])
        case "content_block_delta":
            delta = event["delta"]
            answer.text += delta.get("text", "")
            if "partial_json" in delta:
                answer.calls[-1][1] += delta["partial_json"]
        case "message_stop":
            answer.finished = True
        case "error":
            answer.error = event["error"]["message"]


def _anthropic_body(answer: Answer, body: Any) -> None:
    for block in body["content"]:
        answer.text += block.get("text", "")
        if block["type"] == "tool_use":
            answer.calls.append([block["name"], json.dumps(block["input"])])


def _chat_event(answer: Answer, event: Any) -> None:
    if event is None:
        answer.finished = not answer.error
    elif event.get("error"):
        answer.error = event["error"]["message"]
    else:
        for choice in event["choices"]:
            _chat_message(answer, choice["delta"])


def _chat_message(answer: Answer, message: Any) -> None:
    answer.text += message.get("content") or ""
    for number, call in enumerate(message.get("tool_calls") or ()):
        if call.get("index", number) == len(answer.calls):
            answer.calls.append([call["function"]["name"], ""])
        answer.calls[call.get("index", number)][1] += call["function"]["arguments"]


def _chat_body(answer: Answer, body: Any) -> None:
    _chat_message(answer, body["choices"][0]["message"])


def _responses_event(answer: Answer, event: Any) -> None:
    match event["type"]:
        case "response.output_text.delta":
            answer.text += event["delta"]
        case "response.output_item.added" if event["item"]["type"] == "function_call":
            answer.calls.append([event["item"]["name"], ""])
        case "response.function_call_arguments.delta":
            answer.calls[-1][1] += event["delta"]
        case "response.completed":
            answer.finished = True
        case "response.failed":
            answer.error = event["response"]["error"]["message"]


def _responses_body(answer: Answer, body: Any) -> None:
    for item in body["output"]:
        if item["type"] == "function_call":
            answer.calls.append([item["name"], item["arguments"]])
        else:
            answer.text += "".join(part["text"] for part in item["content"])


def _gemini_body(answer: Answer, body: Any) -> None:
    if "error" in body:
        answer.error = body["error"]["message"]
        return
    for candidate in body["candidates"]:
        for part in candidate["content"]["parts"]:
            answer.text += part.get("text", "")
            if "functionCall" in part:
                call = part["functionCall"]
                answer.calls.append([call["name"], json.dumps(call["args"])])
        answer.finished = answer.finished or "finishReason" in candidate


Reader = Callable[[Answer, Any], None]
_EVENTS: Mapping[WireProtocol, Reader] = {
    good.ANTHROPIC: _anthropic_event,
    good.CHAT: _chat_event,
    good.RESPONSES: _responses_event,
    good.GEMINI: _gemini_body,
}
_BODIES: Mapping[WireProtocol, Reader] = {
    good.ANTHROPIC: _anthropic_body,
    good.CHAT: _chat_body,
    good.RESPONSES: _responses_body,
    good.GEMINI: _gemini_body,
}
