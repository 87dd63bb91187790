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
