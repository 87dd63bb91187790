"""`generationConfig`: limits, sampling, reasoning, the format of the output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.base.middle.conversation import (
    FormatKind,
    Need,
    OutputFormat,
    Parameters,
    Reasoning,
    ThinkingMode,
)
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.gemini.own_form import own_of
from wiremend.protocols.gemini.read.tools import json_schema
from wiremend.text.json_edits import Path

_G = WireProtocol.GEMINI
LEVELS = frozenset({"minimal", "low", "medium", "high", "xhigh"})
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class GenerationConfig:
    """What `generationConfig` contains."""

    parameters: Parameters = field(default_factory=Parameters)
    reasoning: Reasoning = field(default_factory=Reasoning)
    format: OutputFormat | None = None
    candidate_count: int | None = None
    """The number of candidates, if it is 1 as for other protocols."""
    rest: Mapping[str, Any] | None = None
    """The members that were not read; None if all were, an empty object if it had none."""


def read_generation_config(members: Members, at: Path) -> GenerationConfig:
    """Take the object from a request."""
    fields = members.object("generationConfig")
    if fields is None:
        return GenerationConfig()
    config = Members(fields)
    at = (*at, "generationConfig")
    parameters = Parameters(
        max_output_tokens=config.integer("maxOutputTokens"),
        temperature=config.number("temperature"),
        top_p=config.number("topP"),
        top_k=config.number("topK"),
        stops=_strings(config, "stopSequences"),
        seed=config.integer("seed"),
        presence_penalty=config.number("presencePenalty"),
        frequency_penalty=config.number("frequencyPenalty"),
    )
    reasoning = _reasoning(config, at)
    form = _format(config, at)
    count = config.peek("candidateCount")
    if count == 1:
        config.drop("candidateCount")
    rest = config.own(_G)
    left = rest.fields if rest is not None else None
    return GenerationConfig(
        parameters,
        reasoning,
        form,
        1 if count == 1 else None,
        left if fields else {},
    )


def read_needs(members: Members, config: Mapping[str, Any] | None, at: Path) -> tuple[Need, ...]:
    """Return the members without which the request would mean something else."""
    needs = []
    if members.peek("cachedContent"):
        reason = "it is content that only the client's provider has"
        needs.append(Need("cachedContent", reason, (*at, "cachedContent")))
    config = config or {}
    inner = (*at, "generationConfig")
    if "candidateCount" in config:
        reason = "only one answer can be translated"
        needs.append(Need("candidateCount", reason, (*inner, "candidateCount")))
    modalities = config.get("responseModalities")
    for word in modalities if isinstance(modalities, list) else ():
        if isinstance(word, str) and word.upper() in ("AUDIO", "IMAGE", "VIDEO"):
            what = f"responseModalities {word.upper()}"
            reason = "only text can be translated"
            needs.append(Need(what, reason, (*inner, "responseModalities")))
    return tuple(needs)


def _strings(config: Members, key: str) -> tuple[str, ...]:
    value = config.peek(key)
    if not isinstance(value, list) or not value:
        return ()
    if not all(isinstance(one, str) for one in value):
        return ()
    config.drop(key)
    return tuple(value)


def _reasoning(config: Members, at: Path) -> Reasoning:
    fields = config.object("thinkingConfig")
    if fields is None:
        return Reasoning()
    inner = Members(fields)
    is_shown = inner.flag("includeThoughts")
    budget = inner.integer("thinkingBudget")
    word = inner.peek("thinkingLevel")
    effort = word.lower() if isinstance(word, str) and word.lower() in LEVELS else ""
    if effort:
        inner.drop("thinkingLevel")
    if is_shown is None and budget is None and not effort:
        config.keep("thinkingConfig", fields)
        return Reasoning()
    own = own_of(inner, level=word if effort else None)
    at = (*at, "thinkingConfig")
    return Reasoning(_mode(budget, effort, is_shown), effort, budget, is_shown, own=own, at=at)


def _mode(budget: int | None, effort: str, is_shown: bool | None) -> ThinkingMode | None:
    if budget == 0:
        return ThinkingMode.OFF
    if effort or (budget is not None and budget > 0):
        return ThinkingMode.ON
    return ThinkingMode.ADAPTIVE if budget is not None or is_shown else None


def _format(config: Members, at: Path) -> OutputFormat | None:
    if config.peek("responseMimeType") == "text/plain":
        config.drop("responseMimeType")
        return OutputFormat(FormatKind.TEXT, at=(*at, "responseMimeType"))
    if config.peek("responseMimeType") != _JSON:
        return None
    config.drop("responseMimeType")
    schema = config.object("responseJsonSchema")
    if schema is not None:
        return OutputFormat(FormatKind.SCHEMA, schema, at=(*at, "responseJsonSchema"))
    original = config.object("responseSchema")
    if original is not None:
        own = own_of(Members({}), schema=original)
        converted = json_schema(original)
        return OutputFormat(FormatKind.SCHEMA, converted, own=own, at=(*at, "responseSchema"))
    return OutputFormat(FormatKind.JSON, at=(*at, "responseMimeType"))
