"""The requirements of a target on requests: tools, messages, parameters, header values."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from wiremend.protocols.base.name_limits import NameLimit
from wiremend.text.patterns import WholePattern, whole_pattern

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
        return _ids_of(self.characters).fullmatch(call_id) is not None

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


@cache
def _ids_of(characters: str) -> WholePattern[str]:
    """Return a pattern for ids of these characters."""
    return whole_pattern(f"[{characters}]++")


SHORT_CALL_IDS = CallIdLimit(characters="a-zA-Z0-9", longest=9, exact=True)
"""What Mistral's models accept."""


@dataclass(frozen=True, slots=True)
class MessageTraits:
    """The rules on messages and parameters that a target needs, and their limits."""

    rules: frozenset[str] = frozenset()
    """Codes of the rules that are enabled for the target."""
    call_ids: CallIdLimit = CallIdLimit(longest=40)
    short_call_ids: bool = False
    """Whether ids of tool calls must have nine letters and digits."""
    max_output_tokens: int | None = None
    token_limit_name: str = "max_completion_tokens"
    """The name of the parameter that limits the output of a Chat Completions request."""
    efforts: tuple[str, ...] = ()
    """The reasoning efforts that it accepts; empty: any that it does not refuse."""
    refused_efforts: tuple[str, ...] = ()
    """The reasoning efforts that it refuses."""
    thinking_type: str = ""
    """The type of thinking that it accepts, `adaptive` or `enabled`; empty: both."""
    thinks_always: bool = False
    """Whether it refuses requests that turn thinking off."""
    thinking_switch: str = "thinking"
    """The field that turns thinking off in a Chat Completions request: `thinking` or
    `enable_thinking`."""
    forced_choice: str = "any"
    """The tool choices that it refuses while it thinks: `any` or `named`, the choice of one tool by
    its name."""
    max_thinking_budget: int | None = None
    """The largest thinking budget, in tokens."""
    instructions_role: str = "system"
    """The role of instructions: `system`, `developer` or `user`."""
    max_cache_marks: int = 4
    """The largest number of `cache_control` in a request."""
    max_images: int | None = None
    """The largest number of images in a request."""
    max_image_bytes: int | None = None
    """The largest size of an image, in bytes of its base64 text."""
    refused_images: tuple[str, ...] = ()
    """The paths of images that it refused, with dots: `messages.7.content.2`; `all`: each one."""


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


NO_FIELD_CHANGES = FieldChanges()


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
