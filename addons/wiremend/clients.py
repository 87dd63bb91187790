"""Facts about clients: one `ClientTraits` for each family whose behaviour was measured.

A new fact about a client is one edit here. Code asks for a trait, never for a client's name.
"""

import re
from collections.abc import Mapping

from wiremend.protocols.base.client_traits import UNKNOWN_CLIENT, ClientTraits

CLIENTS: tuple[ClientTraits, ...] = (
    # Agents. They put their own name into the user agent, whatever SDK they are made with.
    ClientTraits(
        family="codex",
        recognised_by=(
            ("originator", re.compile("codex")),
            ("user-agent", re.compile("codex")),
        ),
        reads_only_failed_event=True,
        accepts_null_usage=True,
    ),
    ClientTraits(
        family="claude-code",
        recognised_by=(("user-agent", re.compile("claude-cli/")),),
    ),
    ClientTraits(
        family="opencode",
        recognised_by=(("user-agent", re.compile("opencode/")),),
        needs_usage=True,
        # OpenCode 1.18 (session/retry.ts) retries more texts; these are the ones that we write.
        retried_words=re.compile(
            r"connection error|connection lost|\brequest timeout\b", re.IGNORECASE
        ),
    ),
    ClientTraits(
        family="gemini-cli",
        recognised_by=(("user-agent", re.compile("geminicli/")),),
        # JavaScript: what `/^\s*data: (.*)(?:\n\n|\r\r|\r\n\r\n)/` matches whole
        whole_event=re.compile(
            rb"data: (?:[^\r\n\xe2]|\xe2(?!\x80[\xa8\xa9]))*+(?:\n\n|\r\r|\r\n\r\n)"
        ),
    ),
    # SDKs. Agents that are made with one leave these headers alone.
    ClientTraits(
        family="python-genai",
        recognised_by=(("x-goog-api-client", re.compile(r"google-genai-sdk/\S+ gl-python/")),),
        # Lines end as for `str.splitlines`: without the line ends that JSON allows in text
        whole_event=re.compile(rb"(?:[^\xe2\xc2]|\xe2(?!\x80[\xa8\xa9])|\xc2(?!\x85))*+"),
    ),
    ClientTraits(
        family="openai-python",  # and Anthropic's SDK: it has the same header, and other streams
        recognised_by=(("x-stainless-lang", re.compile(r"python\Z")),),
        reads_fields_as_events=True,
    ),
)
"""Every client that is known, in the order in which they are tried."""


def client_of(headers: Mapping[str, str]) -> ClientTraits:
    """Return what is known about the client that sent these request headers, in any case."""
    known = {name.lower(): value.lower() for name, value in headers.items()}
    return next((client for client in CLIENTS if client.sent(known)), UNKNOWN_CLIENT)


def traits_of_client(family: str) -> ClientTraits:
    """Return what is known about a family of clients; an empty name is the unknown client.

    Raises KeyError for a family that is not in the table.
    """
    return {client.family: client for client in (UNKNOWN_CLIENT, *CLIENTS)}[family]
