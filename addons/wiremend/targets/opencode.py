"""Facts about OpenCode Zen and Go, gateways to the models of many vendors.

The addresses, protocols and efforts are those of the catalogue in OpenCode 1.18.33. They change
often; the configuration overrides them.
"""

from wiremend.targets.vendor import Preset, Vendor, of_models

OPENCODE = Vendor(
    name="opencode",
    hosts=("opencode.ai",),
    is_gateway=True,
    session_header="x-opencode-session",  # else `MissingSessionID`, since September 2026
    presets=(
        Preset(
            name="opencode-go",
            base_url="https://opencode.ai/zen/go/v1",
            protocols={
                "minimax-*": "anthropic",
                "qwen3.8-flash": "anthropic",
                "grok-*": "responses",
                "gpt-*": "responses",
                "muse-spark*": "responses",
                "*": "chat",
            },
            key_variable="OPENCODE_API_KEY",
            is_measured=True,
        ),
        Preset(
            name="opencode-zen",
            base_url="https://opencode.ai/zen/v1",
            protocols={
                "claude-*": "anthropic",
                "qwen3.5-plus": "anthropic",
                "qwen3.6-plus": "anthropic",
                "qwen3.8-flash": "anthropic",
                "gpt-*": "responses",
                "grok-*": "responses",
                "gemini-*": "gemini",
                "*": "chat",
            },
            key_variable="OPENCODE_API_KEY",
            is_measured=True,
        ),
    ),
    translation=(
        of_models(("kimi-k3",), "one effort", is_measured=True, efforts=("max",)),
        of_models(
            ("glm-5.3*", "deepseek-v4-flash", "deepseek-v4.1-flash"),
            "three efforts",
            is_measured=True,
            efforts=("low", "high", "max"),
        ),
        of_models(
            ("glm-5.2", "deepseek-v4-pro"), "two efforts", is_measured=True, efforts=("high", "max")
        ),
        of_models(
            ("qwen3.8-*",), "three efforts", is_measured=True, efforts=("low", "medium", "xhigh")
        ),
        of_models(
            ("longcat*",), "three efforts", is_measured=True, efforts=("low", "medium", "high")
        ),
        of_models(("hy3*",), "three efforts", is_measured=True, efforts=("none", "low", "high")),
    ),
)
