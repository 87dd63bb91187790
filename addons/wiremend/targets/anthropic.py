"""Facts about Anthropic."""

from wiremend.protocols.base.middle.content import MediaKind
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.base.traits import CallIdLimit
from wiremend.targets.vendor import (
    CALLS_AND_RESULTS,
    CHAT,
    MESSAGES,
    Preset,
    Requirement,
    Vendor,
    of_models,
)
from wiremend.targets.wordings import POINTER, wording

_MODELS = ("claude-*",)
_MODELS_WITH_ONE_SAMPLING_PARAMETER = (
    "claude-opus-4-1*",
    "claude-opus-4.1*",
    "claude-*-4-[5-9]*",
    "claude-*-4.[5-9]*",
    "claude-[a-z]*-[5-9]*",
)
_CLAUDE_5 = ("claude-opus-5*", "claude-sonnet-5*", "claude-fable-5*", "claude-mythos-5*")
_MODELS_WITHOUT_SAMPLING = (*_CLAUDE_5, "claude-opus-4-[7-9]*")
"""They accept neither sampling parameters nor thinking with a budget."""
_MODELS_WITHOUT_PREFILL = (*_MODELS_WITHOUT_SAMPLING, "claude-opus-4-6*", "claude-sonnet-4-6*")
_MODELS_BEFORE_ADAPTIVE_THINKING = (
    "claude-3-7-*",
    "claude-opus-4-20*",
    "claude-sonnet-4-20*",
    "claude-opus-4-1*",
    "claude-*-4-5*",
)
_NAMES = NameLimit("a-zA-Z0-9_-", "a-zA-Z0-9_-", 128)
"""`String should match pattern '^[a-zA-Z0-9_-]{1,128}$'` (home-assistant/core#147760)."""
_SCHEMA = POINTER + r"\.custom\.input_schema"

ANTHROPIC = Vendor(
    name="anthropic",
    hosts=("api.anthropic.com",),
    models=_MODELS,
    requirements=(
        Requirement(
            protocols=MESSAGES,
            dialect="anthropic",
            names=_NAMES,
            unique_names=True,
            reason="`input_schema does not support oneOf, allOf, or anyOf at the top level`; "
            "`It must match JSON Schema draft 2020-12`; `String should match pattern "
            "'^[a-zA-Z0-9_-]{1,128}$'`; `tools: Tool names must be unique`",
            seen=(
                "anomalyco/opencode#35516",
                "openclaw/openclaw#29416",
                "home-assistant/core#147760",
                "anthropics/claude-code#10687",
            ),
        ),
        Requirement(
            protocols=MESSAGES,
            rules=(
                *CALLS_AND_RESULTS,
                "Q004",  # no empty text
                "Q005",  # no empty message
                "Q006",  # no trailing space in a final assistant message
                "Q007",  # no empty system prompt
                "Q102",  # no cache_control on thinking
                "Q103",  # ids of tool calls
                "Q105",  # no thinking blocks of another vendor
            ),
            call_ids=CallIdLimit(longest=256),
            reason="Anthropic's own checks; each rule quotes the error message",
        ),
        Requirement(
            protocols=MESSAGES,
            models=_MODELS_WITH_ONE_SAMPLING_PARAMETER,
            at_gateways=_MODELS_WITH_ONE_SAMPLING_PARAMETER,
            rules=("Q201",),  # not both temperature and top_p
            reason="Opus 4.1, and all models from 4.5 on; earlier models accept both",
        ),
        Requirement(
            protocols=MESSAGES,
            at_gateways=(),
            rules=(
                "Q110",  # at most four cache_control
                "Q111",  # in the order of their lifetimes
                "Q302",  # no lone surrogates
            ),
            reason="`A maximum of 4 blocks with cache_control may be provided`; `a ttl='1h' "
            "cache_control block must not come after a ttl='5m' cache_control block`; `The request "
            "body is not valid JSON: no low surrogate in string`",
            seen=(
                "ObservedObserver/async-code#34",
                "cnighswonger/claude-code-cache-fix#44",
                "anthropics/claude-code#68325",
            ),
        ),
        Requirement(
            protocols=MESSAGES,
            models=_MODELS_WITHOUT_SAMPLING,
            at_gateways=(),  # OpenRouter ignores them
            rules=(
                "Q205",  # no sampling parameters
                "Q208",  # adaptive thinking
            ),
            thinking_type="adaptive",
            reason='`` `temperature` is deprecated for this model. ``; `"thinking.type.enabled" is '
            'not supported for this model. Use "thinking.type.adaptive"`',
            seen=("earendil-works/pi#7961", "handochan/aelix-ai#258"),
        ),
        Requirement(
            protocols=MESSAGES,
            models=("claude-opus-5*",),
            at_gateways=(),
            rules=("Q209",),  # no effort above high without thinking
            reason="`output_config.effort 'xhigh' is not supported when thinking is disabled`",
            seen=("anthropics/claude-code#79798",),
        ),
        Requirement(
            protocols=MESSAGES,
            models=_MODELS_BEFORE_ADAPTIVE_THINKING,
            at_gateways=(),
            rules=("Q208",),  # thinking with a budget
            thinking_type="enabled",
            reason="`adaptive thinking is not supported on this model`",
            seen=("askalf/dario#273", "docker/docker-agent#3362"),
        ),
        Requirement(
            protocols=MESSAGES,
            models=("claude-opus-4-6*", "claude-sonnet-4-6*"),
            at_gateways=(),
            rules=("Q207",),  # efforts
            refused_efforts=("xhigh",),
            reason="They have the efforts low, medium, high and max",
            seen=("SkillfulAgents/SuperAgent#1142",),
        ),
        Requirement(
            protocols=MESSAGES,
            models=_MODELS_WITHOUT_PREFILL,
            at_gateways=(),
            rules=("Q308",),  # no prefilled answer
            reason="`This model does not support assistant message prefill`; earlier models accept "
            "it",
            seen=("ericc-ch/copilot-api#261", "cortexkit/magic-context#511"),
        ),
        Requirement(
            protocols=CHAT,
            hosts=(),
            at_gateways=_MODELS_WITH_ONE_SAMPLING_PARAMETER,
            rules=("Q201",),
            reason="The same models behind Chat Completions",
            seen=("NeatChat/NeatChat#72",),
        ),
    ),
    presets=(
        Preset(
            name="anthropic",
            aliases=("claude",),
            base_url="https://api.anthropic.com",
            protocols={"*": "anthropic"},
            key_variable="ANTHROPIC_API_KEY",
            is_measured=True,
        ),
    ),
    translation=(
        of_models(
            _MODELS,
            "images and documents; four `cache_control` marks",
            protocols=MESSAGES,
            media=frozenset({MediaKind.IMAGE, MediaKind.DOCUMENT}),
            cache_marks=3,
        ),
    ),
    name_limits={"anthropic": _NAMES},
    rejections=(
        wording("schema-dialect", "anthropic", _SCHEMA + r": input_schema does"),
        wording("schema-dialect", "anthropic", _SCHEMA + r": JSON schema is inv"),
        wording("schema-dialect", "anthropic", _SCHEMA + r"\.properties: Property"),
        wording(  # its message before it accepted longer names
            "tool-names",
            "openai",
            r"name: String should (?:match pattern \S{0,100}?\{1,64\}|have at most 64)",
        ),
        wording(
            "tool-names", "anthropic", r"name: String should (?:match pattern|have at most 128)"
        ),
        wording("unique-names", "", r"Tool names must be unique"),
        wording(
            "beta",
            "",
            r"(?-i:Unexpected value\(s\) (?P<values>.{1,1000}?) for the `?anthropic-beta`? header)",
        ),
        wording(
            "field", "", r"(?<!\w)(?<!\w\.)(?P<value>[a-z_][\w.]*+): Extra inputs are not permitted"
        ),
    ),
)
