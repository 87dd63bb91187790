"""The grammar of Chat Completions event streams: tables, and a checker of whole streams.

Theory of operation (https://platform.openai.com/docs/api-reference/chat-streaming). A stream
is a sequence of chunks without `event:` lines, then `data: [DONE]`. Each chunk contains choices
by index; the deltas of a choice add up to its message, and the last one has a finish reason. A
tool call is opened by a fragment with index, id, type and name; later fragments with that index
add to its arguments. Calls are numbered from 0; their fragments may be interleaved. A chunk
without choices contains usage. Providers add their own fields (`reasoning_content` …).
"""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.chat.errors import error_reason, groq_error
from wiremend.text import json_value, sse

DONE = b"[DONE]"
CHUNK = "chat.completion.chunk"
CHUNK_KEYS = frozenset({"choices", "usage", "object", "system_fingerprint", "created"})
"""An object with one of these is a chunk, however incomplete."""
CONTENT_KEYS = ("content", "refusal", "reasoning_content", "reasoning", "reasoning_details")
"""The members of a delta in which providers send text of the model."""
FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
"""The known finish reasons; unknown ones are legal too."""
FOREIGN_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}
"""Stop reasons of Anthropic that gateways leave in place, and their names here."""
WHOLE_REASONS = frozenset({"stop", "tool_calls", "function_call"})
"""Finish reasons that require the JSON of tools to be complete."""


def is_filter_result(chunk: Mapping[str, Any]) -> bool:
    """Return whether this is Azure's filter result for the prompt: `object` and `id` are empty.

    https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter-annotations
    """
    return chunk.get("object") == "" and chunk.get("choices") == []


def finish_reason_of(reason: str) -> str:
    """Return the name of a finish reason in this protocol; an unknown one is unchanged."""
    name = reason.lower()
    return FOREIGN_REASONS.get(name, name if name in FINISH_REASONS else reason)


def is_terminal(event: sse.Event) -> bool:
    """Return whether this event is the last one of a complete stream."""
    return event.data is not None and event.data.strip() == DONE


class Grammar:
    """Reports the violations in a stream; shares only the tables above with the repairer."""

    def __init__(self) -> None:
        self._ended = False
        self._finished: dict[int, int] = {}
        """The number of calls of each finished choice when it finished."""
        self._choices: set[int] = set()
        self._function_called: set[int] = set()
        self._calls: dict[tuple[int, int], dict[str, Any]] = {}

    def feed(self, event: sse.Event) -> list[str]:
        """Return the violations in one event."""
        if event.data is None:
            return []
        if self._ended:
            return ["an event after the end"]
        if event.data == DONE:
            self._ended = True
            unfinished = self._choices - self._finished.keys()
            return (
                [f"[DONE] without a finish reason for {sorted(unfinished)}"] if unfinished else []
            )
        try:
            chunk = json_value.read(event.data)
        except ValueError:
            return ["data that is not JSON"]
        if not isinstance(chunk, dict):
            return ["data that is not an object"]
        error = chunk.get("error")
        if isinstance(error, dict) and error:
            self._ended = True
            if "choices" in chunk:
                return ["an error beside choices"]
            return [] if error.get("message") else ["an error without a message"]
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return ["a chunk without choices"]
        is_named = chunk.get("object") == CHUNK or is_filter_result(chunk)
        problems = [] if is_named else ["a chunk without its object name"]
        if "error" in chunk:
            problems.append("an empty error")
        if groq_error(chunk):
            problems.append("an error under x_groq")
        for choice in choices:
            problems += self._choice(choice)
        return problems

    def end(self) -> list[str]:
        """Return the violations of a stream that ends here."""
        return [] if self._ended else ["the end without [DONE] or error"]

    def _choice(self, choice: Any) -> list[str]:
        if not isinstance(choice, dict) or not isinstance(choice.get("delta"), dict):
            return ["a choice without a delta"]
        number, delta, reason = choice.get("index"), choice["delta"], choice.get("finish_reason")
        if not isinstance(number, int):
            return ["a choice without an index"]
        self._choices.add(number)
        failure = error_reason(choice)
        problems = [] if failure is None else [f"a finish reason that is a failure: {failure}"]
        if delta.get("role") is not None and delta["role"] != "assistant":
            problems.append(f"role {delta['role']!r}")
        if isinstance(delta.get("function_call"), dict):
            self._function_called.add(number)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            problems += self._call(number, call)
        if reason is not None:
            problems += self._finish(number, reason)
        return problems

    def _call(self, choice: int, call: Any) -> list[str]:
        if isinstance(call, dict) and (
            isinstance(call.get("custom"), dict) or call.get("type") == "custom"
        ):
            index = call.get("index")
            key = (choice, index if isinstance(index, int) else -1)
            if call.get("id") and isinstance(call["id"], str):
                self._calls.setdefault(key, {"name": None, "arguments": "{}"})
            self._function_called.add(choice)
            return []
        if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
            return ["a tool call without a function"]
        index, function = call.get("index"), call["function"]
        if not isinstance(index, int) or isinstance(index, bool):
            return [f"a tool call with index {index!r}"]
        existing = self._calls.get((choice, index))
        problems = []
        if existing is None:
            expected = sum(1 for owner, _ in self._calls if owner == choice)
            if index != expected:
                problems.append(f"tool call {index} instead of {expected}")
            if not (call.get("id") and call.get("type") and function.get("name")):
                problems.append("a tool call that opens without id, type or name")
            existing = self._calls[choice, index] = {"name": function.get("name"), "arguments": ""}
        elif call.get("id"):
            problems.append("a second id with one index")
        elif function.get("name") and function["name"] == existing["name"]:
            problems.append("a repeated name")
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            return [*problems, "arguments that are not a string"]
        existing["arguments"] += arguments or ""
        return problems

    def _finish(self, choice: int, reason: Any) -> list[str]:
        problems = []
        if not isinstance(reason, str) or not reason or finish_reason_of(reason) != reason:
            problems.append(f"finish reason {reason!r}")
        calls = [call for (owner, _), call in self._calls.items() if owner == choice]
        if self._finished.get(choice) == len(calls):
            problems.append("a second finish reason")
        self._finished[choice] = len(calls)
        if calls and reason == "stop":
            problems.append("stop with tool calls")
        if not calls and choice not in self._function_called and reason == "tool_calls":
            problems.append("tool_calls without a call")
        if isinstance(reason, str) and reason in WHOLE_REASONS:
            problems += [
                "arguments that are not JSON"
                for call in calls
                if not json_value.parses(call["arguments"])
            ]
        return problems
