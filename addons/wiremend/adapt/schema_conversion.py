"""Converting a JSON Schema to the nearest schema that a dialect accepts.

A schema that is accepted is returned unchanged. Otherwise meaning is kept as far as the dialect can
express it. Other constraints are moved into the description, where the model can read them.

References that are inlined multiply: a few definitions that refer to each other can become millions
of schemas. So the work that inlining and merging add has a budget. A schema beyond it is not
converted at all.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from wiremend.adapt.schema_dialects import (
    COMPOSITION,
    SCHEMA_LISTS,
    SCHEMA_MAPS,
    SCHEMA_VALUES,
    TYPES,
    Dialect,
    Schema,
    describes_object,
    disallowed_keys,
    is_well_formed,
    resolve,
    types_of,
    unions_of_objects,
    violations,
)
from wiremend.text import json_value

_UNITS_OF_TOOL = 100_000
"""The budget of one schema. A unit is about the time to copy a member."""
_UNITS_OF_REQUEST = 400_000
"""The budget of all schemas of a request: half a second of work."""
_UNITS_PER_SCHEMA = 20
"""What converting a schema costs, of those that are written by inlining."""
_CHARACTERS_PER_UNIT = 32
"""What inlining text costs."""
_TYPE_BY_KEYWORD = {
    "properties": "object",
    "additionalProperties": "object",
    "required": "object",
    "minProperties": "object",
    "maxProperties": "object",
    "items": "array",
    "minItems": "array",
    "maxItems": "array",
    "minLength": "string",
    "maxLength": "string",
    "pattern": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
}
"""The type of a schema without `type`, inferred from a keyword."""
_DESCRIBED_KEYWORDS = frozenset(
    {
        "const", "enum", "format", "pattern", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems",
        "uniqueItems", "minProperties", "maxProperties", "default",
    }
)  # fmt: skip
"""Keywords that are moved into the description if the dialect does not allow them."""
_DESCRIBED_CHARACTERS = 200
"""Longer values are dropped instead."""


class SchemaTooLarge(Exception):
    """The conversion of a schema takes more work than its budget allows."""


class ConversionBudget:
    """The work that the schemas of one request may still cause, beyond their own size."""

    def __init__(self, units: int = _UNITS_OF_REQUEST) -> None:
        self.units = units

    def part(self) -> "ConversionBudget":
        """Return the budget of one schema."""
        return ConversionBudget(min(self.units, _UNITS_OF_TOOL))

    def spend(self, units: int) -> None:
        """Take units. Raises SchemaTooLarge if there are not enough."""
        if units > self.units:
            raise SchemaTooLarge
        self.units -= units


def convert_schema(schema: Any, dialect: Dialect, budget: ConversionBudget | None = None) -> Schema:
    """Return a tool's parameter schema converted to the dialect; the same object if it needs none.

    Any value is accepted: what is not an object becomes the schema of a tool without parameters.
    Raises SchemaTooLarge if the conversion exceeds its budget, or if the schema is nested too
    deeply to traverse.
    """
    root: Schema = schema if isinstance(schema, dict) else {}
    if not violations(schema, dialect):
        return root
    budget = budget or ConversionBudget()
    part = budget.part()
    before = part.units
    try:
        return _converted(root, dialect, part)
    except RecursionError as too_deep:
        raise SchemaTooLarge from too_deep
    finally:
        budget.units -= before - part.units


def _converted(root: Schema, dialect: Dialect, budget: ConversionBudget) -> Schema:
    converted = _Conversion(root, dialect, budget).convert()
    if dialect.references and violations(converted, dialect):
        # Some references pointed into schemas that were folded or moved: inline them.
        inlining = replace(dialect, references=False)
        converted = _Conversion(root, inlining, budget).convert()
    return converted


class _Conversion:
    def __init__(self, root: Schema, dialect: Dialect, budget: ConversionBudget) -> None:
        self._root = root
        self._dialect = dialect
        self._budget = budget

    def convert(self) -> Schema:
        if self._dialect.nested:
            flat, active = self._opened(self._root, (), inline=True, merge=True)
            if not self._dialect.root_composition:
                flat = self._folded(flat, active)
            root: Schema = self._node({**flat, "type": "object"}, active, is_root=True)
        else:
            root = dict(self._root)
            if self._dialect.root_unions and not unions_of_objects(root):
                root = self._folded(*self._opened(root, (), inline=True, merge=False))
            if types_of(root) != ("object",) or isinstance(root["type"], list):
                root = {"type": "object", **root, **{"type": "object"}}
            root["type"] = "object"
        composable = self._dialect.root_composition or self._dialect.root_unions
        composed = composable and any(name in root for name in COMPOSITION)
        if not composed and not isinstance(root.get("properties"), dict):
            root["properties"] = {}
        return _without_disallowed_keys(root, self._dialect)

    def _opened(
        self, schema: Any, active: tuple[str, ...], *, inline: bool, merge: bool
    ) -> tuple[Schema, tuple[str, ...]]:
        """Return a schema with its references and allOf merged in, and all references followed.

        `active` are the references followed so far: a recursive one is not followed again.
        """
        node = dict(schema) if isinstance(schema, dict) else {}
        while True:
            if "$ref" in node and (inline or resolve(self._root, node["$ref"]) is None):
                reference = node.pop("$ref")
                target = resolve(self._root, reference)
                if isinstance(target, dict) and reference not in active:
                    self._budget.spend(_UNITS_PER_SCHEMA + len(active) + len(node))
                    self._spend_for_values(target)
                    active = (*active, reference)
                    node = {**target, **node}
            elif merge and "allOf" in node:
                parts = [node]
                for branch in _list(node.pop("allOf")):
                    if isinstance(branch, dict):
                        self._spend_if_inlined(active)
                        opened, active = self._opened(branch, active, inline=True, merge=True)
                        parts.append(opened)
                node = _merged(*parts)
            else:
                return node, active

    def _spend_if_inlined(self, active: tuple[str, ...]) -> None:
        """Pay for a schema inside an inlined one; the others are as many as the client sent."""
        if active:
            self._budget.spend(_UNITS_PER_SCHEMA)

    def _spend_for_values(self, value: Any) -> None:
        """Pay for everything in an inlined value, even if it is not converted."""
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                self._budget.spend(1 + len(value))
                waiting += value.values()
            elif isinstance(value, list):
                self._budget.spend(1 + len(value))
                waiting += value
            elif isinstance(value, str):
                self._budget.spend(len(value) // _CHARACTERS_PER_UNIT)

    def _folded(self, node: Schema, active: tuple[str, ...]) -> Schema:
        """Return the root with its alternatives merged into one object with all properties."""
        for keyword in ("anyOf", "oneOf"):
            if keyword not in node:
                continue
            folded = []
            for branch in _list(node.pop(keyword)):
                if isinstance(branch, dict):
                    self._spend_if_inlined(active)
                    opened, followed = self._opened(branch, active, inline=True, merge=True)
                    folded.append(self._folded(opened, followed))
            node = _with_alternatives(node, folded)
        return node

    def _node(self, schema: Any, active: tuple[str, ...], *, is_root: bool = False) -> Any:
        dialect = self._dialect
        if isinstance(schema, bool) and dialect.booleans and not is_root:
            return schema
        self._spend_if_inlined(active)
        inline, merge = not dialect.references, not dialect.allows("allOf")
        node, active = self._opened(schema, active, inline=inline, merge=merge or is_root)
        node = self._with_allowed_keywords(self._normalized(node))
        node, active = self._with_single_types(node, active)
        for keyword, value in list(node.items()):
            if keyword in SCHEMA_MAPS:
                node[keyword] = {name: self._node(child, active) for name, child in value.items()}
            elif keyword in SCHEMA_LISTS:
                node[keyword] = [self._node(child, active) for child in value]
            elif keyword in SCHEMA_VALUES and not (
                keyword == "additionalProperties" and isinstance(value, bool)
            ):
                node[keyword] = self._node(value, active)
        return self._completed(node, is_root)

    def _normalized(self, node: Schema) -> Schema:
        tuples = self._dialect.allows("prefixItems") and not self._dialect.items_required
        return _normalized(node, tuples=tuples)

    def _with_allowed_keywords(self, node: Schema) -> Schema:
        """Return `const` as enum and `oneOf` as anyOf; describe or drop other unknown keywords."""
        allows = self._dialect.allows
        if "const" in node and not allows("const"):
            node.setdefault("enum", [node.pop("const")])
        if "oneOf" in node and not allows("oneOf"):
            alternatives = node.pop("oneOf")
            node.setdefault("anyOf", alternatives)
        unknown = [keyword for keyword in node if not allows(keyword)]
        formats = self._dialect.formats
        if formats is not None and node.get("format", "enum") not in formats:
            unknown.append("format")
        return _described(node, unknown)

    def _with_single_types(
        self, node: Schema, active: tuple[str, ...]
    ) -> tuple[Schema, tuple[str, ...]]:
        """Return a schema with a list of types as alternatives, or as one type with `nullable`."""
        if self._dialect.type_lists or not isinstance(node.get("type"), list):
            return self._with_nullable(node, active)
        types = list(types_of(node))
        del node["type"]
        if self._dialect.allows("nullable") and "null" in types and len(types) > 1:
            types.remove("null")
            node["nullable"] = True
        if len(types) == 1:
            node["type"] = types[0]
        if len(types) == 1 or "anyOf" in node:
            return self._with_nullable(node, active)
        shared = {
            key: value
            for key, value in node.items()
            if key in ("title", "description", "default", "nullable")
        }
        rest = {key: value for key, value in node.items() if key not in shared}
        alternatives = [{"type": name, **_keywords_for(name, rest)} for name in types]
        return {**shared, "anyOf": alternatives}, active

    def _with_nullable(
        self, node: Schema, active: tuple[str, ...]
    ) -> tuple[Schema, tuple[str, ...]]:
        """Replace the null branch of `anyOf` by `nullable` (Gemini); a single branch is merged."""
        if not self._dialect.allows("nullable") or self._dialect.keywords is None:
            return node, active
        branches = node.get("anyOf", [])
        others = [
            branch
            for branch in branches
            if not (isinstance(branch, dict) and types_of(branch) == ("null",))
        ]
        if len(others) == len(branches) or not others:
            return node, active
        node["nullable"] = True
        if len(others) > 1:
            return {**node, "anyOf": others}, active
        del node["anyOf"]
        inline = not self._dialect.references
        self._budget.spend(len(node))
        only, active = self._opened(others[0], active, inline=inline, merge=True)
        merged = self._normalized(_merged(node, only))
        return self._with_single_types(self._with_allowed_keywords(merged), active)

    def _completed(self, node: Schema, is_root: bool) -> Schema:
        """Return the schema with the keywords that the dialect requires."""
        dialect = self._dialect
        if dialect.types_required:
            node = _with_type(node)
        if dialect.branch_types_required and "anyOf" in node:
            node["anyOf"] = [
                branch
                for alternative in node["anyOf"]
                for branch in self._typed_branches(alternative)
            ]
        if dialect.string_enums and "enum" in node:
            node = _with_string_enum(node)
        types = types_of(node)
        if dialect.items_required and "array" in types and "items" not in node:
            node["items"] = {"type": "string"}
        if dialect.properties_required and "object" in types and "properties" not in node:
            node["properties"] = {}
        if is_root:
            node.setdefault("properties", {})
        properties = node.get("properties", {})
        if dialect.known_required and "required" in node:
            node["required"] = [name for name in node["required"] if name in properties]
        if dialect.closed and describes_object(node):
            node = _closed(node)
        return node

    def _typed_branches(self, branch: Any) -> Iterator[Schema]:
        """Yield a branch with a type; if it consists of alternatives, yield each of them."""
        node, _ = self._opened(branch, (), inline=False, merge=True)
        if "type" in node or "$ref" in node:
            yield node
            return
        alternatives = [*_list(node.pop("anyOf", None)), *_list(node.pop("oneOf", None))]
        if not alternatives:
            yield _with_type(node)
        for alternative in alternatives:
            self._budget.spend(len(node))
            yield from self._typed_branches(_merged(_map(alternative), node))


def _without_disallowed_keys(root: Schema, dialect: Dialect) -> Schema:
    """Return the root without properties whose names are not allowed; describe which these are."""
    removed = dict.fromkeys(disallowed_keys(root, dialect))
    if not removed:
        return root
    kept = {name: child for name, child in root["properties"].items() if name not in removed}
    root = {**root, "properties": kept}
    if "required" in root:
        root["required"] = [name for name in root["required"] if name not in removed]
    names = ", ".join(removed)
    if len(names) <= _DESCRIBED_CHARACTERS:
        root["description"] = _with_sentence(root, f"Cannot be given: {names}.")
    return root


def _normalized(node: Schema, *, tuples: bool) -> Schema:
    """Return keywords of older drafts in the form of draft 2020-12; drop malformed ones."""
    for bound in ("Minimum", "Maximum"):
        if isinstance(node.get(f"exclusive{bound}"), bool):
            is_exclusive = node.pop(f"exclusive{bound}")
            if is_exclusive and bound.lower() in node:
                node[f"exclusive{bound}"] = node.pop(bound.lower())
    if isinstance(node.get("items"), list):
        listed = node.pop("items")
        if listed and tuples:
            node["prefixItems"] = listed
        elif listed:
            node["items"] = listed[0] if len(listed) == 1 else {"anyOf": listed}
    if isinstance(node.get("required"), list):
        node["required"] = list(dict.fromkeys(_names(node["required"])))
    if isinstance(node.get("type"), list):
        types = [name for name in node["type"] if isinstance(name, str) and name.lower() in TYPES]
        node["type"] = list(dict.fromkeys(name.lower() for name in types))
    elif isinstance(node.get("type"), str):
        node["type"] = node["type"].lower()
    return {key: value for key, value in node.items() if is_well_formed(key, value)}


def _with_type(node: Schema) -> Schema:
    """Return the schema with an inferred type if it has none; with anyOf, the branches have it."""
    if "anyOf" in node:
        declared = node.pop("type", None)
        for branch in node["anyOf"]:
            if declared and "type" not in branch and "anyOf" not in branch:
                branch["type"] = declared
        return node
    if "type" in node:
        return node
    values = node.get("enum", [node["const"]] if "const" in node else ())
    named = {_TYPE_NAMES.get(type(value)) for value in values}
    inferred = next((_TYPE_BY_KEYWORD[key] for key in node if key in _TYPE_BY_KEYWORD), None)
    only = named.pop() if len(named) == 1 else None
    return {"type": only or inferred or ("string" if node else "object"), **node}


_TYPE_NAMES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    dict: "object",
    list: "array",
    type(None): "null",
}


def _with_string_enum(node: Schema) -> Schema:
    values = node["enum"]
    texts = [value for value in values if isinstance(value, str) and value]
    others = [v for v in values if v is not None and not (isinstance(v, str) and v)]
    if types_of(node) == ("string",) and texts and not others:
        return {**node, "enum": texts}
    return _described(node, ["enum"])


def _closed(node: Schema) -> Schema:
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
    if "null" in types or not schema:
        return schema
    if types and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [*types, "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def _with_alternatives(node: Schema, branches: list[Schema]) -> Schema:
    if not branches:
        return node
    properties = _with_all_alternatives([_map(branch.get("properties")) for branch in branches])
    properties |= _map(node.get("properties"))
    sets = [_names(branch.get("required")) for branch in branches]
    counts = Counter(name for names in sets for name in dict.fromkeys(names))
    shared = [name for name in sets[0] if counts[name] == len(sets)]
    required = list(dict.fromkeys((*_names(node.get("required")), *shared)))
    node = {**node, "properties": properties, **({"required": required} if required else {})}
    if len(branches) > 1 and len(counts) != len(set(shared)):
        choice = " or ".join("(" + ", ".join(names) + ")" for names in sets)
        node["description"] = _with_sentence(node, f"Give {choice}.")
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


def _merged(*schemas: Schema) -> Schema:
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
                merged[keyword].update(_map(value))
        else:
            items = (item for value in values for item in _list(value))
            unique: dict[bytes, Any] = {}
            for item in items:
                unique.setdefault(json_value.write_sorted(item), item)
            merged[keyword] = list(unique.values())
    return merged


def _keywords_for(name: str, rest: Schema) -> Schema:
    """Return the keywords that apply to values of the type with this name."""
    kept = {}
    for key, value in rest.items():
        type_name = _TYPE_BY_KEYWORD.get(key)
        if key == "enum":
            value = [item for item in value if _TYPE_NAMES.get(type(item)) == name]
            if not value:
                continue
        if type_name in (None, name) or (type_name == "number" and name == "integer"):
            kept[key] = value
    return kept


def _described(node: Schema, keywords: Iterable[str]) -> Schema:
    """Return the schema without these keywords; add those with short values to its description."""
    removed = dict.fromkeys(keywords)
    kept = {key: value for key, value in node.items() if key not in removed}
    for key in removed:
        if key in _DESCRIBED_KEYWORDS and key in node:
            text = json_value.write(node[key]).decode()
            if len(text) <= _DESCRIBED_CHARACTERS:
                kept["description"] = _with_sentence(kept, f"{key}: {text}.")
    return kept


def _with_sentence(node: Schema, sentence: str) -> str:
    description = node.get("description")
    is_text = isinstance(description, str) and description
    return f"{description} {sentence}" if is_text else sentence


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _names(value: Any) -> list[str]:
    return [name for name in _list(value) if isinstance(name, str)]


def _map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
