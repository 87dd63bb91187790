"""Facts about Mistral."""

from wiremend.protocols.base.traits import CallIdLimit
from wiremend.targets.vendor import CHAT, Preset, Requirement, Vendor, of_models

MISTRAL = Vendor(
    name="mistral",
    hosts=("api.mistral.ai", "codestral.mistral.ai"),
    models=("mistral-*", "ministral-*", "magistral-*", "codestral-*", "devstral-*"),
    presets=(
        Preset(
            name="mistral",
            base_url="https://api.mistral.ai/v1",
            protocols={"*": "chat"},
            key_variable="MISTRAL_API_KEY",
        ),
    ),
    translation=(
        of_models(
            ("*",),
            "every stream ends with the counts of tokens; `stream_options` and the switches of "
            "other vendors are not documented",
            at_gateways=False,
            usage_in_stream=False,
        ),
        of_models(
            ("mistral-small-4*", "mistral-small-latest", "mistral-medium-3[-.]5*"),
            "the efforts `none` and `high`",
            at_gateways=False,
            efforts=("none", "high"),
        ),
    ),
    requirements=(
        Requirement(
            protocols=CHAT,
            rules=("Q103",),  # ids of tool calls
            call_ids=CallIdLimit(characters="a-zA-Z0-9", longest=9, exact=True),
            reason="`Tool call id was … but must be a-z, A-Z, 0-9, with a length of 9`",
        ),
        Requirement(
            protocols=CHAT,
            at_gateways=(),
            rules=(
                "Q203",  # max_tokens
                "Q308",  # no answer at the end, unless it is marked as a prefix
            ),
            token_limit_name="max_tokens",
            reason="`max_completion_tokens`: `Extra inputs are not permitted`; `Expected last role "
            "User or Tool (or Assistant with prefix True)`",
            seen=("editor-code-assistant/eca#231", "0xPlaygrounds/rig#708", "livekit/agents#7030"),
        ),
    ),
)
