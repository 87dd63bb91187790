"""Marks for the prompt caches of providers that take Anthropic's `cache_control` in messages.

A mark is a member of a text part, so a marked message has a list as content. Providers render it
like the string that the message has in later requests.
"""

from collections.abc import Iterator
from typing import Any

_MARK = {"type": "ephemeral"}


def mark_for_cache(messages: list[dict[str, Any]], marks: int) -> None:
    """Set up to this many marks, in place.

    They are at the system message, at the last message of the user or a tool, and where the last
    one was in the request before: only up to there does the provider have the prompt.
    """
    for message in [*_ends(messages)][:marks]:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else [*content]
        texts = [number for number, part in enumerate(parts) if part.get("type") == "text"]
        if texts and parts[texts[-1]]["text"]:
            parts[texts[-1]] = {**parts[texts[-1]], "cache_control": _MARK}
            message["content"] = parts


def _ends(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the messages to mark: the system text, then the last messages of the last requests."""
    if messages and messages[0]["role"] in ("system", "developer"):
        yield messages[0]
    is_open = True
    for message in reversed(messages):
        if message["role"] == "assistant":
            is_open = True
        elif is_open and message["role"] in ("user", "tool"):
            is_open = False
            yield message
