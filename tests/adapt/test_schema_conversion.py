"""Any schema is converted to one that the dialect accepts; an accepted one is not changed."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from strategies.schemas import SCHEMAS
from wiremend.adapt.schema_conversion import ConversionBudget, SchemaTooLarge, convert_schema
from wiremend.adapt.schema_dialects import DIALECTS, violations
from wiremend.adapt.schemas import adapt_names_and_schemas
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.traits import TargetTraits
from wiremend.rules.rule import Notes


def _object(properties: dict[str, Any], **keywords: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **keywords}


_STRING = {"type": "string"}
_ANY_TYPES = [{"type": name} for name in ("string", "number", "boolean")]
_ANY_OBJECT = {"type": "object"}
_NULL = {"type": "null"}


def _any(levels: int) -> list[Any]:
    """Return the branches for any value but null, with lists in lists up to some levels."""
    lists = [{"type": "array", "items": {"anyOf": [*_any(levels - 1), _NULL]}}] if levels else []
    return [*_ANY_TYPES, _ANY_OBJECT, *lists]


def _any_of_gemini(levels: int, **details: Any) -> dict[str, Any]:
    """Return Gemini's schema for any value; null is allowed by the first branch."""
    lists = [{"type": "array", "items": _any_of_gemini(levels - 1)}] if levels else []
    first = {**details, "nullable": True, "type": "string"}
    return {"anyOf": [first, *_ANY_TYPES[1:], _ANY_OBJECT, *lists]}


_ANY = {"anyOf": [*_any(2), _NULL]}
_A_B = {"A": _object({"b": {"$ref": "#/$defs/B"}}), "B": {"type": "integer"}}

# dialect, a provider's message, the schema, the nearest accepted schema
CONVERTED = [
    ("anthropic", "input_schema does not support oneOf, allOf, or anyOf at the top level",
     {"type": "object", "anyOf": [_object({"a": _STRING}, required=["a"]),
                                  _object({"b": _STRING}, required=["b"])]},
     _object({"a": _STRING, "b": _STRING}, description="Give (a) or (b).")),
    ("anthropic", "input_schema does not support oneOf, allOf, or anyOf at the top level",
     {"allOf": [_object({"a": _STRING}, required=["a"]), _object({"b": _STRING})]},
     _object({"a": _STRING, "b": _STRING}, required=["a"])),
    ("anthropic", "It must match JSON Schema draft 2020-12",
     _object({"n": {"type": "number", "minimum": 0, "exclusiveMinimum": True}}),
     _object({"n": {"type": "number", "exclusiveMinimum": 0}})),
    ("anthropic", "It must match JSON Schema draft 2020-12",
     _object({"p": {"type": "array", "items": [_STRING, {"type": "integer"}]}}),
     _object({"p": {"type": "array", "prefixItems": [_STRING, {"type": "integer"}]}})),
    ("anthropic", "It must match JSON Schema draft 2020-12",
     _object({"e": {"type": "string", "enum": []}, "f": {"type": "string", "required": True}}),
     _object({"e": _STRING, "f": _STRING})),
    ("anthropic", "Property keys should match pattern '^[a-zA-Z0-9_.-]{1,64}$'",
     _object({"filter[id]": _STRING, "a": _object({"$top": _STRING})},
             required=["a", "filter[id]"]),
     _object({"a": _object({"$top": _STRING})}, required=["a"],
             description="Cannot be given: filter[id].")),
    ("openai", "In context=('properties', 'y'), array schema missing items",
     _object({"y": {"type": "array"}}),
     _object({"y": {"type": "array", "items": {}}})),
    ("openai", "In context=(), object schema missing properties",
     {"type": "object", "additionalProperties": _STRING},
     _object({}, additionalProperties=_STRING)),
    ("openai", "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf' at the top",
     {"type": "object", "oneOf": [_object({"a": _STRING})]}, _object({"a": _STRING})),
    ("anthropic", "input_schema does not support oneOf, allOf, or anyOf at the top level",
     {"type": "object", "anyOf": [_object({"a": _STRING}),
                                  _object({"b": {"$ref": "#/anyOf/0/properties/a"}})]},
     _object({"a": _STRING, "b": _STRING})),
    ("openai", "In context=('properties', 'b'), array schema missing items",
     _object({"a": {"$ref": "#/properties/b/items/0"}, "b": {"type": "array", "items": [_STRING]}}),
     _object({"a": _STRING, "b": {"type": "array", "items": _STRING}})),
    ("openai-strict", "'definitions' is not permitted",
     _object({"a": {"$ref": "#/definitions/A"}}, required=["a"], definitions={"A": _STRING}),
     _object({"a": _STRING}, required=["a"], additionalProperties=False)),
    ("basic", "'^\\p{L}+$' is not a 'regex'",
     _object({"a": {"type": "string", "pattern": "^\\p{L}+$", "format": "uri"}}),
     _object({"a": {"type": "string",
                    "description": 'pattern: "^\\\\p{L}+$". format: "uri".'}})),
    ("openai-strict", "'required' is required to be an array including every key",
     _object({"a": _STRING, "n": {"type": "integer"}}, required=["a"]),
     _object({"a": _STRING, "n": {"type": ["integer", "null"]}}, required=["a", "n"],
             additionalProperties=False)),
    ("openai-strict", "'oneOf' is not permitted",
     _object({"a": {"oneOf": [_STRING, {"type": "null"}]}}, required=["a"]),
     _object({"a": {"anyOf": [_STRING, {"type": "null"}]}}, required=["a"],
             additionalProperties=False)),
    ("gemini", 'Unknown name "$schema"', {"$schema": "x", **_object({"a": _STRING})},
     _object({"a": _STRING})),
    ("gemini", 'Unknown name "additionalProperties"',
     _object({"title": _STRING, "properties": _object({}, additionalProperties=False)},
             additionalProperties=False),
     _object({"title": _STRING, "properties": _object({})})),
    ("gemini", 'Unknown name "const"', _object({"k": {"const": "x"}}),
     _object({"k": {"type": "string", "enum": ["x"]}})),
    ("gemini", 'Unknown name "exclusiveMinimum"',
     _object({"n": {"type": "integer", "description": "Count.", "exclusiveMinimum": 0}}),
     _object({"n": {"type": "integer", "description": "Count. exclusiveMinimum: 0."}})),
    ("gemini", "Proto field is not repeating, cannot start list",
     _object({"a": {"type": ["string", "null"], "description": "d"}}),
     _object({"a": {"type": "string", "description": "d", "nullable": True}})),
    ("gemini", "Proto field is not repeating, cannot start list",
     _object({"a": {"type": ["string", "integer"], "minLength": 1}}),
     _object({"a": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer"}]}})),
    ("gemini", "enum: only allowed for STRING type",
     _object({"n": {"type": "integer", "enum": [1, 2]}}),
     _object({"n": {"type": "integer", "description": "enum: [1,2]."}})),
    ("gemini", "only 'enum' and 'date-time' are supported for STRING type",
     _object({"u": {"type": "string", "format": "uri"}}),
     _object({"u": {"type": "string", "description": 'format: "uri".'}})),
    ("gemini", "parameters.properties[x].items: missing field",
     _object({"x": {"type": "array"}}),
     _object({"x": {"type": "array", "items": _any_of_gemini(2)}})),
    ("gemini", "ref allows only description and default",
     _object({"m": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}}, **{"$defs": _A_B}),
     _object({"m": _object({"b": {"type": "integer"}}, nullable=True)})),
    ("gemini", "parameters.required[0]: property is not defined",
     _object({"a": _STRING}, required=["z"]), _object({"a": _STRING}, required=[])),
    ("moonshot", "when using anyOf, type should be defined in anyOf items instead of the parent",
     _object({"a": {"type": "string", "anyOf": [{"minLength": 1}, {"type": "null"}]}}),
     _object({"a": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}]}})),
    ("moonshot", "property schema for 'outputSchema' must be an object",
     _object({"outputSchema": True}), _object({"outputSchema": _ANY})),
    ("moonshot", "conflicting keywords found after $ref expansion: description",
     _object({"a": {"$ref": "#/$defs/B", "description": "mine"}},
             **{"$defs": {"B": {"type": "string", "description": "theirs"}}}),
     _object({"a": {"type": "string", "description": "mine"}})),
    ("moonshot", "required property 'codecType' is not defined in properties",
     _object({"a": _STRING}, required=["a", "codecType"]), _object({"a": _STRING}, required=["a"])),
    ("moonshot", "<At path 'properties.task': type is not defined>",
     _object({"task": {"description": "d"}}),
     _object({"task": {"description": "d", **_ANY}})),
    ("moonshot", "<At path 'properties.e': type is not defined>",
     _object({"e": {"enum": ["a", 1, 2.5]}, "c": {"const": True}}),
     _object({"e": {"anyOf": [{"type": "string", "enum": ["a"]},
                              {"type": "number", "enum": [1, 2.5]}]},
              "c": {"type": "boolean", "enum": [True]}})),
    ("moonshot", "a map's values stay as they are",
     _object({"filter": {"type": "object", "additionalProperties": {}}, "c": {"const": "x"}}),
     _object({"filter": {"type": "object", "additionalProperties": {}},
              "c": {"type": "string", "enum": ["x"]}})),
    ("moonshot", "a map by patterns",
     _object({"m": {"type": "object", "patternProperties": {"^x": _STRING},
                    "additionalProperties": False}}),
     _object({"m": {"type": "object", "additionalProperties": _STRING,
                    "description": 'patternProperties: {"^x":{"type":"string"}}.'}})),
    ("moonshot", "OpenAPI's nullable",
     _object({"a": {"type": "string", "nullable": True}}),
     _object({"a": {"anyOf": [_STRING, {"type": "null"}]}})),
    ("gemini", 'Unknown name "additionalProperties"',
     _object({"sort": {"type": "object", "description": "By key.", "additionalProperties":
                       {"anyOf": [{"const": 1}, {"type": "string", "title": "T"}]}}}),
     _object({"sort": {"type": "object", "description": 'By key. additionalProperties: '
                       '{"anyOf":[{"const":1},{"type":"string"}]}.'}})),
    ("gemini", "a map of a type that is defined elsewhere",
     _object({"m": {"type": "object", "additionalProperties": {"$ref": "#/$defs/A"}}},
             **{"$defs": _A_B}),
     _object({"m": {"type": "object", "description": 'additionalProperties: '
                    '{"type":"object","properties":{"b":{"type":"integer"}}}.'}})),
    ("gemini", "only fields of any_of",
     _object({"c": {"description": "d"}}), _object({"c": _any_of_gemini(2, description="d")})),
    ("gemini", "Proto field is not repeating, cannot start list",
     _object({"p": {"type": "array", "prefixItems": [_STRING, {"type": "integer"}]}}),
     _object({"p": {"type": "array", "items": {"anyOf": [_STRING, {"type": "integer"}]}}})),
    ("gemini", "enum[1]: cannot be empty",
     _object({"e": {"type": "string", "enum": ["a", ""]}}),
     _object({"e": {"type": "string", "description": 'enum: ["a",""].'}})),
    ("openai-strict", "schema must have a 'type' key", _object({"a": {}}, required=["a"]),
     _object({"a": {"description": "Any JSON value.", "anyOf": [
         *_ANY_TYPES, {"type": "array", "items": {"anyOf": [
             *_ANY_TYPES, {"type": "array", "items": {"anyOf": [*_ANY_TYPES, _NULL]}}, _NULL]}},
         _NULL]}}, required=["a"], additionalProperties=False)),
    ("openai-strict", "'additionalProperties' is required to be supplied and to be false",
     _object({"m": {"type": "object", "additionalProperties": _STRING}}, required=["m"]),
     _object({"m": _object({}, description='additionalProperties: {"type":"string"}.',
                           required=[], additionalProperties=False)},
             required=["m"], additionalProperties=False)),
    ("openai-strict", "a default", _object({"a": {"type": "string", "default": "x"}}),
     _object({"a": {"type": ["string", "null"], "default": "x"}}, required=["a"],
             additionalProperties=False)),
    ("deepseek", "Invalid tool parameters schema : field `anyOf`: missing field `type`",
     _object({"a": {"anyOf": [{"anyOf": [_STRING, {"const": 1}]}, {"type": "null"}]}}),
     _object({"a": {"anyOf": [_STRING, {"type": "integer", "const": 1}, {"type": "null"}]}})),
    ("xai", "root schema is an anyOf/oneOf union with a non-object branch",
     {"oneOf": [{"$ref": "#/$defs/A"}, {"oneOf": [_object({"c": {"$ref": "#/$defs/B"}})]}],
      "$defs": _A_B},
     _object({"b": {"$ref": "#/$defs/B"}, "c": {"$ref": "#/$defs/B"}}, **{"$defs": _A_B})),
    ("plain", "parameters is empty", None, _object({})),
    ("plain", "type: \"object\"", {"properties": {"a": {"const": 1}}},
     _object({"a": {"const": 1}})),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "schema", "expected"),
    [pytest.param(row[0], *row[2:], id=f"{row[0]}: {row[1]}") for row in CONVERTED],
)
def test_a_schema_that_was_rejected_is_converted(
    name: str, schema: Any, expected: dict[str, Any]
) -> None:
    dialect = DIALECTS[name]
    assert violations(schema, dialect) != []
    assert convert_schema(schema, dialect) == expected
    assert violations(expected, dialect) == []


@pytest.mark.parametrize("name", ["gemini", "moonshot"])
def test_recursion_is_cut_in_dialects_without_references(name: str) -> None:
    tree = _object({"child": {"$ref": "#/$defs/T"}})
    converted = convert_schema({"$ref": "#/$defs/T", "$defs": {"T": tree}}, DIALECTS[name])
    assert converted == _object({"child": {"type": "object"}})


def doubling(levels: int) -> dict[str, Any]:
    """Return a schema that becomes 2 ** levels schemas if its references are inlined."""
    layers = {
        f"d{level}": _object({side: {"$ref": f"#/$defs/d{level + 1}"} for side in ("a", "b")})
        for level in range(levels)
    }
    definitions = {**layers, f"d{levels}": _STRING}
    return _object({"x": {"$ref": "#/$defs/d0"}}, **{"$defs": definitions})


@pytest.mark.parametrize(
    "schema",
    [
        doubling(30),
        {"$defs": {"d": {"enum": ["x" * 100_000]}},
         **_object({f"p{i}": {"$ref": "#/$defs/d"} for i in range(100)})},
        _object({"a": {"$ref": "#/$defs/d0"}}, **{"$defs": {
            f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(5000)}}),
    ],
    ids=["doubled", "text", "chain"],
)  # fmt: skip
def test_a_schema_whose_references_expand_too_far_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaTooLarge):
        convert_schema(schema, DIALECTS["gemini"])


def test_the_schemas_of_a_request_share_a_budget() -> None:
    budget = ConversionBudget(50_000)
    remaining = []
    while budget.units > 10_000:
        convert_schema(doubling(6), DIALECTS["gemini"], budget)
        remaining.append(budget.units)
    assert len(remaining) > 2
    with pytest.raises(SchemaTooLarge):
        convert_schema(doubling(9), DIALECTS["gemini"], budget)


def test_a_large_schema_without_references_needs_no_budget() -> None:
    schema = _object({f"p{i}": _object({"a": {"const": i}}) for i in range(3000)})
    converted = convert_schema(schema, DIALECTS["gemini"], ConversionBudget(0))
    assert violations(converted, DIALECTS["gemini"]) == []


def test_a_schema_nested_too_deeply_is_refused() -> None:
    schema: dict[str, Any] = _STRING
    for _ in range(3000):
        schema = {"items": schema}
    with pytest.raises(SchemaTooLarge):
        convert_schema(schema, DIALECTS["gemini"])


def test_a_schema_beyond_the_budget_is_sent_unchanged_with_a_finding() -> None:
    tools = [
        {"name": "a", "input_schema": doubling(30)},
        {"name": "b", "input_schema": _object({"p": {"const": 1}})},
    ]
    document = RequestDocument.of(ANTHROPIC, "/", orjson.dumps({"tools": tools}))
    notes = Notes()
    adapted = adapt_names_and_schemas(document, TargetTraits(dialect="gemini"), notes)
    assert adapted.fields is not None
    assert adapted.fields["tools"][0] == tools[0]
    assert adapted.fields["tools"][1] != tools[1]
    assert [(finding.code, finding.done) for finding in notes.findings] == [
        ("T204", "sent unchanged: its references expand too far"),
        ("T204", "converted"),
    ]


@pytest.mark.parametrize("name", DIALECTS)
@settings(deadline=None)
@given(schema=SCHEMAS)
def test_any_schema_is_converted_to_an_accepted_one_and_then_not_changed(
    name: str, schema: Any
) -> None:
    dialect = DIALECTS[name]
    before = copy.deepcopy(schema)
    converted = convert_schema(schema, dialect)
    assert violations(converted, dialect) == []
    assert schema == before
    assert convert_schema(converted, dialect) is converted
    if isinstance(schema, dict) and not violations(schema, dialect):
        assert converted is schema
