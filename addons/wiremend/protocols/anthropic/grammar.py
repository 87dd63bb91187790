"""The grammar of Anthropic Messages event streams: tables, and a checker of whole streams.

Theory of operation (https://docs.anthropic.com/en/api/messages-streaming). A stream is one
message: `message_start`, then content blocks one after the other, each numbered from 0 and
framed by `content_block_start` and `content_block_stop`, with deltas of its type between them,
then one `message_delta` that contains the stop reason, then `message_stop`. `ping` may come
anywhere, `error` ends the stream at any point. Each event's `event:` line repeats its type.
Unknown event, block and delta types are legal: the API adds them without notice.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from wiremend.protocols.anthropic.errors import error_status, normalised
from wiremend.text import json_value, sse
from wiremend.text.json_value import is_number

DELTAS_BY_BLOCK: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text_delta", "citations_delta"}),
    "thinking": frozenset({"thinking_delta", "signature_delta"}),
    "redacted_thinking": frozenset(),
    "tool_use": frozenset({"input_json_delta"}),
    "server_tool_use": frozenset({"input_json_delta"}),
    "mcp_tool_use": frozenset({"input_json_delta"}),
}
"""The deltas that a block of a known type may have."""

BLOCK_BY_DELTA: Mapping[str, str] = {
    "text_delta": "text",
    "citations_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "thinking",
    "input_json_delta": "tool_use",
}
"""The type of block that a delta of a known type belongs to."""

TEXT_BY_DELTA: Mapping[str, str] = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
"""The member of a delta of a known type that contains its text."""

TOOL_BLOCKS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use"})
"""Blocks whose deltas are pieces of one JSON object."""

WHOLE_REASONS = frozenset({"tool_use", "end_turn", "stop_sequence", "pause_turn"})
"""Stop reasons that require the JSON of tools to be complete. With others (`max_tokens`, `refusal`,
`model_context_window_exceeded`) the last block may end anywhere: anthropic-sdk-python#794."""

STOP_REASONS = WHOLE_REASONS | {"max_tokens", "refusal", "model_context_window_exceeded"}
"""The known stop reasons; unknown ones are legal too."""
FOREIGN_REASONS: Mapping[str, str] = {
    # Chat Completions
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
    # Responses
    "completed": "end_turn",
    "max_output_tokens": "max_tokens",
    # Gemini
    "safety": "refusal",
    "recitation": "refusal",
    "blocklist": "refusal",
    "prohibited_content": "refusal",
    "spii": "refusal",
    "image_safety": "refusal",
    # vendors: GLM, Mistral, Bedrock, text-generation-inference
    "sensitive": "refusal",
    "model_length": "max_tokens",
    "guardrail_intervened": "refusal",
    "content_filtered": "refusal",
    "eos_token": "end_turn",
}
"""Reasons of other protocols and of vendors that gateways leave in place, and their names here."""

EMPTY_BLOCKS: Mapping[str, Mapping[str, Any]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
"""The start of a block that is started by its first delta."""

STREAM_EVENTS = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "ping",
        "error",
    }
)

KEEPALIVES = frozenset({"keepalive"})
"""Event types that gateways send instead of `ping`."""

START_COUNTS = ("input_tokens", "output_tokens")
DELTA_COUNTS = ("output_tokens",)
"""The counts that usage must contain at the start of a message, and at its end."""


def is_called_by_code(block: Mapping[str, Any]) -> bool:
    """Return whether a call was made by code that the provider runs, not by the model.

    https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/programmatic-tool-calling
    """
    caller = block.get("caller")
    kind = caller.get("type") if isinstance(caller, dict) else None
    return isinstance(kind, str) and kind != "direct"


def may_start_whole(block: Any) -> bool:
    """Return whether a block may be in `message_start`: a call that the provider's code makes."""
    return isinstance(block, dict) and block.get("type") == "tool_use" and is_called_by_code(block)


def blocks_to_send(content: Sequence[Any]) -> Sequence[Any]:
    """Return the blocks of a `message_start` that clients read only as events of their own.

    Its first blocks may be calls of the provider's own code, which stay there. Empty also for
    content that has something other than blocks.
    """
    if not all(isinstance(block, dict) and isinstance(block.get("type"), str) for block in content):
        return []
    kept = (at for at, block in enumerate(content) if not may_start_whole(block))
    return content[next(kept, len(content)) :]


def stop_reason_of(reason: str) -> str:
    """Return the name of a stop reason in this protocol; an unknown one is returned unchanged."""
    name = normalised(reason)
    return FOREIGN_REASONS.get(name, name if name in STOP_REASONS else reason)


def is_terminal(event: sse.Event) -> bool:
    """Return whether this event is the last one of a complete stream."""
    kind = json_value.member(event.data, "type")
    return isinstance(kind, str) and kind == "message_stop"


class Grammar:
    """Reports the violations in a stream; shares only the tables above with the repairer."""

    def __init__(self) -> None:
        self._began = False
        self._open: tuple[int, str] | None = None
        self._tool_json = ""
        self._is_cut = False
        self._next_index = 0
        self._is_whole = False
        """The message was whole at its start, with its stop reason."""
        self._has_stop_reason = False
        self._ended = False

    def feed(self, event: sse.Event) -> list[str]:
        """Return the violations in one event."""
        if event.data is None:
            return []
        if self._ended:
            return ["an event after the end"]
        try:
            data = json_value.read(event.data)
        except ValueError:
            return ["data that is not JSON"]
        kind = data.get("type") if isinstance(data, dict) else None
        if not isinstance(kind, str):
            return ["data without a type"]
        if kind in KEEPALIVES:
            return ["a keepalive frame"]
        problems = [] if event.type == kind else [f"event line {event.type!r} over {kind!r}"]
        if kind not in STREAM_EVENTS or kind == "ping":
            return problems
        if kind == "error":
            self._ended = True
            error = data.get("error")
            has_message = isinstance(error, dict) and bool(error.get("message"))
            return problems if has_message else [*problems, "an error without a message"]
        if kind == "message_start":
            return problems + self._message_start(data)
        if not self._began:
            return [*problems, f"{kind} before message_start"]
        handler = {
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
        }[kind]
        return problems + handler(data)

    def end(self) -> list[str]:
        """Return the violations of a stream that ends here."""
        return [] if self._ended else ["the end without message_stop or error"]

    def _message_start(self, data: dict[str, Any]) -> list[str]:
        """A message that consists of calls of the provider's own code may be whole at its start."""
        problems = ["a second message_start"] if self._began else []
        self._began = True
        message = data.get("message")
        if not isinstance(message, dict):
            return [*problems, "message_start without a message"]
        if not _counts(message.get("usage"), START_COUNTS):
            problems.append("message_start without usage")
        if not isinstance(message.get("content"), list):
            return [*problems, "message_start without content"]
        if blocks_to_send(message["content"]):
            problems.append("message_start with content")
        self._next_index = len(message["content"])
        self._is_whole = bool(message["content"] and message.get("stop_reason"))
        return problems

    def _block_start(self, data: dict[str, Any]) -> list[str]:
        problems = []
        self._is_whole = False
        index, block = data.get("index"), data.get("content_block")
        if index != self._next_index or isinstance(index, bool):
            problems.append(f"block {index!r} instead of {self._next_index}")
        if self._open is not None:
            problems.append("a block inside a block")
        if self._has_stop_reason:
            problems.append("a block after the stop reason")
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            return [*problems, "a block without a type"]
        if block["type"] == "tool_use" and not (block.get("id") and block.get("name")):
            problems.append("a tool_use block without id or name")
        if block["type"] in EMPTY_BLOCKS and block.get(block["type"]):
            problems.append(f"a {block['type']} block that starts with its text")
        self._open = (self._next_index, block["type"])
        self._tool_json = ""
        self._next_index += 1
        return problems

    def _block_delta(self, data: dict[str, Any]) -> list[str]:
        if self._open is None:
            return ["a delta outside a block"]
        index, kind = self._open
        delta = data.get("delta")
        if not isinstance(delta, dict) or not isinstance(delta.get("type"), str):
            return ["a delta without a type"]
        problems = [] if data.get("index") == index else [f"a delta of block {data.get('index')!r}"]
        if delta["type"] in BLOCK_BY_DELTA and kind in DELTAS_BY_BLOCK:
            if not isinstance(delta.get(TEXT_BY_DELTA.get(delta["type"], "type")), str):
                problems.append(f"{delta['type']} without its text")
            if delta["type"] not in DELTAS_BY_BLOCK[kind]:
                problems.append(f"{delta['type']} in a {kind} block")
            elif delta["type"] == "input_json_delta":
                self._tool_json += str(delta.get("partial_json", ""))
        return problems

    def _block_stop(self, data: dict[str, Any]) -> list[str]:
        if self._open is None:
            return ["a stop outside a block"]
        index, kind = self._open
        self._open = None
        problems = [] if data.get("index") == index else [f"a stop of block {data.get('index')!r}"]
        if kind in TOOL_BLOCKS and self._tool_json:
            try:
                json_value.read(self._tool_json)
            except ValueError:
                self._is_cut = True
        return problems

    def _message_delta(self, data: dict[str, Any]) -> list[str]:
        problems = ["message_delta inside a block"] if self._open is not None else []
        if self._has_stop_reason:
            problems.append("a second message_delta")
        self._has_stop_reason = True
        delta = data.get("delta")
        reason = delta.get("stop_reason") if isinstance(delta, dict) else None
        if not reason:
            problems.append("message_delta without a stop reason")
        elif isinstance(reason, str) and (
            error_status(reason) is not None or stop_reason_of(reason) != reason
        ):
            problems.append(f"stop reason {reason!r}")
        if self._is_cut and (not isinstance(reason, str) or reason in WHOLE_REASONS):
            problems.append(f"{reason} after a tool block that stops inside its JSON")
        if not _counts(data.get("usage"), DELTA_COUNTS):
            problems.append("message_delta without usage")
        return problems

    def _message_stop(self, data: dict[str, Any]) -> list[str]:
        problems = ["message_stop inside a block"] if self._open is not None else []
        if not (self._has_stop_reason or self._is_whole):
            problems.append("message_stop without a stop reason")
        self._ended = True
        return problems


def _counts(usage: Any, counts: tuple[str, ...]) -> bool:
    return isinstance(usage, dict) and all(is_number(usage.get(key)) for key in counts)
