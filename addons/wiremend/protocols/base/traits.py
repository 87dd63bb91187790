"""The requirements of a target on requests: tools, messages, parameters, header values."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from wiremend.protocols.base.name_limits import NameLimit
from wiremend.text.patterns import whole_pattern

_ID_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class CallIdLimit:
    """The tool call ids that a target accepts."""

    characters: str = "a-zA-Z0-9_-"
    """In the syntax of a regular expression's set; always includes letters and digits."""
    longest: int = 64
    exact: bool = False
    """Whether every id must have the length `longest`."""

    def takes(self, call_id: str) -> bool:
        """Return whether the target accepts this id."""
        shortest = self.longest if self.exact else 1
        if not shortest <= len(call_id) <= self.longest:
            return False
        return whole_pattern(f"[{self.characters}]++").fullmatch(call_id) is not None

    def fit(self, call_id: str) -> str:
        """Return the id if the target accepts it, else one that is derived from it by hash."""
        if self.takes(call_id):
            return call_id
        digest = hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).digest()
        number = int.from_bytes(digest)
        letters = []
        for _ in range(min(self.longest, 24)):
            number, rest = divmod(number, len(_ID_ALPHABET))
            letters.append(_ID_ALPHABET[rest])
        return "".join(letters)


@dataclass(frozen=True, slots=True)
class MessageTraits:
    """The rules on messages and parameters that a target needs, and their limits."""

    rules: frozenset[str] = frozenset()
    """Codes of the rules that are enabled for the target."""
    call_ids: CallIdLimit = CallIdLimit(longest=40)
    max_output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class FieldChanges:
    """Changes of a request's fields that the user has configured, by path.

    A path has dots between its steps; `*` stands for every item of a list or member of an object, a
    number for an item of a list.
    """

    rename: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The new path of a field, by its path. Both are the same up to the last `*`."""
    drop: tuple[str, ...] = ()
    set: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """The JSON value of a field, by its path. An object is merged into the one that is there."""

    def __bool__(self) -> bool:
        return bool(self.rename or self.drop or self.set)


@dataclass(frozen=True, slots=True)
class TargetTraits:
    """The requirements that a request must meet for a target."""

    dialect: str = "plain"
    """The dialect of its tools' schemas: a name in `schema_dialects.DIALECTS`."""
    names: NameLimit | None = None
    """The tool names that it accepts; None: any."""
    unique_names: bool = False
    """Whether two tools with the same name are refused."""
    strip_custom_type: bool = False
    """Whether `"type":"custom"` must be removed from tools."""
    refused_betas: tuple[str, ...] = ()
    """Values of the `anthropic-beta` header that it refuses, as globs."""
    messages: MessageTraits = field(default_factory=MessageTraits)
    """The requirements on messages and parameters."""
    dialect_by_tool: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The dialect of single tools, by the client's name."""
    refused_fields: tuple[str, ...] = ()
    """Fields that it refuses, as paths; see `wiremend.adapt.refused_fields`."""
    json_schema_key: bool = False
    """Whether a Gemini tool may have full JSON Schema as `parametersJsonSchema`."""
    drops_refused: bool = True
    """Whether harmless fields and header values that it refuses are dropped."""
    changes: tuple[FieldChanges, ...] = ()
    """What the user has configured for it, in the order in which it is applied."""
