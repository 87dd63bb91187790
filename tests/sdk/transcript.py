"""The content of a stream, read with `json` only: what an SDK must assemble from it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wiremend.text import sse

CORPUS = Path(__file__).parent.parent / "corpus"


def streams(protocol: str) -> list[Path]:
    """Return the clean and the repaired streams of a protocol, which SDKs must be able to read.

    Gemini's JSON arrays are not included: all SDKs request `alt=sse`.
    """
    folder = CORPUS / protocol
    return sorted((folder / "clean").glob("*.sse")) + sorted(
        (folder / "broken").glob("*.mended.sse")
    )


def name_of(path: Path) -> str:
    """Return the name of a stream in tables: `clean/text`, `broken/done-missing`."""
    return f"{path.parent.name}/{path.name.removesuffix('.sse').removesuffix('.mended')}"


@dataclass
class Transcript:
    """The content of one response that all clients read."""

    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    calls: list[tuple[str | None, Any]] = field(default_factory=list)
    """Name and arguments of each call of a client's tool; arguments that are not JSON as text."""
    reason: str | None = None
    """The stop reason, by its name in the protocol."""
    why_incomplete: str | None = None
    """Responses: the reason for the status `incomplete`."""
    failed: bool = False
    """Whether the stream ends in the protocol's error."""


def read_arguments(text: str) -> Any:
    """Return the value of a call's arguments, or the text if it is truncated."""
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text


def _events(stream: bytes) -> Iterator[dict[str, Any]]:
    for event in sse.Decoder().feed(stream):
        if event.data and event.data != b"[DONE]":
            yield json.loads(event.data)


def read_anthropic(stream: bytes) -> Transcript:
    """Return the text, thinking, tool calls and stop reason of a Messages stream."""
    transcript = Transcript()
    blocks: list[dict[str, Any]] = []
    pieces: list[str] = []
    for event in _events(stream):
        match event["type"]:
            case "message_start":
                blocks += event["message"]["content"]
                pieces += [""] * len(blocks)
                transcript.text += "".join(block.get("text", "") for block in blocks)
                transcript.reason = event["message"].get("stop_reason")
            case "content_block_start":
                blocks.append(event["content_block"])
                transcript.text += event["content_block"].get("text", "")
                pieces.append("")
            case "content_block_delta":
                delta = event["delta"]
                pieces[event["index"]] += delta.get("partial_json", "")
                transcript.text += delta.get("text", "")
                transcript.reasoning += delta.get("thinking", "")
            case "message_delta":
                transcript.reason = event["delta"]["stop_reason"]
            case "error":
                transcript.failed = True
    for block, text in zip(blocks, pieces, strict=True):
        if block["type"] == "tool_use":
            transcript.calls.append(
                (block["name"], read_arguments(text) if text else block["input"])
            )
    return transcript


def read_chat(stream: bytes) -> Transcript:
    """Return the content, reasoning, tool calls and finish reason of the first choice."""
    transcript = Transcript()
    calls: dict[int, list[str]] = {}
    for chunk in _events(stream):
        transcript.failed |= bool(chunk.get("error"))
        for choice in chunk.get("choices", ()):
            if choice["index"] != 0:
                continue
            delta = choice["delta"]
            transcript.text += delta.get("content") or ""
            transcript.refusal += delta.get("refusal") or ""
            transcript.reasoning += delta.get("reasoning_content") or ""
            transcript.reason = choice["finish_reason"] or transcript.reason
            for call in delta.get("tool_calls") or ():
                name_and_text = calls.setdefault(call["index"], ["", ""])
                kind = call.get("function") or call.get("custom") or {}
                name_and_text[0] += kind.get("name") or ""
                name_and_text[1] += kind.get("arguments") or kind.get("input") or ""
    transcript.calls = [(name, read_arguments(text)) for name, text in calls.values()]
    return transcript


def read_responses(stream: bytes) -> Transcript:
    """Return the streamed text and reasoning, the finished calls, and the status."""
    transcript = Transcript()
    for event in _events(stream):
        match event["type"]:
            case "response.output_text.delta":
                transcript.text += event["delta"]
            case "response.refusal.delta":
                transcript.refusal += event["delta"]
            case "response.reasoning_summary_text.delta":
                transcript.reasoning += event["delta"]
            case "response.output_item.done":
                item = event["item"]
                if item["type"] == "function_call":
                    transcript.calls.append((item["name"], read_arguments(item["arguments"])))
                elif item["type"] == "custom_tool_call":
                    transcript.calls.append((item["name"], item["input"]))
            case "response.completed" | "response.incomplete":
                transcript.reason = event["response"]["status"]
                details = event["response"].get("incomplete_details") or {}
                transcript.why_incomplete = details.get("reason")
            case "response.failed" | "error":
                transcript.failed = True
    return transcript


def read_gemini(stream: bytes) -> Transcript:
    """Return the text, thoughts and function calls of the first candidate."""
    transcript = Transcript()
    for chunk in _events(stream):
        transcript.failed |= bool(chunk.get("error"))
        feedback = chunk.get("promptFeedback") or {}
        transcript.reason = feedback.get("blockReason", transcript.reason)
        for candidate in chunk.get("candidates") or ():
            if candidate.get("index", 0) != 0:
                continue
            transcript.reason = candidate.get("finishReason") or transcript.reason
            for part in (candidate.get("content") or {}).get("parts") or ():
                text = part.get("text") or ""
                if part.get("thought"):
                    transcript.reasoning += text
                else:
                    transcript.text += text
                if "functionCall" in part:
                    call = part["functionCall"]
                    transcript.calls.append((call.get("name"), call.get("args")))
    return transcript


READERS: dict[str, Callable[[bytes], Transcript]] = {
    "anthropic_messages": read_anthropic,
    "chat_completions": read_chat,
    "responses": read_responses,
    "gemini": read_gemini,
}
