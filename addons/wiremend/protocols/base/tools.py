"""Tools in a parsed request: the offered ones, the choice, the calls, and their results."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wiremend.text.json_edits import Path
from wiremend.value_class import value_class

type Mention = tuple[Path, str]
"""The path of a tool's name, and the name."""


@value_class
class ClientTool:
    """A tool that the client runs; the client defines its name and schema."""

    entry: Path
    """The entry in the list of tools."""
    owner: Path
    """The object that contains name and schema: the entry, or an object inside it."""
    fields: dict[str, Any]
    """The members of `owner`."""
    schema_key: str | None
    """The member of `owner` with the schema; None if tools of this kind have none."""
    is_grouped: bool = False
    """Whether the entry is one of several declarations in one entry of the list of tools."""

    @property
    def is_nameless(self) -> bool:
        """Whether its name is missing or blank. A number as name is left to the provider."""
        name = self.fields.get("name")
        return name is None or (isinstance(name, str) and not name.strip())


@dataclass(frozen=True, slots=True)
class ChoiceOfOne:
    """A tool choice that is an object with one tool name: Anthropic and OpenAI."""

    kinds: tuple[str | None, ...]
    """The types of choices with a tool name; None for the legacy `function_call`."""
    auto_is_object: bool = False
    """Whether the automatic choice is an object with a type rather than a string."""
    may_offer_none: bool = False
    """Whether an empty list of tools is accepted."""


@dataclass(frozen=True, slots=True)
class ChoiceOfMode:
    """A tool choice that is a calling mode with a list of allowed names: Gemini."""

    configs: Callable[[dict[str, Any]], tuple[Path, ...]]
    """Return the paths of a parsed request where the mode may be."""


@dataclass(frozen=True, slots=True)
class SchemaForm:
    """The requirements of a protocol on the schema of a tool's parameters."""

    no_parameters: bytes
    """The schema of a tool without parameters."""
    may_be_absent: bool = False
    """Whether a tool without parameters may have no schema."""
    is_json_schema: bool = True
    """False: Google's `Schema`, in which the type `object` is also written `OBJECT` or 6."""


def value_at(request: Any, path: Path) -> Any:
    """Return the value at this path, or None. Raises IndexError for a missing index."""
    for step in path:
        if isinstance(step, int):
            request = request[step]
        else:
            request = request.get(step) if isinstance(request, dict) else None
    return request


def objects_at(request: dict[str, Any], path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the objects in the list at this path, each with its path."""
    entries = value_at(request, path)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield (*path, index), entry


def objects_along(value: Any, *steps: str) -> list[tuple[Path, dict[str, Any]]]:
    """Return the objects at these steps, each with its path; `*` matches every item of a list."""
    found: list[tuple[Path, Any]] = [((), value)]
    for step in steps:
        if step == "*":
            found = [
                ((*path, index), item)
                for path, items in found
                if isinstance(items, list)
                for index, item in enumerate(items)
            ]
        else:
            found = [
                ((*path, step), owner[step])
                for path, owner in found
                if isinstance(owner, dict) and step in owner
            ]
    return [(path, item) for path, item in found if isinstance(item, dict)]


def mention_at(request: Mapping[str, Any], path: Path, key: str = "name") -> Iterator[Mention]:
    """Yield the name under `key` in the object at this path, if there is one."""
    value = value_at(request, path)
    if isinstance(value, dict):
        yield from mention_in(path, value, key)


def mention_in(path: Path, named: Mapping[str, Any], key: str = "name") -> Iterator[Mention]:
    """Yield the name under `key` in this object at `path`, if there is one."""
    if isinstance(named.get(key), str):
        yield (*path, key), named[key]
