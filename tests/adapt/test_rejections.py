"""The lessons of real rejections. The messages are verbatim from reports."""

import json
from dataclasses import replace
from typing import Any

import pytest
from wiremend.adapt.lessons import Lesson
from wiremend.adapt.rejections import OfferedTools, explanation, read_rejection
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES

ANTHROPIC, CHAT = ANTHROPIC, CHAT
RESPONSES, GEMINI = RESPONSES, GEMINI

NAMES = [
    "Bash",
    "mcp__notion__create",
    "x",
    "mcp__github__search",
    "mcp__github__read",
    "ls",
    "HassStartTimer",
]


def offered_by(protocol: Protocol, body: bytes) -> OfferedTools:
    return OfferedTools(RequestDocument.of(protocol, "/", body))


def offered(protocol: Protocol, names: list[str] = NAMES) -> OfferedTools:
    tools: list[dict[str, Any]]
    if protocol is ANTHROPIC:
        tools = [{"name": name, "input_schema": {}} for name in names]
    elif protocol is CHAT:
        tools = [{"type": "function", "function": {"name": name}} for name in names]
    elif protocol is RESPONSES:
        tools = [{"type": "function", "name": name} for name in names]
    else:
        tools = [{"functionDeclarations": [{"name": name} for name in names]}]
    return offered_by(protocol, json.dumps({"tools": tools}).encode())


def schema(dialect: str, tool: str = "") -> Lesson:
    return Lesson("schema-dialect", dialect, tool)


_BETA_TAIL = (
    " Please consult our documentation at docs.anthropic.com or try again without the header."
)
_GEMINI_NAME = (
    "Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, "
    "A-Z, 0-9), underscores (_), dots (.) or dashes (-), with a maximum length of 64."
)

# report, protocol, message, lessons
REJECTIONS = [
    ("anomalyco/opencode#35516", ANTHROPIC,
     "tools.1.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top "
     "level",
     [schema("anthropic", "mcp__notion__create")]),
    ("anthropics/claude-code#7365", ANTHROPIC,
     "tools.3.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12 "
     "(https://json-schema.org/draft/2020-12). Learn more about tool use at "
     "https://docs.anthropic.com/en/docs/tool-use.",
     [schema("anthropic", "mcp__github__search")]),
    ("anthropics/claude-code#79418", ANTHROPIC,
     "tools.1.custom.input_schema.properties: Property keys should match pattern "
     "'^[a-zA-Z0-9_.-]{1,64}$'",
     [schema("anthropic", "mcp__notion__create")]),
    ("openai/codex#1289", CHAT,
     "Invalid schema for function 'x': In context=('properties', 'y'), array schema missing items.",
     [schema("openai", "x")]),
    ("openai/codex#1289", RESPONSES,
     "Invalid schema for function 'x': In context=(), object schema missing properties.",
     [schema("openai", "x")]),
    ("nspady/google-calendar-mcp#39", CHAT,
     "Invalid schema for function 'ls': schema must have type 'object' and not have "
     "'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level.",
     [schema("openai", "ls")]),
    ("bman654/clodex#203", RESPONSES,
     "Invalid schema for function 'x': '^[^\\p{Cc}]*$' is not a 'regex'.",
     [schema("openai", "x")]),
    ("bytedance/trae-agent#173", CHAT,
     "Invalid schema for function 'x': In context=('properties', 'value'), 'additionalProperties' "
     "is required to be supplied and to be false.",
     [schema("openai-strict", "x")]),
    ("kevinwatt/mysql-mcp#5", RESPONSES,
     "Invalid schema for function 'x': In context=(), 'required' is required to be supplied and to "
     "be an array including every key in properties. Missing 'n'.",
     [schema("openai-strict", "x")]),
    ("OpenAI strict", RESPONSES,
     "Invalid schema for function 'x': In context=('properties', 'a'), 'oneOf' is not permitted.",
     [schema("openai-strict", "x")]),
    ("esengine/DeepSeek-Reasonix#4086", CHAT,
     "Invalid schema for function 'ls': null is not of type \"array\"",
     [schema("openai", "ls")]),
    ("Kilo-Org/kilocode#12237", CHAT,
     "Invalid schema for function 'ls': schema must be a JSON Schema of 'type: \"object\"', got "
     "'type: null'.",
     [schema("openai", "ls")]),
    ("router-for-me/CLIProxyAPI#97", GEMINI,
     "Invalid JSON payload received. Unknown name \"$schema\" at 'tools[0].function_declarations[1]"
     ".parameters': Cannot find field.\nInvalid JSON payload received. Unknown name "
     "\"exclusiveMinimum\" at 'tools[0].function_declarations[3].parameters.properties[0].value': "
     "Cannot find field.",
     [schema("gemini", "mcp__notion__create"), schema("gemini", "mcp__github__search")]),
    ("lbjlaq/Antigravity-Manager#1312", GEMINI,
     "Invalid JSON payload received. Unknown name \"parametersJsonSchema\" at 'request.tools[0]."
     "function_declarations[3]': Cannot find field.",
     [schema("gemini", "mcp__github__search")]),
    ("Google's words for `parameters`, about the other field", GEMINI,
     "* GenerateContentRequest.tools[0].function_declarations[3].parameters_json_schema: invalid",
     [schema("gemini", "mcp__github__search")]),
    ("router-for-me/CLIProxyAPI#97", ANTHROPIC,
     "Invalid JSON payload received. Unknown name \"propertyNames\" at 'request.tools[0]."
     "function_declarations[5].parameters.properties[1].value': Cannot find field.",
     [schema("gemini", "ls")]),
    ("decolua/9router#2489", GEMINI,
     "Invalid value at 'request.tools[0].function_declarations[0].parameters.properties[6].value' "
     "(type.googleapis.com/google.cloud.aiplatform.master.Schema), \"object\"",
     [schema("gemini", "Bash")]),
    ("cline/cline#7339", GEMINI,
     "* GenerateContentRequest.tools[0].function_declarations[2].parameters.properties[y].items: "
     "missing field.",
     [schema("gemini", "x")]),
    ("decolua/9router#359", GEMINI,
     "GenerateContentRequest.tools[0].function_declarations[2].parameters.properties[n].enum: only "
     "allowed for STRING type",
     [schema("gemini", "x")]),
    ("pizza-bot-app/pizza-bot#62", GEMINI,
     "Invalid JSON payload received. Unknown name \"exclusiveMinimum\" at 'tools[0]."
     "function_declarations[6].parameters.properties[3].value.any_of[0]': Cannot find field.",
     [schema("gemini", "HassStartTimer")]),
    ("anomalyco/opencode#12295", CHAT,
     "Schema.ref 'QuestionOption' was set alongside unsupported fields. If a schema node has "
     "Schema.ref set, then only description and default can be set alongside it",
     [schema("gemini")]),
    ("google-gemini/gemini-cli#2282", GEMINI,
     "Unable to submit request because `ls` functionDeclaration `parameters.data.meta.width` "
     "schema didn't specify the schema type field. Learn more: https://cloud.google.com/vertex-ai/"
     "generative-ai/docs/multimodal/function-calling",
     [schema("gemini", "ls")]),
    ("earendil-works/pi#5822", CHAT,
     "Error from provider: Conflict in schema definitions for key 'if'. Previous: {'required': "
     "['expand']}, New: {'required': ['collect']}",
     [schema("moonshot")]),
    ("google-gemini/gemini-cli#6704", GEMINI,
     f"* GenerateContentRequest.tools[0].function_declarations[2].name: {_GEMINI_NAME}",
     [Lesson("tool-names", "gemini")]),
    ("kaitranntt/ccs#25", ANTHROPIC,
     "The GenerateContentRequest proto is invalid:\n  * tools[0].function_declarations[5].name: "
     "[FIELD_INVALID] Invalid function name. Must start with a letter or an underscore.",
     [Lesson("tool-names", "gemini")]),
    ("MoonshotAI/kimi-cli#2531", CHAT,
     "Invalid request: tools.function.parameters is not a valid moonshot flavored json schema, "
     "details: <At path 'root': when using anyOf, type should be defined in anyOf items instead of "
     "the parent schema>",
     [schema("moonshot")]),
    ("earendil-works/pi#5822", CHAT, "<At path 'properties.task': type is not defined>",
     [schema("moonshot")]),
    ("MoonshotAI/kimi-cli#1773", CHAT,
     "function name is invalid, must start with a letter and can contain letters, numbers, "
     "underscores, and dashes",
     [Lesson("tool-names", "moonshot")]),
    ("lidge-jun/opencodex#122", CHAT,
     "HassStartTimer: tool parameter root must be an object type (root schema is an anyOf/oneOf "
     "union with a non-object branch)",
     [schema("xai", "HassStartTimer")]),
    ("duolahypercho/codex-router#219", RESPONSES,
     "Failed to start sampling: [invalid_client_tool_schema] HassStartTimer: tool parameter root "
     "must be an object type (root schema is an anyOf/oneOf union with a non-object branch)",
     [schema("xai", "HassStartTimer")]),
    ("can1357/oh-my-pi#2270", CHAT,
     "Invalid tool parameters schema : field `anyOf`: missing field `type`",
     [schema("deepseek")]),
    ("sgl-project/sglang#35242", CHAT,
     "Tool 2 function has invalid 'parameters' schema: None is not of type 'array'",
     [schema("basic", "x")]),
    ("Vizards/deepseek-v4-for-copilot#280", CHAT,
     "tools[2].function.parameters must be valid JSON (line 1, column 1).",
     [schema("basic", "x")]),
    ("nanbingxyz/5ire#403", CHAT,
     "Invalid 'tools[2].function.name': string too long. Expected a string with maximum length 64, "
     "but got a string with length 65 instead.",
     [Lesson("tool-names", "openai")]),
    ("refly-ai/refly#1794", CHAT,
     "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that "
     "matches the pattern '^[a-zA-Z0-9_-]+$'.",
     [Lesson("tool-names", "openai")]),
    ("home-assistant/core#147760", ANTHROPIC,
     "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
     [Lesson("tool-names", "anthropic")]),
    ("cyanheads/atlas-mcp-server#14", ANTHROPIC,
     "tools.3.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
     [Lesson("tool-names", "openai")]),
    ("anthropics/claude-code#96152", ANTHROPIC,
     "tools.3.custom.name: String should have at most 128 characters",
     [Lesson("tool-names", "anthropic")]),
    ("anthropics/claude-code#10687", ANTHROPIC, "tools: Tool names must be unique.",
     [Lesson("unique-names")]),
    ("tridz-dev/huf#341", GEMINI, "Duplicate function declaration found: load_conversation_data",
     [Lesson("unique-names")]),
    ("gsd-build/gsd-2#4538", ANTHROPIC,
     "invalid params, function name or parameters is empty (2013)",
     [Lesson("custom-type"), Lesson("beta", "fine-grained-tool-streaming-2025-05-14")]),
    ("decolua/9router#2509", ANTHROPIC, "invalid params, invalid tool type: (2013)",
     [Lesson("custom-type")]),
    ("QuantumNous/new-api#2975", ANTHROPIC,
     "Unexpected value(s) `prompt-caching-scope-2026-01-05`, `structured-outputs-2025-12-15` for "
     "the `anthropic-beta` header." + _BETA_TAIL,
     [Lesson("beta", "prompt-caching-scope-2026-01-05"),
      Lesson("beta", "structured-outputs-2025-12-15")]),
    ("anthropics/claude-code#21767", ANTHROPIC,
     "Unexpected value(s) prompt-caching-scope-2026-01-05 for the anthropic-beta header."
     + _BETA_TAIL,
     [Lesson("beta", "prompt-caching-scope-2026-01-05")]),
    ("anthropics/claude-code#21612", ANTHROPIC,
     "context_management: Extra inputs are not permitted",
     [Lesson("field", "context_management")]),
    ("Wei-Shaw/sub2api#225", ANTHROPIC,
     "messages.13.content.0.thinking.cache_control: Extra inputs are not permitted",
     [Lesson("field", "messages.*.content.*.thinking.cache_control")]),
    ("samueltuyizere/oc-go-cc#53", CHAT,
     "Extra inputs are not permitted, field: 'messages[0].cache_control'",
     [Lesson("field", "messages.*.cache_control")]),
    ("anomalyco/opencode#23767", ANTHROPIC,
     "tools.0.custom.eager_input_streaming: Extra inputs are not permitted",
     [Lesson("field", "tools.*.custom.eager_input_streaming")]),
    ("caozhiyuan/copilot-api#145", ANTHROPIC,
     "system.1.cache_control.ephemeral.scope: Extra inputs are not permitted",
     [Lesson("field", "system.*.cache_control.ephemeral.scope")]),
    ("router-for-me/CLIProxyAPI#4105", CHAT,
     "Extra inputs are not permitted, field: 'extra_body'", [Lesson("field", "extra_body")]),
    ("lidge-jun/opencodex#2092", RESPONSES,
     "Unsupported parameter: prompt_cache_retention",
     [Lesson("field", "prompt_cache_retention")]),
    ("router-for-me/CLIProxyAPI#1028", RESPONSES,
     "Unsupported parameter: safety_identifier", [Lesson("field", "safety_identifier")]),
    ("teaches nothing", RESPONSES, "Unsupported parameter: previous_response_id", []),
    ("teaches nothing", ANTHROPIC, "prompt is too long: 203000 tokens > 200000 maximum", []),
    ("teaches nothing", ANTHROPIC,
     "messages.4: `tool_use` ids were found without `tool_result` blocks immediately after", []),
    ("teaches nothing", CHAT,
     "Invalid 'tools': array too long. Expected an array with maximum length 128, but got an array "
     "with length 150 instead.", []),
    ("names no tool that was offered", CHAT,
     "Invalid schema for function 'elsewhere': array schema missing items", []),
    ("names a place beyond the list", ANTHROPIC,
     "tools.99.custom.input_schema: input_schema does not support oneOf", []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "message", "lessons"),
    [pytest.param(*row[1:], id=f"{row[0]}: {row[2][:60]}") for row in REJECTIONS],
)
def test_a_rejection_teaches_lessons_about_what_it_mentions(
    protocol: Protocol, message: str, lessons: list[Lesson]
) -> None:
    error = make_error(status=400, type="invalid_request_error", message=message)
    assert read_rejection(error, offered(protocol)) == tuple(lessons)


@pytest.mark.parametrize("status", [401, 403, 404, 413, 429, 500, 529])
def test_only_a_rejecting_status_teaches_lessons(status: int) -> None:
    error = make_error(status=status, message="context_management: Extra inputs are not permitted")
    assert read_rejection(error, offered(ANTHROPIC)) == ()


EXPLAINED = [
    # case, protocol, message, appended text
    ("a place in the list", ANTHROPIC,
     "tools.1.custom.input_schema: JSON schema is invalid.",
     'tools.1 is tool "mcp__notion__create" (MCP server "notion")'),
    ("a tool of no server", ANTHROPIC, "tools.0.custom.name: String should match",
     'tools.0 is tool "Bash"'),
    ("two declarations", GEMINI,
     "tools[0].function_declarations[2].name: bad; tools[0].function_declarations[3].name: bad",
     'tools[0].function_declarations[2] is tool "x"; tools[0].function_declarations[3] is tool '
     '"mcp__github__search" (MCP server "github")'),
    ("a gateway's declaration", CHAT, "function_declarations[4].parameters: bad",
     'function_declarations[4] is tool "mcp__github__read" (MCP server "github")'),
    ("too many tools", CHAT,
     "Invalid 'tools': array too long. Expected an array with maximum length 128",
     '7 tools were offered: 4 others, 2 of the MCP server "github", 1 of the MCP server "notion"; '
     "to send fewer, switch some off"),
    ("too many for Groq", CHAT, "'tools' : maximum number of items is 128",
     '7 tools were offered: 4 others, 2 of the MCP server "github", 1 of the MCP server "notion"; '
     "to send fewer, switch some off"),
    ("no tool", ANTHROPIC, "messages.3.content.0: bad", ""),
    ("a place beyond the list", ANTHROPIC, "tools.99.custom.name: bad", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "message", "expected"),
    [pytest.param(*row[1:], id=row[0]) for row in EXPLAINED],
)
def test_the_tools_that_an_error_mentions_are_explained(
    protocol: Protocol, message: str, expected: str
) -> None:
    assert explanation(message, offered(protocol)) == expected


def test_a_renamed_tool_is_explained_with_the_clients_name() -> None:
    sent = json.dumps({"tools": [{"name": "a_b_123", "input_schema": {}}]}).encode()
    document = RequestDocument.of(ANTHROPIC, "/v1/messages", sent)
    tools = OfferedTools(replace(document, tool_names_by_sent={"a_b_123": "mcp__s__a.b"}))
    error = make_error(status=400, message="Invalid schema for function 'a_b_123': bad")
    assert read_rejection(error, tools) == (schema("openai", "mcp__s__a.b"),)
    assert explanation(error.message, tools) == ('a_b_123 is tool "mcp__s__a.b" (MCP server "s")')


def test_a_tool_refused_by_code_assist_is_located_inside_the_wrapper() -> None:
    functions = {"functionDeclarations": [{"name": "Bash"}, {"name": "ls"}]}
    body = json.dumps({"model": "m", "request": {"tools": [{"googleSearch": {}}, functions]}})
    tools = offered_by(GEMINI, body.encode())
    message = (
        'Invalid JSON payload received. Unknown name "$schema" at \'request.tools[1].'
        "function_declarations[1].parameters': Cannot find field."
    )
    assert read_rejection(make_error(status=400, message=message), tools) == (
        schema("gemini", "ls"),
    )


def test_a_body_that_is_not_json_offers_no_tools() -> None:
    for body in (b"", b"{", b"[]", b'{"tools":5}'):
        assert offered_by(ANTHROPIC, body).tools == []
