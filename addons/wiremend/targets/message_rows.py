"""Which targets need which rules on messages and parameters, each row with how that is known.

Unlike the table of `targets`, all rows that match count together: a host's habits, and those of
a model. Whoever stands in no row gets no such rule, but for what the configuration opts in.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from wiremend.protocols.base import request_rules as rules
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import CallIdLimit, MessageTraits
from wiremend.rules.rule import Rule
from wiremend.targets.hosts import GATEWAYS, GOOGLE_HOSTS

_ANTHROPIC = frozenset({WireProtocol.ANTHROPIC_MESSAGES})
_CHAT = frozenset({WireProtocol.CHAT_COMPLETIONS})
_RESPONSES = frozenset({WireProtocol.RESPONSES})
_GEMINI = frozenset({WireProtocol.GEMINI})
_OPENAI_HOSTS = ("api.openai.com", "*.api.openai.com", "*.openai.azure.com", "*.githubcopilot.com")
_PAIRS = (rules.CALL_WITHOUT_RESULT, rules.RESULT_WITHOUT_CALL, rules.RESULTS_NOT_FIRST)
_CLAUDE = ("claude-*",)
_DEEPSEEK_THAT_WANTS_REASONING = ("deepseek-v[4-9]*",)
_GEMINI_THAT_SIGNS = ("gemini-[3-9]*",)
_CLAUDE_WITH_ONE_SAMPLING = (
    "claude-opus-4-1*",
    "claude-opus-4.1*",
    "claude-*-4-[5-9]*",
    "claude-*-4.[5-9]*",
    "claude-[a-z]*-[5-9]*",
)


@dataclass(frozen=True, slots=True)
class MessageRow:
    """Who is meant, which rules they need, and how that is known."""

    protocols: frozenset[WireProtocol]
    hosts: tuple[str, ...]
    """Globs of the vendor's own hosts."""
    rules: tuple[Rule, ...]
    reason: str
    models: tuple[str, ...] = ("*",)
    """Globs of the models that are meant there, in any case."""
    at_gateways: tuple[str, ...] = ()
    """Globs of the models that are meant at gateways, too; a vendor may stand before them."""
    call_ids: CallIdLimit | None = None

    def matches(self, protocol: WireProtocol, host: str, model: str) -> bool:
        """Whether this row is about a call of this protocol to this host for this model."""
        name = model.rpartition("/")[2]
        return protocol in self.protocols and (
            (_matches(host, self.hosts) and _matches(name, self.models))
            or (_matches(host, GATEWAYS) and _matches(name, self.at_gateways))
        )


MESSAGE_TARGETS: tuple[MessageRow, ...] = (
    MessageRow(
        _ANTHROPIC,
        ("api.anthropic.com",),
        (
            *_PAIRS,
            rules.EMPTY_TEXT,
            rules.EMPTY_MESSAGE,
            rules.TRAILING_SPACE,
            rules.EMPTY_SYSTEM,
            rules.THINKING_CACHE_CONTROL,
            rules.CALL_ID,
            rules.FOREIGN_THINKING,
        ),
        "Anthropic's own checks, each with its message in the rule",
        at_gateways=_CLAUDE,
        call_ids=CallIdLimit(longest=256),
    ),
    MessageRow(
        _ANTHROPIC,
        ("api.anthropic.com",),
        (rules.SAMPLING_PAIR,),
        "Opus 4.1 and everything from 4.5 on; earlier models take both",
        models=_CLAUDE_WITH_ONE_SAMPLING,
        at_gateways=_CLAUDE_WITH_ONE_SAMPLING,
    ),
    MessageRow(
        _CHAT,
        (),
        (rules.SAMPLING_PAIR,),
        "The same models behind Chat Completions (NeatChat/NeatChat#72)",
        at_gateways=_CLAUDE_WITH_ONE_SAMPLING,
    ),
    MessageRow(
        _CHAT,
        _OPENAI_HOSTS,
        (*_PAIRS, rules.CALL_ID),
        "`An assistant message with 'tool_calls' must be followed by tool messages`; "
        "`Invalid 'messages[2].tool_calls[0].id': string too long … maximum length 40`",
        at_gateways=("gpt-*", "o[134]*"),
        call_ids=CallIdLimit(characters=r"\x20-\x7e", longest=40),
    ),
    MessageRow(
        _CHAT,
        _OPENAI_HOSTS,
        (rules.TOKEN_LIMIT_NAME,),
        "`Unsupported parameter: 'max_tokens' is not supported with this model`",
        models=("gpt-5*", "o1*", "o3*", "o4*"),
    ),
    MessageRow(
        _CHAT | _RESPONSES,
        _OPENAI_HOSTS,
        (rules.SAMPLING_REFUSED,),
        "`'temperature' does not support 0 with this model`; later models (5.1 on) take it "
        "without reasoning, so they are left alone",
        models=("gpt-5", "gpt-5-20*", "gpt-5-mini*", "gpt-5-nano*", "o1*", "o3*", "o4-mini*"),
    ),
    MessageRow(
        _RESPONSES,
        _OPENAI_HOSTS,
        (rules.ORPHAN_REASONING,),
        "`Item 'rs_...' of type 'reasoning' was provided without its required following item`; "
        "unheard of where nothing is stored (chatgpt.com)",
    ),
    MessageRow(
        _RESPONSES,
        (*_OPENAI_HOSTS, "chatgpt.com"),
        (rules.CALL_WITHOUT_RESULT, rules.RESULT_WITHOUT_CALL, rules.CALL_ID),
        "`No tool call found for function call output with call_id`; "
        "`No tool output found for function call`; ids of at most 64 (openclaw/openclaw#875)",
        call_ids=CallIdLimit(characters=r"\x20-\x7e", longest=64),
    ),
    MessageRow(
        _GEMINI,
        GOOGLE_HOSTS,
        (rules.THOUGHT_SIGNATURE_MISSING,),
        "`Function call is missing a thought_signature in functionCall parts`; Gemini 2 signs "
        "nothing that it wants back",
        models=_GEMINI_THAT_SIGNS,
        at_gateways=_GEMINI_THAT_SIGNS,
    ),
    MessageRow(
        _GEMINI,
        GOOGLE_HOSTS,
        (
            rules.CALL_WITHOUT_RESULT,
            rules.RESULT_WITHOUT_CALL,
            rules.EMPTY_TEXT,
            rules.EMPTY_MESSAGE,
        ),
        "`Please ensure that the number of function response parts is equal to the number of "
        "function call parts`; `contents.parts must not be empty`",
        at_gateways=("gemini-*",),
    ),
    MessageRow(
        _CHAT,
        ("api.deepseek.com",),
        _PAIRS,
        "`insufficient tool messages following tool_calls message` (agno-agi/agno#3105)",
        at_gateways=("deepseek-*",),
    ),
    MessageRow(
        _CHAT,
        ("api.deepseek.com",),
        (rules.REASONING_NOT_PASSED_BACK,),
        "``The `reasoning_content` in the thinking mode must be passed back to the API``; earlier "
        "models refuse it",
        models=_DEEPSEEK_THAT_WANTS_REASONING,
        at_gateways=_DEEPSEEK_THAT_WANTS_REASONING,
    ),
    MessageRow(
        _CHAT,
        ("dashscope*.aliyuncs.com", "*.dashscope.aliyuncs.com", "portal.qwen.ai"),
        _PAIRS,
        '`must be followed by tool messages responding to each "tool_call_id"` '
        "(QwenLM/qwen-code#606)",
        at_gateways=("qwen*",),
    ),
    MessageRow(
        _ANTHROPIC,
        ("api.minimax.io", "api.minimaxi.com"),
        (rules.RESULT_WITHOUT_CALL, rules.SYSTEM_IN_MESSAGES),
        "`tool result's tool id(…) not found (2013)` (MiniMax-AI/MiniMax-M2#76); "
        "`chat content has invalid message role: system (2013)`",
        at_gateways=("minimax-*",),
    ),
    MessageRow(
        _CHAT,
        ("api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"),
        (rules.REASONING_MISSING, rules.CACHE_CONTROL),
        "`reasoning_content is missing in assistant tool call message`; "
        "`Extra inputs are not permitted, field: messages[0].cache_control`",
        at_gateways=("kimi-*",),
    ),
    MessageRow(
        _CHAT,
        ("api.mistral.ai", "codestral.mistral.ai"),
        (rules.CALL_ID,),
        "`Tool call id was … but must be a-z, A-Z, 0-9, with a length of 9`",
        at_gateways=("mistral-*", "ministral-*", "magistral-*", "codestral-*", "devstral-*"),
        call_ids=CallIdLimit(characters="a-zA-Z0-9", longest=9, exact=True),
    ),
)
"""Who needs what."""


def message_traits_of(
    protocol: WireProtocol,
    host: str,
    model: str,
    *,
    opted: frozenset[str] | None = None,
    max_output_tokens: int | None = None,
) -> MessageTraits:
    """What a call of this protocol to this host and model needs.

    `opted` are the codes that the configuration names for that provider; they replace the table's.
    """
    rows = [row for row in MESSAGE_TARGETS if row.matches(protocol, host, model)]
    on = frozenset(rule.code for row in rows for rule in row.rules) if opted is None else opted
    if max_output_tokens is not None:
        on |= {rules.TOKEN_LIMIT.code}
    limits = [row.call_ids for row in rows if row.call_ids is not None]
    strictest = min(limits, key=lambda limit: limit.longest, default=CallIdLimit(longest=40))
    return MessageTraits(on, strictest, max_output_tokens)


def _matches(text: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(text.lower(), glob) for glob in globs)
