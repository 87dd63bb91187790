"""The shared rules and passes on parameters: sampling, limits, `cache_control`, call ids."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import HistoryPass
from wiremend.protocols.base.tools import value_at
from wiremend.protocols.base.traits import MessageTraits
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path
from wiremend.text.json_value import objects

_ALL = tuple(WireProtocol)
_ANTHROPIC = WireProtocol.ANTHROPIC_MESSAGES
_CHAT = WireProtocol.CHAT_COMPLETIONS
_RESPONSES = WireProtocol.RESPONSES

CACHE_CONTROL = Rule(
    code="Q101",
    name="cache-control",
    detects="Messages, system prompt or tools contain `cache_control`.",
    impact="Kimi: `Extra inputs are not permitted, field: messages[0].cache_control`.",
    action="Removes it for targets that reject it.",
    protocols=(_ANTHROPIC, _CHAT),
    seen=("routatic/proxy#53", "can1357/oh-my-pi#11812"),
    before='{"messages":[{"role":"user","content":"Hello","cache_control":{"type":"ephemeral"}}]}',
    after='{"messages":[{"role":"user","content":"Hello"}]}',
)
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

_TOKEN_LIMIT_NAMES = frozenset({"max_tokens", "max_completion_tokens"})
_SMALLEST_BUDGET = 1024
"""Anthropic's minimum of `budget_tokens`, which must stay below `max_tokens`.

https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking
"""


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
        if too_much_thinking and maximum <= _SMALLEST_BUDGET:
            continue
        if notes.note(TOKEN_LIMIT, BodyPlace(path), f"{limit} tokens", f"{maximum} tokens"):
            edits.replace(path, b"%d" % maximum)
            if too_much_thinking:
                edits.replace(("thinking", "budget_tokens"), b"%d" % (maximum - 1))


def strip_cache_control(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Remove every `cache_control`."""
    for path, owner in _cacheable(request):
        if "cache_control" in owner and notes.note(
            CACHE_CONTROL, BodyPlace(path), "cache_control", "removed"
        ):
            edits.remove((*path, "cache_control"))


def adapt_call_ids(call_ids: Callable[[dict[str, Any]], Iterable[tuple[Path, Any]]]) -> HistoryPass:
    """Create a pass that replaces the ids of calls and results that the target refuses.

    `call_ids` returns the path and value of each id in a parsed request.
    """

    def adapt(request: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes) -> None:
        for path, call_id in call_ids(request):
            if not isinstance(call_id, str) or traits.call_ids.takes(call_id):
                continue
            replacement = traits.call_ids.fit(call_id)
            if notes.note(
                CALL_ID, BodyPlace(path), f"{call_id!r}", f"replaced with {replacement!r}"
            ):
                edits.replace(path, json_value.write(replacement))

    return adapt


def _cacheable(request: dict[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the objects that may have `cache_control`; not schemas and arguments of tools."""
    yield (), request
    yield from objects(request.get("system"), ("system",))
    for path, tool in objects(request.get("tools"), ("tools",)):
        yield path, tool
        if isinstance(tool.get("function"), dict):
            yield (*path, "function"), tool["function"]
    for path, message in objects(request.get("messages"), ("messages",)):
        yield path, message
        for block_path, block in objects(message.get("content"), (*path, "content")):
            yield block_path, block
            yield from objects(block.get("content"), (*block_path, "content"))
