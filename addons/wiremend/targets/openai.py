"""Facts about OpenAI, and about resellers of its models with the same protocols."""

from wiremend.protocols.base.middle.content import MediaKind
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.base.traits import CallIdLimit
from wiremend.targets.vendor import (
    CALLS_AND_RESULTS,
    CHAT,
    RESPONSES,
    Preset,
    Requirement,
    Vendor,
    of_models,
)
from wiremend.targets.wordings import wording

_API = ("api.openai.com", "*.api.openai.com")  # regions: eu.api.openai.com
_ACCOUNT = ("chatgpt.com",)  # Codex with an account; only …/codex/responses is a model call
_RESELLERS = ("*.openai.azure.com", "*.githubcopilot.com")
_NAMES = NameLimit("a-zA-Z0-9_-", "a-zA-Z0-9_-", 64)
"""`Expected a string with maximum length 64` (nanbingxyz/5ire#403)."""
_PRINTABLE = r"\x20-\x7e"
_FUNCTION = r"Invalid schema for function '(?P<tool>[^']{0,256}+)'"

OPENAI = Vendor(
    name="openai",
    hosts=(*_API, *_ACCOUNT, *_RESELLERS),
    models=("gpt-*",),
    presets=(
        Preset(
            name="openai",
            base_url="https://api.openai.com/v1",
            protocols={"*": "responses"},
            key_variable="OPENAI_API_KEY",
            is_measured=True,
        ),
        Preset(
            name="openai-chat",
            base_url="https://api.openai.com/v1",
            protocols={"*": "chat"},
            key_variable="OPENAI_API_KEY",
        ),
    ),
    translation=(
        of_models(
            ("gpt-*", "o[1-9]*"),
            "system text has the role `developer`; prompts are cached by key; `max_tokens` is the "
            "name of older models",
            protocols=CHAT | RESPONSES,
            at_gateways=False,
            developer_role=True,
            prompt_cache_key=True,
            limit_field="max_completion_tokens",
            media=frozenset({MediaKind.IMAGE, MediaKind.DOCUMENT}),
        ),
        of_models(
            ("gpt-[5-9]*", "o[1-9]*"),
            "the efforts that every model with reasoning takes",
            protocols=CHAT | RESPONSES,
            efforts=("low", "medium", "high"),
        ),
    ),
    requirements=(
        Requirement(
            protocols=CHAT | RESPONSES,
            hosts=(*_API, *_ACCOUNT),
            dialect="openai",
            names=_NAMES,
            reason="`array schema missing items`; `schema must have type 'object' and not have "
            "'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level`; `string too long. Expected a "
            "string with maximum length 64`",
            seen=("openai/codex#1289", "nspady/google-calendar-mcp#39", "nanbingxyz/5ire#403"),
        ),
        Requirement(
            protocols=CHAT,
            hosts=(*_API, *_RESELLERS),
            at_gateways=("gpt-*", "o[134]*"),
            rules=(*CALLS_AND_RESULTS, "Q103"),  # ids of tool calls
            call_ids=CallIdLimit(characters=_PRINTABLE, longest=40),
            reason="`An assistant message with 'tool_calls' must be followed by tool messages`; "
            "`Invalid 'messages[2].tool_calls[0].id': string too long … maximum length 40`",
        ),
        Requirement(
            protocols=CHAT,
            hosts=(*_API, *_RESELLERS),
            models=("gpt-5*", "o1*", "o3*", "o4*"),
            at_gateways=(),
            rules=("Q203",),  # max_completion_tokens
            reason="`Unsupported parameter: 'max_tokens' is not supported with this model`",
        ),
        Requirement(
            protocols=CHAT | RESPONSES,
            hosts=(*_API, *_RESELLERS),
            models=("gpt-5", "gpt-5-20*", "gpt-5-mini*", "gpt-5-nano*", "o1*", "o3*", "o4-mini*"),
            at_gateways=(),
            rules=("Q202",),  # no temperature
            reason="`'temperature' does not support 0 with this model`; later models (from 5.1 on) "
            "accept it without reasoning, so this rule does not apply to them",
        ),
        Requirement(
            protocols=RESPONSES,
            hosts=(*_API, *_RESELLERS),
            at_gateways=(),
            rules=("Q108",),  # no reasoning without the item that it led to
            reason="`Item 'rs_...' of type 'reasoning' was provided without its required following "
            "item`; never reported where nothing is stored (chatgpt.com)",
        ),
        Requirement(
            protocols=RESPONSES,
            at_gateways=(),
            rules=("Q001", "Q002", "Q103"),  # calls and results; ids of tool calls
            call_ids=CallIdLimit(characters=_PRINTABLE, longest=64),
            reason="`No tool call found for function call output with call_id`; `No tool output "
            "found for function call`; ids of at most 64 characters",
            seen=("openclaw/openclaw#875",),
        ),
        Requirement(
            protocols=CHAT | RESPONSES,
            hosts=(*_API, *_ACCOUNT, "*.openai.azure.com"),
            at_gateways=(),
            rules=("Q214",),  # at most 64 characters in `prompt_cache_key`
            reason="`Invalid 'prompt_cache_key': string too long. Expected a string with maximum "
            "length 64`",
            seen=("earendil-works/pi#4720", "theopenco/llmgateway#3110"),
        ),
        Requirement(
            protocols=RESPONSES,
            hosts=(*_API, *_ACCOUNT),
            at_gateways=(),
            rules=("Q114",),  # ids of items
            reason="`Invalid 'input[342].id': 'item_…'. Expected an ID that begins with 'rs'`",
            seen=("jlcodes99/cockpit-tools#2543", "Wei-Shaw/sub2api#3981", "openai/codex#33176"),
        ),
    ),
    name_limits={"openai": _NAMES, "openai-strict": _NAMES},
    rejections=(
        wording(
            "schema-dialect",
            "openai-strict",
            _FUNCTION
            + r": In context=\(.{0,1000}?\), '(?:additionalProperties|required)' is required to "
            r"be supplied",
        ),
        wording(
            "schema-dialect",
            "openai-strict",
            _FUNCTION + r": In context=\(.{0,1000}?\), '\w{1,64}+' is not permitted",
        ),
        wording("schema-dialect", "openai", _FUNCTION),
        wording(
            "tool-names",
            "openai",
            r"Invalid 'tools\S{0,100}?name': string (?:too long|does not match)",
        ),
        # The Codex backend. Other fields are not named here: a call may depend on them.
        wording(
            "field",
            "",
            r"\AUnsupported parameter: (?P<value>prompt_cache_retention|safety_identifier)\Z",
        ),
    ),
    too_many_tools=r"'?tools'?\s*+: array too long",
)
