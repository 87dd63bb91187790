"""The normal form of a request: what is equal in two runs with the same prompt.

Two runs of an agent never send the same bytes: ids, dates, folders and the order of members change.
The normal form has placeholders for these, and lacks members that only identify a run. It was
measured with Claude Code, Codex, OpenCode and Gemini CLI, in other folders and home directories.

    `<id>`     UUIDs, and hexadecimal numbers of 16 digits or more
    `<date>`   dates and times, in the notations of the four agents
    `<mail>`, `<name>`, `<key>`   what a recording replaces by stand-ins
    paths      absolute paths are represented by their last component

This module is pure: a request is normalised by its bytes and by the names in `Machine`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from wiremend.identities import ID_TEXT, Machine, identity_names, without_keys
from wiremend.recording.path_maps import PathMaps
from wiremend.text import json_value
from wiremend.text.patterns import LinearPattern, Match, escape_pattern, linear_pattern


class Level(Enum):
    """How much of two requests must be equal for one to be answered with the other's response."""

    STRICT = "strict"
    """Everything: model, messages, system prompt, tools and parameters."""
    MESSAGES = "messages"
    """Model and messages."""
    ORDER = "order"
    """Model, and the place in the conversation: how many answers of the model it contains. For
    prompts that change with the version of the client."""


@dataclass(frozen=True, slots=True)
class AskedRequest:
    """A request, as far as it is compared."""

    method: str
    host: str
    path: str
    """With its query, which is not compared."""
    body: bytes = field(repr=False)
    """Without content codings."""


@dataclass(frozen=True, slots=True)
class NormalForm:
    """A normalised request. Values are JSON values with placeholders."""

    endpoint: str
    """Method, host and path without its query."""
    model: str
    streaming: bool
    messages: Sequence[Any]
    """The conversation without instructions of the client's developers."""
    rest: Mapping[str, Any]
    """All other members: system prompt, tools, parameters."""

    def compared(self, level: Level) -> Mapping[str, Any]:
        """Return the parts that are compared at a level, by the names that users know."""
        head: dict[str, Any] = {
            "endpoint": self.endpoint,
            "model": self.model,
            "stream": self.streaming,
        }
        if level is Level.ORDER:
            has_tools = bool(self.rest.get("tools"))
            return head | {"has tools": has_tools, "answers so far": self.answers_so_far}
        if level is Level.MESSAGES and (self.messages or not self.rest):
            return head | {"messages": self.messages}
        return head | {"messages": self.messages, **self.rest}

    def key(self, level: Level) -> bytes:
        """Return a digest that is equal for two requests if they match at a level."""
        return hashlib.sha256(json_value.write_sorted(self.compared(level))).digest()

    @property
    def answers_so_far(self) -> int:
        """The number of answers of the model that the conversation contains."""
        count, was_model = 0, False
        for item in self.messages:
            is_model = _is_of_model(item)
            count += is_model and not was_model
            was_model = is_model
        return count


_HISTORIES = ("messages", "input", "contents")
"""The members that contain the conversation: Messages and Chat, Responses, Gemini."""
_WRAPPERS = ("request", "generateContentRequest")
"""Members of Gemini's requests that may contain the whole request."""
_INSTRUCTING_ROLES = ("system", "developer")
_MODEL_ITEMS = (
    *("reasoning", "function_call", "custom_tool_call", "local_shell_call", "web_search_call"),
    *("file_search_call", "computer_call", "mcp_call", "code_interpreter_call"),
)
"""The types of Responses items that the model made, beside messages."""
_DROPPED = frozenset(
    {
        *("cache_control", "metadata", "client_metadata", "prompt_cache_key", "user"),
        *("internal_chat_message_metadata_passthrough", "safety_identifier", "store"),
        *("thoughtSignature", "signature", "id", "call_id", "tool_use_id", "tool_call_id"),
    }
)
"""Members that identify a run, an account or a call, or whose place changes with each turn."""
_FOREIGN = frozenset(
    {
        *("args", "arguments", "response", "output"),
        *("properties", "input_schema", "parameters", "parametersJsonSchema", "schema"),
    }
)
"""Members whose objects belong to tools, so that a member `id` in them is content."""


_DEPTH_LIMIT = 100
"""Values that are nested more deeply are compared as they are."""
_SHORT = 64
_KNOWN_LIMIT = 4096
"""How many longer texts are remembered: each turn of an agent repeats those before it."""


class Normaliser:
    """Returns the normal forms of requests.

    `machine` is where the requests were made: its names are replaced, as they are in recordings.
    `maps` are applied first, so that what the client sent in another folder is equal.
    """

    def __init__(self, machine: Machine | None = None, maps: PathMaps | None = None) -> None:
        self._maps = maps or PathMaps()
        names = "|".join(escape_pattern(name) for name in identity_names(machine or Machine()))
        self._names = linear_pattern(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])")
        self._has_names = bool(names)
        self._known: dict[str, str] = {}

    def normal_form(self, request: AskedRequest) -> NormalForm:
        """Return the normal form of a request."""
        path = request.path.partition("?")[0]
        endpoint = f"{request.method.upper()} {request.host.lower()}{path}"
        body = without_keys(request.body)
        try:
            fields = json_value.read(body) if body.strip() else {}
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            return NormalForm(endpoint, "", False, [self.text(body.decode("utf-8", "replace"))], {})
        rest, inner = _unwrapped(fields)
        name = next((name for name in _HISTORIES if name in inner), None)
        history = inner.pop(name) if name else []
        items = history if isinstance(history, list) else [history]
        if instructions := [item for item in items if _instructs(item)]:
            inner["instructions in messages"] = instructions
        streaming = bool(inner.pop("stream", False)) or ":stream" in path
        model = str(inner.pop("model", "") or rest.pop("model", ""))
        messages = [self._value(item, 0) for item in items if not _instructs(item)]
        return NormalForm(endpoint, model, streaming, messages, self._value(rest | inner, 0))

    def text(self, text: str) -> str:
        """Return a text with placeholders."""
        if len(text) < _SHORT:
            return self._normal_text(text)
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _KNOWN_LIMIT:
                self._known.clear()
            known = self._known[text] = self._normal_text(text)
        return known

    def _normal_text(self, text: str) -> str:
        text = self._maps.text(text)
        for pattern, placeholder in _BEFORE_PATHS:
            text = pattern.sub(placeholder, text)
        text = _PATH.sub(_last_component, text)
        for pattern, placeholder in _PATTERNS:
            text = pattern.sub(placeholder, text)
        return self._names.sub("<name>", text) if self._has_names else text

    def _value(self, value: Any, depth: int, *, is_foreign: bool = False) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if depth > _DEPTH_LIMIT or not isinstance(value, dict | list):
            return value
        if isinstance(value, list):
            return [self._value(item, depth + 1, is_foreign=is_foreign) for item in value]
        return {
            name: self._value(item, depth + 1, is_foreign=is_foreign or _is_foreign(name, item))
            for name, item in value.items()
            if is_foreign or name not in _DROPPED
        }


_FOLDER = linear_pattern(
    rb"(?:<cwd>|[Ww]orking directory: |Workspace Directories:\*\*\\n  - )([^<>\"\\]{1,1024}+)"
)
"""How the four agents name the folder in which they were started."""


def folder_of(request: AskedRequest) -> str:
    """Return the folder in which the client was started, if its request names it; else empty."""
    found = _FOLDER.search(request.body)
    return found[1].decode("utf-8", "replace").strip() if found is not None else ""


def _unwrapped(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the members around the request, and those of the request."""
    for name in _WRAPPERS:
        inner = fields.get(name)
        if isinstance(inner, dict) and any(history in inner for history in _HISTORIES):
            return {key: value for key, value in fields.items() if key != name}, dict(inner)
    return {}, dict(fields)


def _instructs(item: Any) -> bool:
    return isinstance(item, dict) and item.get("role") in _INSTRUCTING_ROLES


def _is_of_model(item: Any) -> bool:
    if not isinstance(item, dict):
        return False
    return item.get("role") in ("assistant", "model") or item.get("type") in _MODEL_ITEMS


def _is_foreign(name: str, value: Any) -> bool:
    """Return whether the members of this value belong to a tool."""
    return isinstance(value, dict) and (name in _FOREIGN or name == "input")


# The placeholders

_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}+"
_DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}+,? "
_TIME = r"(?:,? (?:at )?\d{1,2}:\d\d(?::\d\d)?(?: ?[AP]M)?)?"

type Placeholders = Sequence[tuple[LinearPattern[str], str]]

_BEFORE_PATHS: Placeholders = (
    # Codex
    (linear_pattern(r"<(cwd|root|shell|timezone)>[^<]{0,1024}+</"), r"<\1>...</"),
    # Gemini CLI
    (linear_pattern(r"(My operating system is: )[^\n]{0,200}+"), r"\1..."),
    (linear_pattern(r"(temporary directory is: )[^\n]{0,1024}+"), r"\1..."),
    (linear_pattern(r"(- \*\*Workspace Directories:\*\*)[^<]{0,65536}+"), r"\1 ..."),
    # Claude Code, OpenCode
    (linear_pattern(r"([Ww]orking directory: )[^\n]{0,1024}+"), r"\1..."),
)
"""Texts that describe where a client runs."""

_PATH = linear_pattern(
    r"(?:(?<=file://)|(?<![\w.@+~/\\:<-]))(?:~|[A-Za-z]:)?(?:[/\\]{1,2}[\w.@+~-]++)++[/\\]?"
)
_PATTERNS: Placeholders = (
    (linear_pattern(r"REDACTED_*+"), "<key>"),
    (linear_pattern(r"cch=[0-9A-Za-z]{1,16}+;"), "cch=<id>;"),
    (linear_pattern(r"Chunk ID: [0-9A-Za-z]{1,32}+"), "Chunk ID: <id>"),
    (linear_pattern(r"Wall time: [0-9.]{1,20}+"), "Wall time: <seconds>"),
    (linear_pattern(ID_TEXT), "<id>"),
    (
        linear_pattern(r"(?<![\w.+-])[\w.+-]{1,64}+@(?:[\w-]{1,63}+\.){1,6}[A-Za-z]{2,24}+"),
        "<mail>",
    ),
    (
        linear_pattern(
            r"(?<!\d)\d{4}-\d\d-\d\d"
            r"(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9}+)?)?(?:Z|[+-]\d\d:?\d\d)?)?(?!\d)"
        ),
        "<date>",
    ),
    (linear_pattern(rf"(?<!\w)(?:{_DAY})?{_MONTH} \d{{1,2}}+,? \d{{4}}(?!\d){_TIME}"), "<date>"),
    (linear_pattern(rf"(?<!\w)(?:{_DAY})?\d{{1,2}}+ {_MONTH} \d{{4}}(?!\d){_TIME}"), "<date>"),
    (linear_pattern(rf"(?<![\w/])\d{{1,2}}+/\d{{1,2}}+/\d{{4}}(?![\d/]){_TIME}"), "<date>"),
    (linear_pattern(r"(?<![A-Za-z0-9])(?:na|nam|name0*+)\d{1,3}+(?![A-Za-z0-9])"), "<name>"),
)


def _last_component(found: Match[str]) -> str:
    return found[0].replace("\\", "/").rstrip("/").rpartition("/")[2]
