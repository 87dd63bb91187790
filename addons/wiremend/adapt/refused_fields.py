"""Removing fields that a target refuses, by the path in its rejection.

Only harmless fields are removed (`field_policy`), and none for a provider with
`on_unsupported = "error"`. The provider's error about any other field is sent to the client, with
advice (`advice_on_kept_fields`).

A path is written with dots: `messages.*.content.*.thinking.cache_control`. `*` matches every item
of a list. A step that is not a key matches an object with that `type`, since pydantic writes the
member of a union in this way.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from wiremend.adapt.essential_fields import essential_reason, field_policy
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
    action="Removes the field, for this provider and model only, if the call can do without it. "
    "Fields that the client relies on, such as `response_format` or `stop`, are not removed: the "
    "client receives the provider's error, and what can be done about it.",
    protocols=tuple(WireProtocol),
    seen=("anthropics/claude-code#21612", "Wei-Shaw/sub2api#225"),
    before='{"model":"m","context_management":{"edits":[]},"messages":[…]}',
    after='{"model":"m","messages":[…]}',
)


def drop_refused_fields(
    document: RequestDocument, traits: TargetTraits, notes: Notes
) -> RequestDocument:
    """Return the request without the harmless fields that this target refuses."""
    if not traits.refused_fields or not traits.drops_refused or document.fields is None:
        return document
    edits = Edits(document.body)
    refused = {
        place
        for place, value in _places_of(document, traits.refused_fields)
        if field_policy(document.protocol.name, place, value) == "harmless"
    }
    for path in sorted(refused, key=str):
        is_inside = any(path[:depth] in refused for depth in range(1, len(path)))
        if not is_inside and notes.note(
            FIELD_REFUSED, BodyPlace(path), "rejected before", "dropped"
        ):
            edits.remove(path)
    return document.edited(edits)


def advice_on_kept_fields(
    document: RequestDocument, traits: TargetTraits, refused: Iterable[str]
) -> str:
    """Return what to do about refused fields that were not dropped, to be added to the error.

    `refused` are paths as in `TargetTraits.refused_fields`. The result is empty if the request
    contains none of them, or if all of them are dropped.
    """
    sentences: dict[str, None] = {}
    for place, value in _places_of(document, refused):
        name = ".".join("*" if isinstance(step, int) else step for step in place)
        reason = essential_reason(document.protocol.name, place, value)
        if reason is not None:
            why = f"`{name}` was not dropped, since the client relies on it ({reason})"
        elif not traits.drops_refused:
            why = f'`{name}` was not dropped, since this provider has `on_unsupported = "error"`'
        else:
            continue
        sentences[
            f"{why}; use another model or provider, change the client's setting, or accept the "
            f'loss with `drop = ["{name}"]` in wiremend\'s configuration'
        ] = None
    return "; ".join(list(sentences)[:_ADVICE_LIMIT])


_ADVICE_LIMIT = 3
"""The maximum number of fields in an advice."""


def _places_of(document: RequestDocument, fields: Iterable[str]) -> Iterator[tuple[Path, Any]]:
    for field in fields:
        yield from _places(document.fields, field.split("."))


def _places(value: Any, steps: list[str], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the path and value of each field at these steps."""
    step, rest = steps[0], steps[1:]
    if isinstance(value, list):
        if step == "*" and rest:
            for index, item in enumerate(value):
                yield from _places(item, rest, (*path, index))
    elif isinstance(value, dict):
        if step in value:
            if rest:
                yield from _places(value[step], rest, (*path, step))
            elif not (step == "id" and value.get("type") == "item_reference"):
                yield (*path, step), value[step]
        elif rest and step == value.get("type", "custom"):
            yield from _places(value, rest, path)
