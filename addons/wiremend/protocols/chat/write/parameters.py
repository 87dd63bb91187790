"""The parameters of a Chat Completions request."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.middle.content import own_fields
from wiremend.protocols.base.middle.conversation import (
    ChoiceMode,
    Conversation,
    FormatKind,
    OutputFormat,
    Parameters,
    Reasoning,
    ThinkingMode,
)
from wiremend.protocols.base.middle.efforts import effort_of_budget, nearest_effort
from wiremend.protocols.base.middle.function_tools import FunctionTools
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.names import WireProtocol

_C = WireProtocol.CHAT_COMPLETIONS
MOST_STOPS = 4
_NUMBERS = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")


def write_parameters(
    conversation: Conversation, target: Target, tools: FunctionTools, losses: Losses
) -> dict[str, Any]:
    """Return the members that follow the messages."""
    traits, parameters = target.traits, conversation.parameters
    choice = _choice(tools)
    thinking, choice = _thinking(conversation.reasoning, target, choice, losses)
    fields = _limit(parameters, target, losses)
    fields |= without_nothing(tool_choice=choice)
    if tools.functions and parameters.parallel_calls is False:
        if traits.parallel_calls_field:
            fields["parallel_tool_calls"] = False
        else:
            losses.add(LossKind.PARAMETER, "serial calls")
    for name in _NUMBERS:
        value = getattr(parameters, name)
        if value is not None:
            fields[name] = value
    if parameters.top_k is not None:
        losses.add(LossKind.PARAMETER, "top_k", path=("top_k",))
    fields |= without_nothing(stop=list(parameters.stops[:MOST_STOPS]))
    if len(parameters.stops) > MOST_STOPS:
        done = f"only {MOST_STOPS} are sent"
        losses.add(LossKind.ADJUSTED, f"{len(parameters.stops)} stop strings", done)
    fields |= thinking
    fields |= without_nothing(response_format=write_format(conversation.format, target, losses))
    if traits.prompt_cache_key:
        fields |= without_nothing(prompt_cache_key=conversation.session)
    if conversation.stream:
        fields["stream"] = True
        if traits.usage_in_stream:
            fields["stream_options"] = {"include_usage": True}
    return fields


def own_parameters(conversation: Conversation) -> dict[str, Any]:
    """Return the members as they were read."""
    parameters = conversation.parameters
    fields = {name: getattr(parameters, name) for name in _NUMBERS}
    fields["parallel_tool_calls"] = parameters.parallel_calls
    fields = {key: value for key, value in fields.items() if value is not None}
    fields |= without_nothing(
        stop=list(parameters.stops),
        reasoning_effort=conversation.reasoning.effort,
        prompt_cache_key=conversation.session,
        response_format=_own_format(conversation.format),
    )
    if conversation.stream:
        fields["stream"] = True
    return fields


def _own_format(form: OutputFormat | None) -> dict[str, Any] | None:
    if form is None:
        return None
    own = dict(own_fields(form.own, _C))
    if form.kind is not FormatKind.SCHEMA:
        return {"type": form.kind.value, **own}
    inner = _schema_format(form)
    return {"type": "json_schema", "json_schema": {**inner, **own.pop("json_schema", {})}, **own}


def _schema_format(form: OutputFormat) -> dict[str, Any]:
    fields: dict[str, Any] = without_nothing(name=form.name, description=form.description)
    if form.schema is not None:
        fields["schema"] = form.schema
    if form.strict is not None:
        fields["strict"] = form.strict
    return fields


def write_format(
    form: OutputFormat | None, target: Target, losses: Losses
) -> dict[str, Any] | None:
    """Return the format of the output; a schema becomes plain JSON where the target has none."""
    if form is None or form.kind is FormatKind.TEXT:
        return None
    if form.kind is FormatKind.JSON:
        return {"type": "json_object"}
    if not target.traits.schema_formats:
        losses.add(LossKind.FORMAT, "JSON Schema", "asked for in the system text", form.at)
        return {"type": "json_object"}
    name = form.name or _name_in(form.schema)
    return {"type": "json_schema", "json_schema": {"name": name, **_schema_format(form)}}


def _name_in(schema: Mapping[str, Any] | None) -> str:
    title = (schema or {}).get("title")
    letters = title if isinstance(title, str) else ""
    kept = "".join(letter for letter in letters if letter.isascii() and letter.isalnum())
    return kept[:64] or "answer"


def _limit(parameters: Parameters, target: Target, losses: Losses) -> dict[str, Any]:
    limit, most = parameters.max_output_tokens, target.traits.max_output_tokens
    if limit is None:
        return {}
    if most is not None and limit > most:
        losses.add(LossKind.ADJUSTED, f"limit of {limit} output tokens", f"lowered to {most}")
        limit = most
    return {target.traits.limit_field: max(1, limit)}


def _choice(tools: FunctionTools) -> str | dict[str, Any] | None:
    choice = tools.choice
    if choice is None:
        return None
    if choice.forced is not None:
        name = tools.sent_name(choice.forced.name, choice.forced.namespace)
        return {"type": "function", "function": {"name": name}}
    return None if choice.mode is ChoiceMode.AUTO else choice.mode.value


def _thinking(
    reasoning: Reasoning, target: Target, choice: str | dict[str, Any] | None, losses: Losses
) -> tuple[dict[str, Any], str | dict[str, Any] | None]:
    """Return the members that control reasoning, and the choice of tools that goes with them."""
    traits = target.traits
    is_off = reasoning.mode is ThinkingMode.OFF or reasoning.effort == "none"
    is_forced = choice is not None and choice != "none"
    if is_forced and not is_off and not traits.forced_choice_with_thinking:
        if traits.thinking.off:
            found = "reasoning beside a forced choice of tools"
            losses.add(LossKind.ADJUSTED, found, "switched off", reasoning.at)
            is_off = True
        else:
            losses.add(LossKind.CHOICE, "forced choice of tools", "left to the model")
            choice = None
    if is_off:
        fields = dict(traits.thinking.off)
        if not fields and "none" in traits.efforts:
            _set_effort(fields, traits.effort_path, "none")
        if not fields:
            found = "reasoning switched off"
            losses.add(LossKind.ADJUSTED, found, "left to the provider", reasoning.at)
        return {**traits.thinking.always, **fields}, choice
    effort = reasoning.effort or effort_of_budget(reasoning.budget_tokens)
    if reasoning.mode is None and not effort:
        return dict(traits.thinking.always), choice
    fields = {**traits.thinking.always, **traits.thinking.on}
    if effort:
        sent = nearest_effort(effort, traits.efforts)
        if sent:
            _set_effort(fields, traits.effort_path, sent)
        if sent != effort:
            done = f"sent as {sent!r}" if sent else "not sent"
            losses.add(LossKind.ADJUSTED, f"effort {effort!r}", done, reasoning.at)
    return fields, choice


def _set_effort(fields: dict[str, Any], path: tuple[str, ...], effort: str) -> None:
    """Set the effort at a path, beside what the objects on the way contain."""
    *outer, last = path
    for key in outer:
        fields[key] = dict(fields.get(key) or {})
        fields = fields[key]
    fields[last] = effort
