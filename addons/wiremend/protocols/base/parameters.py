"""The shared rules and passes on parameters: sampling, limits, ids."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from wiremend.protocols.base.message_rules.thinking import SMALLEST_BUDGET
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import HistoryPass
from wiremend.protocols.base.tools import value_at
from wiremend.protocols.base.traits import SHORT_CALL_IDS, MessageTraits
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path

_ALL = tuple(WireProtocol)
_ANTHROPIC = WireProtocol.ANTHROPIC_MESSAGES
_CHAT = WireProtocol.CHAT_COMPLETIONS
_RESPONSES = WireProtocol.RESPONSES

CALL_ID = Rule(
    code="Q103",
    name="call-id",
    detects="The id of a tool call is longer than the target accepts, or contains characters that "
    "it rejects.",
    impact="Mistral: `must be a-z, A-Z, 0-9, with a length of 9`; OpenAI: `string too long`; "
    "Anthropic: `tool_use.id: String should match pattern`.",
    action="Replaces the id in calls and results with one derived from it, the same in every turn. "
    "Providers generate new ids for new calls and never repeat these, so ids in responses are not "
    "mapped back.",
    protocols=(_ANTHROPIC, _CHAT, _RESPONSES),
    seen=(
        "jackmpcollins/magentic#276",
        "openclaw/openclaw#57672",
        "vercel/ai#5171",
        "anomalyco/opencode#12653",
        "BlockRunAI/ClawRouter#17",
    ),
)
SAMPLING_PAIR = Rule(
    code="Q201",
    name="sampling-pair",
    detects="The request sets both `temperature` and `top_p`.",
    impact="Claude since 4.5: `temperature and top_p cannot both be specified for this model`.",
    action="Removes `top_p`: Anthropic recommends changing only the temperature.",
    protocols=(_ANTHROPIC, _CHAT),
    seen=("skydiscover-ai/skydiscover#15", "NeatChat/NeatChat#72", "langfuse/langfuse#9882"),
    before='{"model":"claude-sonnet-4-5","temperature":0.5,"top_p":0.9}',
    after='{"model":"claude-sonnet-4-5","temperature":0.5}',
)
SAMPLING_REFUSED = Rule(
    code="Q202",
    name="sampling-refused",
    detects="The request sets a temperature other than 1 for a model that accepts only the "
    "default.",
    impact="OpenAI: `'temperature' does not support 0 with this model. Only the default (1) value "
    "is supported`.",
    action="Removes the temperature.",
    protocols=(_CHAT, _RESPONSES),
    seen=("tmc/langchaingo#1355", "QwenLM/qwen-code#921"),
    before='{"model":"gpt-5-mini","temperature":0}',
    after='{"model":"gpt-5-mini"}',
)
TOKEN_LIMIT_NAME = Rule(
    code="Q203",
    name="token-limit-name",
    detects="The request limits its output by `max_tokens`, and the model requires "
    "`max_completion_tokens`, or the other way round.",
    impact="OpenAI: `Unsupported parameter: 'max_tokens' is not supported with this model`; "
    "Mistral: `max_completion_tokens`: `Extra inputs are not permitted`.",
    action="Renames the key and keeps its value.",
    protocols=(_CHAT,),
    seen=(
        "anomalyco/opencode#37964",
        "teilomillet/gollm#33",
        "caozhiyuan/copilot-api#164",
        "editor-code-assistant/eca#231",
    ),
    before='{"model":"gpt-5","max_tokens":64}',
    after='{"model":"gpt-5","max_completion_tokens":64}',
)
TOKEN_LIMIT = Rule(
    code="Q204",
    name="token-limit",
    detects="The request's output limit exceeds the provider's `max_output_tokens` in the "
    "configuration.",
    impact="DeepSeek: `Invalid max_tokens value, the valid range of max_tokens is [1, 8192]`.",
    action="Lowers the limit to that number. There are no built-in limits, because they change too "
    "often.",
    protocols=_ALL,
    seen=("Gitlawb/openclaude#35", "mnfst/llm-gateway#1177"),
)

SAMPLING_UNSUPPORTED = Rule(
    code="Q205",
    name="sampling-unsupported",
    detects="The request sets `temperature`, `top_p` or `top_k` for a model without sampling "
    "parameters.",
    impact="Claude since Opus 4.7: `` `temperature` is deprecated for this model. ``",
    action="Removes those that differ from the default, which the model accepts.",
    protocols=(_ANTHROPIC, _CHAT),
    seen=(
        "earendil-works/pi#7961",
        "immersive-translate/immersive-translate#3971",
        "UKGovernmentBEIS/inspect_ai#3721",
        "sipeed/picoclaw#2939",
        "aws-samples/bedrock-chat#1102",
    ),
    before='{"model":"claude-opus-4-7","temperature":0.5}',
    after='{"model":"claude-opus-4-7"}',
)
SAMPLING_WITH_THINKING = Rule(
    code="Q206",
    name="sampling-with-thinking",
    detects="The request sets `temperature`, `top_p` or `top_k`, and thinking is on.",
    impact="Anthropic: `` `temperature` may only be set to 1 when thinking is enabled ``, "
    "`` `top_p` must be greater than or equal to 0.95 or unset when thinking is enabled ``.",
    action="Removes those that are not valid with thinking.",
    protocols=(_ANTHROPIC, _CHAT),
    seen=("MartialBE/one-hub#529", "mnfst/modelparams.dev#214", "SEMOSS/Semoss#1655"),
    before='{"model":"m","temperature":0.5,"thinking":{"type":"adaptive"}}',
    after='{"model":"m","thinking":{"type":"adaptive"}}',
)
LONG_IDENTIFIER = Rule(
    code="Q214",
    name="long-identifier",
    detects="An identifier that the client chose (`prompt_cache_key`, `safety_identifier`, "
    "`metadata.user_id`) is longer than the provider accepts.",
    impact="OpenAI: `Invalid 'prompt_cache_key': string too long. Expected a string with maximum "
    "length 64`.",
    action="Replaces it with its hash, which is the same in every request.",
    protocols=(_CHAT, _RESPONSES, _ANTHROPIC),
    seen=(
        "earendil-works/pi#4720",
        "NousResearch/hermes-agent#51037",
        "vybestack/llxprt-code#2135",
        "alibaba/open-code-review#1007",
        "theopenco/llmgateway#3110",
    ),
    before='{"prompt_cache_key":"workspace-2f9c1e7a-4b53-4f0e-9d0a-6a1b1f4d7c11:agent-5d2e6f90-1c3b-4a77"}',
    after='{"prompt_cache_key":"27414b85127386542663ec7b2ae663326777c5f59e21ca4e0527135fb7f5aaf8"}',
)

_TOKEN_LIMIT_NAMES = frozenset({"max_tokens", "max_completion_tokens"})
SAMPLING = ("temperature", "top_p", "top_k")
_SMALLEST_TOP_P_WITH_THINKING = 0.95


def drop_sampling_pair(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Remove `top_p` if there is a temperature too."""
    if request.get("temperature") is None or request.get("top_p") is None:
        return
    if notes.note(SAMPLING_PAIR, BodyPlace(("top_p",)), "set together with temperature", "removed"):
        edits.remove(("top_p",))


def drop_refused_sampling(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Remove a temperature other than 1, for models that accept no other."""
    if "temperature" not in request or request["temperature"] == 1 or len(request) == 1:
        return
    found = f"{request['temperature']!r}"
    if notes.note(SAMPLING_REFUSED, BodyPlace(("temperature",)), found, "removed"):
        edits.remove(("temperature",))


def drop_sampling(request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
    """Remove the sampling parameters that differ from the default."""
    for name in SAMPLING:
        value = request.get(name)
        is_default = name != "top_k" and value == 1
        if name not in request or is_default or len(request) == 1:
            continue
        if notes.note(SAMPLING_UNSUPPORTED, BodyPlace((name,)), f"{value!r}", "removed"):
            edits.remove((name,))


def drop_sampling_with_thinking(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Remove the sampling parameters that are not valid with thinking, if thinking is on."""
    if value_at(request, ("thinking", "type")) not in ("enabled", "adaptive"):
        return
    for name in SAMPLING:
        value = request.get(name)
        if value is None or (name != "top_k" and value == 1):
            continue
        is_high = json_value.is_number(value) and value >= _SMALLEST_TOP_P_WITH_THINKING
        if name == "top_p" and is_high:
            continue
        if notes.note(SAMPLING_WITH_THINKING, BodyPlace((name,)), f"{value!r}", "removed"):
            edits.remove((name,))


def shorten_identifiers(limits: Mapping[Path, int]) -> HistoryPass:
    """Create a pass that replaces identifiers that are longer than the limits of their paths."""

    def shorten(request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
        for path, longest in limits.items():
            value = value_at(request, path)
            if not isinstance(value, str) or len(value) <= longest:
                continue
            digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
            found = f"{len(value)} characters"
            if notes.note(LONG_IDENTIFIER, BodyPlace(path), found, "replaced with its hash"):
                edits.replace(path, json_value.write(digest[:longest]))

    return shorten


def rename_token_limit(
    request: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes
) -> None:
    """Rename the output limit to the name that the model accepts."""
    name = traits.token_limit_name
    for other in _TOKEN_LIMIT_NAMES - {name}:
        path: Path = (other,)
        if other not in request:
            continue
        if name in request:
            if notes.note(
                TOKEN_LIMIT_NAME, BodyPlace(path), f"set together with {name}", "removed"
            ):
                edits.remove(path)
        elif notes.note(TOKEN_LIMIT_NAME, BodyPlace(path), f"the model requires {name}", "renamed"):
            edits.rename(path, name)


def lower_token_limit(limits: tuple[Path, ...]) -> HistoryPass:
    """Create a pass that caps the output limits at these paths at the provider's maximum."""

    def lower(request: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes) -> None:
        if traits.max_output_tokens is not None:
            _lower_limits(request, edits, notes, limits, traits.max_output_tokens)

    return lower


def _lower_limits(
    request: dict[str, Any],
    edits: Edits,
    notes: Notes,
    limits: tuple[Path, ...],
    maximum: int,
) -> None:
    for path in limits:
        limit = value_at(request, path)
        if not isinstance(limit, int) or isinstance(limit, bool) or limit <= maximum:
            continue
        budget = value_at(request, ("thinking", "budget_tokens"))
        too_much_thinking = isinstance(budget, int) and budget >= maximum
        if too_much_thinking and maximum <= SMALLEST_BUDGET:
            continue
        if notes.note(TOKEN_LIMIT, BodyPlace(path), f"{limit} tokens", f"{maximum} tokens"):
            edits.replace(path, b"%d" % maximum)
            if too_much_thinking:
                edits.replace(("thinking", "budget_tokens"), b"%d" % (maximum - 1))


def adapt_call_ids(call_ids: Callable[[dict[str, Any]], Iterable[tuple[Path, Any]]]) -> HistoryPass:
    """Create a pass that replaces the ids of calls and results that the target refuses.

    `call_ids` returns the path and value of each id in a parsed request.
    """

    def adapt(request: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes) -> None:
        limit = SHORT_CALL_IDS if traits.short_call_ids else traits.call_ids
        for path, call_id in call_ids(request):
            if not isinstance(call_id, str) or limit.takes(call_id):
                continue
            replacement = limit.fit(call_id)
            if notes.note(
                CALL_ID, BodyPlace(path), f"{call_id!r}", f"replaced with {replacement!r}"
            ):
                edits.replace(path, json_value.write(replacement))

    return adapt
