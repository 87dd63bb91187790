"""Valid tools keep their bytes; in invalid ones only the wrong bytes are replaced."""

import json
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_codes import rules_between
from strategies.tool_requests import ROOT_SCHEMAS, function_tools, tool_requests
from wiremend.adapt.tool_list import adapt_tool_list
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.traits import TargetTraits
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.rules.rule import BodyPlace, Finding, Notes
from wiremend.text.json_edits import value_span

RULES = (*rules_between("T001", "T004"), *rules_between("T101", "T199"))
PROTOCOLS = (ANTHROPIC, CHAT, RESPONSES, GEMINI)
D = '{"type":"object","properties":{},"additionalProperties":false}'
D_GEMINI = '{"type":"object","properties":{}}'

TOOL = {
    ANTHROPIC: '{"name":"Bash","input_schema":%s}',
    CHAT: '{"type":"function","function":{"name":"Bash","parameters":%s}}',
    RESPONSES: '{"type":"function","name":"Bash","parameters":%s}',
    GEMINI: '{"functionDeclarations":[{"name":"Bash","parameters":%s}]}',
}
SCHEMA_PATH = {
    ANTHROPIC: ("tools", 0, "input_schema"),
    CHAT: ("tools", 0, "function", "parameters"),
    RESPONSES: ("tools", 0, "parameters"),
    GEMINI: ("tools", 0, "functionDeclarations", 0, "parameters"),
}
FRAME = '{ "model":"m", "tools" : [%s], "z": 1.50, "a":"\\u003c" }'


@dataclass(frozen=True)
class Adapted:
    body: bytes
    findings: list[Finding]


def adapt(
    protocol: Protocol,
    body: bytes,
    *,
    disabled: Set[str] = frozenset(),
    strip_custom_type: bool = False,
) -> Adapted:
    notes, traits = Notes(disabled), TargetTraits(strip_custom_type=strip_custom_type)
    adapted = adapt_tool_list(RequestDocument.of(protocol, "/", body), traits, notes)
    return Adapted(adapted.body, notes.findings)


def request_with(protocol: Protocol, schema: str) -> bytes:
    return (FRAME % (TOOL[protocol] % schema)).encode()


def no_parameters(protocol: Protocol) -> str:
    return D_GEMINI if protocol == GEMINI else D


def codes(protocol: Protocol, body: bytes) -> list[str]:
    return [finding.code for finding in adapt(protocol, body).findings]


MENDED = [
    pytest.param("null", None, ["T101"], id="FillsNullSchema"),
    pytest.param(" null ", None, ["T101"], id="HandlesWhitespaceNullSchema"),
    pytest.param("{}", None, ["T102"], id="FillsEmptyObjectSchema"),
    pytest.param("{ \n }", None, ["T102"], id="empty with inner space equals empty"),
    pytest.param('"{invalid"', None, ["T103"], id="RecoversFromInvalidJSON"),
    pytest.param("7", None, ["T103"], id="number"),
    pytest.param("[]", None, ["T103"], id="list"),
    pytest.param("true", None, ["T103"], id="boolean"),
    pytest.param('""', None, ["T103"], id="empty string"),
    pytest.param('"\\ud83d"', None, ["T103"], id="lone surrogate"),
    pytest.param('"{}"', None, ["T103", "T102"], id="empty object in a string"),
    pytest.param(
        '" {\\"type\\":\\"object\\",\\"properties\\":{\\"n\\":{\\"maximum\\":1.0}}} "',
        '{"type":"object","properties":{"n":{"maximum":1.0}}}',
        ["T103"],
        id="object in a string",
    ),
    pytest.param(
        '"{\\"properties\\":{\\"a\\":{}}}"',
        '{"type":"object","properties":{"a":{}}}',
        ["T103", "T104"],
        id="incomplete object in a string",
    ),
    pytest.param(
        '{"properties":{"query":{"type":"string"}}}',
        '{"type":"object","properties":{"query":{"type":"string"}}}',
        ["T104"],
        id="FillsMissingType",
    ),
    pytest.param(
        '{ "properties" : { } }',
        '{"type":"object", "properties" : { } }',
        ["T104"],
        id="missing type, spaced",
    ),
    pytest.param(
        '{"type":null,"properties":{}}',
        '{"type":"object","properties":{}}',
        ["T104"],
        id="null type",
    ),
    pytest.param(
        '{"additionalProperties":false}',
        '{"type":"object","properties":{},"additionalProperties":false}',
        ["T104", "T106"],
        id="missing type and properties",
    ),
    pytest.param(
        '{"type":"object"}',
        '{"type":"object","properties":{}}',
        ["T106"],
        id="FillsMissingProperties",
    ),
    pytest.param(
        '{ "type" : "object" , "required":[] }',
        '{ "type" : "object","properties":{} , "required":[] }',
        ["T106"],
        id="missing properties, spaced",
    ),
    pytest.param(
        '{"type":"string"}',
        '{"type":"object","properties":{}}',
        ["T105", "T106"],
        id="another type, without additionalProperties",
    ),
    pytest.param(
        '{"type":["object","null"],"properties":{"a":{}}}',
        '{"type":"object","properties":{"a":{}}}',
        ["T105"],
        id="list of types",
    ),
    pytest.param(
        '{"type":"object","properties":[]}',
        '{"type":"object","properties":{}}',
        ["T107"],
        id="properties are a list",
    ),
    pytest.param(
        '{"type":"object","properties":null}',
        '{"type":"object","properties":{}}',
        ["T107"],
        id="properties are null",
    ),
    pytest.param(
        '{"anyOf":[{"properties":{"a":{}}}]}',
        '{"type":"object","anyOf":[{"properties":{"a":{}}}]}',
        ["T104"],
        id="anyOf without type",
    ),
    pytest.param(
        '{"$ref":"#/$defs/A","$defs":{"A":{"type":"object"}}}',
        '{"type":"object","$ref":"#/$defs/A","$defs":{"A":{"type":"object"}}}',
        ["T104"],
        id="$ref without type",
    ),
    pytest.param(
        '{"title":"T","properties":{"n":{"maximum":9007199254740993,"minimum":1.50}},"$id":"b"}',
        '{"type":"object","title":"T","properties":{"n":{"maximum":9007199254740993,'
        '"minimum":1.50}},"$id":"b"}',
        ["T104"],
        id="numbers and key order stay",
    ),
    pytest.param(
        '{"type":"string","type":["object","null"],"properties":{}}',
        '{"type":"object","type":"object","properties":{}}',
        ["T105"],
        id="duplicate keys",
    ),
]

VALID = [
    pytest.param(
        '{"type":"object","properties":{"cmd":{"type":"string","description":"The command"}},'
        '"required":["cmd"]}',
        id="PreservesValidSchema",
    ),
    pytest.param(
        '{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":true}',
        id="PreservesAdditionalPropertiesWhenSet",
    ),
    pytest.param('{ "properties" : {} ,\n"type":"object"}', id="no parameters"),
    pytest.param('{"type":"object","anyOf":[{"required":["a"]}]}', id="anyOf"),
    pytest.param('{"type":"object","oneOf":[{}]}', id="oneOf"),
    pytest.param('{"type":"object","allOf":[{}]}', id="allOf"),
    pytest.param('{"type":"object","$ref":"#/$defs/A","$defs":{"A":{}}}', id="$ref"),
    pytest.param('{"type":["object","null"],"anyOf":[{}]}', id="list of types beside anyOf"),
    pytest.param('{"type":"object","properties":{"n":{"maximum":9007199254740993}}}', id="number"),
    pytest.param('{"type":"object","properties":{"type":{},"properties":[]}}', id="namesakes"),
]


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
@pytest.mark.parametrize(("schema", "expected", "findings"), MENDED)
def test_a_schema_is_repaired_and_all_other_bytes_are_kept(
    protocol: Protocol, schema: str, expected: str | None, findings: list[str]
) -> None:
    body = request_with(protocol, schema)
    adapted = adapt(protocol, body)
    after = expected if expected is not None else no_parameters(protocol)
    span, inner = value_span(body, SCHEMA_PATH[protocol]), after.encode()
    assert span is not None
    assert adapted.body == body[: span.start] + inner + body[span.end :]
    assert [finding.code for finding in adapted.findings] == findings
    assert {finding.place for finding in adapted.findings} == {BodyPlace(SCHEMA_PATH[protocol])}
    again = adapt(protocol, adapted.body)
    assert again.body is adapted.body
    assert again.findings == []


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
@pytest.mark.parametrize("schema", VALID)
def test_a_valid_schema_keeps_its_bytes(protocol: Protocol, schema: str) -> None:
    body = request_with(protocol, schema)
    adapted = adapt(protocol, body)
    assert adapted.body is body
    assert adapted.findings == []


@pytest.mark.parametrize(
    ("protocol", "body"),
    [
        pytest.param(ANTHROPIC, b'{"tools":[{"name":"a","type":"web_search_20260209"}]}',
                     id="server tool"),
        pytest.param(ANTHROPIC, b'{"tools":[{"type":"mcp_toolset","mcp_server_name":"x"}]}',
                     id="tool set"),
        pytest.param(ANTHROPIC, b'{"tools":[{"type":"custom","name":"a","input_schema":'
                     b'{"type":"object","properties":{}}}]}', id="custom type stays by default"),
        pytest.param(CHAT, b'{"tools":[{"type":"custom","custom":{"name":"a"}}]}',
                     id="Chat custom tool"),
        pytest.param(CHAT, b'{"tools":[{"type":"function","name":"flat"}]}', id="flat in Chat"),
        pytest.param(CHAT, b'{"tools":[{"google_search":{}}]}', id="unknown kind"),
        pytest.param(RESPONSES, b'{"tools":[{"type":"custom","name":"apply_patch"}]}',
                     id="Responses custom tool"),
        pytest.param(RESPONSES, b'{"tools":[{"type":"web_search"},{"type":"mcp",'
                     b'"server_label":""},{"type":"function","function":{"name":"nested"}}]}',
                     id="Responses built-in and nested"),
        pytest.param(GEMINI, b'{"tools":[{"functionDeclarations":[{"name":"a"}]}]}',
                     id="Gemini function without parameters"),
        pytest.param(GEMINI, b'{"tools":[{"functionDeclarations":[{"name":"a","parameters":null,'
                     b'"parametersJsonSchema":{"anyOf":[]}}]}]}', id="Gemini JSON schema"),
        pytest.param(GEMINI, b'{"tools":[{"functionDeclarations":[{"name":"a","parameters":'
                     b'{"type":"OBJECT","properties":{}}}]}]}', id="Gemini upper case"),
        pytest.param(GEMINI, b'{"tools":[{"googleSearch":{}},{"functionDeclarations":[]}]}',
                     id="Gemini search"),
        *(
            pytest.param(protocol, body, id=f"{protocol} {name}")
            for protocol in PROTOCOLS
            for name, body in {
                "no tools": b'{"model":"m"}', "empty tools": b'{"tools":[]}',
                "null tools": b'{"tools":null}', "tools are no list": b'{"tools":{"name":""}}',
                "tools are no objects": b'{"tools":[null,"x",[]]}', "list": b'[{"tools":[{}]}]',
                "empty": b"", "invalid": b"{invalid}", "cut": b'{"tools":[{"name":""}',
                "name of another type": b'{"tools":[{"type":"x","name":7}]}',
                "nested": b'{"messages":[{"tools":[{"name":""}]}]}',
            }.items()
        ),
    ],
)  # fmt: skip
def test_other_bodies_are_not_changed(protocol: Protocol, body: bytes) -> None:
    adapted = adapt(protocol, body)
    assert adapted.body is body
    assert adapted.findings == []


@pytest.mark.parametrize(
    ("protocol", "body", "expected"),
    [
        pytest.param(ANTHROPIC, '{"tools":[{"name":"a"}]}',
                     '{"tools":[{"name":"a","input_schema":%s}]}', id="Anthropic"),
        pytest.param(CHAT, '{"tools":[{"type":"function","function":{"name":"a" }}]}',
                     '{"tools":[{"type":"function","function":{"name":"a","parameters":%s }}]}',
                     id="Chat"),
        pytest.param(CHAT, '{"tools":[{"function":{"name":"a"}}]}',
                     '{"tools":[{"function":{"name":"a","parameters":%s}}]}',
                     id="Chat without type"),
        pytest.param(CHAT, '{"functions":[{"name":"a"}]}',
                     '{"functions":[{"name":"a","parameters":%s}]}', id="legacy functions"),
        pytest.param(RESPONSES, '{"tools":[{"type":"function","name":"a"}]}',
                     '{"tools":[{"type":"function","name":"a","parameters":%s}]}', id="Responses"),
        pytest.param(
            RESPONSES,
            '{"tools":[{"type":"namespace","name":"n","tools":[{"type":"function","name":"a"}]}]}',
            '{"tools":[{"type":"namespace","name":"n","tools":[{"type":"function","name":"a",'
            '"parameters":%s}]}]}',
            id="Responses namespace",
        ),
    ],
)  # fmt: skip
def test_an_absent_schema_is_added(protocol: Protocol, body: str, expected: str) -> None:
    """The case `FillsEmptySchema` of routatic/proxy."""
    adapted = adapt(protocol, body.encode())
    assert adapted.body.decode() == expected % D
    assert [finding.code for finding in adapted.findings] == ["T101"]


def test_in_gemini_snake_case_is_accepted() -> None:
    body = b'{"tools":[{"function_declarations":[{"name":"a","parameters":{}},{"name":" "}]}]}'
    adapted = adapt(GEMINI, body)
    assert adapted.body == (
        b'{"tools":[{"function_declarations":[{"name":"a","parameters":'
        b'{"type":"object","properties":{}}}]}]}'
    )
    assert [str(finding.place) for finding in adapted.findings] == [
        "tools[0].function_declarations[1]",
        "tools[0].function_declarations[0].parameters",
    ]


OK = '"parameters":{"type":"object","properties":{}}'
A_OK = '{"name":"Bash","input_schema":{"type":"object","properties":{}}}'
C_OK = '{"type":"function","function":{"name":"Bash",' + OK + "}}"
C_NONE = C_OK.replace("Bash", " ")
R_OK = '{"type":"function","name":"Bash",' + OK + "}"
R_NONE = R_OK.replace("Bash", "")
G_OK = '{"name":"Bash"}'

DROPPED = [
    pytest.param(ANTHROPIC, '{"tools":[{"name":""},A]}', '{"tools":[A]}', id="SkipsEmptyName"),
    pytest.param(ANTHROPIC, '{"tools":[{"name":"   "} , A]}', '{"tools":[A]}',
                 id="SkipsWhitespaceOnlyName"),
    pytest.param(ANTHROPIC, '{"tools":[A, {"input_schema":{}} ,A]}', '{"tools":[A ,A]}',
                 id="missing name in the middle"),
    pytest.param(ANTHROPIC, '{"tools":[A,{"name":null}, {"name":"\\n"} ]}', '{"tools":[A ]}',
                 id="two at the end"),
    pytest.param(ANTHROPIC, '{"tools":[{"name":""}],"tool_choice":{"type":"auto"},"x":1}',
                 '{"tools":[],"x":1}', id="none left: Anthropic keeps the list"),
    pytest.param(ANTHROPIC, '{"tools":[{"name":""}]}', '{"tools":[]}',
                 id="none left without a choice"),
    pytest.param(ANTHROPIC, '{"tools":[{"name":""},A],"tool_choice":{"type":"tool","name":"",'
                 '"disable_parallel_tool_use":true}}',
                 '{"tools":[A],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}',
                 id="Anthropic choice of the dropped"),
    pytest.param(ANTHROPIC, '{"tool_choice":{"name":" ","type":"tool"},"tools":[{},A]}',
                 '{"tool_choice":{"type":"auto"},"tools":[A]}', id="choice before tools"),
    pytest.param(ANTHROPIC, '{"tools":[{},A],"tool_choice":{"type":"tool","name":"Bash"}}',
                 '{"tools":[A],"tool_choice":{"type":"tool","name":"Bash"}}',
                 id="choice of another tool stays"),
    pytest.param(ANTHROPIC, '{"tools":[{},{"type":"bash_20250124","name":"bash"}],'
                 '"tool_choice":{"type":"any"}}',
                 '{"tools":[{"type":"bash_20250124","name":"bash"}],"tool_choice":{"type":"any"}}',
                 id="server tools remain"),
    pytest.param(CHAT, '{"tools":[N,C],"tool_choice":"required"}',
                 '{"tools":[C],"tool_choice":"required"}', id="Chat"),
    pytest.param(CHAT, '{"tools":[{"type":"function"},{"type":"custom","custom":{"name":""}},C]}',
                 '{"tools":[C]}', id="Chat without a function, and custom"),
    pytest.param(CHAT, '{"m":1,"tools":[N],"tool_choice":"auto","parallel_tool_calls":true,"z":2}',
                 '{"m":1,"z":2}', id="none left: Chat loses list, choice and companion"),
    pytest.param(CHAT, '{"tools":[N]}', '{}', id="none left at all"),
    pytest.param(CHAT, '{"tools":[N,C],"tool_choice":{"type":"function","function":{"name":""}}}',
                 '{"tools":[C],"tool_choice":"auto"}', id="Chat choice"),
    pytest.param(CHAT, '{"tools":[N,C],"tool_choice":{"type":"allowed_tools","allowed_tools":'
                 '{"mode":"auto","tools":[{"type":"function","function":{"name":" "}}]}}}',
                 '{"tools":[C],"tool_choice":"auto"}', id="Chat allowed tools: none left"),
    pytest.param(CHAT, '{"tools":[N,C],"tool_choice":{"type":"allowed_tools","allowed_tools":'
                 '{"mode":"auto","tools":[{"type":"function","function":{"name":""}},'
                 '{"type":"function","function":{"name":"Bash"}}]}}}',
                 '{"tools":[C],"tool_choice":{"type":"allowed_tools","allowed_tools":'
                 '{"mode":"auto","tools":[{"type":"function","function":{"name":"Bash"}}]}}}',
                 id="Chat allowed tools: one left"),
    pytest.param(CHAT, '{"functions":[{"name":""},{"name":"a",P}],"function_call":{"name":""}}',
                 '{"functions":[{"name":"a",P}],"function_call":"auto"}', id="legacy choice"),
    pytest.param(CHAT, '{"functions":[{"name":""}],"function_call":"auto","z":1}', '{"z":1}',
                 id="legacy: none left"),
    pytest.param(RESPONSES, '{"tools":[M,R],"tool_choice":{"type":"function","name":""}}',
                 '{"tools":[R],"tool_choice":"auto"}', id="Responses choice"),
    pytest.param(RESPONSES, '{"tools":[M],"tool_choice":"auto","parallel_tool_calls":false,"z":2}',
                 '{"z":2}', id="none left: Responses"),
    pytest.param(RESPONSES, '{"tools":[M,R],"tool_choice":{"type":"allowed_tools","mode":"auto",'
                 '"tools":[{"type":"function","name":"Bash"},{"type":"function","name":""},'
                 '{"type":"image_generation"}]}}',
                 '{"tools":[R],"tool_choice":{"type":"allowed_tools","mode":"auto",'
                 '"tools":[{"type":"function","name":"Bash"},{"type":"image_generation"}]}}',
                 id="Responses allowed tools"),
    pytest.param(RESPONSES, '{"tools":[{"type":"namespace","name":"n","tools":[M]},R]}',
                 '{"tools":[R]}', id="a namespace left empty goes"),
    pytest.param(RESPONSES, '{"tools":[{"type":"namespace","name":"n","tools":[M]}],"z":1}',
                 '{"z":1}', id="the only namespace goes"),
    pytest.param(RESPONSES, '{"tools":[{"type":"namespace","name":"n","tools":[M,R]}]}',
                 '{"tools":[{"type":"namespace","name":"n","tools":[R]}]}', id="in a namespace"),
    pytest.param(GEMINI, '{"tools":[{"functionDeclarations":[{"name":""},G]}]}',
                 '{"tools":[{"functionDeclarations":[G]}]}', id="Gemini"),
    pytest.param(GEMINI, '{"tools":[{"functionDeclarations":[{}]},{"googleSearch":{}}],'
                 '"toolConfig":{"functionCallingConfig":{"mode":"ANY"}},"z":1}',
                 '{"tools":[{"googleSearch":{}}],"z":1}', id="Gemini: no function left"),
    pytest.param(GEMINI, '{"tools":[{"functionDeclarations":[{}],"googleSearch":{}}],'
                 '"toolConfig":{"functionCallingConfig":{},"retrievalConfig":{}}}',
                 '{"tools":[{"googleSearch":{}}],"toolConfig":{"retrievalConfig":{}}}',
                 id="Gemini: other members are kept"),
    pytest.param(GEMINI, '{"tools":[{"functionDeclarations":[{}]}]}', '{"tools":[]}',
                 id="Gemini: an empty list is none"),
    pytest.param(GEMINI, '{"tools":[{"functionDeclarations":[{},G]}],"toolConfig":'
                 '{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["","Bash"]}}}',
                 '{"tools":[{"functionDeclarations":[G]}],"toolConfig":'
                 '{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["Bash"]}}}',
                 id="Gemini: one allowed name left"),
    pytest.param(GEMINI, '{"tools":[{"functionDeclarations":[{},G]}],"tool_config":'
                 '{"function_calling_config":{"mode":"ANY","allowed_function_names":[" "]}}}',
                 '{"tools":[{"functionDeclarations":[G]}],"tool_config":'
                 '{"function_calling_config":{"mode":"AUTO"}}}',
                 id="Gemini: no allowed name left"),
]  # fmt: skip


def _spelled_out(text: str) -> bytes:
    named = {"A": A_OK, "N": C_NONE, "C": C_OK, "P": OK, "M": R_NONE, "R": R_OK, "G": G_OK}
    for letter, tool in named.items():
        for before in "[ ,":
            for after in "] ,}":
                text = text.replace(before + letter + after, before + tool + after)
    return text.encode()


@pytest.mark.parametrize(("protocol", "text", "expected"), DROPPED)
def test_a_nameless_tool_is_dropped_with_all_references_to_it(
    protocol: Protocol, text: str, expected: str
) -> None:
    adapted = adapt(protocol, _spelled_out(text))
    assert adapted.body == _spelled_out(expected)
    assert adapted.findings[0].code == "T001"
    assert {finding.code for finding in adapted.findings} <= {"T001", "T002", "T003"}
    again = adapt(protocol, adapted.body)
    assert again.body is adapted.body


def test_a_choice_without_a_name_is_kept_if_no_tool_was_dropped() -> None:
    body = _spelled_out('{"tools":[A],"tool_choice":{"type":"tool","name":""}}')
    assert adapt(ANTHROPIC, body).body is body


def test_the_custom_type_is_removed_only_for_targets_that_require_it() -> None:
    """The case `sanitizeAnthropicBody` of routatic/proxy: other types and fields are kept."""
    body = (
        b'{"system":"s","max_tokens":10,"tools":[{"type":"custom","name":"A",SCHEMA},'
        b'{"name":"B",SCHEMA, "type" : "custom"},{"type":"web_search_20260209","name":"w"},'
        b'{"name":"C",SCHEMA}],"thinking":{"type":"enabled"},"metadata":{"type":"custom"}}'
    ).replace(b"SCHEMA", b'"input_schema":{"type":"object","properties":{}}')
    adapted = adapt(ANTHROPIC, body, strip_custom_type=True)
    assert adapted.body == body.replace(b'"type":"custom","name"', b'"name"').replace(
        b', "type" : "custom"}', b"}"
    )
    assert [str(finding) for finding in adapted.findings] == [
        'T004 tools[0]: "type":"custom"; removed',
        'T004 tools[1]: "type":"custom"; removed',
    ]
    assert adapt(ANTHROPIC, body).body is body
    disabled = frozenset({"T004"})
    assert adapt(ANTHROPIC, body, strip_custom_type=True, disabled=disabled).body is body
    assert adapt(RESPONSES, body, strip_custom_type=True).body is body


def test_the_custom_type_is_removed_while_a_schema_is_added() -> None:
    body = b'{"tools":[{"name":"A","type":"custom"}]}'
    adapted = adapt(ANTHROPIC, body, strip_custom_type=True)
    expected = '{"tools":[{"name":"A","input_schema":' + D + "}]}"
    assert adapted.body.decode() == expected


BROKEN = {
    "T001": b'{"tools":[{"name":""}]}',
    "T002": _spelled_out('{"tools":[{"name":""},A],"tool_choice":{"type":"tool","name":""}}'),
    "T003": b'{"tools":[{"name":""}],"tool_choice":{"type":"any"}}',
    "T101": b'{"tools":[{"name":"a"}]}',
    "T102": request_with(ANTHROPIC, "{}"),
    "T103": request_with(ANTHROPIC, '"x"'),
    "T104": request_with(ANTHROPIC, '{"properties":{}}'),
    "T105": request_with(ANTHROPIC, '{"type":"array","properties":{}}'),
    "T106": request_with(ANTHROPIC, '{"type":"object"}'),
    "T107": request_with(ANTHROPIC, '{"type":"object","properties":3}'),
}


@pytest.mark.parametrize(("code", "body"), BROKEN.items())
def test_each_rule_can_be_disabled(code: str, body: bytes) -> None:
    assert code in codes(ANTHROPIC, body)
    adapted = adapt(ANTHROPIC, body, disabled=frozenset({code}))
    assert code not in [finding.code for finding in adapted.findings]
    orjson.loads(adapted.body)


def test_every_rule_has_a_unique_code_and_a_case() -> None:
    rule_codes = [rule.code for rule in RULES]
    assert len(set(rule_codes)) == len(rule_codes)
    assert {*BROKEN, "T004"} == set(rule_codes)


@pytest.mark.parametrize("rule", rules_between("T101", "T199"), ids=lambda rule: rule.code)
def test_the_example_of_each_schema_rule_is_correct(rule: Any) -> None:
    if rule.before.startswith('{"name"'):
        body, expected = (f'{{"tools":[{tool}]}}' for tool in (rule.before, rule.after))
    else:
        body = request_with(ANTHROPIC, rule.before).decode()
        expected = request_with(ANTHROPIC, rule.after).decode()
    assert adapt(ANTHROPIC, body.encode()).body.decode() == expected


@given(
    tool_requests(),
    st.frozensets(st.sampled_from([rule.code for rule in RULES]), max_size=3),
    st.booleans(),
)
def test_any_request_remains_valid_is_changed_once_and_only_with_a_finding(
    case: tuple[Protocol, bytes], disabled: frozenset[str], strip: bool
) -> None:
    protocol, body = case
    first = adapt(protocol, body, disabled=disabled, strip_custom_type=strip)
    orjson.loads(first.body)
    assert (first.body is body) == (not first.findings)
    assert disabled.isdisjoint(finding.code for finding in first.findings)
    second = adapt(protocol, first.body, disabled=disabled, strip_custom_type=strip)
    assert second.body is first.body
    assert second.findings == []


def _accepted(protocol: Protocol, function: dict[str, Any], key: str) -> bool:
    schema = function.get(key)
    if protocol == GEMINI and key not in function:
        return True
    if not isinstance(schema, dict):
        return False
    return "type" in schema and ("anyOf" in schema or isinstance(schema.get("properties"), dict))


@given(st.lists(function_tools("input_schema"), min_size=1, max_size=4))
def test_every_remaining_client_tool_has_a_name_and_an_object_schema(
    tools: list[dict[str, Any]],
) -> None:
    body = orjson.dumps({"tools": tools})
    for tool in orjson.loads(adapt(ANTHROPIC, body).body)["tools"]:
        if tool.get("type") in (None, "custom"):
            assert str(tool["name"]).strip()
            assert _accepted(ANTHROPIC, tool, "input_schema")


@given(ROOT_SCHEMAS, st.sampled_from(PROTOCOLS))
def test_without_the_span_of_the_schema_the_body_is_identical(
    schema: Any, protocol: Protocol
) -> None:
    body = request_with(protocol, json.dumps(schema))
    mended = adapt(protocol, body).body
    before = value_span(body, SCHEMA_PATH[protocol])
    after = value_span(mended, SCHEMA_PATH[protocol])
    assert before is not None
    assert after is not None
    assert body[: before.start] == mended[: after.start]
    assert body[before.end :] == mended[after.end :]
