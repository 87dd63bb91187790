"""Facts about DeepSeek."""

from wiremend.protocols.base.name_limits import NameLimit
from wiremend.targets.vendor import (
    CALLS_AND_RESULTS,
    CHAT,
    MESSAGES,
    RESPONSES,
    THINKING_BY_TYPE,
    LeakedCalls,
    Preset,
    Requirement,
    Vendor,
    of_models,
)
from wiremend.targets.wordings import wording

_MODELS_THAT_REQUIRE_REASONING = ("deepseek-v[4-9]*",)
_MODELS_WITH_DSML = ("deepseek-v3.2*", "deepseek-v[4-9]*", "deepseek-chat", "deepseek-reasoner")
_NAMES = NameLimit("a-zA-Z0-9_-", "a-zA-Z0-9_-", 64)
"""OpenAI's pattern (refly-ai/refly#1794) and length (nanbingxyz/5ire#403)."""

DEEPSEEK = Vendor(
    name="deepseek",
    hosts=("api.deepseek.com",),
    models=("deepseek-*",),
    presets=(
        Preset(
            name="deepseek",
            base_url="https://api.deepseek.com",
            protocols={"*": "chat"},
            key_variable="DEEPSEEK_API_KEY",
        ),
    ),
    translation=(
        of_models(
            _MODELS_THAT_REQUIRE_REASONING,
            "`thinking` with the types `enabled` and `disabled`; no efforts below `high`; JSON "
            "objects without a schema; text only; reasoning is passed back; no forced tool while "
            "it thinks",
            thinking=THINKING_BY_TYPE,
            forced_choice_with_thinking=False,
            efforts=("high", "max"),
            schema_formats=False,
            media=frozenset(),
            returned_reasoning="reasoning_content",
        ),
    ),
    requirements=(
        Requirement(
            protocols=CHAT,
            dialect="deepseek",
            names=_NAMES,
            reason="``Invalid tool parameters schema : field `anyOf`: missing field `type` ``; "
            "`string does not match pattern … '^[a-zA-Z0-9_-]+$'`",
            seen=("can1357/oh-my-pi#2270", "refly-ai/refly#1794"),
        ),
        Requirement(
            protocols=CHAT,
            rules=CALLS_AND_RESULTS,
            reason="`insufficient tool messages following tool_calls message`",
            seen=("agno-agi/agno#3105",),
        ),
        Requirement(
            protocols=RESPONSES,
            rules=("Q001", "Q002"),  # every call has its result, every result its call
            reason="`No tool output found for tool call`",
        ),
        Requirement(
            protocols=CHAT,
            models=_MODELS_THAT_REQUIRE_REASONING,
            at_gateways=_MODELS_THAT_REQUIRE_REASONING,
            rules=("Q106",),  # reasoning returned in the history
            reason="``The `reasoning_content` in the thinking mode must be passed back to the "
            "API``; earlier models refuse it",
        ),
        Requirement(
            protocols=CHAT,
            at_gateways=(),
            rules=("Q113",),  # no role `developer`
            reason="``messages[0].role: unknown variant `developer` ``",
            seen=("earendil-works/pi#7603", "num-scope/pix#34"),
        ),
        Requirement(
            protocols=CHAT,
            models=_MODELS_THAT_REQUIRE_REASONING,
            at_gateways=(),
            rules=("Q211",),  # no forced tool while thinking
            reason="`Thinking mode does not support this tool_choice`; accepted with `thinking` "
            "disabled, and they think by default",
            seen=("BerriAI/litellm#37470", "cloudwego/eino#994"),
        ),
        Requirement(
            protocols=MESSAGES,
            at_gateways=(),
            rules=("Q109",),  # no system message between others
            reason="``unknown variant `system`, expected `user` or `assistant` ``",
            seen=("aattaran/deepclaude#29", "YishenTu/claudian#701"),
        ),
    ),
    leaked_calls=(
        LeakedCalls(
            formats=("dsml",),
            models=_MODELS_WITH_DSML,
            at_gateways=_MODELS_WITH_DSML,
            seen=(
                "TokenRhythm/opensquilla#985",
                "anomalyco/opencode#34676",
                "XNet-NGO/aiope#119",
                "cline/cline#14156",
            ),
        ),
    ),
    name_limits={"deepseek": _NAMES},
    rejections=(wording("schema-dialect", "deepseek", r"invalid tool parameters schema\s*+:"),),
    # https://api-docs.deepseek.com/api/create-chat-completion
    status_by_finish_reason={"insufficient_system_resource": 503},
)
