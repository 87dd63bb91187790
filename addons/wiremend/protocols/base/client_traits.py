"""The type of the facts about clients; the facts are in `wiremend.clients`."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from wiremend.text.patterns import TextPattern, WholePattern


class Deviation(StrEnum):
    """A departure from a protocol's grammar, forwarded unchanged to clients that accept it.

    The vendors in `wiremend.targets` list those of their everyday traffic, which the clients of
    these hosts accept; `ClientTraits` list those that a family of clients accepts from any host.
    """

    NO_OBJECT = "no-object"
    """Chat Completions: chunks have no `object`."""
    NO_DONE = "no-done"
    """Chat Completions: the stream ends after its finish reason without `[DONE]`."""
    NO_CALL_INDEX = "no-call-index"
    """Chat Completions: whole calls in a chunk have no `index`; their position is their number."""
    NO_CALL_TYPE = "no-call-type"
    """Chat Completions: calls have no `type`."""
    NULL_COUNTS = "null-counts"
    """Chat Completions: counts of tokens that are not known yet are null."""
    UNNUMBERED = "unnumbered"
    """Responses: events without a sequence number (OpenAI until May 2025)."""
    NO_EVENT_LINE = "no-event-line"
    """Responses: events without an `event:` line (OpenRouter, Bedrock)."""
    CHANGING_ID = "changing-id"
    """Responses: a response id that changes (GitHub Copilot)."""
    PART_INDEX = "part-index"
    """Responses: content parts numbered from 1 (Bedrock)."""
    NO_ITEM_ID = "no-item-id"
    """Responses: items without an id (Bedrock)."""
    KEEPALIVE = "keepalive"
    """Responses: keepalive events (OpenAI)."""
    NO_OUTPUT = "no-output"
    """Responses: a terminal event with `output: []` (the Codex back end)."""
    TOOL_LIST_OPEN = "tool-list-open"
    """Responses: an `mcp_list_tools` item that is never done (OpenAI)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTraits:
    """How one family of clients is recognised, and how it reads responses.

    The defaults apply to a client that is not recognised.
    """

    family: str = ""
    """Its name, such as `codex`; empty if unknown."""
    recognised_by: tuple[tuple[str, TextPattern[str]], ...] = ()
    """Request headers and the beginnings of their values, both in lower case. One match is
    enough."""

    reads_only_failed_event: bool = False
    """Responses: it ignores `error` events; only `response.failed` reports an error."""
    needs_usage: bool = False
    """Responses: it ignores a terminal event without usage."""
    accepts_null_usage: bool = False
    """Responses: it reads `"usage": null` as unknown usage."""
    reads_fields_as_events: bool = False
    """It parses `id:` and `retry:` lines, and an `event:` line without data, as an event."""
    whole_event: WholePattern[bytes] | None = None
    """Gemini: the pattern of the events that the client reads completely. Set for clients that
    split lines or events differently from the SSE standard; None: any event."""
    accepts: frozenset[Deviation] = frozenset()
    """The departures from a protocol's grammar that it reads like valid traffic."""
    refuses: frozenset[Deviation] = frozenset()
    """Those that it fails on, also in the everyday traffic of a vendor."""
    retried_words: TextPattern[str] | None = None
    """Anthropic: the words in the message of an `error` event on which the client retries the
    call; None: its decision does not depend on the message."""

    turns_offer_tools: bool = False
    """It is an agent that offers tools in each of its turns, so that a call without any is a side
    call: for a title, a summary, or a check of the quota."""
    side_call_headers: tuple[tuple[str, TextPattern[str]], ...] = ()
    """Other marks of side calls: request headers and the beginnings of their values, as above."""
    subagent_headers: tuple[tuple[str, TextPattern[str]], ...] = ()
    """The marks of calls of its sub-agents: request headers and the beginnings of their values."""
    subagent_tool: str = ""
    """The tool that only its sub-agents are offered; empty if there is none."""

    def is_subagent(self, headers: Mapping[str, str], tool_names: Collection[str]) -> bool:
        """Return whether this client marked a request as that of a sub-agent.

        `headers` have names and values in lower case; `tool_names` are the offered tools.
        """
        offers = bool(self.subagent_tool) and self.subagent_tool in tool_names
        return offers or _has_one_of(self.subagent_headers, headers)

    def is_side_call(self, headers: Mapping[str, str], *, offers_tools: bool) -> bool:
        """Return whether a request of this client belongs to no turn of its conversation.

        `headers` have names and values in lower case. A client that is no known agent makes none.
        """
        lacks_tools = self.turns_offer_tools and not offers_tools
        return lacks_tools or _has_one_of(self.side_call_headers, headers)


def _has_one_of(marks: Iterable[tuple[str, TextPattern[str]]], headers: Mapping[str, str]) -> bool:
    for name, pattern in marks:
        value = headers.get(name)
        if value and pattern.match(value) is not None:
            return True
    return False


UNKNOWN_CLIENT = ClientTraits()
