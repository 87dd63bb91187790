"""Tools as a parsed request contains them: offered, chosen, called, and answered."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wiremend.text.json_edits import Path

type Mention = tuple[Path, str]
"""The path of a tool's name, and the name."""


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool that the client runs: the one kind whose name and schema are the client's."""

    entry: Path
    """The entry in the list of tools."""
    owner: Path
    """The object that contains name and schema: the entry itself, or one inside it."""
    fields: dict[str, Any]
    """That object, parsed."""
    schema_key: str | None
    """None where the kind of tool has no schema."""
    is_grouped: bool = False
    """Whether the entry is one of several declarations in an entry of the list of tools."""

    @property
    def is_nameless(self) -> bool:
        """Whether there is no name to call it by. A number as name is left to the provider."""
        name = self.fields.get("name")
        return name is None or (isinstance(name, str) and not name.strip())


@dataclass(frozen=True, slots=True)
class ChoiceOfOne:
    """A tool choice that is an object with the name of one tool: Anthropic and OpenAI."""

    kinds: tuple[str | None, ...]
    """The types of choices that name one tool; the legacy `function_call` has none."""
    auto_is_object: bool = False
    """Whether "the model chooses" is an object with a type rather than a string."""
    may_offer_none: bool = False
    """Whether an empty list of tools is accepted."""


@dataclass(frozen=True, slots=True)
class ChoiceOfMode:
    """A calling mode with a list of allowed names: Gemini."""

    configs: Callable[[dict[str, Any]], tuple[Path, ...]]
    """The paths of a parsed request where the object with the mode may be."""


@dataclass(frozen=True, slots=True)
class SchemaForm:
    """What a protocol demands of the schema of a tool's parameters."""

    no_parameters: bytes
    """The schema of a tool without parameters."""
    may_be_absent: bool = False
    """Whether a tool without parameters may have no schema."""
    type_case_matters: bool = True
    """Whether `OBJECT` is another type than `object`."""


def value_at(request: Any, path: Path) -> Any:
    """The value at this path, or None if there is none. Indices must exist."""
    for step in path:
        if isinstance(step, int):
            request = request[step]
        else:
            request = request.get(step) if isinstance(request, dict) else None
    return request


def objects_at(request: dict[str, Any], path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The objects in the list at this path, each with its own path."""
    entries = value_at(request, path)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield (*path, index), entry


def objects_along(
    value: Any, *steps: str, path: Path = ()
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The objects that these steps lead to; `*` stands for every item of a list."""
    if not steps:
        if isinstance(value, dict):
            yield path, value
    elif steps[0] != "*":
        if isinstance(value, dict) and steps[0] in value:
            yield from objects_along(value[steps[0]], *steps[1:], path=(*path, steps[0]))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from objects_along(item, *steps[1:], path=(*path, index))


def mention_at(request: Mapping[str, Any], path: Path, key: str = "name") -> Iterator[Mention]:
    """The name under `key` in the object at this path, if there is one."""
    value = value_at(request, path)
    if isinstance(value, dict):
        yield from mention_in(path, value, key)


def mention_in(path: Path, named: Mapping[str, Any], key: str = "name") -> Iterator[Mention]:
    """The name under `key` in this object, whose path is given, if there is one."""
    if isinstance(named.get(key), str):
        yield (*path, key), named[key]
