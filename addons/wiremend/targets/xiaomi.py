"""Facts about Xiaomi."""

from wiremend.targets.vendor import CHAT, THINKING_BY_TYPE, Preset, Requirement, Vendor, of_models

XIAOMI = Vendor(
    name="xiaomi",
    hosts=("api.xiaomimimo.com",),
    models=("mimo-*",),
    presets=(
        Preset(
            name="mimo",
            aliases=("xiaomi",),
            base_url="https://api.xiaomimimo.com/v1",
            protocols={"*": "chat"},
            key_variable="MIMO_API_KEY",
        ),
    ),
    translation=(
        of_models(
            ("mimo-*",),
            "`thinking` with the types `enabled` and `disabled`; reasoning is passed back",
            thinking=THINKING_BY_TYPE,
            returned_reasoning="reasoning_content",
        ),
        of_models(("mimo-*-pro",), "text only", media=frozenset()),
    ),
    requirements=(
        Requirement(
            protocols=CHAT,
            rules=("Q104",),  # reasoning beside tool calls
            reason="`reasoning_content` is required in messages with calls while it thinks; the "
            "root of a schema must be an object, which the basic repairs ensure",
        ),
    ),
)
