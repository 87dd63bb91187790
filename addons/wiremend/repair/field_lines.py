"""Lines of an event other than its data, which some clients read as events of their own."""

from wiremend.rules.rule import Rule
from wiremend.text import sse
from wiremend.text.patterns import linear_pattern

FIELDS_WITHOUT_DATA = Rule(
    code="S005",
    name="fields-without-data",
    detects="For openai-python: `id:` or `retry:` lines, or an `event:` line without data.",
    impact="That SDK parses each of them as an event with empty data (`JSONDecodeError: Expecting "
    "value`). After one `id:` line it does so for every blank line too, keep-alives included.",
    action="Drops the lines: they have no meaning in these protocols.",
    protocols=("chat-completions", "responses"),
    seen=("openai/openai-python 3.52.0",),
    before='retry: 3000\n\nid: 1\ndata: {"choices":[…]}\n\n',
    after='\ndata: {"choices":[…]}\n\n',
)

_ID_OR_RETRY = linear_pattern(rb"(?:\A|[\r\n])(?:id|retry)[:\r\n]")


def without_fields(event: sse.Event) -> sse.Event:
    """Return the event without the lines that such a client reads as events."""
    dropped = {b"id", b"retry"} if event.data is not None else {b"id", b"retry", b"event"}
    if event.data is not None and not _ID_OR_RETRY.search(event.raw):
        return event
    lines = sse.split_lines(event.raw)
    kept = [line for line in lines if sse.read_field(line.rstrip(b"\r\n"))[0] not in dropped]
    return event if kept == lines else sse.Event(sse.join_lines(kept), event.type, event.data)
