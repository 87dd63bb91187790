"""The types of `set`, `drop` and `rename` in the configuration, and their checks."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from wiremend.config.values import InWords, refuse

_STEP = re.compile(r"[^.\s\x00-\x1f]+\Z")
_MOST_CHANGES = 100
_DEEPEST = 20
_OWN_KEYS: Mapping[str, str] = {
    "model": "the model is set by `model` in [[models]]",
    "stream": "the client decides whether it reads a stream",
}
"""Fields that other keys set, or that the proxy itself depends on."""


def problem_of_path(path: str) -> str:
    """Return what is wrong with the path of a field, as text for the user; empty if nothing is."""
    steps = path.split(".")
    if not path:
        return "expected the path of a field such as 'generationConfig.topK', got an empty string"
    if not all(_STEP.match(step) for step in steps):
        return (
            "expected the path of a field such as 'messages.*.name': "
            f"steps without white space, with one dot between them, got {path!r}"
        )
    if len(steps) > _DEEPEST:
        return f"expected {_DEEPEST} steps or fewer, got {len(steps)}"
    if path in _OWN_KEYS:
        return f"cannot be changed here: {_OWN_KEYS[path]}"
    return ""


def _settable(values: Mapping[str, Any]) -> Mapping[str, Any]:
    problems = [((path,), text) for path in values if (text := problem_of_path(path))]
    for path, value in values.items():
        text = _problem_of_value(value) or _problem_of_last_step(path)
        if text and not problem_of_path(path):
            problems.append(((path,), text))
    refuse(*problems)
    return values


def _problem_of_last_step(path: str) -> str:
    return "expected the name of a field at the end, got '*'" if path == "*" else ""


def _problem_of_value(value: Any, depth: int = 0) -> str:
    """Return why a TOML value cannot be written as JSON; empty if it can be."""
    match value:
        case bool() | str():
            return ""
        case int():
            return "" if -(2**63) <= value < 2**64 else "expected a number of 64 bits"
        case float():
            return "" if math.isfinite(value) else f"JSON has no {value}"
        case dict() | list() if depth >= _DEEPEST:
            return f"is nested more than {_DEEPEST} levels deep"
        case dict():
            inner: list[Any] = [*value.values()]
            if not all(_STEP.match(key) for key in value):
                return "the keys of a nested table cannot contain dots or white space"
        case list():
            inner = value
        case _:
            return f"JSON has no dates and times: write {str(value)!r} as a string"
    return next((text for item in inner if (text := _problem_of_value(item, depth + 1))), "")


def _droppable(paths: Sequence[str]) -> Sequence[str]:
    refuse(*(((number,), text) for number, path in enumerate(paths) if (text := _of_drop(path))))
    return paths


def _of_drop(path: str) -> str:
    return problem_of_path(path) or _problem_of_last_step(path)


def _renamable(paths: Mapping[str, str]) -> Mapping[str, str]:
    problems = [((old,), _of_rename(old, new)) for old, new in paths.items()]
    refuse(*((place, text) for place, text in problems if text))
    return paths


def _of_rename(old: str, new: str) -> str:
    if problem := problem_of_path(old):
        return problem
    if problem := problem_of_path(new):
        return f"{new!r}: {problem}"
    if old == new:
        return "is renamed to itself"
    if old.startswith(f"{new}.") or new.startswith(f"{old}."):
        return f"{new!r} is inside the other"
    steps, new_steps = old.split("."), new.split(".")
    shared = max((depth for depth, step in enumerate(steps, 1) if step == "*"), default=0)
    is_moved_within = steps[:shared] == new_steps[:shared] and "*" not in new_steps[shared:]
    if not is_moved_within or len(steps) == shared or len(new_steps) == shared:
        beginning = ".".join(steps[:shared])
        expected = f"a path that begins with '{beginning}.'" if shared else "a path without '*'"
        return f"expected {expected}, the place of the same items, got {new!r}"
    return ""


FieldsToSet = Annotated[
    Mapping[str, Any],
    AfterValidator(_settable),
    Field(max_length=_MOST_CHANGES, examples=[{"temperature": 0.2, "thinking.type": "disabled"}]),
    InWords("table of values by path"),
]
FieldsToDrop = Annotated[
    tuple[str, ...],
    AfterValidator(_droppable),
    Field(max_length=_MOST_CHANGES, examples=[["metadata", "messages.*.name"]]),
    InWords("list of paths"),
]
FieldsToRename = Annotated[
    Mapping[str, str],
    AfterValidator(_renamable),
    Field(max_length=_MOST_CHANGES, examples=[{"max_tokens": "max_completion_tokens"}]),
    InWords("table of paths by path"),
]
