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

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.repairer import StreamContext
from wiremend.protocols.chat.errors import error_reason, groq_error
from wiremend.protocols.chat.usage import broken_counts
from wiremend.text import json_value, sse
from wiremend.text.json_value import dicts_in

DONE = b"[DONE]"
CHUNK = "chat.completion.chunk"
CHUNK_KEYS = frozenset({"choices", "usage", "object", "system_fingerprint", "created"})
"""An object with one of these is a chunk, however incomplete."""
ANSWER_KEYS = ("content", "refusal")
"""The members of a delta with the text of an answer."""
REASONING_KEYS = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
"""The members of a delta in which providers send reasoning."""
CONTENT_KEYS = (*ANSWER_KEYS, *REASONING_KEYS)
"""The members of a delta in which providers send text of the model."""
OBJECTS = (CHUNK, "chat.completion.done")
"""The values of `object`; Perplexity's last chunk has the second one."""
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


_LIMIT_REASONS = frozenset(
    {"length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length"}
)
_CONTINUING_KEYS = (*CONTENT_KEYS, "tool_calls", "function_call", "audio")


def is_filter_result(chunk: Mapping[str, Any]) -> bool:
    """Return whether this is Azure's filter result for the prompt: `object` and `id` are empty.

    https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-filter-annotations
    """
    return chunk.get("object") == "" and chunk.get("choices") == []


def is_answer(value: Any) -> bool:
    """Return whether this is a chunk or completion with choices."""
    return isinstance(value, dict) and bool(dicts_in(value.get("choices")))


def continues_answer(delta: Mapping[str, Any]) -> bool:
    """Return whether a delta has content of the model, which must not follow a finish reason.

    Signatures, annotations and other data about earlier content may follow.
    """
    return any(
        bool(delta.get(key)) and (key != "reasoning_details" or has_text(delta[key]))
        for key in _CONTINUING_KEYS
    )


def has_text(details: Any) -> bool:
    """Return whether `reasoning_details` contain more than signatures and encrypted reasoning."""
    return not isinstance(details, list) or any(
        not isinstance(item, dict) or any(item.get(key) for key in ("text", "summary"))
        for item in details
    )


def is_limit(reason: Any) -> bool:
    """Return whether a finish reason of any provider reports that the output limit was reached."""
    return isinstance(reason, str) and reason.lower() in _LIMIT_REASONS


def finish_reason_of(reason: str) -> str:
    """Return the name of a finish reason in this protocol; an unknown one is unchanged."""
    name = reason.lower()
    return FOREIGN_REASONS.get(name, name if name in FINISH_REASONS else reason)


def is_terminal(event: sse.Event) -> bool:
    """Return whether this event is the last one of a complete stream."""
    return event.data is not None and event.data.strip() == DONE


class Grammar:
    """Reports the violations in a stream; shares only the tables above with the repairer."""

    def __init__(self, context: StreamContext | None = None) -> None:
        context = context or StreamContext()
        self._accepts = context.accepts
        self._is_forced = context.forced_tool
        self._ended = False
        self._reasons: dict[int, Any] = {}
        """The finish reason of each finished choice."""
        self._finished: set[int] = set()
        """The choices whose last content a finish reason follows."""
        self._just_finished: set[int] = set()
        """Those that the last event with content, usage or a finish reason finished."""
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
            unfinished = self._choices - self._finished
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
        is_named = chunk.get("object") in OBJECTS or is_filter_result(chunk)
        is_named |= not chunk.get("object") and self._accepts(Deviation.NO_OBJECT)
        problems = [] if is_named else ["a chunk without its object name"]
        if "error" in chunk:
            problems.append("an empty error")
        if groq_error(chunk):
            problems.append("an error under x_groq")
        if broken_counts(chunk.get("usage")) and not self._accepts(Deviation.NULL_COUNTS):
            problems.append("a usage with counts that are not numbers")
        if chunk.get("usage") or any(one.get("finish_reason") for one in dicts_in(choices)):
            self._just_finished.clear()
        for choice in choices:
            problems += self._choice(choice)
        return problems

    def end(self) -> list[str]:
        """Return the violations of a stream that ends here."""
        if self._ended or (
            self._accepts(Deviation.NO_DONE) and self._choices and self._choices == self._finished
        ):
            return []
        return ["the end without [DONE] or error"]

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
        if continues_answer(delta):
            if number in self._just_finished:
                problems.append("content after the finish reason")
            self._finished.discard(number)
        if any(value for key, value in delta.items() if key not in ("role", "index")):
            self._just_finished.clear()
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
        if index is None and self._accepts(Deviation.NO_CALL_INDEX):
            index = sum(1 for owner, _ in self._calls if owner == choice)
        if not isinstance(index, int) or isinstance(index, bool):
            return [f"a tool call with index {index!r}"]
        existing = self._calls.get((choice, index))
        problems = []
        if existing is None:
            expected = sum(1 for owner, _ in self._calls if owner == choice)
            if index != expected:
                problems.append(f"tool call {index} instead of {expected}")
            has_type = call.get("type") or self._accepts(Deviation.NO_CALL_TYPE)
            if not (call.get("id") and has_type and function.get("name")):
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
        if choice in self._finished and self._reasons[choice] != reason:
            problems.append("a second finish reason")
        if choice not in self._finished:
            self._finished.add(choice)
            self._just_finished.add(choice)
        self._reasons[choice] = reason
        if calls and reason == "stop" and not self._is_forced:
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
