"""Facts about Groq, which hosts open models."""

from wiremend.protocols.base.middle.target import ThinkingSwitch
from wiremend.targets.vendor import Preset, Vendor, of_models

GROQ = Vendor(
    name="groq",
    hosts=("api.groq.com",),
    presets=(
        Preset(
            name="groq",
            base_url="https://api.groq.com/openai/v1",
            protocols={"*": "chat"},
            key_variable="GROQ_API_KEY",
        ),
    ),
    translation=(
        of_models(
            ("*",),
            "reasoning is in the field `reasoning`, in both directions",
            at_gateways=False,
            returned_reasoning="reasoning",
        ),
        of_models(
            ("gpt-oss-*",),
            "efforts from `low` to `high`",
            at_gateways=False,
            efforts=("low", "medium", "high"),
        ),
        of_models(
            ("qwen*",),
            "`reasoning_format`, without which reasoning is in the text; no effort but `none`",
            at_gateways=False,
            thinking=ThinkingSwitch(
                always={"reasoning_format": "parsed"}, off={"reasoning_effort": "none"}
            ),
        ),
    ),
    too_many_tools=r"'?tools'?\s*+: maximum number of items",
)
