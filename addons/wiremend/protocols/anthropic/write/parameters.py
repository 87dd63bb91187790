"""The parameters of a Messages request: limits, sampling, reasoning, the format of the output."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.middle.content import Result, Thinking, own_fields
from wiremend.protocols.base.middle.conversation import (
    Conversation,
    FormatKind,
    OutputFormat,
    Parameters,
    Reasoning,
    Role,
    ThinkingMode,
)
from wiremend.protocols.base.middle.efforts import effort_of_budget
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.names import WireProtocol
from wiremend.text.json_edits import Path

_A = WireProtocol.ANTHROPIC_MESSAGES
DEFAULT_LIMIT = 32_000
"""The limit of output tokens where neither the client nor the target has one; it is required."""
LEAST_BUDGET = 1024
_BUDGETS: Mapping[str, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 32_768,
}
"""The budget of each effort, for models that have no adaptive reasoning."""
EFFORTS = ("low", "medium", "high", "xhigh", "max")
_NEAREST_EFFORT: Mapping[str, str] = {"minimal": "low"}


def write_parameters(
    conversation: Conversation,
    target: Target,
    losses: Losses,
    *,
    choice: Mapping[str, Any] | None,
    has_tools: bool,
) -> dict[str, Any]:
    """Return the members that follow the messages; `choice` is the written choice of tools."""
    if conversation.source is _A:
        return _own(conversation, choice)
    limit = _limit(conversation.parameters, target, losses)
    thinking, effort = _thinking(conversation, target, losses, limit, choice)
    output = without_nothing(effort=effort, format=_format(conversation.format))
    fields: dict[str, Any] = {"max_tokens": limit}
    fields |= without_nothing(tool_choice=choice if has_tools else None)
    fields |= without_nothing(
        stop_sequences=[stop for stop in conversation.parameters.stops if stop.strip()]
    )
    is_thinking = thinking.get("type") in ("enabled", "adaptive")
    fields |= _sampling(conversation.parameters, losses, is_thinking=is_thinking)
    fields |= without_nothing(thinking=thinking, output_config=output)
    if conversation.stream:
        fields["stream"] = True
    return fields


def _own(conversation: Conversation, choice: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the members as they were read."""
    parameters, reasoning = conversation.parameters, conversation.reasoning
    fields: dict[str, Any] = {
        "max_tokens": parameters.max_output_tokens,
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "top_k": parameters.top_k,
        "tool_choice": choice,
    }
    fields = {key: value for key, value in fields.items() if value is not None}
    fields |= without_nothing(stop_sequences=list(parameters.stops))
    if reasoning.mode is not None:
        fields["thinking"] = _own_thinking(reasoning)
    output = without_nothing(effort=reasoning.effort)
    if conversation.format is not None:
        form = _format(conversation.format) or {}
        output["format"] = {**form, **own_fields(conversation.format.own, _A)}
    if output:
        fields["output_config"] = output
    if conversation.stream:
        fields["stream"] = True
    return fields


def _own_thinking(reasoning: Reasoning) -> dict[str, Any]:
    kind = {
        ThinkingMode.ON: "enabled",
        ThinkingMode.ADAPTIVE: "adaptive",
        ThinkingMode.OFF: "disabled",
    }
    thinking: dict[str, Any] = {}
    if reasoning.mode is not None:
        thinking["type"] = kind[reasoning.mode]
    if reasoning.budget_tokens is not None:
        thinking["budget_tokens"] = reasoning.budget_tokens
    if reasoning.is_shown is not None:
        thinking["display"] = "summarized" if reasoning.is_shown else "omitted"
    return {**thinking, **own_fields(reasoning.own, _A)}


def _limit(parameters: Parameters, target: Target, losses: Losses) -> int:
    most = target.traits.max_output_tokens
    asked = parameters.max_output_tokens
    if asked is None:
        return most if most is not None else DEFAULT_LIMIT
    if most is not None and asked > most:
        losses.add(LossKind.ADJUSTED, f"limit of {asked} output tokens", f"lowered to {most}")
        return most
    return max(1, asked)


def _sampling(parameters: Parameters, losses: Losses, *, is_thinking: bool) -> dict[str, Any]:
    """Return temperature or top_p: only one of them, neither while the model reasons."""
    for name in ("seed", "presence_penalty", "frequency_penalty"):
        if getattr(parameters, name) is not None:
            losses.add(LossKind.PARAMETER, name, path=(name,))
    fields: dict[str, Any] = {}
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(parameters, name)
        if value is None:
            continue
        if is_thinking or (name == "top_p" and "temperature" in fields):
            losses.add(LossKind.PARAMETER, name, path=(name,))
        elif name == "temperature" and value > 1:
            losses.add(LossKind.ADJUSTED, f"temperature {value}", "lowered to 1", (name,))
            fields[name] = 1
        else:
            fields[name] = value
    return fields


def _thinking(
    conversation: Conversation,
    target: Target,
    losses: Losses,
    limit: int,
    choice: Mapping[str, Any] | None,
) -> tuple[dict[str, Any], str]:
    """Return `thinking`, and the effort."""
    reasoning = conversation.reasoning
    effort = _NEAREST_EFFORT.get(reasoning.effort, reasoning.effort)
    if reasoning.mode is ThinkingMode.OFF or effort == "none":
        return {"type": "disabled"}, ""
    is_given = reasoning.mode is not None or bool(effort)
    if not is_given:
        return {}, ""
    if effort and effort not in EFFORTS:
        losses.add(LossKind.ADJUSTED, f"effort {effort!r}", path=reasoning.at)
        effort = ""
    if choice is not None and choice.get("type") in ("any", "tool"):
        _switched_off(losses, "a forced choice of tools", reasoning.at)
        return {"type": "disabled"}, ""
    if target.traits.is_adaptive:
        return {"type": "adaptive"}, effort or effort_of_budget(reasoning.budget_tokens)
    budget = reasoning.budget_tokens
    if budget is None or budget < 0:
        budget = _BUDGETS.get(effort, _BUDGETS["medium"])
    budget = min(budget, limit // 2)
    if budget < LEAST_BUDGET:
        losses.add(LossKind.ADJUSTED, f"budget of {budget} tokens", "too low: off", reasoning.at)
        return {"type": "disabled"}, ""
    if _is_turn_unsigned(conversation, target):
        _switched_off(losses, "a turn without its reasoning", reasoning.at)
        return {"type": "disabled"}, ""
    return {"type": "enabled", "budget_tokens": budget}, ""


def _switched_off(losses: Losses, why: str, at: Path) -> None:
    losses.add(LossKind.ADJUSTED, f"reasoning beside {why}", "switched off", at)


def _is_turn_unsigned(conversation: Conversation, target: Target) -> bool:
    """Return whether the request continues a turn whose calls have no reasoning to send."""
    has_results = False
    for turn in reversed(conversation.turns):
        has_results = has_results or any(isinstance(part, Result) for part in turn.parts)
        if turn.role is Role.ASSISTANT:
            first = turn.parts[0]
            state = first.state if isinstance(first, Thinking) else None
            is_signed = state is not None and state.is_for(target.origin)
            return has_results and not is_signed
    return False


def _format(form: OutputFormat | None) -> dict[str, Any] | None:
    if form is None or form.kind is not FormatKind.SCHEMA:
        return None
    return {"type": "json_schema", "schema": form.schema or {"type": "object"}}
