"""Changing fields as the configuration says: `rename`, `drop` and `set`, in this order.

They are written in the words of the target, so they are applied to the request in its final form,
after all other passes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import FieldChanges, TargetTraits
from wiremend.rules.rule import BodyPlace, Notes, Rule, start_of
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path

FIELD_CONFIGURED = Rule(
    code="T306",
    name="field-configured",
    detects="The configuration contains `set`, `drop` or `rename` for this model or provider.",
    impact="The target needs, or rejects, a field in a way that no rule knows.",
    action="Changes the fields as configured, after all other changes.",
    protocols=tuple(WireProtocol),
    seen=("BerriAI/litellm#30218",),
    before='{"model":"kimi-k2","temperature":1,"user":"u"}',
    after='{"model":"kimi-k2","temperature":0.2}',
)

type _Tree = dict[str | int, "_Tree | bytes"]
"""What to set: the JSON text of each value, by the steps of its path."""


def change_configured_fields(
    document: RequestDocument, traits: TargetTraits, notes: Notes
) -> RequestDocument:
    """Return the request with the fields that are configured for this target."""
    if not traits.changes or not notes.is_on(FIELD_CONFIGURED):
        return document
    for changes in traits.changes:
        document = _changed(document, changes, notes)
    return document


def _changed(document: RequestDocument, changes: FieldChanges, notes: Notes) -> RequestDocument:
    for source, target in changes.rename.items():
        document = _renamed(document, _steps(source), _steps(target), notes)
    if changes.drop:
        document = _dropped(document, changes.drop, notes)
    if changes.set:
        tree: _Tree = {}
        for path, value in changes.set.items():
            _plant(tree, _steps(path), value)
        document = _set(document, tree, notes)
    return document


def _steps(path: str) -> list[str]:
    return path.split(".")


# rename


def _renamed(
    document: RequestDocument, source: Sequence[str], target: Sequence[str], notes: Notes
) -> RequestDocument:
    edits, moved = Edits(document.body), _Moved()
    shared = max((depth for depth, step in enumerate(source, 1) if step == "*"), default=0)
    for place in _places(document.fields, source):
        new_place = (*place[:shared], *target[shared:])
        if any(True for _ in _places(document.fields, [str(step) for step in new_place])):
            done = f"dropped, since there is {BodyPlace(new_place)} too"
            edits.remove(place)
        elif place[:-1] == new_place[:-1]:
            done = f"renamed to {new_place[-1]}"
            edits.rename(place, str(new_place[-1]))
        else:
            done = f"moved to {BodyPlace(new_place)}"
            moved.add(new_place, edits.text(place))
            edits.remove(place)
        notes.note(FIELD_CONFIGURED, BodyPlace(place), "`rename` in the configuration", done)
    return _set(document.edited(edits), moved.tree, None)


class _Moved:
    """The values that were moved to another object."""

    def __init__(self) -> None:
        self.tree: _Tree = {}

    def add(self, place: Path, text: bytes) -> None:
        """Add a value and its new place."""
        node = self.tree
        for step in place[:-1]:
            inner = node.setdefault(step, {})
            assert isinstance(inner, dict)
            node = inner
        node[place[-1]] = text


# drop


def _dropped(document: RequestDocument, paths: Sequence[str], notes: Notes) -> RequestDocument:
    edits = Edits(document.body)
    places = {place for path in paths for place in _places(document.fields, _steps(path))}
    for place in sorted(places, key=str):
        if not any(place[:depth] in places for depth in range(1, len(place))):
            notes.note(FIELD_CONFIGURED, BodyPlace(place), "`drop` in the configuration", "dropped")
            edits.remove(place)
    return document.edited(edits)


def _places(value: Any, steps: Sequence[str], path: Path = ()) -> Iterator[Path]:
    if not steps:
        yield path
        return
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict):
        for key in value if step == "*" else (step,):
            if key in value:
                yield from _places(value[key], rest, (*path, key))
    elif isinstance(value, list):
        for index in _indices(step, len(value)):
            yield from _places(value[index], rest, (*path, index))


def _indices(step: str | int, length: int) -> Sequence[int]:
    if step == "*":
        return range(length)
    number = step if isinstance(step, int) else int(step) if step.isdecimal() else -1
    return (number,) if 0 <= number < length else ()


# set


def _plant(tree: _Tree, steps: Sequence[str], value: Any) -> None:
    """Add a value to a tree; objects in it become branches."""
    node = tree
    for step in steps[:-1]:
        inner = node.get(step)
        if not isinstance(inner, dict):
            inner = node[step] = {}
        node = inner
    last = steps[-1]
    if isinstance(value, Mapping) and value:
        if not isinstance(node.get(last), dict):
            node[last] = {}
        for key, inner_value in value.items():
            inner = node[last]
            assert isinstance(inner, dict)
            _plant(inner, [key], inner_value)
    else:
        node[last] = json_value.write(value)


def _set(document: RequestDocument, tree: _Tree, notes: Notes | None) -> RequestDocument:
    if not tree or document.fields is None:
        return document
    edits = Edits(document.body)
    _set_within(document.fields, tree, (), edits, notes)
    return document.edited(edits)


def _set_within(value: Any, tree: _Tree, path: Path, edits: Edits, notes: Notes | None) -> None:
    """Set what the tree contains in the object or list at `path`, whose value is `value`."""
    is_list = isinstance(value, list)
    existing = range(len(value)) if is_list else list(value)
    chosen: _Tree = dict.fromkeys(existing, tree["*"]) if "*" in tree else {}
    for step, wanted in tree.items():
        if step != "*":
            places = _indices(step, len(value)) if is_list else (step,)
            chosen.update(dict.fromkeys(places, wanted))
    added = []
    for step, wanted in chosen.items():
        if is_list or step in value:
            _set_at(value[step], wanted, (*path, step), edits, notes)
        elif (text := _text_of(wanted)) is not None:
            _note(notes, (*path, step), "absent", text)
            added.append(json_value.write(step) + b":" + text)
    if added:
        edits.append(path, b",".join(added))


def _set_at(
    value: Any, wanted: _Tree | bytes, path: Path, edits: Edits, notes: Notes | None
) -> None:
    """Replace the value at `path`, or set what the tree contains inside it.

    A text such as that of a message is not replaced by an object.
    """
    if isinstance(wanted, dict) and value is not None:
        if isinstance(value, dict | list):
            _set_within(value, wanted, path, edits, notes)
        return
    text = _text_of(wanted)
    written = json_value.write(value)
    if text is not None and text != written:
        _note(notes, path, start_of(written), text)
        edits.replace(path, text)


def _text_of(wanted: _Tree | bytes) -> bytes | None:
    """Return the JSON text of a value to set; None for one inside items that do not exist."""
    if isinstance(wanted, bytes):
        return wanted
    members = [(step, _text_of(inner)) for step, inner in wanted.items() if step != "*"]
    texts = [json_value.write(step) + b":" + text for step, text in members if text is not None]
    return b"{" + b",".join(texts) + b"}" if texts else None


def _note(notes: Notes | None, path: Path, found: str, text: bytes) -> None:
    if notes is not None:
        notes.note(FIELD_CONFIGURED, BodyPlace(path), found, f"set to {start_of(text)}")
