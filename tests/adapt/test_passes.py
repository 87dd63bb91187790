"""Adapting one request to one target: bytes in, bytes out, and the findings."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies.schemas import SCHEMAS
from strategies.tool_requests import tool_requests
from wiremend.adapt.lessons import Lesson
from wiremend.adapt.passes import AdaptedRequest, adapt_request
from wiremend.adapt.schema_dialects import DIALECTS, violations
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import Headers, OutgoingRequest, RequestBody, RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.traits import TargetTraits
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.repair.tool_names import restore_tool_names
from wiremend.targets.registry import NAMES_BY_DIALECT

ANTHROPIC, CHAT = ANTHROPIC, CHAT
RESPONSES, GEMINI = RESPONSES, GEMINI


def outgoing(protocol: Protocol, body: bytes, headers: Headers = ()) -> OutgoingRequest:
    document = RequestDocument.of(protocol, "/v1/messages", body, headers)
    return OutgoingRequest("p", "m", "https", "p.example", 443, document)


def traits(dialect: str) -> TargetTraits:
    return TargetTraits(dialect, NAMES_BY_DIALECT.get(dialect), unique_names=True)


def adapt(
    protocol: Protocol, body: str | bytes, dialect: str, *lessons: Lesson, **options: Any
) -> AdaptedRequest:
    data = body.encode() if isinstance(body, str) else body
    return adapt_request(outgoing(protocol, data), traits(dialect), lessons, **options)


TOOL = '"type":"object","properties":{"a":{"type":"array"}}'
MENDED = '{"type":"object","properties":{"a":{"type":"array","items":{}}}}'

SPANS = [
    # case, protocol, dialect, before, after; all other bytes are kept, white space included
    ("only the schema that leaves the dialect", CHAT, "openai",
     '{ "tools":[ {"type":"function","function":{"name":"x","parameters": {' + TOOL + '} }},\n'
     '{"type":"function","function":{"name":"y","parameters":{ "type" :"object",'
     '"properties":{}}}}],"n":1.50,"s":"\\u00e9"}',
     '{ "tools":[ {"type":"function","function":{"name":"x","parameters": ' + MENDED + ' }},\n'
     '{"type":"function","function":{"name":"y","parameters":{ "type" :"object",'
     '"properties":{}}}}],"n":1.50,"s":"\\u00e9"}'),
    ("a strict tool", RESPONSES, "openai",
     '{"tools":[{"type":"function","name":"x","strict":true,"parameters":'
     '{"type":"object","properties":{}}}]}',
     '{"tools":[{"type":"function","name":"x","strict":true,"parameters":'
     '{"type":"object","properties":{},"required":[],"additionalProperties":false}}]}'),
    ("an alternative at the root", ANTHROPIC, "anthropic",
     '{"tools":[{"name":"x","input_schema":{"oneOf":[{"type":"object","properties":{"a":'
     '{"type":"string"}}}],"type":"object"}}]}',
     '{"tools":[{"name":"x","input_schema":{"type":"object","properties":{"a":'
     '{"type":"string"}}}}]}'),
    ("the plain repairs come first", ANTHROPIC, "anthropic",
     '{"tools":[{"name":""},{"name":"x","input_schema":null}]}',
     '{"tools":[{"name":"x","input_schema":'
     '{"type":"object","properties":{},"additionalProperties":false}}]}'),
    ("Gemini's words", GEMINI, "gemini",
     '{"tools":[{"functionDeclarations":[{"name":"x","parameters":{"type":"OBJECT",'
     '"properties":{"a":{"type":"STRING","const":"v"}},"additionalProperties":false}}]}]}',
     '{"tools":[{"functionDeclarations":[{"name":"x","parameters":{"type":"object",'
     '"properties":{"a":{"type":"string","enum":["v"]}}}}]}]}'),
    ("Gemini's words, wrapped by Code Assist", GEMINI, "gemini",
     '{"model":"m","project":"p","request":{"tools":[{"functionDeclarations":[{"name":""},'
     '{"name":"x","parameters":{"$schema":"s","type":"object","properties":{}}}]}],"n":1.50}}',
     '{"model":"m","project":"p","request":{"tools":[{"functionDeclarations":['
     '{"name":"x","parameters":{"type":"object","properties":{}}}]}],"n":1.50}}'),
    ("no function left, wrapped by Code Assist", GEMINI, "gemini",
     '{"request":{"tools":[{"functionDeclarations":[{"name":""}]},{"googleSearch":{}}],'
     '"toolConfig":{"functionCallingConfig":{"mode":"ANY"}},"contents":[]}}',
     '{"request":{"tools":[{"googleSearch":{}}],"contents":[]}}'),
    ("full JSON Schema stays", GEMINI, "gemini",
     '{"tools":[{"functionDeclarations":[{"name":"x","parametersJsonSchema":{"$schema":"s"}}]}]}',
     '{"tools":[{"functionDeclarations":[{"name":"x","parametersJsonSchema":{"$schema":"s"}}]}]}'),
    ("a repetition", ANTHROPIC, "anthropic",
     '{"tools":[{"name":"x","input_schema":{"type":"object","properties":{}}}, '
     '{"name":"x","input_schema":{"type":"object","properties":{}}}]}',
     '{"tools":[{"name":"x","input_schema":{"type":"object","properties":{}}}]}'),
    ("a repetition in an entry of its own", GEMINI, "gemini",
     '{"tools":[{"functionDeclarations":[{"name":"x"}]},{"functionDeclarations":[{"name":"x"}]}]}',
     '{"tools":[{"functionDeclarations":[{"name":"x"}]}]}'),
    ("tools of the server", ANTHROPIC, "anthropic",
     '{"tools":[{"type":"web_search_20250305","name":"web_search"}]}',
     '{"tools":[{"type":"web_search_20250305","name":"web_search"}]}'),
    ("no JSON", ANTHROPIC, "anthropic", "{no", "{no"),
    ("no object", ANTHROPIC, "anthropic", "[]", "[]"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "dialect", "before", "after"), [pytest.param(*r[1:], id=r[0]) for r in SPANS]
)
def test_only_what_the_target_refuses_changes(
    protocol: Protocol, dialect: str, before: str, after: str
) -> None:
    adapted = adapt(protocol, before, dialect)
    assert adapted.request.body.decode() == after
    assert adapt(protocol, after, dialect).request.body == after.encode()
    assert bool(adapted.findings) == (before != after)


LONG = "mcp__server__" + "x" * 60 + ".read"
SENT = NAMES_BY_DIALECT["openai"].fit(LONG)

NAMED = [
    # case, protocol, a body that contains the client's name of a tool
    ("Anthropic", ANTHROPIC,
     '{"tools":[{"name":"N","input_schema":{"type":"object","properties":{}}}],"tool_choice":'
     '{"type":"tool","name":"N"},"messages":[{"role":"assistant","content":[{"type":"tool_use",'
     '"id":"t","name":"N","input":{"name":"K"}}]},{"role":"user","content":[{"type":"tool_result",'
     '"tool_use_id":"t","content":[{"type":"tool_reference","tool_name":"N"}]}]}]}'),
    ("Chat", CHAT,
     '{"tools":[{"type":"function","function":{"name":"N","parameters":{"type":"object",'
     '"properties":{}}}}],"tool_choice":{"type":"function","function":{"name":"N"}},"messages":'
     '[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"N",'
     '"arguments":"{\\"name\\":\\"K\\"}"}}]},{"role":"tool","tool_call_id":"c","name":"N",'
     '"content":"K"}]}'),
    ("Chat, older", CHAT,
     '{"functions":[{"name":"N","parameters":{"type":"object","properties":{}}}],"function_call":'
     '{"name":"N"},"messages":[{"role":"assistant","function_call":{"name":"N","arguments":"{}"}},'
     '{"role":"function","name":"N","content":""}]}'),
    ("Chat, allowed tools", CHAT,
     '{"tools":[{"type":"custom","custom":{"name":"N"}}],"tool_choice":{"type":"allowed_tools",'
     '"allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"N"}}]}},'
     '"messages":[{"role":"user","name":"K","content":"K"}]}'),
    ("Responses", RESPONSES,
     '{"tools":[{"type":"function","name":"N","parameters":{"type":"object","properties":{}}},'
     '{"type":"namespace","name":"K","tools":[{"type":"custom","name":"N"}]}],"tool_choice":'
     '{"type":"function","name":"N"},"input":[{"type":"function_call","call_id":"c","name":"N",'
     '"arguments":"{}"},{"type":"custom_tool_call","call_id":"d","name":"N","input":"K"}]}'),
    ("Responses, allowed tools", RESPONSES,
     '{"tools":[{"type":"custom","name":"N"}],"tool_choice":{"type":"allowed_tools","mode":"auto",'
     '"tools":[{"type":"custom","name":"N"},{"type":"mcp","name":"K"}]},"input":"K"}'),
    ("Gemini", GEMINI,
     '{"tools":[{"functionDeclarations":[{"name":"N"}]}],"toolConfig":{"functionCallingConfig":'
     '{"mode":"ANY","allowedFunctionNames":["N"]}},"contents":[{"parts":[{"functionCall":{"name":'
     '"N","args":{"name":"K"}}}]},{"parts":[{"functionResponse":{"name":"N","response":{}}}]}]}'),
    ("Code Assist", GEMINI,
     '{"request":{"tools":[{"functionDeclarations":[{"name":"N"}]}],"toolConfig":'
     '{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["N"]}},"contents":[{"parts":'
     '[{"functionCall":{"name":"N","args":{"name":"K"}}}]},{"parts":[{"functionResponse":'
     '{"name":"N","response":{}}}]}]}}'),
]  # fmt: skip


@pytest.mark.parametrize(("protocol", "body"), [pytest.param(*row[1:], id=row[0]) for row in NAMED])
def test_a_name_that_is_not_accepted_is_replaced_everywhere(protocol: Protocol, body: str) -> None:
    before = body.replace('"N"', f'"{LONG}"').replace("K", LONG)
    after = body.replace('"N"', f'"{SENT}"').replace("K", LONG)
    adapted = adapt_request(
        outgoing(protocol, before.encode()), TargetTraits(names=NAMES_BY_DIALECT["openai"])
    )
    assert adapted.request.body.decode() == after
    assert adapted.tool_names_by_sent == {SENT: LONG}
    assert {finding.code for finding in adapted.findings} == {"T005"}


def test_the_name_of_a_server_tool_is_kept() -> None:
    body = (
        '{"tools":[{"name":"web_search","input_schema":{"type":"object","properties":{}}},'
        '{"type":"web_search_20250305","name":"web_search"}],"messages":[{"role":"assistant",'
        '"content":[{"type":"server_tool_use","id":"s","name":"web_search","input":{}}]}]}'
    )
    adapted = adapt(ANTHROPIC, body, "anthropic")
    [(sent, name)] = adapted.tool_names_by_sent.items()
    assert name == "web_search"
    expected = body.replace('{"name":"web_search","input', f'{{"name":"{sent}","input', 1)
    assert adapted.request.body.decode() == expected


def test_two_different_tools_with_the_same_name_are_both_kept() -> None:
    tool = '{"name":"search","description":"%s","input_schema":{"type":"object","properties":{}}}'
    body = f'{{"tools":[{tool % "Jira"},{tool % "Intercom"}]}}'
    adapted = adapt(ANTHROPIC, body, "anthropic")
    names = [tool["name"] for tool in orjson.loads(adapted.request.body)["tools"]]
    assert names[0] == "search"
    assert adapted.tool_names_by_sent == {names[1]: "search"}
    assert adapt(ANTHROPIC, body, "anthropic").request.body == adapted.request.body


ANSWERS = [
    # protocol, a response with the sent name S, and the same text where it is not a tool's name
    '{"content":[{"type":"tool_use","id":"t","name":"S","input":{"name":"K"}}]}',
    '{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"S","arguments":"K"}}]}}]}',
    '{"response":{"output":[{"type":"function_call","name":"S","arguments":"{\\"name\\":\\"K\\"}"}'
    '],"tools":[{"type":"function","name":"S"}]}}',
    '{"candidates":[{"content":{"parts":[{"functionCall":{"name":"S","args":{"name":"K"}}}]}}]}',
    '{"content":[{"type":"text","text":"S"},{"name":"other"}]}',
    '{"x":1}',
    "[DONE]",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_response_contains_the_clients_names_of_tools(answer: str) -> None:
    sent = answer.replace('"S"', f'"{SENT}"').replace("K", SENT)
    named = answer.replace('"name":"S"', f'"name":"{LONG}"').replace('"S"', f'"{SENT}"')
    assert restore_tool_names(sent.encode(), {SENT: LONG}).decode() == named.replace("K", SENT)


def test_names_are_restored_in_a_deeply_nested_response() -> None:
    nested = '{"a":' * 900 + '{"name":"S"}' + "}" * 900
    answer = nested.replace("S", SENT).encode()
    assert restore_tool_names(answer, {SENT: LONG}) == nested.replace("S", LONG).encode()


HEADERS = (
    ("x-api-key", "k"),
    ("anthropic-beta", "a-2025-01-01,b-2025-01-01"),
    ("Anthropic-Beta", "c-2025-01-01"),
)
BETAS = [
    # refused, remaining header
    (("b-2025-01-01",), (HEADERS[0], ("anthropic-beta", "a-2025-01-01"), HEADERS[2])),
    (("c-*",), HEADERS[:2]),
    (("a-*", "b-*", "c-*"), HEADERS[:1]),
    (("d-2025-01-01",), HEADERS),
]


@pytest.mark.parametrize(("refused", "left"), BETAS)
def test_refused_betas_are_not_sent(refused: tuple[str, ...], left: object) -> None:
    request = outgoing(ANTHROPIC, b"{}", HEADERS)
    lessons = [Lesson("beta", beta) for beta in refused]
    adapted = adapt_request(request, TargetTraits(), lessons)
    assert adapted.request.headers == left
    assert (adapted.request is request) == (left == HEADERS)
    assert adapt_request(request, TargetTraits(refused_betas=refused)) == adapted


FIELDS = [
    # the field's path, before, after
    ("context_management", '{"a":1, "context_management":{"edits":[]}}', '{"a":1}'),
    ("messages.*.content.*.thinking.cache_control",
     '{"messages":[{"content":[{"type":"thinking","cache_control":{}},{"type":"text","cache_control"'
     ':{}}]},{"content":"x"}]}',
     '{"messages":[{"content":[{"type":"thinking"},{"type":"text","cache_control"'
     ':{}}]},{"content":"x"}]}'),
    ("messages.*.cache_control", '{"messages":[{"role":"user","cache_control":{}}]}',
     '{"messages":[{"role":"user"}]}'),
    ("tools.*.custom.eager_input_streaming",
     '{"tools":[{"name":"x","eager_input_streaming":true,"input_schema":{"type":"object","properties":{}}},'
     '{"type":"bash_1","name":"y","eager_input_streaming":true}]}',
     '{"tools":[{"name":"x","input_schema":{"type":"object","properties":{}}},'
     '{"type":"bash_1","name":"y","eager_input_streaming":true}]}'),
    ("system.*.cache_control.ephemeral.scope",
     '{"system":[{"type":"text","cache_control":{"type":"ephemeral","scope":"global"}}]}',
     '{"system":[{"type":"text","cache_control":{"type":"ephemeral"}}]}'),
    ("messages", '{"messages":[]}', '{"messages":[]}'),
    ("tools.*.name", '{"tools":[{"type":"bash_1","name":"y"}]}',
     '{"tools":[{"type":"bash_1","name":"y"}]}'),
    ("a.b.c", '{"a":[{"b":{"c":1}}]}', '{"a":[{"b":{"c":1}}]}'),
]  # fmt: skip


@pytest.mark.parametrize(("field", "before", "after"), FIELDS)
def test_refused_fields_are_dropped_except_essential_ones(
    field: str, before: str, after: str
) -> None:
    request = outgoing(ANTHROPIC, before.encode())
    adapted = adapt_request(request, TargetTraits(), [Lesson("field", field)])
    assert adapted.request.body.decode() == after
    assert (adapted.request is request) == (before == after)


def test_a_lesson_about_one_tool_does_not_change_others() -> None:
    tool = '{"name":"%s","input_schema":{"type":"object","properties":{"a":{"const":1}}}}'
    body = f'{{"tools":[{tool % "x"},{tool % "y"}]}}'
    adapted = adapt(ANTHROPIC, body, "plain", Lesson("schema-dialect", "moonshot", "y"))
    before, after = '{"const":1}', '{"type":"integer","enum":[1]}'
    expected = after.join(body.rsplit(before, 1))
    assert adapted.request.body.decode() == expected


def test_after_as_is_tools_are_not_changed() -> None:
    body = '{"tools":[{"name":"x.y","input_schema":{}}]}'
    assert adapt(ANTHROPIC, body, "anthropic", Lesson("as-is")).request.body == body.encode()
    later = adapt(ANTHROPIC, body, "anthropic", Lesson("as-is"), Lesson("custom-type"))
    assert later.request.body != body.encode()


@pytest.mark.parametrize(
    ("body", "dialect", "lessons", "code"),
    [
        ('{"tools":[{"name":"x","input_schema":{"anyOf":[],"type":"object"}}]}', "anthropic", (),
         "T203"),
        ('{"tools":[{"name":"x.y","input_schema":{"type":"object","properties":{}}}]}',
         "anthropic", (), "T005"),
        ('{"tools":[{"name":"x","input_schema":{"type":"object","properties":{}}},'
         '{"name":"x","input_schema":{"type":"object","properties":{}}}]}', "anthropic", (),
         "T006"),
        ('{"a":1,"b":1}', "plain", (Lesson("field", "a"),), "T303"),
    ],
)  # fmt: skip
def test_a_disabled_rule_changes_nothing(
    body: str, dialect: str, lessons: tuple[Lesson, ...], code: str
) -> None:
    findings = adapt(ANTHROPIC, body, dialect, *lessons).findings
    assert [finding.code for finding in findings] == [code]
    adapted = adapt(ANTHROPIC, body, dialect, *lessons, disabled={code})
    assert (adapted.request.body, adapted.findings) == (body.encode(), ())


_LESSONS = st.sampled_from(
    [
        Lesson("schema-dialect", "basic", "Bash"),
        Lesson("tool-names", "moonshot"),
        Lesson("custom-type"),
        Lesson("field", "tools.*.custom.description"),
        Lesson("field", "messages.*.content.*.tool_use.cache_control"),
        Lesson("as-is"),
    ]
)


@settings(deadline=None)
@given(tool_requests(), st.sampled_from(sorted(DIALECTS)), st.lists(_LESSONS, max_size=2))
def test_any_request_remains_valid_is_changed_once_and_only_with_a_finding(
    case: tuple[Protocol, bytes], dialect: str, lessons: list[Lesson]
) -> None:
    protocol, body = case[0], case[1]
    request = outgoing(protocol, body)
    first = adapt_request(request, traits(dialect), lessons)
    orjson.loads(first.request.body)
    assert (first.request is request) == (not first.findings)
    second = adapt_request(first.request, traits(dialect), lessons)
    assert second.request is first.request
    assert second.findings == ()
    for document in (request.document, first.request.document):
        assert document.fields == RequestBody(document.body).fields, "a pass changed parsed values"


_NAMES = st.sampled_from(["a", "b.c", "21st", "mcp__x__" + "y" * 130, "日本", "web search", "a"])


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "plain"])
@settings(deadline=None, max_examples=25)
@given(tools=st.lists(st.tuples(_NAMES, SCHEMAS), max_size=4))
def test_any_tools_are_adapted_to_the_target_and_then_not_changed_again(
    dialect: str, tools: list[tuple[str, Any]]
) -> None:
    offered = [{"name": name, "input_schema": schema} for name, schema in tools]
    adapted = adapt(ANTHROPIC, orjson.dumps({"tools": offered}), dialect)
    request = orjson.loads(adapted.request.body)
    limit = NAMES_BY_DIALECT.get(dialect)
    names = [tool.fields["name"] for tool in ANTHROPIC.client_tools(request)]
    for tool in ANTHROPIC.client_tools(request):
        assert violations(tool.fields["input_schema"], DIALECTS[dialect]) == []
        assert limit is None or limit.takes(tool.fields["name"])
    assert len(set(names)) == len(names)
    assert {adapted.tool_names_by_sent.get(name, name) for name in names} == {
        name for name, _ in tools
    }
    assert adapt(ANTHROPIC, adapted.request.body, dialect).request.body == adapted.request.body


LOSSY = '{"type":"object","properties":{"m":{"additionalProperties":{"type":"string"}}}}'
JSON_SCHEMA_KEY = [
    # case, what the target accepts, before, after
    ("a map", True,
     '{"tools":[{"functionDeclarations":[{"name":"x","parameters": ' + LOSSY + '}]}]}',
     '{"tools":[{"functionDeclarations":[{"name":"x","parametersJsonSchema": ' + LOSSY + '}]}]}'),
    ("a map, in snake case, wrapped", True,
     '{"request":{"tools":[{"function_declarations":[{"name":"x","parameters":' + LOSSY + '}]}]}}',
     '{"request":{"tools":[{"function_declarations":[{"name":"x","parametersJsonSchema":'
     + LOSSY + '}]}]}}'),
    ("Google's types and a draft", True,
     '{"tools":[{"functionDeclarations":[{"name":"x","parameters":{"$schema":"s","type":"OBJECT",'
     '"properties":{"n":{"type":3,"exclusiveMinimum":0}}}}]}]}',
     '{"tools":[{"functionDeclarations":[{"name":"x","parametersJsonSchema":{"type":"object",'
     '"properties":{"n":{"type":"integer","exclusiveMinimum":0}}}}]}]}'),
    ("nothing is lost", True,
     '{"tools":[{"functionDeclarations":[{"name":"x","parameters":{"$schema":"s","type":"object",'
     '"properties":{"c":{"const":"v"}},"additionalProperties":false}}]}]}',
     '{"tools":[{"functionDeclarations":[{"name":"x","parameters":{"type":"object",'
     '"properties":{"c":{"type":"string","enum":["v"]}}}}]}]}'),
    ("nullable", True,
     '{"tools":[{"functionDeclarations":[{"name":"x","parameters":{"type":"object","properties":'
     '{"n":{"type":"integer","nullable":true,"exclusiveMinimum":0}}}}]}]}',
     '{"tools":[{"functionDeclarations":[{"name":"x","parameters":{"type":"object","properties":'
     '{"n":{"type":"integer","nullable":true,"description":"exclusiveMinimum: 0."}}}}]}]}'),
    ("a host that refuses it", False,
     '{"tools":[{"functionDeclarations":[{"name":"x","parameters":{"type":"object","properties":'
     '{"n":{"type":"integer","exclusiveMinimum":0}}}}]}]}',
     '{"tools":[{"functionDeclarations":[{"name":"x","parameters":{"type":"object","properties":'
     '{"n":{"type":"integer","description":"exclusiveMinimum: 0."}}}}]}]}'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("accepted", "before", "after"), [pytest.param(*row[1:], id=row[0]) for row in JSON_SCHEMA_KEY]
)
def test_a_gemini_tool_is_sent_as_json_schema_where_parameters_would_lose_something(
    accepted: bool, before: str, after: str
) -> None:
    traits = TargetTraits("gemini", json_schema_key=accepted)
    adapted = adapt_request(outgoing(GEMINI, before.encode()), traits)
    assert adapted.request.body.decode() == after
    again = adapt_request(outgoing(GEMINI, after.encode()), traits)
    assert again.request.body.decode() == after


def test_a_json_schema_that_was_refused_is_sent_as_parameters() -> None:
    before = JSON_SCHEMA_KEY[0][2]
    traits = TargetTraits("gemini", json_schema_key=True)
    lesson = Lesson("schema-dialect", "gemini", "x")
    adapted = adapt_request(outgoing(GEMINI, before.encode()), traits, [lesson])
    [declaration] = orjson.loads(adapted.request.body)["tools"][0]["functionDeclarations"]
    assert declaration["parameters"]["properties"]["m"] == {
        "type": "object",
        "description": 'additionalProperties: {"type":"string"}.',
    }
