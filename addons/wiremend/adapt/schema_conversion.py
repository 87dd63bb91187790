"""Converting a JSON Schema to the nearest schema that a dialect accepts.

A schema that is accepted is returned unchanged. Otherwise meaning is kept as far as the dialect can
express it: what the schema allows stays allowed, or is reported (`Losses`). Constraints that the
dialect cannot express are moved into the description, where the model can read them.

References that are inlined multiply: a few definitions that refer to each other can become millions
of schemas. So the work that inlining and merging add has a budget. A schema beyond it is not
converted at all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from wiremend.adapt.schema_dialects import (
    COMPOSITION,
    SCHEMA_LISTS,
    SCHEMA_MAPS,
    SCHEMA_VALUES,
    Dialect,
    Schema,
    allows_anything,
    describes_object,
    disallowed_keys,
    resolve,
    types_of,
    unions_of_objects,
    violations,
)
from wiremend.adapt.schema_losses import Losses, Place
from wiremend.adapt.schema_operations import (
    ANY_TYPES,
    close_object,
    inferred_types,
    keywords_for,
    list_of,
    map_of,
    means_nothing,
    merge_schemas,
    normalize_keywords,
    type_alone,
    values_of_map,
    values_of_type,
    with_alternatives,
    with_anyof_alone,
    with_details,
    with_null,
    with_sentence,
    with_types_in_branches,
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
_DESCRIBED_KEYWORDS = frozenset(
    {
        "const", "enum", "format", "pattern", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "minItems", "maxItems",
        "uniqueItems", "minProperties", "maxProperties", "default", "additionalProperties",
        "patternProperties", "propertyNames", "contains", "not", "dependentRequired",
    }
)  # fmt: skip
"""Keywords that are moved into the description if the dialect does not allow them."""
_DESCRIBED_SCHEMAS = frozenset(
    {"additionalProperties", "patternProperties", "propertyNames", "contains", "not"}
)
"""Those whose values are schemas or contain schemas."""
_DESCRIBED_CHARACTERS = 200
"""Longer values are shortened, or dropped if a part of them means nothing."""
_SHORTENED = frozenset({"enum", "pattern", "const"})
_SKETCH_DEPTH = 3
_SKETCHED = (
    "type", "format", "enum", "const", "pattern", "minimum", "maximum", "minLength", "maxLength",
)  # fmt: skip
"""What a description contains of a schema, beside the schemas in it."""
_MEANINGLESS = frozenset(
    {
        *("$schema", "$id", "$comment", "title", "examples", "deprecated", "readOnly", "writeOnly"),
        *("additionalProperties", "$defs", "definitions", "nullable", "required"),
    }
)
"""Keywords that can be dropped without a loss, once maps are described and references followed."""
_LIST_LEVELS = 2
"""How many lists can be nested in a value that may be anything, if the dialect requires types."""


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


def convert_schema(
    schema: Any,
    dialect: Dialect,
    budget: ConversionBudget | None = None,
    losses: Losses | None = None,
) -> Schema:
    """Return a tool's parameter schema converted to the dialect; the same object if it needs none.

    Any value is accepted: what is not an object becomes the schema of a tool without parameters.
    What the conversion loses is added to `losses`. Raises SchemaTooLarge if the conversion exceeds
    its budget, or if the schema is nested too deeply to traverse.
    """
    root: Schema = schema if isinstance(schema, dict) else {}
    if not violations(schema, dialect):
        return root
    budget = budget or ConversionBudget()
    part = budget.part()
    before = part.units
    try:
        converted, lost = _converted(root, dialect, part)
    except RecursionError as too_deep:
        raise SchemaTooLarge from too_deep
    finally:
        budget.units -= before - part.units
    if losses is not None:
        losses.refused += lost.refused
        losses.is_described |= lost.is_described
    return converted


def _converted(root: Schema, dialect: Dialect, budget: ConversionBudget) -> tuple[Schema, Losses]:
    conversion = _Conversion(root, dialect, budget)
    converted = conversion.convert()
    if dialect.references and violations(converted, dialect):
        # Some references pointed into schemas that were folded or moved: inline them.
        conversion = _Conversion(root, replace(dialect, references=False), budget)
        converted = conversion.convert()
    return converted, conversion.losses


class _Conversion:
    def __init__(self, root: Schema, dialect: Dialect, budget: ConversionBudget) -> None:
        self._root = root
        self._dialect = dialect
        self._budget = budget
        self.losses = Losses()

    def convert(self) -> Schema:
        if self._dialect.nested:
            flat, active = self._opened(self._root, (), inline=True, merge=True)
            if not self._dialect.root_composition:
                flat = self._folded(flat, active)
            root: Schema = self._node({**flat, "type": "object"}, active, None, is_root=True)
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
        return self._without_disallowed_keys(root)

    def _without_disallowed_keys(self, root: Schema) -> Schema:
        """Return the root without properties whose names are not allowed; describe which."""
        removed = dict.fromkeys(disallowed_keys(root, self._dialect))
        if not removed:
            return root
        kept = {name: child for name, child in root["properties"].items() if name not in removed}
        root = {**root, "properties": kept}
        if "required" in root:
            root["required"] = [name for name in root["required"] if name not in removed]
        names = ", ".join(removed)
        if len(names) <= _DESCRIBED_CHARACTERS:
            root["description"] = with_sentence(root, f"Cannot be given: {names}.")
        self.losses.refuse(None, f"the properties {names[:_DESCRIBED_CHARACTERS]}")
        return root

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
                if isinstance(target, dict) and reference in active:
                    node = {**type_alone(target), **node}
                elif isinstance(target, dict):
                    self._budget.spend(_UNITS_PER_SCHEMA + len(active) + len(node))
                    self._spend_for_values(target)
                    active = (*active, reference)
                    node = {**target, **node}
            elif merge and "allOf" in node:
                parts = [node]
                for branch in list_of(node.pop("allOf")):
                    if isinstance(branch, dict):
                        self._spend_if_inlined(active)
                        opened, active = self._opened(branch, active, inline=True, merge=True)
                        parts.append(opened)
                node = merge_schemas(*parts)
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
            for branch in list_of(node.pop(keyword)):
                if isinstance(branch, dict):
                    self._spend_if_inlined(active)
                    opened, followed = self._opened(branch, active, inline=True, merge=True)
                    folded.append(self._folded(opened, followed))
            node = with_alternatives(node, folded)
        return node

    def _node(
        self, schema: Any, active: tuple[str, ...], place: Place, *, is_root: bool = False
    ) -> Any:
        """Return a schema, with the schemas inside it, converted to the dialect.

        `active` are the references followed so far, and `place` is where the schema is. Raises
        SchemaTooLarge if the budget is used up.
        """
        dialect = self._dialect
        if isinstance(schema, bool) and dialect.booleans and not is_root:
            return schema
        self._spend_if_inlined(active)
        inline, merge = not dialect.references, not dialect.allows("allOf")
        node, active = self._opened(schema, active, inline=inline, merge=merge or is_root)
        if is_root:
            node.pop("nullable", None)
        node = self._with_inferred_types(self._normalized(node))
        node = self._with_anything(self._with_allowed_keywords(node, active, place), place)
        node, active = self._with_single_types(node, active, place)
        for keyword, value in list(node.items()):
            if keyword in SCHEMA_MAPS:
                node[keyword] = {
                    name: self._node(child, active, (place, name)) for name, child in value.items()
                }
            elif keyword in SCHEMA_LISTS:
                node[keyword] = [self._node(child, active, place) for child in value]
            elif keyword in SCHEMA_VALUES and not (
                keyword == "additionalProperties" and (isinstance(value, bool) or value == {})
            ):
                step = "[]" if keyword == "items" else "*"
                node[keyword] = self._node(value, active, (place, step))
        return self._completed(node, place, is_root=is_root)

    def _normalized(self, node: Schema) -> Schema:
        tuples = self._dialect.allows("prefixItems") and not self._dialect.items_required
        return normalize_keywords(node, tuples=tuples)

    def _with_allowed_keywords(self, node: Schema, active: tuple[str, ...], place: Place) -> Schema:
        """Return `const` as enum and `oneOf` as anyOf; describe or drop other unknown keywords."""
        allows = self._dialect.allows
        if "const" in node and not allows("const"):
            node.setdefault("enum", [node.pop("const")])
        if "oneOf" in node and not allows("oneOf"):
            alternatives = node.pop("oneOf")
            node.setdefault("anyOf", alternatives)
        if node.get("nullable") is True and not self._dialect.nullable:
            node = with_null(node)
        unknown = [keyword for keyword in node if not allows(keyword)]
        formats = self._dialect.formats
        if formats is not None and node.get("format", "enum") not in formats:
            unknown.append("format")
        return self._with_map(self._described(node, unknown, active), node, active, place)

    def _with_map(
        self, node: Schema, before: Schema, active: tuple[str, ...], place: Place
    ) -> Schema:
        """Return a schema whose properties with any name are allowed, or described if not.

        `before` is the schema with the keywords that the dialect does not allow.
        """
        patterns = before.get("patternProperties")
        is_map = bool(patterns) or before.get("additionalProperties") not in (None, False)
        if self._dialect.closed and describes_object(before):
            is_free = "properties" not in before and "additionalProperties" not in before
            if not (is_map or is_free):
                return node
            if before.get("additionalProperties", is_free) is not False:
                values = before.get("additionalProperties", True)
                sketched = self._described(
                    {**node, "additionalProperties": values}, ["additionalProperties"], active
                )
                node = {**sketched, "additionalProperties": False}
            self.losses.refuse(place, "properties with any name")
        elif patterns and "patternProperties" not in node and "additionalProperties" in node:
            node["additionalProperties"] = values_of_map(before)
        return node

    def _described(self, node: Schema, keywords: Iterable[str], active: tuple[str, ...]) -> Schema:
        """Return the schema without these keywords; add their values to its description."""
        removed = dict.fromkeys(keywords)
        kept = {key: value for key, value in node.items() if key not in removed}
        for key in removed:
            if key not in node or means_nothing(key, node):
                continue
            if key in _DESCRIBED_KEYWORDS:
                text = self._in_words(key, node[key], active)
                if text:
                    kept["description"] = with_sentence(kept, f"{key}: {text}.")
                self.losses.is_described = True
            elif key not in _MEANINGLESS and not key.startswith("x-"):
                self.losses.is_described = True
        return kept

    def _in_words(self, keyword: str, value: Any, active: tuple[str, ...]) -> str:
        """Return the value of a keyword as text for a description; empty if it is too long."""
        if keyword in _DESCRIBED_SCHEMAS:
            for depth in range(_SKETCH_DEPTH, -1, -1):
                if keyword == "patternProperties":
                    sketch: Any = {
                        name: self._sketch(inner, active, depth) for name, inner in value.items()
                    }
                else:
                    sketch = self._sketch(value, active, depth)
                text = json_value.write(sketch).decode()
                if len(text) <= _DESCRIBED_CHARACTERS:
                    return text
            return ""
        text = json_value.write(value).decode()
        if len(text) <= _DESCRIBED_CHARACTERS:
            return text
        return text[:_DESCRIBED_CHARACTERS] + "…" if keyword in _SHORTENED else ""

    def _sketch(self, schema: Any, active: tuple[str, ...], depth: int) -> Any:
        """Return what a schema requires, up to this depth, without descriptions."""
        if not isinstance(schema, dict) or not schema:
            return schema if isinstance(schema, bool) else True
        node, active = self._opened(schema, active, inline=True, merge=True)
        sketch = {key: node[key] for key in _SKETCHED if key in node}
        for key, inner in node.items() if depth else ():
            if key == "properties" and isinstance(inner, dict):
                sketch[key] = {
                    name: self._sketch(child, active, depth - 1) for name, child in inner.items()
                }
            elif key in ("items", "additionalProperties") and isinstance(inner, dict):
                sketch[key] = self._sketch(inner, active, depth - 1)
            elif key in ("anyOf", "oneOf") and isinstance(inner, list):
                sketch[key] = [self._sketch(child, active, depth - 1) for child in inner]
        return sketch or True

    def _with_inferred_types(self, node: Schema) -> Schema:
        """Return a schema with the types of the values that its keywords are about, if needed."""
        is_typed = not {"type", "anyOf", "oneOf", "$ref"}.isdisjoint(node)
        if is_typed or not self._dialect.types_required:
            return node
        types = inferred_types(node)
        return {"type": types[0] if len(types) == 1 else types, **node} if types else node

    def _with_anything(self, node: Schema, place: Place) -> Schema:
        """Return a schema that allows anything in a form that the dialect accepts."""
        is_accepted = self._dialect.anything and not self._dialect.types_required
        if is_accepted or not allows_anything(node):
            return node
        if self._dialect.closed:
            node = {**node, "description": with_sentence(node, "Any JSON value.")}
        return {**node, **self._anything(place)}

    def _anything(self, place: Place) -> Schema:
        """Return what allows any value, or as many values as the dialect can express."""
        if not self._dialect.types_required and self._dialect.anything:
            return {}
        if self._dialect.closed:
            self.losses.refuse(place, "objects")
        self.losses.refuse(place, f"lists that are nested more than {_LIST_LEVELS} levels deep")
        return self._any_value(_LIST_LEVELS)

    def _any_value(self, levels: int) -> Schema:
        """Return a schema with a type in each branch that allows any value, but for deep lists."""
        names = ["string", "number", "boolean", *(() if self._dialect.closed else ("object",))]
        branches: list[Schema] = [{"type": name} for name in names]
        if levels:
            branches.append({"type": "array", "items": self._any_value(levels - 1)})
        if self._dialect.nullable:
            return {"anyOf": with_details({"nullable": True}, branches)}
        return {"anyOf": [*branches, {"type": "null"}]}

    def _with_single_types(
        self, node: Schema, active: tuple[str, ...], place: Place
    ) -> tuple[Schema, tuple[str, ...]]:
        """Return a schema with a list of types as alternatives, or as one type with `nullable`."""
        if self._dialect.type_lists or not isinstance(node.get("type"), list):
            return self._with_nullable(node, active, place)
        types = list(types_of(node))
        del node["type"]
        if self._dialect.nullable and "null" in types and len(types) > 1:
            types.remove("null")
            node["nullable"] = True
        if len(types) == 1:
            node["type"] = types[0]
        if len(types) == 1 or "anyOf" in node:
            return self._with_nullable(node, active, place)
        shared = {
            key: value
            for key, value in node.items()
            if key in ("title", "description", "default", "nullable")
        }
        rest = {key: value for key, value in node.items() if key not in shared}
        alternatives = [
            {"type": name, **keywords_for(name, rest)}
            for name in types
            if not rest.get("enum") or values_of_type(name, rest["enum"])
        ]
        return {**shared, "anyOf": alternatives or [{"type": name} for name in types]}, active

    def _with_nullable(
        self, node: Schema, active: tuple[str, ...], place: Place
    ) -> tuple[Schema, tuple[str, ...]]:
        """Replace the null branch of `anyOf` by `nullable` (Gemini); a single branch is merged."""
        if not self._dialect.nullable:
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
        merged = self._with_inferred_types(self._normalized(merge_schemas(node, only)))
        merged = self._with_allowed_keywords(merged, active, place)
        merged = self._with_anything(merged, place)
        return self._with_single_types(merged, active, place)

    def _completed(self, node: Schema, place: Place, *, is_root: bool) -> Schema:
        """Return the schema with the keywords that the dialect requires."""
        dialect = self._dialect
        if dialect.types_required and "anyOf" in node:
            node = with_types_in_branches(node)
        if dialect.nullable and node.get("anyOf"):
            node = with_anyof_alone(node)
        if dialect.branch_types_required and "anyOf" in node:
            node["anyOf"] = [
                branch
                for alternative in node["anyOf"]
                for branch in self._typed_branches(alternative)
            ]
        if dialect.string_enums and "enum" in node:
            node = self._with_string_enum(node)
        types = types_of(node)
        if dialect.items_required and "array" in types and "items" not in node:
            node["items"] = self._anything((place, "[]"))
        if dialect.properties_required and "object" in types and "properties" not in node:
            node["properties"] = {}
        if is_root:
            node.setdefault("properties", {})
        properties = node.get("properties", {})
        if dialect.known_required and "required" in node:
            node["required"] = [name for name in node["required"] if name in properties]
        if dialect.closed and describes_object(node):
            node = close_object(node)
        return node

    def _with_string_enum(self, node: Schema) -> Schema:
        """Return the schema with an enum of strings that are not empty, or describe the enum."""
        values = [value for value in node["enum"] if value is not None or "null" in types_of(node)]
        are_texts = bool(values) and all(isinstance(value, str) and value for value in values)
        if types_of(node) == ("string",) and are_texts:
            return {**node, "enum": values}
        return self._described(node, ["enum"], ())

    def _typed_branches(self, branch: Any) -> Iterator[Schema]:
        """Yield a branch with a type; if it allows several types, one for each of them."""
        node, _ = self._opened(branch, (), inline=False, merge=True)
        if "type" in node or "$ref" in node:
            yield node
            return
        alternatives = [*list_of(node.pop("anyOf", None)), *list_of(node.pop("oneOf", None))]
        if not alternatives:
            for name in inferred_types(node) or ANY_TYPES:
                self._budget.spend(len(node))
                yield {"type": name, **keywords_for(name, node)}
        for alternative in alternatives:
            self._budget.spend(len(node))
            yield from self._typed_branches(merge_schemas(map_of(alternative), node))
