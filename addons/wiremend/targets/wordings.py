"""The wording of rejections: which error text teaches which lesson about a target.

Each vendor's file contains its wordings; `GENERAL` contains those of servers that many providers
use. `wiremend.adapt.rejections` matches error messages against them.
`tests/adapt/test_rejections.py` contains messages of providers verbatim.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from wiremend.protocols.base.names import WireProtocol
from wiremend.text.patterns import TextPattern, text_pattern

TaughtKind = Literal[
    "schema-dialect", "tool-names", "unique-names", "custom-type", "trait", "beta", "field"
]
"""The kinds of lesson that a rejection can teach; `wiremend.adapt.lessons` documents them."""

POINTER = (
    r"tools(?:\.(?P<index>\d{1,9}+)|\[(?P<index2>\d{1,9}+)\])"
    r"(?:\.function_?[dD]eclarations\[(?P<declaration>\d{1,9}+)\])?"
)
"""The place of a tool in the request: `tools.3`, `tools[0].function_declarations[3]`."""


@dataclass(frozen=True, slots=True)
class Wording:
    """A text that a rejection contains, and the lesson that it teaches."""

    kind: TaughtKind
    value: str
    """The dialect, the value of the header, or the trait, as `NAME` or `NAME=ARGUMENT`; empty if
    the pattern captures it, or if lessons of this kind have no value."""
    pattern: TextPattern[str]
    """Its groups capture the tool (`tool`, `index`, `index2`, `declaration`; without them, every
    tool is meant), the field (`value`), several values of a header (`values`), or the argument of
    the trait `value` (`argument`)."""


def wording(kind: TaughtKind, value: str, pattern: str) -> Wording:
    """Return a wording whose pattern ignores case, and in which `.` also matches line ends."""
    return Wording(kind, value, text_pattern(pattern, ignore_case=True, dot_all=True))


TRAITS = (
    wording(
        "trait",
        "token-limit-name",
        r"\bmax_tokens\b.{0,200}?\buse\b.{0,40}?\b(?P<argument>max_completion_tokens)\b",
    ),
    wording(
        "trait",
        "reasoning-not-passed-back",
        r"reasoning_content\W{1,4}in the thinking mode must be passed back",
    ),
    wording(
        "trait",
        "reasoning-missing",
        r"reasoning_content is missing in assistant tool call message",
    ),
    wording(
        "trait",
        "system-in-messages",
        r"unknown variant `system`, expected `user` or `assistant`",
    ),
)
"""Wordings of kind `trait`: the rules on messages and parameters quote them. They apply to any
host."""

TRAITS_OF_REFUSED_FIELDS: Mapping[tuple[WireProtocol, str], str] = {
    (WireProtocol.CHAT_COMPLETIONS, "max_completion_tokens"): "token-limit-name=max_tokens",
    (WireProtocol.CHAT_COMPLETIONS, "max_tokens"): "token-limit-name=max_completion_tokens",
}
"""The traits that the refusal of a field teaches, in whatever words, instead of dropping it."""

GENERAL = (
    wording(
        "schema-dialect", "basic", r"\bTool (?P<index>\d{1,9}+) function has invalid 'parameters'"
    ),
    wording(
        "schema-dialect",
        "basic",
        POINTER + r"\.(?:\S{0,200}\.)?(?:input_schema|parameters)\b(?!\.?\S{0,200}: Extra inputs)",
    ),
)
"""Wordings that are not specific to a vendor. They are used only if no vendor's wording matches."""

TOO_MANY_TOOLS = r"maximum tools limit reached|not include more than \d{1,9}+ tools"
"""A pattern that matches error messages for too many tools that are not specific to a vendor."""

UNKNOWN_MODEL_NAMES = frozenset(
    {
        *("modelerror", "modelnotfound", "modelnotsupported", "modelnotavailable", "unknownmodel"),
        *("unsupportedmodel", "invalidmodel", "invalidmodelid", "deploymentnotfound"),
    }
)
"""Codes and types of errors about a model that is not there, in lower case and without `_`."""

_MISSING = (
    r"(?:not found|unknown|does(?: not|n't) exist|not exist|not supported|not available|not enabled"
    r"|not be found|no access|not a valid|has been (?:deprecated|retired|removed|discontinued)"
    r"|is no longer (?:available|supported))"
)
UNKNOWN_MODEL: tuple[TextPattern[str], ...] = tuple(
    text_pattern(pattern, ignore_case=True)
    for pattern in (
        # The model `x` does not exist; Model x is not supported; model "x" not found
        rf"\bmodels?\b.{{0,100}}?\b{_MISSING}\b",
        # Unknown Model, please check the model code; Invalid model name passed; no such model
        r"\b(?:unknown|invalid|unsupported|no such|unrecogni[sz]ed)\s(?:api\s)?model\b"
        r"(?!\s(?:api\s)?(?:key|token|provider))",
        # No model found: x; No endpoints found for x; no available channel for model x
        r"\bno (?:available )?(?:model|endpoint|provider|deployment|channel|distributor)s?\b"
        r".{0,40}?\b(?:found|available|for|match\w{0,5})\b",
        # CLIProxyAPI: unknown provider for model x
        r"\bunknown provider for model\b",
        # x is not a valid model ID
        r"\bnot an? (?:valid|known|supported|available|recogni[sz]ed) (?:\w{1,20} )?model\b",
        # DeepSeek: The supported API model names are x, y, but you passed z
        r"\b(?:supported|valid|available|allowed) (?:api )?model(?: name)?s? (?:are|is|include)\b",
        # Bedrock: The provided model identifier is invalid
        r"\bmodel (?:identifier|id|name|code)\b.{0,60}?\b(?:invalid|incorrect|not valid)\b",
        # You don't have access to this model; Unable to access model x
        r"\b(?:access|permission)\b.{0,40}?\bmodel\b",
        # Z.ai and gateways: 模型不存在
        r"模型.{0,40}?(?:不存在|不支持|未找到|不可用|无效)",
        r"(?:不存在|不支持|未找到|无效的?).{0,10}?模型",
    )
)
"""What the messages of such errors contain, whatever their status."""
