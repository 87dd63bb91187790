"""Facts about xAI."""

from wiremend.targets.vendor import (
    CHAT,
    EVERY_PROTOCOL,
    RESPONSES,
    Preset,
    Requirement,
    Vendor,
    of_models,
)
from wiremend.targets.wordings import wording

XAI = Vendor(
    name="xai",
    hosts=("api.x.ai",),
    models=("grok-*",),
    presets=(
        Preset(
            name="xai",
            aliases=("grok",),
            base_url="https://api.x.ai/v1",
            protocols={"*": "responses"},
            key_variable="XAI_API_KEY",
        ),
    ),
    translation=(
        of_models(
            ("grok-4.[3-9]*",),
            "efforts from `low` to `high`",
            protocols=CHAT | RESPONSES,
            efforts=("low", "medium", "high"),
        ),
    ),
    requirements=(
        Requirement(
            protocols=EVERY_PROTOCOL,
            dialect="xai",
            reason="`tool parameter root must be an object type (root schema is an anyOf/oneOf "
            "union with a non-object branch)`",
            seen=("lidge-jun/opencodex#122", "duolahypercho/codex-router#219"),
        ),
    ),
    rejections=(
        wording(
            "schema-dialect",
            "xai",
            r"(?:\A|\s)(?P<tool>[^\s:]++):\s{1,4}tool parameter root must be",
        ),
    ),
)
