"""`generationConfig`: limits, sampling, reasoning, the format of the output."""

from collections.abc import Iterator
from dataclasses import dataclass, field

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
    """Its `own` contains the members that were not read, also those that concern other things."""
    format: OutputFormat | None = None
    needs: tuple[Need, ...] = ()


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
    form = _format(config, at)
    needs = tuple(_needs(config, at))
    return GenerationConfig(parameters, _reasoning(config, at), form, needs)


def _needs(config: Members, at: Path) -> Iterator[Need]:
    """Yield the members without which the request would mean something else."""
    count = config.peek("candidateCount")
    if count is not None and count != 1:
        reason = "the provider returns one answer"
        yield Need("candidateCount", reason, (*at, "candidateCount"))
    modalities = config.peek("responseModalities")
    for word in modalities if isinstance(modalities, list) else ():
        if isinstance(word, str) and word.upper() not in ("TEXT", "MODALITY_UNSPECIFIED"):
            what = f"responseModalities {word.upper()}"
            yield Need(what, "the provider answers in text", (*at, "responseModalities"))


def _strings(config: Members, key: str) -> tuple[str, ...]:
    value = config.peek(key)
    if not isinstance(value, list) or not value:
        return ()
    if not all(isinstance(one, str) for one in value):
        return ()
    config.drop(key)
    return tuple(value)


def _reasoning(config: Members, at: Path) -> Reasoning:
    fields = config.peek("thinkingConfig")
    inner = Members(fields if isinstance(fields, dict) else {})
    is_shown = inner.flag("includeThoughts")
    budget = inner.integer("thinkingBudget")
    word = inner.peek("thinkingLevel")
    effort = word.lower() if isinstance(word, str) and word.lower() in LEVELS else ""
    if effort:
        inner.drop("thinkingLevel")
    if is_shown is not None or budget is not None or effort:
        config.drop("thinkingConfig")
    rest = inner.own(_G)
    count = config.drop("candidateCount") if config.peek("candidateCount") == 1 else None
    own = own_of(
        config,
        config=True,
        candidateCount=count,
        thinking=rest.fields if rest is not None and "thinkingConfig" not in config else None,
        level=word if effort else None,
    )
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
