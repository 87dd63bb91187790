"""What is known about a client: the type of the facts in `wiremend.clients`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTraits:
    """How one family of clients is recognised, and how it reads responses.

    The defaults are what is assumed of a client that is not recognised.
    """

    family: str = ""
    """Its name, such as `codex`; empty: unknown."""
    recognised_by: tuple[tuple[str, re.Pattern[str]], ...] = ()
    """Pairs of a request header and what its value starts with, both in small letters. One that
    matches is enough."""

    reads_only_failed_event: bool = False
    """In Responses it ignores `error` events: only `response.failed` ends a stream in an error."""
    needs_usage: bool = False
    """In Responses it ignores a terminal event without usage."""
    accepts_null_usage: bool = False
    """In Responses it reads `"usage": null` as unknown."""
    reads_fields_as_events: bool = False
    """It reads `id:` and `retry:` lines, and an `event:` line without data, as an event."""
    whole_event: re.Pattern[bytes] | None = None
    """What an event of a Gemini stream must match to be read whole, where the client ends lines
    or events differently from the standard; None: any event."""
    retried_words: re.Pattern[str] | None = None
    """What the message of an Anthropic error event contains if it retries the call; None: its
    decision does not depend on the message."""

    def sent(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request with these headers, in small letters, is from this client."""
        return any(
            pattern.match(headers.get(name, "")) is not None for name, pattern in self.recognised_by
        )


UNKNOWN_CLIENT = ClientTraits()
