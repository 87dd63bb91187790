"""`generationConfig` and `toolConfig` of a request."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Conversation,
    FormatKind,
    Parameters,
    Reasoning,
    ThinkingMode,
    ToolChoice,
)
from wiremend.protocols.base.middle.efforts import LEVELS, effort_of_budget, nearest_effort
from wiremend.protocols.base.middle.function_tools import FunctionTools
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.gemini.own_form import form_of, restored

_G = WireProtocol.GEMINI
_MODES: Mapping[ChoiceMode, str] = {
    ChoiceMode.AUTO: "AUTO",
    ChoiceMode.REQUIRED: "ANY",
    ChoiceMode.NONE: "NONE",
}
_BUDGETS: Mapping[str, int] = {
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
"""The budget of each effort."""
MOST_BUDGET = 24_576
"""The largest budget that every model with reasoning takes.

https://ai.google.dev/gemini-api/docs/thinking
"""
AS_MUCH_AS_IT_WANTS = -1
MOST_STOPS = 5
JSON_TYPE = "application/json"


def write_config(
    conversation: Conversation, target: Target, losses: Losses, *, has_format: bool
) -> dict[str, Any]:
    """Return `generationConfig` for a conversation of another protocol.

    `has_format`: whether the format of the output is a member of it.
    """
    config = _sampling(conversation.parameters, target, losses)
    form = conversation.format
    if has_format and form is not None and form.kind is not FormatKind.TEXT:
        config["responseMimeType"] = JSON_TYPE
        if form.kind is FormatKind.SCHEMA and form.schema is not None:
            config["responseJsonSchema"] = form.schema
    thinking = _thinking(conversation.reasoning, target, losses)
    return {**config, **without_nothing(thinkingConfig=thinking)}


def write_own_config(conversation: Conversation) -> dict[str, Any] | None:
    """Return `generationConfig` as it was read; None if there was none.

    The members that only this protocol has are in the `own` of the reasoning.
    """
    if not form_of(conversation.reasoning.own).get("config"):
        return None
    parameters, reasoning, form = (
        conversation.parameters,
        conversation.reasoning,
        conversation.format,
    )
    config = _numbers(parameters)
    if parameters.stops:
        config["stopSequences"] = list(parameters.stops)
    config |= without_nothing(candidateCount=form_of(reasoning.own).get("candidateCount"))
    if form is not None:
        is_text = form.kind is FormatKind.TEXT
        config["responseMimeType"] = "text/plain" if is_text else JSON_TYPE
        original = form_of(form.own).get("schema")
        if original is not None:
            config["responseSchema"] = original
        elif form.schema is not None:
            config["responseJsonSchema"] = form.schema
    thinking = _own_thinking(reasoning)
    if thinking:
        config["thinkingConfig"] = thinking
    return restored(config, reasoning.own)


def write_tool_config(
    choice: ToolChoice | None, allowed: ToolChoice | None, tools: FunctionTools
) -> dict[str, Any] | None:
    """Return `toolConfig`; None for the default. `allowed` limits the choice to some tools.

    Names may limit the choice in the modes ANY and VALIDATED, which otherwise is like AUTO.
    """
    if not tools.functions:
        return None
    if allowed is not None:
        sent = {one.name for one in tools.functions}
        names = [tools.sent_name(one.name, one.namespace) for one in allowed.allowed or ()]
        mode = "ANY" if allowed.mode is ChoiceMode.REQUIRED else "VALIDATED"
        calling: dict[str, Any] = {"mode": mode}
        calling["allowedFunctionNames"] = [name for name in names if name in sent]
        return {"functionCallingConfig": calling} if calling["allowedFunctionNames"] else None
    if choice is None:
        return None
    calling = {"mode": _MODES[choice.mode]}
    if choice.forced is not None:
        name = tools.sent_name(choice.forced.name, choice.forced.namespace)
        calling["allowedFunctionNames"] = [name]
    return {"functionCallingConfig": calling}


def write_own_choice(choice: ToolChoice) -> dict[str, Any]:
    """Return `toolConfig` as it was read."""
    calling: dict[str, Any] = {"mode": form_of(choice.own).get("mode", _MODES[choice.mode])}
    names = [choice.forced] if choice.forced is not None else choice.allowed or ()
    if names:
        calling["allowedFunctionNames"] = [name.name for name in names]
    return restored({"functionCallingConfig": calling}, choice.own)


def _numbers(parameters: Parameters) -> dict[str, Any]:
    numbers = {
        "temperature": parameters.temperature,
        "topP": parameters.top_p,
        "topK": parameters.top_k,
        "seed": parameters.seed,
        "presencePenalty": parameters.presence_penalty,
        "frequencyPenalty": parameters.frequency_penalty,
        "maxOutputTokens": parameters.max_output_tokens,
    }
    return {key: value for key, value in numbers.items() if value is not None}


def _sampling(parameters: Parameters, target: Target, losses: Losses) -> dict[str, Any]:
    config = _numbers(parameters)
    asked, most = parameters.max_output_tokens, target.traits.max_output_tokens
    if asked is not None:
        limit = max(1, asked)
        if most is not None and limit > most:
            losses.add(LossKind.ADJUSTED, f"limit of {asked} output tokens", f"lowered to {most}")
            limit = most
        config["maxOutputTokens"] = limit
    stops = [stop for stop in parameters.stops if stop]
    if len(stops) > MOST_STOPS:
        found = f"{len(stops)} stop strings"
        losses.add(LossKind.ADJUSTED, found, f"the first {MOST_STOPS} are sent")
    if parameters.parallel_calls is False:
        losses.add(LossKind.PARAMETER, "one call at a time")
    return {**config, **without_nothing(stopSequences=stops[:MOST_STOPS])}


def _own_thinking(reasoning: Reasoning) -> dict[str, Any]:
    form = form_of(reasoning.own)
    thinking: dict[str, Any] = {}
    if reasoning.is_shown is not None:
        thinking["includeThoughts"] = reasoning.is_shown
    if reasoning.budget_tokens is not None:
        thinking["thinkingBudget"] = reasoning.budget_tokens
    if "level" in form:
        thinking["thinkingLevel"] = form["level"]
    return {**thinking, **form.get("thinking", {})}


def _thinking(reasoning: Reasoning, target: Target, losses: Losses) -> dict[str, Any]:
    """Return `thinkingConfig`: a level for targets that have efforts, else a budget.

    The target's switches of reasoning are members of it.
    """
    traits, effort = target.traits, reasoning.effort
    if reasoning.mode is ThinkingMode.OFF or effort == "none":
        return dict(traits.thinking.off) or _switched_off(reasoning, target, losses)
    if effort and effort not in LEVELS:
        losses.add(LossKind.ADJUSTED, f"effort {effort!r}", path=reasoning.at)
        effort = ""
    if reasoning.mode is None and not effort:
        return {}
    thinking = dict(traits.thinking.on)
    if reasoning.is_shown is not False:
        thinking["includeThoughts"] = True
    if not traits.efforts:
        return {**thinking, "thinkingBudget": _budget(reasoning, effort, losses)}
    wanted = effort or effort_of_budget(reasoning.budget_tokens)
    level = nearest_effort(wanted, traits.efforts) if wanted else ""
    if level != wanted:
        losses.add(LossKind.ADJUSTED, f"effort {wanted!r}", f"sent as {level!r}", reasoning.at)
    return {**thinking, **without_nothing(thinkingLevel=level.upper())}


def _switched_off(reasoning: Reasoning, target: Target, losses: Losses) -> dict[str, Any]:
    """Return what switches reasoning off. Models with efforts may have no word for it."""
    efforts = target.traits.efforts
    if not efforts:
        return {"thinkingBudget": 0}
    level = "none" if "none" in efforts else nearest_effort("minimal", efforts)
    if level != "none":
        losses.add(LossKind.ADJUSTED, "reasoning off", f"sent as {level!r}", reasoning.at)
    return without_nothing(thinkingLevel=level.upper())


def _budget(reasoning: Reasoning, effort: str, losses: Losses) -> int:
    budget = reasoning.budget_tokens
    if budget is None or budget <= 0:
        return _BUDGETS.get(effort, AS_MUCH_AS_IT_WANTS)
    if budget > MOST_BUDGET:
        found, done = f"budget of {budget} tokens", f"lowered to {MOST_BUDGET}"
        losses.add(LossKind.ADJUSTED, found, done, reasoning.at)
        return MOST_BUDGET
    return budget
