"""Facts about OpenRouter, a gateway to the models of many vendors."""

from wiremend.protocols.base.middle.target import ThinkingSwitch
from wiremend.targets.vendor import Preset, Vendor, of_models

OPENROUTER = Vendor(
    name="openrouter",
    hosts=("openrouter.ai",),
    is_gateway=True,
    presets=(
        Preset(
            name="openrouter",
            base_url="https://openrouter.ai/api/v1",
            protocols={"*": "chat"},
            key_variable="OPENROUTER_API_KEY",
        ),
    ),
    translation=(
        of_models(
            ("*",),
            "`reasoning` with `enabled` and `effort`, whatever the vendor's own switch is; efforts "
            "up to `xhigh`, converted for each model",
            thinking=ThinkingSwitch(
                on={"reasoning": {"enabled": True}}, off={"reasoning": {"enabled": False}}
            ),
            efforts=("minimal", "low", "medium", "high", "xhigh"),
            effort_path=("reasoning", "effort"),
        ),
        of_models(
            ("claude-*",),
            "`cache_control` in text parts, which it passes on; without it, nothing is cached",
            cache_marks=3,
        ),
    ),
)
