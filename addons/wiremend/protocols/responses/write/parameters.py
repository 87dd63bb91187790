"""Writing the parameters of a conversation of another protocol."""

import hashlib
from typing import Any

from wiremend.protocols.base.middle.content import own_fields
from wiremend.protocols.base.middle.conversation import (
    Conversation,
    FormatKind,
    OutputFormat,
    Reasoning,
    ThinkingMode,
)
from wiremend.protocols.base.middle.efforts import effort_of_budget, nearest_effort
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.responses.read.kinds import PROTOCOL
from wiremend.protocols.responses.write.tools import ToolWriter
from wiremend.text.json_value import JsonObject

ENCRYPTED = "reasoning.encrypted_content"
_LEAST_LIMIT = 16
"""The smallest limit of output tokens that OpenAI accepts."""
_LONGEST_KEY = 64
_UNKNOWN = ("top_k", "seed", "presence_penalty", "frequency_penalty")
_FORMAT_NAME = NameLimit("a-zA-Z0-9_-", "a-zA-Z0-9_-", 64)


def own_parameters(conversation: Conversation) -> JsonObject:
    """Return the parameters of a request that was read from this protocol."""
    parameters = conversation.parameters
    fields: JsonObject = {
        "max_output_tokens": parameters.max_output_tokens,
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "parallel_tool_calls": parameters.parallel_calls,
    }
    fields = {key: value for key, value in fields.items() if value is not None}
    reasoning = conversation.reasoning
    summary = "auto" if reasoning.is_shown else ""
    inner = without_nothing(effort=reasoning.effort, summary=summary)
    own = own_fields(reasoning.own, PROTOCOL)
    if not own.keys().isdisjoint({"summary", "generate_summary"}):
        inner.pop("summary", None)
    fields |= without_nothing(reasoning={**inner, **own})
    fields |= without_nothing(prompt_cache_key=conversation.session)
    return fields


def write_parameters(
    conversation: Conversation, target: Target, tools: ToolWriter, losses: Losses
) -> JsonObject:
    """Return the members behind the input."""
    parameters, traits = conversation.parameters, target.traits
    fields: JsonObject = without_nothing(tool_choice=tools.choice)
    if tools.tools and parameters.parallel_calls is not None and traits.parallel_calls_field:
        fields["parallel_tool_calls"] = parameters.parallel_calls
    fields |= without_nothing(
        text=without_nothing(format=_format(conversation.format, target, losses))
    )
    fields |= _limit(parameters.max_output_tokens, target, losses)
    fields |= without_nothing(temperature=parameters.temperature, top_p=parameters.top_p)
    for name in _UNKNOWN:
        if getattr(parameters, name) is not None:
            losses.add(LossKind.PARAMETER, name, path=(name,))
    if parameters.stops:
        losses.add(LossKind.PARAMETER, "stop sequences")
    fields |= _reasoning(conversation.reasoning, target, losses)
    fields["store"] = False
    if conversation.session and traits.prompt_cache_key:
        fields["prompt_cache_key"] = _cache_key(conversation.session)
    if conversation.stream:
        fields["stream"] = True
    return fields


def _limit(asked: int | None, target: Target, losses: Losses) -> JsonObject:
    if asked is None:
        return {}
    most = target.traits.max_output_tokens
    limit = max(asked, _LEAST_LIMIT)
    if most is not None and limit > most:
        limit = most
    if limit != asked:
        done = f"{'raised' if limit > asked else 'lowered'} to {limit}"
        losses.add(LossKind.ADJUSTED, f"limit of {asked} output tokens", done)
    return {"max_output_tokens": limit}


def _cache_key(session: str) -> str:
    if len(session) <= _LONGEST_KEY:
        return session
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()


def _reasoning(reasoning: Reasoning, target: Target, losses: Losses) -> JsonObject:
    """Return the effort, and what makes the provider return its reasoning.

    Models that do not reason refuse all of it, so none is sent to one whose efforts are unknown.
    """
    efforts = target.traits.efforts
    is_asked = reasoning.mode not in (None, ThinkingMode.OFF) or reasoning.effort not in (
        "",
        "none",
    )
    if not efforts:
        if is_asked:
            losses.add(LossKind.PARAMETER, "reasoning", path=reasoning.at)
        return {}
    effort = _effort(reasoning, efforts)
    fields = without_nothing(effort=effort)
    if effort != "none" and is_asked and reasoning.is_shown is not False:
        fields["summary"] = "auto"
    if reasoning.mode is ThinkingMode.OFF and effort != "none" and not reasoning.effort:
        losses.add(LossKind.ADJUSTED, "reasoning switched off", repr(effort), reasoning.at)
    if effort and reasoning.effort not in ("", effort):
        losses.add(LossKind.ADJUSTED, f"effort {reasoning.effort!r}", repr(effort), reasoning.at)
    return {**without_nothing(reasoning=fields), "include": [ENCRYPTED]}


def _effort(reasoning: Reasoning, efforts: tuple[str, ...]) -> str:
    if reasoning.mode is ThinkingMode.OFF:
        return "none" if "none" in efforts else efforts[0]
    return nearest_effort(reasoning.effort or effort_of_budget(reasoning.budget_tokens), efforts)


def _format(form: OutputFormat | None, target: Target, losses: Losses) -> dict[str, Any]:
    if form is None or form.kind is FormatKind.TEXT:
        return {}
    if form.kind is FormatKind.JSON or form.schema is None:
        return {"type": "json_object"}
    if not target.traits.schema_formats:
        losses.add(LossKind.FORMAT, "json_schema", "sent as json_object", form.at)
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "name": _FORMAT_NAME.fit(form.name or "answer"),
        **without_nothing(description=form.description),
        "schema": form.schema,
        "strict": bool(form.strict),
    }


def own_format(form: OutputFormat) -> JsonObject:
    """Return the format of a request that was read from this protocol."""
    fields: JsonObject = {"type": form.kind.value}
    fields |= without_nothing(name=form.name, description=form.description)
    if form.schema is not None:
        fields["schema"] = form.schema
    if form.strict is not None:
        fields["strict"] = form.strict
    return {**fields, **own_fields(form.own, PROTOCOL)}
