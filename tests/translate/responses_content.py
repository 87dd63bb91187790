"""What a Responses answer contains, in the terms of `sdk.transcript`."""

from collections.abc import Iterator
from typing import Any

from sdk.transcript import Transcript, read_anthropic, read_arguments, read_chat
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.responses import RESPONSES
from wiremend.translate.answer import Direction

from translate.directions import values_of, whole

type Content = tuple[str, str, list[Any], bool]
"""The text, the reasoning, the calls, and whether the answer ends in an error."""
FAILED: Content = ("", "", [], True)
TYPED = {"local_shell_call": "action", "shell_call": "action", "apply_patch_call": "operation"}
PAIRS = {
    "anthropic-for-responses": Direction(ANTHROPIC, RESPONSES),
    "chat-for-responses": Direction(CHAT, RESPONSES),
    "responses-for-anthropic": Direction(RESPONSES, ANTHROPIC),
    "responses-for-chat": Direction(RESPONSES, CHAT),
}
"""A provider's protocol for a client's."""


def content_of(protocol: Protocol, stream: bytes) -> Content:
    """The content of a stream, empty if it failed. Refusals are texts, line feeds do not count."""
    if protocol is RESPONSES:
        return _responses_content(stream)
    read = read_anthropic if protocol is ANTHROPIC else read_chat
    transcript: Transcript = read(stream)
    text = transcript.text + transcript.refusal
    calls = [(name, _unwrapped(value)) for name, value in transcript.calls]
    if transcript.failed:
        return FAILED
    return _plain(text), _plain(transcript.reasoning), calls, transcript.failed


def _plain(text: str) -> str:
    whole_characters = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole_characters.replace("\n", "")


def _unwrapped(value: Any) -> Any:
    """The input of a custom tool that was passed as a function's argument."""
    is_wrapped = isinstance(value, dict) and value.keys() == {"input"}
    return read_arguments(value["input"]) if is_wrapped else value


def _responses_content(stream: bytes) -> Content:
    last = values_of(stream)[-1]
    if last["type"] in ("response.failed", "error"):
        return FAILED
    return *_content_of_items(whole(RESPONSES, stream)["output"]), False


def _content_of_items(items: list[dict[str, Any]]) -> tuple[str, str, list[Any]]:
    texts: list[str] = []
    reasoning: list[str] = []
    for item in items:
        if item["type"] == "message":
            parts = item["content"]
            texts += [part.get("text", part.get("refusal", "")) for part in parts]
        elif item["type"] == "reasoning":
            parts = [*(item["summary"] or []), *(item.get("content") or [])]
            reasoning += [part["text"] for part in parts]
    return _plain("".join(texts)), _plain("".join(reasoning)), list(_calls(items))


def _calls(items: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    for item in items:
        if item["type"] == "function_call":
            yield item["name"], _unwrapped(read_arguments(item["arguments"]))
        elif item["type"] == "custom_tool_call":
            yield item["name"], read_arguments(item["input"])
        elif item["type"] in TYPED:
            yield item["type"].removesuffix("_call"), item[TYPED[item["type"]]]
