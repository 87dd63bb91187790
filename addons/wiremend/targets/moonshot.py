"""Facts about Moonshot AI."""

from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.base.traits import CallIdLimit
from wiremend.targets.vendor import (
    CHAT,
    EVERY_PROTOCOL,
    THINKING_BY_TYPE,
    LeakedCalls,
    Preset,
    Requirement,
    Vendor,
    of_models,
)
from wiremend.targets.wordings import wording

_NAMES = NameLimit("a-zA-Z", "a-zA-Z0-9_-")
"""`must start with a letter and can contain letters, numbers, underscores, and dashes`
(MoonshotAI/kimi-cli#1773)."""

MOONSHOT = Vendor(
    name="moonshot",
    hosts=("api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"),
    models=("kimi-*",),
    presets=(
        Preset(
            name="moonshot",
            aliases=("kimi",),
            base_url="https://api.moonshot.ai/v1",
            protocols={"*": "chat"},
            key_variable="MOONSHOT_API_KEY",
        ),
        Preset(
            name="moonshot-cn",
            base_url="https://api.moonshot.cn/v1",
            protocols={"*": "chat"},
            key_variable="MOONSHOT_API_KEY",
        ),
    ),
    translation=(
        of_models(
            ("kimi-*",),
            "images only as data URLs; unknown fields of tools are refused; reasoning is required "
            "beside calls; calls keep the ids that it gives them, `functions.NAME:N`; no forced "
            "tool while it thinks",
            media_urls=False,
            forced_choice_with_thinking=False,
            strict_tools=False,
            returned_reasoning="reasoning_content",
            call_ids=CallIdLimit(characters="a-zA-Z0-9_.:-"),
        ),
        of_models(
            ("kimi-k2.[5-6]*", "kimi-k3*"),
            "`thinking` with the types `enabled` and `disabled`",
            thinking=THINKING_BY_TYPE,
        ),
        of_models(
            ("kimi-k3*",), "three efforts besides the default", efforts=("low", "high", "max")
        ),
    ),
    requirements=(
        Requirement(
            protocols=EVERY_PROTOCOL,
            dialect="plain",
            names=_NAMES,
            reason="`function name is invalid, must start with a letter`. The dialect `moonshot` "
            "is applied only to a tool that was rejected: the same schemas were accepted in "
            "2026-09",
            seen=("MoonshotAI/kimi-cli#1773", "MoonshotAI/kimi-cli#2531"),
        ),
        Requirement(
            protocols=CHAT,
            rules=(
                "Q101",  # no cache_control
                "Q104",  # reasoning beside tool calls
            ),
            reason="`reasoning_content is missing in assistant tool call message`; `Extra inputs "
            "are not permitted, field: messages[0].cache_control`",
        ),
    ),
    leaked_calls=(
        LeakedCalls(
            formats=("kimi",),
            models=("kimi-k2*",),
            at_gateways=("kimi-k2*",),
            seen=("NousResearch/hermes-agent#35129", "MoonshotAI/Kimi-K2#89"),
        ),
    ),
    name_limits={"moonshot": _NAMES},
    rejections=(
        wording(
            "schema-dialect",
            "moonshot",
            r"moonshot flavou?red json schema|<At path '|Conflict in schema definitions for key '",
        ),
        wording("tool-names", "moonshot", r"function name is invalid, must start with a letter"),
        wording(
            "field", "", r"Extra inputs are not permitted, field: '?(?P<value>[\w.\[\]]{1,300}+)"
        ),
    ),
)
