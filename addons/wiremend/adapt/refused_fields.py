"""Removing fields that a target refuses, by the path in its rejection.

A path is written with dots: `messages.*.content.*.thinking.cache_control`. `*` matches every item
of a list. A step that is not a key matches an object with that `type`, since pydantic writes the
member of a union in this way.
"""

from collections.abc import Iterator
from typing import Any

from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text.json_edits import Edits, Path

FIELD_REFUSED = Rule(
    code="T303",
    name="field-refused",
    detects="The request contains a field that this target rejected before.",
    impact="The whole request is rejected: `context_management: Extra inputs are not permitted`.",
    action="Removes the field, for this provider and model only.",
    protocols=tuple(WireProtocol),
    seen=("anthropics/claude-code#21612", "Wei-Shaw/sub2api#225"),
    before='{"model":"m","context_management":{"edits":[]},"messages":[…]}',
    after='{"model":"m","messages":[…]}',
)

ESSENTIAL_FIELDS = frozenset(
    {
        *("model", "messages", "input", "contents", "system", "instructions", "stream", "tools"),
        *("role", "content", "parts", "type", "text", "id", "call_id", "tool_use_id", "name"),
        *("tool_call_id", "tool_calls", "function", "arguments", "input_schema", "parameters"),
        *("properties", "max_tokens", "tool_choice"),
    }
)
"""A request without one of these fields has another meaning. They are not removed."""


def drop_refused_fields(
    document: RequestDocument, traits: TargetTraits, notes: Notes
) -> RequestDocument:
    """Return the request without the fields that this target refuses."""
    if not traits.refused_fields or document.fields is None:
        return document
    edits = Edits(document.body)
    refused = {
        path
        for field in traits.refused_fields
        for path in _places(document.fields, field.split("."))
    }
    for path in sorted(refused, key=str):
        is_inside = any(path[:depth] in refused for depth in range(1, len(path)))
        if not is_inside and notes.note(
            FIELD_REFUSED, BodyPlace(path), "rejected before", "dropped"
        ):
            edits.remove(path)
    return document.edited(edits)


def _places(value: Any, steps: list[str], path: Path = ()) -> Iterator[Path]:
    step, rest = steps[0], steps[1:]
    if isinstance(value, list):
        if step == "*" and rest:
            for index, item in enumerate(value):
                yield from _places(item, rest, (*path, index))
    elif isinstance(value, dict):
        if step in value:
            if rest:
                yield from _places(value[step], rest, (*path, step))
            elif step not in ESSENTIAL_FIELDS:
                yield (*path, step)
        elif rest and step == value.get("type", "custom"):
            yield from _places(value, rest, path)
