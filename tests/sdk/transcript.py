"""What a stream says, read with `json` alone: what an SDK must have assembled at its end."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wiremend.text import sse

CORPUS = Path(__file__).parent.parent / "corpus"


def streams(protocol: str) -> list[Path]:
    """The clean and the repaired streams of a protocol; those that an SDK must be able to read.

    Gemini's JSON arrays are missing: no SDK asks for them, all use `alt=sse`.
    """
    folder = CORPUS / protocol
    return sorted((folder / "clean").glob("*.sse")) + sorted(
        (folder / "broken").glob("*.mended.sse")
    )


def name_of(path: Path) -> str:
    """How a stream is called in a table: `clean/text`, `broken/done-missing`."""
    return f"{path.parent.name}/{path.name.removesuffix('.sse').removesuffix('.mended')}"


@dataclass
class Transcript:
    """One answer, as far as every client shows it."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: list[tuple[str | None, Any]] = field(default_factory=list)
    """Name and arguments of each call of a tool of the client's; text where it is no JSON."""
    reason: str | None = None
    """The stop reason, in the protocol's own words."""
    failed: bool = False
    """The stream ends in the protocol's error."""


def read_arguments(text: str) -> Any:
    """The value that a call's arguments stand for, or the text itself where it is cut."""
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text


def _events(stream: bytes) -> Iterator[dict[str, Any]]:
    for event in sse.Decoder().feed(stream):
        if event.data and event.data != b"[DONE]":
            yield json.loads(event.data)


def read_anthropic(stream: bytes) -> Transcript:
    """The text, thinking, tool calls and stop reason of a Messages stream."""
    said = Transcript()
    blocks: list[dict[str, Any]] = []
    pieces: list[str] = []
    for event in _events(stream):
        match event["type"]:
            case "content_block_start":
                blocks.append(event["content_block"])
                pieces.append("")
            case "content_block_delta":
                delta = event["delta"]
                pieces[event["index"]] += delta.get("partial_json", "")
                said.text += delta.get("text", "")
                said.reasoning += delta.get("thinking", "")
            case "message_delta":
                said.reason = event["delta"]["stop_reason"]
            case "error":
                said.failed = True
    for block, text in zip(blocks, pieces, strict=True):
        if block["type"] == "tool_use":
            said.calls.append((block["name"], read_arguments(text) if text else block["input"]))
    return said


def read_chat(stream: bytes) -> Transcript:
    """The content, reasoning, tool calls and finish reason of the first choice."""
    said = Transcript()
    calls: dict[int, list[str]] = {}
    for chunk in _events(stream):
        said.failed |= bool(chunk.get("error"))
        for choice in chunk.get("choices", ()):
            if choice["index"] != 0:
                continue
            delta = choice["delta"]
            said.text += delta.get("content") or ""
            said.refusal += delta.get("refusal") or ""
            said.reasoning += delta.get("reasoning_content") or ""
            said.reason = choice["finish_reason"] or said.reason
            for call in delta.get("tool_calls") or ():
                name_and_text = calls.setdefault(call["index"], ["", ""])
                kind = call.get("function") or call.get("custom") or {}
                name_and_text[0] += kind.get("name") or ""
                name_and_text[1] += kind.get("arguments") or kind.get("input") or ""
    said.calls = [(name, read_arguments(text)) for name, text in calls.values()]
    return said


def read_responses(stream: bytes) -> Transcript:
    """The text and reasoning that was streamed, the calls that were done, and the status."""
    said = Transcript()
    for event in _events(stream):
        match event["type"]:
            case "response.output_text.delta":
                said.text += event["delta"]
            case "response.refusal.delta":
                said.refusal += event["delta"]
            case "response.reasoning_summary_text.delta":
                said.reasoning += event["delta"]
            case "response.output_item.done":
                item = event["item"]
                if item["type"] == "function_call":
                    said.calls.append((item["name"], read_arguments(item["arguments"])))
                elif item["type"] == "custom_tool_call":
                    said.calls.append((item["name"], item["input"]))
            case "response.completed" | "response.incomplete":
                said.reason = event["response"]["status"]
            case "response.failed" | "error":
                said.failed = True
    return said


def read_gemini(stream: bytes) -> Transcript:
    """The text, thoughts and function calls of the first candidate."""
    said = Transcript()
    for chunk in _events(stream):
        said.failed |= bool(chunk.get("error"))
        feedback = chunk.get("promptFeedback") or {}
        said.reason = feedback.get("blockReason", said.reason)
        for candidate in chunk.get("candidates") or ():
            if candidate.get("index", 0) != 0:
                continue
            said.reason = candidate.get("finishReason") or said.reason
            for part in (candidate.get("content") or {}).get("parts") or ():
                text = part.get("text") or ""
                if part.get("thought"):
                    said.reasoning += text
                else:
                    said.text += text
                if "functionCall" in part:
                    call = part["functionCall"]
                    said.calls.append((call.get("name"), call.get("args")))
    return said


READERS: dict[str, Callable[[bytes], Transcript]] = {
    "anthropic_messages": read_anthropic,
    "chat_completions": read_chat,
    "responses": read_responses,
    "gemini": read_gemini,
}
