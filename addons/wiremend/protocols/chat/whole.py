"""A completion as a stream, and a stream as a completion."""

from collections.abc import Mapping, Sequence
from typing import Any

from wiremend.text import json_value, sse
from wiremend.text.json_value import dicts_in

_NEVER_JOINED = frozenset({"role", "id", "type", "name"})


def unfold(completion: Mapping[str, Any]) -> list[bytes]:
    """Return the events of a stream with this completion, for the repairer."""
    chunk = {**completion, "object": "chat.completion.chunk"}
    chunk.pop("usage", None)
    choices: list[dict[str, Any]] = [
        {
            **{name: value for name, value in choice.items() if name != "message"},
            "delta": _as_delta(choice.get("message") or {}),
        }
        for choice in dicts_in(completion.get("choices"))
    ]
    contents = {**chunk, "choices": [{**choice, "finish_reason": None} for choice in choices]}
    ends = [{**choice, "delta": {}, "logprobs": None} for choice in choices]
    chunks = [contents, {**chunk, "choices": ends}]
    if completion.get("usage"):
        chunks.append({**chunk, "choices": [], "usage": completion["usage"]})
    return [*(sse.encode(json_value.write(one)) for one in chunks), b"data: [DONE]\n\n"]


def _as_delta(message: Mapping[str, Any]) -> dict[str, Any]:
    delta = {name: value for name, value in message.items() if value is not None}
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        delta["tool_calls"] = [
            {"index": index, **call} if isinstance(call, dict) else call
            for index, call in enumerate(calls)
        ]
    return delta


def fold(chunks: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the completion in the chunks of a valid stream; None if there is none."""
    completion: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        completion |= {name: value for name, value in chunk.items() if value is not None}
        for part in dicts_in(chunk.get("choices")):
            message: dict[str, Any] = {"role": "assistant", "content": None}
            choice = choices.setdefault(part["index"], {"index": part["index"], "message": message})
            _join(choice["message"], part.get("delta") or {})
            rest = {name: part[name] for name in part if name not in ("delta", "logprobs")}
            choice |= {name: value for name, value in rest.items() if value is not None}
            if isinstance(part.get("logprobs"), dict):
                _join(choice.setdefault("logprobs", {}), part["logprobs"])
    if not choices:
        return None
    for choice in choices.values():
        for call in dicts_in(choice["message"].get("tool_calls")):
            call.pop("index", None)
    return {
        **completion,
        "object": "chat.completion",
        "choices": [choice for _, choice in sorted(choices.items())],
    }


def _join(whole: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Append the strings and lists of a delta; the parts of a list item have the same index."""
    for name, value in delta.items():
        before = whole.get(name)
        if value is None or (value == "" and isinstance(before, list)):
            continue
        if isinstance(value, str) and isinstance(before, str) and name not in _NEVER_JOINED:
            whole[name] = before + value
        elif isinstance(value, dict) and isinstance(before, dict):
            _join(before, value)
        elif isinstance(value, list):
            whole[name] = _joined(before if isinstance(before, list) else [], value)
        else:
            whole[name] = value


def _joined(before: list[Any], added: list[Any]) -> list[Any]:
    items = list(before)
    by_index = {item["index"]: item for item in dicts_in(items) if "index" in item}
    for item in added:
        index = item.get("index") if isinstance(item, dict) else None
        if index is not None and index in by_index:
            _join(by_index[index], item)
        elif isinstance(item, dict):
            items.append(new := dict(item))
            if index is not None:
                by_index[index] = new
        else:
            items.append(item)
    return items
