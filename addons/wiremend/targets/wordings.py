"""How rejections are worded: which text teaches what about a target.

Each vendor's file has its own wordings; `GENERAL` has those of servers that many providers use.
`wiremend.adapt.rejections` reads a message with them. `tests/adapt/test_rejections.py` has the
messages that providers sent, word for word.
"""

import re
from dataclasses import dataclass
from typing import Literal

TaughtKind = Literal["schema-dialect", "tool-names", "unique-names", "custom-type", "beta", "field"]
"""The kinds of lesson that a rejection can teach; `wiremend.adapt.lessons` explains them."""

POINTER = (
    r"tools(?:\.(?P<index>\d+)|\[(?P<index2>\d+)\])"
    r"(?:\.function_?[dD]eclarations\[(?P<declaration>\d+)\])?"
)
"""The place of a tool in the request: `tools.3`, `tools[0].function_declarations[3]`."""


@dataclass(frozen=True, slots=True)
class Wording:
    """A text that a rejection contains, and the lesson that it teaches."""

    kind: TaughtKind
    value: str
    """The dialect, or the value of the header; empty where the pattern captures it or the kind
    has none."""
    pattern: re.Pattern[str]
    """Its groups name the tool (`tool`, `index`, `index2`, `declaration`; none of them: every
    tool), the field (`value`), or several values of a header (`values`)."""


def wording(kind: TaughtKind, value: str, pattern: str) -> Wording:
    """Return a wording in any case; in the pattern `.` also matches the end of a line."""
    return Wording(kind, value, re.compile(pattern, re.IGNORECASE | re.DOTALL))


GENERAL = (
    wording("schema-dialect", "basic", r"\bTool (?P<index>\d+) function has invalid 'parameters'"),
    wording(
        "schema-dialect",
        "basic",
        POINTER + r"\.(?:\S*\.)?(?:input_schema|parameters)\b(?!\.?\S*: Extra inputs)",
    ),
)
"""Wordings of no particular vendor. They count only where no vendor's wording matches."""

TOO_MANY_TOOLS = r"maximum tools limit reached|not include more than \d+ tools"
"""Wordings of no particular vendor for too many tools, as a pattern."""
