"""Facts about Z.ai (Zhipu)."""

from wiremend.protocols.base.middle.target import ThinkingSwitch
from wiremend.targets.vendor import (
    EVERY_PROTOCOL,
    THINKING_BY_TYPE,
    LeakedCalls,
    Preset,
    Requirement,
    Vendor,
    of_models,
)

ZAI = Vendor(
    name="zai",
    hosts=("api.z.ai", "open.bigmodel.cn"),
    models=("glm-*",),
    presets=(
        Preset(
            name="zai",
            aliases=("glm",),
            base_url="https://api.z.ai/api/paas/v4",
            protocols={"*": "chat"},
            key_variable="ZAI_API_KEY",
        ),
        Preset(
            name="zai-coding",
            base_url="https://api.z.ai/api/coding/paas/v4",
            protocols={"*": "chat"},
            key_variable="ZAI_API_KEY",
        ),
        Preset(
            name="zhipu",
            aliases=("bigmodel",),
            base_url="https://open.bigmodel.cn/api/paas/v4",
            protocols={"*": "chat"},
            key_variable="ZHIPU_API_KEY",
        ),
    ),
    translation=(
        of_models(
            ("glm-4.[5-9]*", "glm-5*"),
            "`thinking` with the types `enabled` and `disabled`; earlier reasoning is read",
            thinking=THINKING_BY_TYPE,
            returned_reasoning="reasoning_content",
        ),
        of_models(("glm-5.2*",), "two efforts that all hosts take", efforts=("high", "max")),
        of_models(
            ("glm-5.3*",),
            "three efforts; thinking cannot be disabled",
            thinking=ThinkingSwitch(),
            efforts=("low", "high", "max"),
        ),
        of_models(("glm-5.[1-3]",), "text only", media=frozenset()),
    ),
    leaked_calls=(
        LeakedCalls(
            formats=("glm", "qwen", "hermes"),
            hosts=(),  # reported behind gateways only
            seen=("Gitlawb/openclaude#1791",),
        ),
    ),
    requirements=(
        Requirement(
            protocols=EVERY_PROTOCOL,
            reason="No limit is known: its error 1210 contains neither tool nor field",
            seen=("cline/cline#9939",),
        ),
    ),
)
