"""The tools of a Gemini request, the choice of one, and schemas in Google's dialect."""

from collections.abc import Iterator, Mapping
from typing import Any

from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Tool,
    ToolChoice,
    ToolKind,
    ToolName,
)
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.gemini.own_form import OwnForm, own_of
from wiremend.protocols.gemini.read.parts import keep_inner
from wiremend.text.json_edits import Path
from wiremend.text.json_value import objects

_G = WireProtocol.GEMINI
DECLARATIONS = "functionDeclarations"
SERVER_TOOLS: Mapping[str, str] = {
    "googleSearch": "web_search",
    "googleSearchRetrieval": "web_search",
    "enterpriseWebSearch": "web_search",
    "urlContext": "web_fetch",
    "codeExecution": "code_execution",
    "fileSearch": "file_search",
}
"""The common names of the tools that the provider runs."""
_MODES: Mapping[str, ChoiceMode] = {
    "AUTO": ChoiceMode.AUTO,
    "ANY": ChoiceMode.REQUIRED,
    "NONE": ChoiceMode.NONE,
    "VALIDATED": ChoiceMode.AUTO,
}
_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_COUNTS = frozenset(
    {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_GOOGLE_ONLY = frozenset({"nullable", "propertyOrdering", "example"})
_DEEPEST = 100


def read_tools(entries: Any, at: Path) -> Iterator[Tool]:
    """Yield the tools of a list of entries, in order; an entry may contain several."""
    for place, entry in objects(entries, at):
        for key, value in entry.items():
            if key == DECLARATIONS:
                for path, declaration in objects(value, (*place, key)):
                    yield _declared(declaration, place[-1], path)
            else:
                name = SERVER_TOOLS.get(key, key)
                fields = value if isinstance(value, dict) else {}
                own = OwnForm(_G, fields, {"entry": place[-1], "config": value})
                yield Tool(name, ToolKind.SERVER, type=key, own=own, at=(*place, key))


def _declared(declaration: Mapping[str, Any], entry: Any, at: Path) -> Tool:
    members = Members(declaration)
    name, description = members.text("name"), members.text("description")
    schema, original = members.object("parametersJsonSchema"), None
    if schema is None:
        original = members.object("parameters")
        schema = json_schema(original) if original is not None else None
    own = own_of(members, entry=entry, parameters=original)
    return Tool(name, ToolKind.FUNCTION, description, schema, own=own, at=at)


def read_choice(members: Members, at: Path) -> ToolChoice | None:
    """Take the mode of calling functions."""
    config = members.peek("toolConfig")
    calling = config.get("functionCallingConfig") if isinstance(config, dict) else None
    word = calling.get("mode") if isinstance(calling, dict) else None
    mode = _MODES.get(word.upper()) if isinstance(word, str) else None
    if mode is None or not isinstance(calling, dict):
        return None
    members.drop("toolConfig")
    outer, inner = Members(config), Members(calling)
    inner.drop("mode")
    names = inner.peek("allowedFunctionNames")
    allowed: tuple[ToolName, ...] | None = None
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        inner.drop("allowedFunctionNames")
        allowed = tuple(map(ToolName, names))
    outer.drop("functionCallingConfig")
    keep_inner(outer, "functionCallingConfig", inner)
    own = own_of(outer, mode=word)
    at = (*at, "toolConfig", "functionCallingConfig")
    if mode is ChoiceMode.REQUIRED and allowed is not None and len(allowed) == 1:
        return ToolChoice(mode, allowed[0], own=own, at=at)
    return ToolChoice(mode, None, allowed, own=own, at=at)


def json_schema(schema: Any, depth: int = 0) -> Any:
    """Return a schema in Google's dialect of OpenAPI as JSON Schema.

    Types become lower case, `nullable` a type, numbers in text numbers. Other members are kept.
    """
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return schema
    converted: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _GOOGLE_ONLY:
            continue
        converted[key] = _member(key, value, depth)
    if schema.get("nullable") is True:
        _allow_null(converted)
    return converted


def _member(key: str, value: Any, depth: int) -> Any:
    if key == "type":
        return _type(value)
    if key == "properties" and isinstance(value, dict):
        return {name: json_schema(inner, depth + 1) for name, inner in value.items()}
    if key in ("items", "additionalProperties"):
        return json_schema(value, depth + 1)
    if key == "anyOf" and isinstance(value, list):
        return [json_schema(inner, depth + 1) for inner in value]
    is_number_in_text = isinstance(value, str) and value.isascii() and value.isdecimal()
    if key in _COUNTS and is_number_in_text and len(value) < 16:
        return int(value)
    return value


def _type(value: Any) -> Any:
    if isinstance(value, list):
        return [_type(one) for one in value]
    name = value.lower() if isinstance(value, str) else value
    return name if name in _TYPES else value


def _allow_null(schema: dict[str, Any]) -> None:
    kind = schema.get("type")
    if isinstance(kind, str):
        schema["type"] = [kind, "null"]
        if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
            schema["enum"] = [*schema["enum"], None]
    elif isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [*schema["anyOf"], {"type": "null"}]
