"""The type of the facts about clients; the facts are in `wiremend.clients`."""

from collections.abc import Mapping
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

    def sent(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request with these headers (names in lower case) is from this client."""
        return any(
            pattern.match(headers.get(name, "")) is not None for name, pattern in self.recognised_by
        )


UNKNOWN_CLIENT = ClientTraits()
