"""What each target is known to insist on: one table from host, model and protocol to traits.

The first row that matches counts. A target without a row gets the plain repairs only: a limit
is written down here when somebody met it, never because a provider resembles another one.
What a provider says no to later is learnt from its rejection (`wiremend.adapt.rejections`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from wiremend.protocols.base.name_limits import NAMES_BY_DIALECT
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import TargetTraits
from wiremend.targets.hosts import GATEWAYS, GOOGLE_HOSTS

_ANTHROPIC = frozenset({WireProtocol.ANTHROPIC_MESSAGES})
_CHAT = frozenset({WireProtocol.CHAT_COMPLETIONS})
_OPENAI = frozenset({WireProtocol.CHAT_COMPLETIONS, WireProtocol.RESPONSES})
_GEMINI = frozenset({WireProtocol.GEMINI})
_ALL = frozenset(WireProtocol)


@dataclass(frozen=True, slots=True)
class TargetRow:
    """Who is meant, what they insist on, and how that is known."""

    hosts: tuple[str, ...]
    """Globs of the vendor's own hosts: there every model is meant."""
    models: tuple[str, ...]
    """Globs of its models as gateways call them, in any case; a vendor may stand before them."""
    protocols: frozenset[WireProtocol]
    traits: TargetTraits
    reason: str
    seen: tuple[str, ...] = ()

    def matches(self, protocol: WireProtocol, host: str, model: str) -> bool:
        """Whether this row is about a call of this protocol to this host for this model."""
        if protocol not in self.protocols:
            return False
        return _matches(host, self.hosts) or (
            _matches(host, GATEWAYS) and _matches(model.rpartition("/")[2], self.models)
        )


TARGETS: tuple[TargetRow, ...] = (
    TargetRow(
        ("api.anthropic.com",),
        ("claude-*",),
        _ANTHROPIC,
        TargetTraits("anthropic", NAMES_BY_DIALECT["anthropic"], unique_names=True),
        "`input_schema does not support oneOf, allOf, or anyOf at the top level`; "
        "`It must match JSON Schema draft 2020-12`; `String should match pattern "
        "'^[a-zA-Z0-9_-]{1,128}$'`; `tools: Tool names must be unique`",
        (
            "anomalyco/opencode#35516",
            "openclaw/openclaw#29416",
            "home-assistant/core#147760",
            "anthropics/claude-code#10687",
        ),
    ),
    TargetRow(
        ("api.openai.com", "*.api.openai.com", "chatgpt.com"),
        ("gpt-*",),
        _OPENAI,
        TargetTraits("openai", NAMES_BY_DIALECT["openai"]),
        "`array schema missing items`; `schema must have type 'object' and not have 'oneOf'/"
        "'anyOf'/'allOf'/'enum'/'not' at the top level`; `string too long. Expected a string with "
        "maximum length 64`",
        ("openai/codex#1289", "nspady/google-calendar-mcp#39", "nanbingxyz/5ire#403"),
    ),
    TargetRow(
        GOOGLE_HOSTS,
        ("gemini-*",),
        _GEMINI,
        TargetTraits("gemini", NAMES_BY_DIALECT["gemini"], unique_names=True),
        "`Unknown name \"$schema\" at 'tools[0].function_declarations[0].parameters': Cannot find "
        "field`; `Must start with a letter or an underscore`; `Duplicate "
        "function declaration found`",
        (
            "router-for-me/CLIProxyAPI#97",
            "cline/cline#7339",
            "kaitranntt/ccs#25",
            "tridz-dev/huf#341",
        ),
    ),
    TargetRow(
        ("api.deepseek.com",),
        ("deepseek-*",),
        _CHAT,
        TargetTraits("deepseek", NAMES_BY_DIALECT["deepseek"]),
        "``Invalid tool parameters schema : field `anyOf`: missing field `type` ``; `string does "
        "not match pattern … '^[a-zA-Z0-9_-]+$'`",
        ("can1357/oh-my-pi#2270", "refly-ai/refly#1794"),
    ),
    TargetRow(
        ("api.x.ai",),
        ("grok-*",),
        _ALL,
        TargetTraits("xai"),
        "`tool parameter root must be an object type (root schema is an anyOf/oneOf union with a "
        "non-object branch)`",
        ("lidge-jun/opencodex#122", "duolahypercho/codex-router#219"),
    ),
    TargetRow(
        ("api.moonshot.ai", "api.moonshot.cn", "api.kimi.com"),
        ("kimi-*",),
        _ALL,
        TargetTraits("plain", NAMES_BY_DIALECT["moonshot"]),
        "`function name is invalid, must start with a letter`. The dialect `moonshot` is applied "
        "to a tool that was rejected, not before: the same schemas were accepted in 2026-09",
        ("MoonshotAI/kimi-cli#1773", "MoonshotAI/kimi-cli#2531"),
    ),
    TargetRow(
        ("api.minimax.io", "api.minimaxi.com"),
        ("minimax-*",),
        _ANTHROPIC,
        TargetTraits(
            strip_custom_type=True, refused_betas=("fine-grained-tool-streaming-2025-05-14",)
        ),
        "`function name or parameters is empty (2013)`: with that beta it streams names in "
        "pieces, and refuses the empty ones when they come back",
        ("gsd-build/gsd-2#4538", "NousResearch/hermes-agent#6861", "routatic/proxy#80"),
    ),
    TargetRow(
        ("api.minimax.io", "api.minimaxi.com"),
        ("minimax-*",),
        _OPENAI,
        TargetTraits(),
        "`function parameters is empty (2013)`: the plain repairs are enough",
        ("QwenLM/qwen-code#11905",),
    ),
    TargetRow(
        ("dashscope*.aliyuncs.com", "*.dashscope.aliyuncs.com", "portal.qwen.ai"),
        ("qwen*",),
        _ALL,
        TargetTraits(),
        "Wants an object at the root, which the plain repairs give it; no other limit on record",
        ("spring-ai-alibaba/website#282",),
    ),
    TargetRow(
        ("api.z.ai", "open.bigmodel.cn"),
        ("glm-*",),
        _ALL,
        TargetTraits(),
        "No limit on record: its error 1210 names neither tool nor field",
        ("cline/cline#9939",),
    ),
)
"""Who insists on what. Order counts."""

_UNKNOWN = TargetTraits()


def traits_of(
    protocol: WireProtocol, host: str, model: str, *, dialect: str | None = None
) -> TargetTraits:
    """What a call of this protocol to this host and model must heed.

    `dialect` is the configuration's own word for that provider; it wins over the table.
    """
    row = next((row for row in TARGETS if row.matches(protocol, host, model)), None)
    traits = row.traits if row else _UNKNOWN
    if dialect is None:
        return traits
    return replace(traits, dialect=dialect, names=NAMES_BY_DIALECT.get(dialect))


def _matches(text: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(text.lower(), glob) for glob in globs)
