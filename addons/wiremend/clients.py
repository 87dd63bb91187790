"""Facts about clients: one `ClientTraits` for each family whose behaviour was measured.

A new fact about a client is one edit in this file. Other code checks a client's traits, not its
name.
"""

from collections.abc import Iterable

from wiremend.protocols.base.client_traits import UNKNOWN_CLIENT, ClientTraits, Deviation
from wiremend.text.patterns import TextPattern, text_pattern, whole_pattern

CLIENTS: tuple[ClientTraits, ...] = (
    # Agents. Their name is in the user agent, independently of the SDK that they use.
    ClientTraits(
        family="codex",
        recognised_by=(
            ("originator", text_pattern("codex")),
            ("user-agent", text_pattern("codex")),
        ),
        reads_only_failed_event=True,
        accepts_null_usage=True,
        # codex-api/src/sse/responses.rs reads type, item, delta and usage from the data alone
        accepts=frozenset(Deviation),
        # Codex 0.169. The header is also sent for `compact`, whose answer belongs to the
        # conversation, and with names of its own future jobs.
        turns_offer_tools=True,
        side_call_headers=(("x-openai-subagent", text_pattern(r"memory_consolidation\Z")),),
        subagent_headers=(("x-openai-subagent", text_pattern(r"(?:collab_spawn|review)\Z")),),
    ),
    ClientTraits(
        family="claude-code",
        recognised_by=(("user-agent", text_pattern("claude-cli/")),),
        # Claude Code 2.1: titles, summaries of fetched pages and tools, and the check of the quota
        # offer no tools. Suggestions of prompts repeat the tools of the turn, for its cache.
        turns_offer_tools=True,
        subagent_headers=(("x-claude-code-agent-id", text_pattern(r"\S")),),
    ),
    ClientTraits(
        family="opencode",
        recognised_by=(("user-agent", text_pattern("opencode/")),),
        needs_usage=True,
        # The Vercel AI SDK reads the type from the data, and does not compare ids of responses
        accepts=frozenset({Deviation.NO_EVENT_LINE, Deviation.CHANGING_ID}),
        # OpenCode 1.18 (session/retry.ts) also retries other texts; wiremend writes these.
        retried_words=text_pattern(
            r"connection error|connection lost|\brequest timeout\b", ignore_case=True
        ),
        turns_offer_tools=True,  # OpenCode 1.18: titles and compaction offer none
        subagent_headers=(("x-parent-session-id", text_pattern(r"\S")),),
    ),
    ClientTraits(
        family="gemini-cli",
        recognised_by=(("user-agent", text_pattern("geminicli(?:-[a-z]{1,20}+)?/")),),
        # Events that JavaScript's `/^\s*data: (.*)(?:\n\n|\r\r|\r\n\r\n)/` matches completely
        whole_event=whole_pattern(
            rb"data: (?:[^\r\n\xe2]|\xe2(?!\x80[\xa8\xa9]))*+(?:\n\n|\r\r|\r\n\r\n)"
        ),
        # Gemini CLI 0.61: the router, the next speaker, compression and summaries offer no tools;
        # its sub-agents have no header, but a tool to end their work.
        turns_offer_tools=True,
        subagent_tool="complete_task",
    ),
    # SDKs. Agents that use one do not change these headers.
    ClientTraits(
        family="python-genai",
        recognised_by=(
            ("x-goog-api-client", text_pattern(r"google-genai-sdk/\S{1,100}+ gl-python/")),
        ),
        # The SDK splits lines like `str.splitlines`, also at U+2028, U+2029 and U+0085, which JSON
        # allows in strings
        whole_event=whole_pattern(rb"(?:[^\xe2\xc2]|\xe2(?!\x80[\xa8\xa9])|\xc2(?!\x85))*+"),
    ),
    # Both vendors' SDKs are made by one generator, and send `x-stainless-lang`.
    ClientTraits(
        family="anthropic-python",
        recognised_by=(("user-agent", text_pattern(r"(?:async)?anthropic[a-z]{0,20}+/python ")),),
        reads_fields_as_events=True,
    ),
    ClientTraits(
        family="anthropic-node",
        recognised_by=(("user-agent", text_pattern(r"anthropic[a-z]{0,20}+/js ")),),
    ),
    ClientTraits(
        family="openai-python",
        recognised_by=(("x-stainless-lang", text_pattern(r"python\Z")),),
        reads_fields_as_events=True,
        accepts=frozenset(
            {
                Deviation.NO_DONE,
                Deviation.NO_EVENT_LINE,
                Deviation.NO_ITEM_ID,
                Deviation.TOOL_LIST_OPEN,
            }
        ),
        # `stream()` skips chunks without the name of their kind, and needs an index to add up calls
        refuses=frozenset({Deviation.NO_OBJECT, Deviation.NO_CALL_INDEX}),
    ),
    ClientTraits(
        family="openai-node",
        recognised_by=(("x-stainless-lang", text_pattern(r"js\Z")),),
        accepts=frozenset({Deviation.NO_DONE}),  # `Stream.fromSSEResponse`
    ),
    ClientTraits(
        family="mistral",  # its own SDKs: https://github.com/mistralai/client-python
        recognised_by=(("user-agent", text_pattern("mistral-client-(?:python|typescript)/")),),
        accepts=frozenset({Deviation.NO_CALL_INDEX, Deviation.NO_CALL_TYPE, Deviation.NO_OBJECT}),
    ),
)
"""All known clients. The first one that matches a request is its client."""


def _patterns_by_header() -> dict[str, list[tuple[int, TextPattern[str]]]]:
    """Return for each header that clients are recognised by the patterns, by place in `CLIENTS`."""
    by_header: dict[str, list[tuple[int, TextPattern[str]]]] = {}
    for place, client in enumerate(CLIENTS):
        for name, pattern in client.recognised_by:
            by_header.setdefault(name, []).append((place, pattern))
    return by_header


_PATTERNS = _patterns_by_header()


def client_of(headers: Iterable[tuple[str, str]]) -> ClientTraits:
    """Return the traits of the client that sent these request headers. Case is ignored.

    Of a header that is repeated, the last value counts. `UNKNOWN_CLIENT` if no client matches.
    """
    sent = {lower: value for name, value in headers if (lower := name.lower()) in _PATTERNS}
    first = len(CLIENTS)
    for name, value in sent.items():
        text = value.lower()
        for place, pattern in _PATTERNS[name] if text else ():
            if place >= first:
                break
            if pattern.match(text) is not None:
                first = place
                break
    return CLIENTS[first] if first < len(CLIENTS) else UNKNOWN_CLIENT


def traits_of_client(family: str) -> ClientTraits:
    """Return the traits of a family of clients; "" is the family of `UNKNOWN_CLIENT`.

    Raises KeyError for a family that is not in `CLIENTS`.
    """
    return {client.family: client for client in (UNKNOWN_CLIENT, *CLIENTS)}[family]
