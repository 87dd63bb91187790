"""The shared rules and passes on thinking: its type, effort and budget, and what excludes it.

Anthropic's models since Opus 4.7 accept only `adaptive` thinking, whose depth is an effort; older
ones accept only `enabled` thinking with a budget.

https://docs.anthropic.com/en/docs/build-with-claude/adaptive-thinking
"""

from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import HistoryPass
from wiremend.protocols.base.tools import value_at
from wiremend.protocols.base.traits import MessageTraits
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path
from wiremend.text.json_value import is_integer

_ALL = tuple(WireProtocol)
_ANTHROPIC = WireProtocol.ANTHROPIC_MESSAGES
_CHAT = WireProtocol.CHAT_COMPLETIONS
_GEMINI = WireProtocol.GEMINI

EFFORT_REFUSED = Rule(
    code="Q207",
    name="effort-refused",
    detects="The request sets a reasoning effort that the model does not have.",
    impact="SGLang: `Input should be 'low', 'medium' or 'high'` for `xhigh`; Anthropic: `This "
    "model does not support effort level 'xhigh'`.",
    action="Sets the nearest effort that the model accepts; of two that are equally near, the "
    "higher one. Reasoning is not turned off.",
    protocols=_ALL,
    seen=(
        "router-for-me/CLIProxyAPI#1572",
        "router-for-me/CLIProxyAPI#1307",
        "nguyenphutrong/quotio#287",
        "mistralai/mistral-vibe#1117",
        "agentgateway/agentgateway#1901",
        "caozhiyuan/copilot-api#190",
    ),
    before='{"model":"m","output_config":{"effort":"xhigh"}}',
    after='{"model":"m","output_config":{"effort":"high"}}',
)
THINKING_TYPE = Rule(
    code="Q208",
    name="thinking-type",
    detects="The request enables thinking with a budget for a model that accepts only adaptive "
    "thinking, or the other way round.",
    impact='Claude since Opus 4.7: `"thinking.type.enabled" is not supported for this model. Use '
    '"thinking.type.adaptive"`; before 4.6: `adaptive thinking is not supported on this model`.',
    action="Changes the type. A budget becomes the effort of about that depth, unless an effort is "
    "set; an effort becomes a budget of at most half the output limit.",
    protocols=(_ANTHROPIC, _CHAT),
    seen=(
        "handochan/aelix-ai#258",
        "Kilo-Org/kilocode#12526",
        "openclaw/openclaw#117871",
        "docker/docker-agent#3362",
        "diegosouzapw/OmniRoute#4713",
    ),
    before='{"model":"claude-opus-4-7","thinking":{"type":"enabled","budget_tokens":31999}}',
    after='{"model":"claude-opus-4-7","thinking":{"type":"adaptive"},"output_config":{"effort":'
    '"high"}}',
)
EFFORT_WITHOUT_THINKING = Rule(
    code="Q209",
    name="effort-without-thinking",
    detects="The request disables thinking and sets an effort above `high`.",
    impact="Claude Opus 5: `output_config.effort 'xhigh' is not supported when thinking is "
    "disabled`.",
    action="Sets the effort to `high`.",
    protocols=(_ANTHROPIC,),
    seen=("anthropics/claude-code#79798",),
    before='{"model":"claude-opus-5","thinking":{"type":"disabled"},'
    '"output_config":{"effort":"xhigh"}}',
    after='{"model":"claude-opus-5","thinking":{"type":"disabled"},'
    '"output_config":{"effort":"high"}}',
)
THINKS_ALWAYS = Rule(
    code="Q210",
    name="thinks-always",
    detects="The request disables thinking for a model that always thinks.",
    impact='Claude Fable 5: `"thinking.type.disabled" is not supported for this model`; Gemini 2.5 '
    "Pro: `Budget 0 is invalid. This model only works in thinking mode`.",
    action="Removes the switch.",
    protocols=(_ANTHROPIC, _CHAT, _GEMINI),
    seen=("vercel/ai#8027", "earendil-works/pi#3460", "anthropics/claude-code#79798"),
    before='{"model":"m","thinking":{"type":"disabled"},"messages":[]}',
    after='{"model":"m","messages":[]}',
)
FORCED_CHOICE = Rule(
    code="Q211",
    name="forced-choice",
    detects="The request forces the call of a tool, and the model rejects that while it thinks.",
    impact="DeepSeek V4: `Thinking mode does not support this tool_choice`; Kimi: `tool_choice "
    "'specified' is incompatible with thinking enabled`; Anthropic: `Thinking may not be enabled "
    "when tool_choice forces tool use`.",
    action="Turns thinking off for this call. The choice is never removed: the client relies on "
    "the call.",
    protocols=(_ANTHROPIC, _CHAT),
    seen=(
        "can1357/oh-my-pi#7315",
        "BerriAI/litellm#37470",
        "XiaomiMiMo/MiMo-Code#2068",
        "tickernelz/opencode-mem#253",
        "cloudwego/eino#994",
        "can1357/oh-my-pi#1077",
    ),
    before='{"tool_choice":{"type":"tool","name":"f"},"thinking":{"type":"adaptive"}}',
    after='{"tool_choice":{"type":"tool","name":"f"},"thinking":{"type":"disabled"}}',
)
BUDGET_EXCEEDS_LIMIT = Rule(
    code="Q212",
    name="budget-exceeds-limit",
    detects="The thinking budget is not below the output limit.",
    impact="Anthropic: ``max_tokens` must be greater than `thinking.budget_tokens``.",
    action="Lowers the budget, or turns thinking off if the limit leaves no room for it. Only for "
    "the request that was rejected: with interleaved thinking, such a budget is valid.",
    protocols=(_ANTHROPIC, _CHAT),
    seen=("liuw1535/antigravity2api-nodejs#149", "BerriAI/litellm#9001"),
    before='{"max_tokens":2048,"thinking":{"type":"enabled","budget_tokens":4096}}',
    after='{"max_tokens":2048,"thinking":{"type":"enabled","budget_tokens":2047}}',
)
BUDGET_TOO_LARGE = Rule(
    code="Q213",
    name="budget-too-large",
    detects="The thinking budget exceeds the model's largest one.",
    impact="Gemini: `The thinking budget 65536 is invalid. Please choose a value between 512 and "
    "24576`.",
    action="Lowers the budget to that number.",
    protocols=(_ANTHROPIC, _CHAT, _GEMINI),
    seen=("RooCodeInc/Roo-Code#4399",),
    before='{"model":"m","thinking":{"type":"enabled","budget_tokens":65536}}',
    after='{"model":"m","thinking":{"type":"enabled","budget_tokens":24576}}',
)

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""All efforts, from none to the highest."""
_HIGHEST_WITHOUT_THINKING = "high"
_DEFAULT_EFFORT = "high"
_EFFORTS_BY_BUDGET = ((4000, "low"), (16000, "medium"))
"""The effort that corresponds to a budget below each number of tokens; above them `high`."""
_BUDGET_BY_EFFORT = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 32000,
}
SMALLEST_BUDGET = 1024
"""Anthropic's minimum of `budget_tokens`, which must stay below `max_tokens`.

https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking
"""
_THINKING: Path = ("thinking",)
_DISABLED = b'{"type":"disabled"}'


def nearest_effort(effort: str, accepted: tuple[str, ...], refused: tuple[str, ...]) -> str:
    """Return the effort itself if a model accepts it, else the nearest that it accepts.

    `accepted` may be empty: then every effort is accepted that is not `refused`, and a lower one
    is preferred, since models differ in the highest. An effort that is unknown here counts as the
    highest.
    """
    wanted = effort.lower()
    known = accepted or EFFORTS
    if (wanted in known or (not accepted and wanted not in EFFORTS)) and wanted not in refused:
        return effort
    others = [name for name in EFFORTS if name in known and name not in refused]
    others = [name for name in others if name != "none"] or others
    if not others:
        return effort
    rank = EFFORTS.index(wanted) if wanted in EFFORTS else len(EFFORTS)
    upwards = 1 if accepted else -1
    nearest = min(
        others,
        key=lambda name: (abs(EFFORTS.index(name) - rank), -upwards * EFFORTS.index(name)),
    )
    return nearest.upper() if effort.isupper() else nearest


def fit_effort(paths: tuple[Path, ...]) -> HistoryPass:
    """Create a pass that replaces efforts at these paths that the model does not have."""

    def fit(request: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes) -> None:
        for path in paths:
            effort = value_at(request, path)
            if not isinstance(effort, str):
                continue
            nearest = nearest_effort(effort, traits.efforts, traits.refused_efforts)
            if nearest != effort and notes.note(
                EFFORT_REFUSED, BodyPlace(path), f"{effort!r}", f"{nearest!r}"
            ):
                edits.replace(path, json_value.write(nearest))

    return fit


def fit_thinking_type(effort: Path, limits: tuple[Path, ...]) -> HistoryPass:
    """Create a pass that changes the type of thinking to the one that the model accepts.

    `effort` is the path of the effort, `limits` are those of the output limit.
    """

    def fit(request: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes) -> None:
        thinking = request.get("thinking")
        if not isinstance(thinking, dict):
            return
        place = BodyPlace(("thinking", "type"))
        if traits.thinking_type == "adaptive" and thinking.get("type") == "enabled":
            if notes.note(THINKING_TYPE, place, "enabled", "adaptive"):
                _make_adaptive(request, thinking, edits, effort)
        elif (
            traits.thinking_type == "enabled"
            and thinking.get("type") == "adaptive"
            and notes.note(THINKING_TYPE, place, "adaptive", "enabled with a budget")
        ):
            _make_enabled(request, edits, effort, limits)

    return fit


def _make_adaptive(
    request: dict[str, Any], thinking: dict[str, Any], edits: Edits, effort: Path
) -> None:
    edits.replace(("thinking", "type"), b'"adaptive"')
    edits.remove(("thinking", "budget_tokens"))
    budget = thinking.get("budget_tokens")
    if is_integer(budget) and value_at(request, effort) is None:
        _set_effort(request, edits, effort, _effort_of(budget))


def _make_enabled(
    request: dict[str, Any], edits: Edits, effort: Path, limits: tuple[Path, ...]
) -> None:
    wanted = value_at(request, effort)
    budget = _BUDGET_BY_EFFORT.get(str(wanted or _DEFAULT_EFFORT).lower(), 0)
    limit = next((n for path in limits if is_integer(n := value_at(request, path))), None)
    if limit is not None:
        budget = min(budget, limit // 2)
    if budget < SMALLEST_BUDGET:
        edits.remove(_THINKING)
    else:
        edits.replace(("thinking", "type"), b'"enabled"')
        if "budget_tokens" in request["thinking"]:
            edits.replace(("thinking", "budget_tokens"), b"%d" % budget)
        else:
            edits.insert_after(("thinking", "type"), b'"budget_tokens":%d' % budget)
    if wanted is not None:
        _remove_with_empty_owner(request, edits, effort)


def _effort_of(budget: int) -> str:
    return next((name for limit, name in _EFFORTS_BY_BUDGET if budget < limit), _DEFAULT_EFFORT)


def _set_effort(request: dict[str, Any], edits: Edits, path: Path, effort: str) -> None:
    """Set the effort at a path of one or two keys; the last key is missing or null."""
    text = json_value.write(effort)
    owner, key = path[:-1], b'"%s":' % str(path[-1]).encode()
    outer = value_at(request, owner)
    if isinstance(outer, dict):
        if path[-1] in outer:
            edits.replace(path, text)
        else:
            edits.append(owner, key + text)
    elif owner[0] in request:
        edits.replace(owner, b"{" + key + text + b"}")
    else:
        edits.insert_after(_THINKING, b'"%s":{' % str(owner[0]).encode() + key + text + b"}")


def _remove_with_empty_owner(request: dict[str, Any], edits: Edits, path: Path) -> None:
    owner = value_at(request, path[:-1])
    edits.remove(path[:-1] if len(path) > 1 and len(owner) == 1 else path)


def lower_effort_without_thinking(
    request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes
) -> None:
    """Lower an effort above `high` if thinking is disabled."""
    path: Path = ("output_config", "effort")
    effort = value_at(request, path)
    if value_at(request, ("thinking", "type")) != "disabled" or effort not in ("xhigh", "max"):
        return
    if notes.note(EFFORT_WITHOUT_THINKING, BodyPlace(path), f"{effort!r}", "'high'"):
        edits.replace(path, json_value.write(_HIGHEST_WITHOUT_THINKING))


def drop_off_switch(request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
    """Remove `thinking` if it is disabled, and `enable_thinking` if it is false."""
    if len(request) == 1:
        return
    for path, is_off in (
        (_THINKING, value_at(request, ("thinking", "type")) == "disabled"),
        (("enable_thinking",), request.get("enable_thinking") is False),
    ):
        if is_off and notes.note(THINKS_ALWAYS, BodyPlace(path), "disabled", "removed"):
            edits.remove(path)


def turn_off_for_forced_choice(
    request: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes
) -> None:
    """Turn thinking off if a tool is forced and the model refuses that while it thinks."""
    forced = _forced_choice(request.get("tool_choice"))
    if not forced or traits.thinks_always:
        return
    if traits.forced_choice == "named" and forced != "named":
        return
    if traits.thinking_switch == "enable_thinking":
        switch: Path = ("enable_thinking",)
        text, is_off = b"false", request.get("enable_thinking") is False
    else:
        switch, text = _THINKING, _DISABLED
        is_off = value_at(request, ("thinking", "type")) == "disabled"
    place = BodyPlace(("tool_choice",))
    if is_off or not notes.note(FORCED_CHOICE, place, "a tool is forced", "thinking is turned off"):
        return
    if switch[0] in request:
        edits.replace(switch, text)
    else:
        edits.insert_after(("tool_choice",), b'"%s":' % str(switch[0]).encode() + text)
    if "reasoning_effort" in request:
        edits.remove(("reasoning_effort",))  # DeepSeek refuses it without thinking


def _forced_choice(choice: Any) -> str:
    """Return `named` if a choice forces one tool by its name, `any` for any tool, else nothing."""
    if choice in ("required", "any"):
        return "any"
    if not isinstance(choice, dict):
        return ""
    kind = choice.get("type")
    if kind in ("auto", "none", None):
        return ""
    if kind == "allowed_tools":
        allowed = choice.get("allowed_tools", choice)
        mode = allowed.get("mode") if isinstance(allowed, dict) else None
        return "any" if mode == "required" else ""
    return "any" if kind == "any" else "named"


def lower_budget(limits: tuple[Path, ...]) -> HistoryPass:
    """Create a pass that keeps the thinking budget below the output limit at these paths."""

    def lower(request: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
        path: Path = ("thinking", "budget_tokens")
        budget = value_at(request, path)
        limit = next((n for place in limits if is_integer(n := value_at(request, place))), None)
        if not is_integer(budget) or limit is None or budget < limit:
            return
        found = f"{budget} tokens, with a limit of {limit}"
        if limit <= SMALLEST_BUDGET:
            if notes.note(BUDGET_EXCEEDS_LIMIT, BodyPlace(path), found, "thinking is turned off"):
                edits.replace(_THINKING, _DISABLED)
        elif notes.note(BUDGET_EXCEEDS_LIMIT, BodyPlace(path), found, f"{limit - 1} tokens"):
            edits.replace(path, b"%d" % (limit - 1))

    return lower


def cap_budget(paths: tuple[Path, ...]) -> HistoryPass:
    """Create a pass that caps the thinking budgets at these paths at the model's largest one."""

    def cap(request: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes) -> None:
        largest = traits.max_thinking_budget
        if largest is None:
            return
        for path in paths:
            budget = value_at(request, path)
            if not is_integer(budget) or budget <= largest:
                continue
            found, done = f"{budget} tokens", f"{largest} tokens"
            if notes.note(BUDGET_TOO_LARGE, BodyPlace(path), found, done):
                edits.replace(path, b"%d" % largest)

    return cap
