"""Facts about clients: how each family is recognised."""

import re
from collections.abc import Mapping

_CLIENTS: tuple[tuple[str, str], ...] = (
    ("claude-cli/", "claude-code"),
    ("opencode/", "opencode"),
    ("codex", "codex"),
    ("geminicli/", "gemini-cli"),
)


_SDKS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("x-goog-api-client", re.compile(r"google-genai-sdk/\S+ gl-python/"), "python-genai"),
    ("x-stainless-lang", re.compile(r"python\Z"), "openai-python"),
)
"""Agents put their own name into the user agent, but leave these headers alone."""


def client_family(headers: Mapping[str, str]) -> str:
    """Who sent this, as far as rules care: an agent, else the SDK it is made with, else empty.

    claude-code, opencode, codex, gemini-cli; openai-python (Anthropic's has the same header, and
    other streams), python-genai.
    """
    known = {name.lower(): value.lower() for name, value in headers.items()}
    if known.get("originator", "").startswith("codex"):
        return "codex"
    agent = known.get("user-agent", "")
    for start, family in _CLIENTS:
        if agent.startswith(start):
            return family
    for header, pattern, family in _SDKS:
        if pattern.match(known.get(header, "")):
            return family
    return ""
