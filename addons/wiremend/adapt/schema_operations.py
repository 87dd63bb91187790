"""Operations on single schemas that conversions consist of: they return a new schema, or the same.

They do not follow references, and change the schema itself, not those inside it.
"""

from collections import Counter
from typing import Any

from wiremend.adapt.schema_dialects import (
    SCHEMA_MAPS,
    TYPES,
    Schema,
    allows_anything,
    is_well_formed,
    type_name,
    types_of,
)
from wiremend.text import json_value

_TYPE_BY_KEYWORD = {
    "properties": "object",
    "additionalProperties": "object",
    "required": "object",
    "minProperties": "object",
    "maxProperties": "object",
    "patternProperties": "object",
    "propertyNames": "object",
    "dependentRequired": "object",
    "items": "array",
    "minItems": "array",
    "maxItems": "array",
    "prefixItems": "array",
    "uniqueItems": "array",
    "contains": "array",
    "minLength": "string",
    "maxLength": "string",
    "pattern": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
    "exclusiveMinimum": "number",
    "exclusiveMaximum": "number",
    "multipleOf": "number",
}
"""The type of a schema without `type`, inferred from a keyword."""


def normalize_keywords(node: Schema, *, tuples: bool) -> Schema:
    """Return keywords of older drafts in the form of draft 2020-12; drop malformed ones."""
    for bound in ("Minimum", "Maximum"):
        if isinstance(node.get(f"exclusive{bound}"), bool):
            is_exclusive = node.pop(f"exclusive{bound}")
            if is_exclusive and bound.lower() in node:
                node[f"exclusive{bound}"] = node.pop(bound.lower())
    if isinstance(node.get("items"), list):
        listed = node.pop("items")
        if listed:
            node["prefixItems"] = listed
        if isinstance(node.get("additionalItems"), dict | bool):
            node["items"] = node.pop("additionalItems")
    first = node.get("prefixItems")
    if not tuples and isinstance(first, list) and first:
        del node["prefixItems"]
        others = [node["items"]] if isinstance(node.get("items"), dict) else []
        listed = [*first, *others]
        node["items"] = listed[0] if len(listed) == 1 else {"anyOf": listed}
    if isinstance(node.get("required"), list):
        node["required"] = list(dict.fromkeys(_names(node["required"])))
    if isinstance(node.get("type"), list):
        types = [name for name in node["type"] if isinstance(name, str) and name.lower() in TYPES]
        node["type"] = list(dict.fromkeys(name.lower() for name in types))
    elif (name := type_name(node.get("type"))) is not None:
        node["type"] = name
    return {key: value for key, value in node.items() if is_well_formed(key, value)}


def with_types_in_branches(node: Schema) -> Schema:
    """Return a schema with anyOf whose type is in the branches."""
    declared = node.pop("type", None)
    for branch in node["anyOf"]:
        if declared and "type" not in branch and "anyOf" not in branch:
            branch["type"] = declared
    return node


def inferred_types(node: Schema) -> list[str]:
    """Return the types of the values that a schema without `type` is about; empty if any."""
    values = node.get("enum", [node["const"]] if "const" in node else ())
    if isinstance(values, list) and values:
        named = dict.fromkeys(_TYPE_NAMES[type(value)] for value in values)
        return [name for name in named if name != "integer" or "number" not in named]
    inferred = next((_TYPE_BY_KEYWORD[key] for key in node if key in _TYPE_BY_KEYWORD), None)
    return [inferred] if inferred else []


def type_alone(schema: Schema) -> Schema:
    """Return the type of a schema that cannot be inlined once more, if it has one."""
    return {"type": schema["type"]} if types_of(schema) else {}


def with_anyof_alone(node: Schema) -> Schema:
    """Return a schema whose anyOf has no annotation beside it; the first branch has them.

    Vertex AI: `When using any_of, it must be the only field set` (vercel/ai#19000).
    """
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if not allows_anything(rest):
        return node
    return {"anyOf": with_details(rest, node["anyOf"])}


def with_details(details: Schema, branches: list[Any]) -> list[Any]:
    """Return the branches of anyOf with these annotations in the first one."""
    first, *others = branches
    both = [item["description"] for item in (details, first) if item.get("description")]
    text = {"description": " ".join(both)} if both else {}
    return [{**details, **first, **text}, *others]


def with_null(node: Schema) -> Schema:
    """Return a schema with OpenAPI's `nullable` in the terms of JSON Schema."""
    node = {key: value for key, value in node.items() if key != "nullable"}
    if isinstance(node.get("enum"), list) and None not in node["enum"]:
        node = {**node, "enum": [*node["enum"], None]}
    if "anyOf" in node:
        return {**node, "anyOf": [*list_of(node["anyOf"]), {"type": "null"}]}
    types = types_of(node)
    if types and "null" not in types:
        return {**node, "type": [*types, "null"]}
    return node


def means_nothing(keyword: str, node: Schema) -> bool:
    """Return whether a schema for other properties adds nothing to what an object allows."""
    if keyword == "additionalProperties":
        return node[keyword] is False
    is_closed = node.get("additionalProperties") is False
    values = map_of(node.get("patternProperties")).values()
    is_free = not is_closed and all(value is True or value == {} for value in values)
    return keyword == "patternProperties" and is_free


def values_of_map(schema: Schema) -> Schema | bool:
    """Return what the values of properties with any name must be, by pattern or otherwise."""
    others = schema["additionalProperties"]
    if others is True or others == {}:
        return True
    values = [*map_of(schema["patternProperties"]).values()]
    if isinstance(others, dict):
        values.append(others)
    return values[0] if len(values) == 1 else {"anyOf": values}


ANY_TYPES = ("string", "number", "boolean", "object", "array", "null")
_TYPE_NAMES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    dict: "object",
    list: "array",
    type(None): "null",
}


def close_object(node: Schema) -> Schema:
    """Return an object schema with all properties required and no others allowed.

    Properties that were optional may be null.
    """
    required = frozenset(node.get("required", ()))
    properties = {
        name: child if name in required else _or_null(child)
        for name, child in node.get("properties", {}).items()
    }
    return {
        **node,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(schema: Schema) -> Schema:
    types = types_of(schema)
    branches = schema.get("anyOf", ())
    if "null" in types or any(types_of(map_of(branch)) == ("null",) for branch in branches):
        return schema
    if types and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [*types, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def with_alternatives(node: Schema, branches: list[Schema]) -> Schema:
    """Return an object with the properties of all alternatives, and a sentence about the choice."""
    if not branches:
        return node
    properties = _with_all_alternatives([map_of(branch.get("properties")) for branch in branches])
    properties |= map_of(node.get("properties"))
    sets = [_names(branch.get("required")) for branch in branches]
    counts = Counter(name for names in sets for name in dict.fromkeys(names))
    shared = [name for name in sets[0] if counts[name] == len(sets)]
    required = list(dict.fromkeys((*_names(node.get("required")), *shared)))
    node = {**node, "properties": properties, **({"required": required} if required else {})}
    if len(branches) > 1 and len(counts) != len(set(shared)):
        choice = " or ".join("(" + ", ".join(names) + ")" for names in sets)
        node["description"] = with_sentence(node, f"Give {choice}.")
    return node


def _with_all_alternatives(branches: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the properties of all branches; one that differs becomes a list of alternatives."""
    properties: dict[str, Any] = {}
    lists: dict[str, list[Any]] = {}
    for branch in branches:
        for name, child in branch.items():
            if name not in properties:
                properties[name] = child
            elif properties[name] != child:
                if name not in lists:
                    lists[name] = list(_alternatives(properties[name]))
                    properties[name] = {"anyOf": lists[name]}
                lists[name].append(child)
    return properties


def _alternatives(schema: Any) -> list[Any]:
    return schema["anyOf"] if isinstance(schema, dict) and schema.keys() == {"anyOf"} else [schema]


def merge_schemas(*schemas: Schema) -> Schema:
    """Return one schema with the keywords of all; where they differ, those of the first."""
    merged: Schema = {}
    for schema in reversed(schemas):
        merged.update(schema)
    for keyword in (*SCHEMA_MAPS, "required", "allOf"):
        values = [schema[keyword] for schema in schemas if keyword in schema]
        if len(values) < 2:
            continue
        if keyword in SCHEMA_MAPS:
            merged[keyword] = {}
            for value in reversed(values):
                merged[keyword].update(map_of(value))
        else:
            items = (item for value in values for item in list_of(value))
            unique: dict[bytes, Any] = {}
            for item in items:
                unique.setdefault(json_value.write_sorted(item), item)
            merged[keyword] = list(unique.values())
    return merged


def keywords_for(name: str, rest: Schema) -> Schema:
    """Return the keywords that apply to values of the type with this name."""
    kept = {}
    for key, value in rest.items():
        about = _TYPE_BY_KEYWORD.get(key)
        if key == "enum":
            value = values_of_type(name, value)
            if not value:
                continue
        if about in (None, name) or (about == "number" and name == "integer"):
            kept[key] = value
    return kept


def values_of_type(name: str, values: list[Any]) -> list[Any]:
    """Return those of the values that have the type with this name."""
    names = {"number": ("number", "integer")}.get(name, (name,))
    return [value for value in values if _TYPE_NAMES[type(value)] in names]


def with_sentence(node: Schema, sentence: str) -> str:
    """Return the description of a schema with one more sentence."""
    description = node.get("description")
    is_text = isinstance(description, str) and description
    return f"{description} {sentence}" if is_text else sentence


def list_of(value: Any) -> list[Any]:
    """Return the value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def _names(value: Any) -> list[str]:
    return [name for name in list_of(value) if isinstance(name, str)]


def map_of(value: Any) -> dict[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}
