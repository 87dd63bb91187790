"""Facts about Google: Gemini API, Vertex AI, and Code Assist (Gemini CLI with an account)."""

from wiremend.protocols.base.middle.content import MediaKind
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.targets.vendor import (
    GEMINI,
    Preset,
    Requirement,
    Vendor,
    of_models,
)
from wiremend.targets.wordings import wording

_MODELS_THAT_SIGN = ("gemini-[3-9]*",)
_NAMES = NameLimit("a-zA-Z_", "a-zA-Z0-9_.-", 64)
"""`Must start with a letter or an underscore … maximum length of 64` (kaitranntt/ccs#25); some of
its endpoints accept no colon (google-gemini/gemini-cli#7878)."""
_DECLARATION = (
    r"(?:tools\[(?P<index>\d{1,9}+)\]\.)?function_?[dD]eclarations\[(?P<declaration>\d{1,9}+)\]"
)

_VERTEX = (
    "aiplatform.googleapis.com",
    "*-aiplatform.googleapis.com",
    "aiplatform.*.rep.googleapis.com",
)

GOOGLE = Vendor(
    name="google",
    hosts=(
        "generativelanguage.googleapis.com",
        *_VERTEX,
        "cloudcode-pa.googleapis.com",  # Code Assist
    ),
    models=("gemini-*",),
    presets=(
        Preset(
            name="gemini",
            aliases=("google",),
            base_url="https://generativelanguage.googleapis.com",
            protocols={"*": "gemini"},
            key_variable="GEMINI_API_KEY",
            is_measured=True,
        ),
    ),
    translation=(
        of_models(
            ("gemini-*",),
            "all kinds of media",
            protocols=GEMINI,
            media=frozenset(MediaKind),
        ),
        of_models(
            _MODELS_THAT_SIGN,
            "`thinkingLevel` instead of a budget; the first call of each turn is signed",
            protocols=GEMINI,
            efforts=("low", "high"),
            unsigned_call="skip_thought_signature_validator",
        ),
    ),
    requirements=(
        Requirement(
            protocols=GEMINI,
            dialect="gemini",
            names=_NAMES,
            unique_names=True,
            reason="`Unknown name \"$schema\" at 'tools[0].function_declarations[0].parameters': "
            "Cannot find field`; `Must start with a letter or an underscore`; `Duplicate function "
            "declaration found`",
            seen=(
                "router-for-me/CLIProxyAPI#97",
                "cline/cline#7339",
                "kaitranntt/ccs#25",
                "tridz-dev/huf#341",
            ),
        ),
        Requirement(
            protocols=GEMINI,
            hosts=("generativelanguage.googleapis.com",),
            at_gateways=(),
            json_schema_key=True,
            reason="`parameters` has no maps, references or exclusive bounds; "
            "`parametersJsonSchema` has. Code Assist rejects it in some accounts",
            seen=(
                "fazer-ai/agents#67",
                "googleapis/python-genai#1122",
                "NousResearch/hermes-agent#98928",
                "lbjlaq/Antigravity-Manager#1312",
            ),
        ),
        Requirement(
            protocols=GEMINI,
            rules=(
                "Q001",  # every call has its result
                "Q002",  # every result has its call
                "Q005",  # no empty message
            ),
            reason="`Please ensure that the number of function response parts is equal to the "
            "number of function call parts`; `contents.parts must not be empty`",
        ),
        Requirement(
            protocols=GEMINI,
            hosts=_VERTEX,
            models=("gemini-1*", "gemini-2*"),
            at_gateways=(),
            rules=("Q004",),  # no empty text
            reason="`Unable to submit request because it has an empty text parameter`; the Gemini "
            "API accepts it",
            seen=(
                "Portkey-AI/gateway#462",
                "google-gemini/deprecated-generative-ai-python#727",
            ),
        ),
        Requirement(
            protocols=GEMINI,
            models=_MODELS_THAT_SIGN,
            at_gateways=_MODELS_THAT_SIGN,
            rules=("Q107",),  # a thought signature on the first call
            reason="`Function call is missing a thought_signature in functionCall parts`; Gemini 2 "
            "does not require its signatures back",
        ),
    ),
    name_limits={"gemini": _NAMES},
    rejections=(
        wording(
            "schema-dialect",
            "gemini",
            _DECLARATION + r"\.(?:parameters(?:_?json_?schema)?|response)\b",
        ),
        wording(
            "schema-dialect",
            "gemini",
            r"Unknown name \"parameters_?json_?schema\" at '(?:request\.)?" + _DECLARATION + "'",
        ),
        wording(
            "schema-dialect",
            "gemini",
            r"`(?P<tool>[^`]{1,256}+)` functionDeclaration `(?:parameters|response)\b",
        ),
        wording(
            "schema-dialect",
            "gemini",
            r"(?:Schema\.|\$)ref '[^']{0,500}+' was set alongside unsupported",
        ),
        wording(
            "tool-names",
            "gemini",
            r"Invalid function name\. Must start with a letter or an under",
        ),
        wording("unique-names", "", r"Duplicate function declaration found"),
    ),
)
