"""Fire-and-forget endpoints: clients do not use their response, and it may never end.

An example is OpenCode's `prompt_async` (anomalyco/opencode#16180). The rules have codes F…
"""

from collections.abc import Sequence

from wiremend.rules.rule import Rule
from wiremend.text.patterns import escape_pattern, text_pattern

_SEEN = ("anomalyco/opencode#16180",)

ACKNOWLEDGED_BY_STATUS = Rule(
    code="F001",
    name="acknowledged-by-status",
    detects="A fire-and-forget endpoint responds with a 2xx status.",
    impact="Some send their 204 as a stream that never ends; an edge proxy turns that into a 524.",
    action="Sends the client a complete 204 without a body at once.",
    protocols=(),
    seen=_SEEN,
    before="HTTP/1.1 204 No Content, transfer-encoding: chunked, and no end",
    after="HTTP/1.1 204 No Content",
)
ACKNOWLEDGED_AFTER_WAIT = Rule(
    code="F002",
    name="acknowledged-after-wait",
    detects="A fire-and-forget endpoint sends no response head within `ack_after`.",
    impact="The client waits although it does not use the response.",
    action="Sends the client a 204 and completes the call in the background.",
    protocols=(),
    seen=_SEEN,
)
LATE_FAILURE = Rule(
    code="F003",
    name="late-failure",
    detects="A fire-and-forget call fails after the client received a 204.",
    impact="The failure would go unnoticed.",
    action="Logs the failure and marks the flow; the client's response was already sent.",
    protocols=(),
)


class FireAndForget:
    """The paths of `[fire_and_forget]`. `*` matches any text within one path segment."""

    def __init__(self, paths: Sequence[str]) -> None:
        one_of = "|".join(f"(?:{_translated(path)})" for path in paths)
        self._pattern = text_pattern(one_of) if paths else None

    def matches(self, method: str, path: str) -> bool:
        """Return whether a request is fire-and-forget. A query in `path` is ignored."""
        if self._pattern is None or method.upper() != "POST":
            return False
        return self._pattern.fullmatch(path.split("?", 1)[0]) is not None


def _translated(path: str) -> str:
    """Return the regular expression of a path with `*`.

    What follows a star is searched once, as in `fnmatch`: a later place would not match better.
    """
    first, *rest = map(escape_pattern, path.split("*"))
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>[^/]*?{part})" for part in middle) + f"[^/]*{last}"
