"""Facts about Qwen: Alibaba's DashScope and the portal of Qwen Code."""

from wiremend.protocols.base.middle.target import ThinkingSwitch
from wiremend.targets.vendor import (
    CALLS_AND_RESULTS,
    CHAT,
    EVERY_PROTOCOL,
    LeakedCalls,
    Preset,
    Requirement,
    TranslationFact,
    Vendor,
    of_models,
)

QWEN = Vendor(
    name="qwen",
    hosts=("dashscope*.aliyuncs.com", "*.dashscope.aliyuncs.com", "portal.qwen.ai"),
    models=("qwen*",),
    presets=(
        Preset(
            name="qwen",
            aliases=("dashscope",),
            base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            protocols={"*": "chat"},
            key_variable="DASHSCOPE_API_KEY",
        ),
        Preset(
            name="qwen-cn",
            aliases=("dashscope-cn",),
            base_url="https://dashscope.aliyuncs.com/compatible-mode/v1",
            protocols={"*": "chat"},
            key_variable="DASHSCOPE_API_KEY",
        ),
    ),
    translation=(
        of_models(
            ("qwen3*",),
            "`enable_thinking`",
            thinking=ThinkingSwitch(on={"enable_thinking": True}, off={"enable_thinking": False}),
        ),
        TranslationFact(
            traits={"cache_marks": 3},
            reason="at most four `cache_control` marks in text parts; Qwen Code sets them in the "
            "system text and the last message",
            hosts=("dashscope*.aliyuncs.com", "*.dashscope.aliyuncs.com"),
            models=("qwen3*",),
            at_gateways=(),
        ),
        of_models(("qwen3.8*",), "three efforts", efforts=("low", "medium", "xhigh")),
    ),
    leaked_calls=(
        LeakedCalls(
            formats=("qwen", "hermes"),
            hosts=(),  # reported behind gateways only
            seen=("Gitlawb/openclaude#1791", "deadronos/nanogpt-provider-openclaw#83"),
        ),
    ),
    requirements=(
        Requirement(
            protocols=EVERY_PROTOCOL,
            reason="Requires an object at the root of a schema, which the basic repairs ensure; "
            "no other limit is known",
            seen=("spring-ai-alibaba/website#282",),
        ),
        Requirement(
            protocols=CHAT,
            rules=CALLS_AND_RESULTS,
            reason='`must be followed by tool messages responding to each "tool_call_id"`',
            seen=("QwenLM/qwen-code#606",),
        ),
    ),
)
