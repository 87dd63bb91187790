"""The keys of `[[models]]`: which model and provider a call is sent to."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import (
    Field,
    StrictBool,
    ValidationInfo,
    field_validator,
    model_validator,
)

from wiremend.config.attempt_limits import RetryChanges, TimeoutChanges
from wiremend.config.field_changes import FieldsToDrop, FieldsToRename, FieldsToSet
from wiremend.config.section import Section
from wiremend.config.values import (
    Count,
    InWords,
    ModelGlob,
    ModelName,
    Problem,
    ProviderName,
    RuleCode,
    refuse,
    refuse_codes_on_no_call,
)
from wiremend.routing.shape import CallShape


class When(Section):
    """Conditions on a call's request. All conditions that are set must hold."""

    streaming: Annotated[StrictBool | None, Field(examples=[True])] = None
    """Whether the call streams."""
    tools_min: Annotated[Count | None, Field(examples=[1])] = None
    """The smallest number of tools that the request offers."""
    input_tokens_over: Annotated[
        Annotated[int, Field(strict=True, ge=0), InWords("whole number of tokens")] | None,
        Field(examples=[60000]),
    ] = None
    """The input has more tokens than this. The number is estimated: bytes of text divided by
    4, plus 1500 for each image."""
    has_images: Annotated[StrictBool | None, Field(examples=[False])] = None
    """Whether there is an image anywhere in the conversation."""
    thinking: Annotated[StrictBool | None, Field(examples=[False])] = None
    """Whether the request asks for thinking (reasoning). Current Claude Code asks for it in almost
    every turn, so this says little about the difficulty of a task: use `thinking_budget_over`."""
    thinking_budget_over: Annotated[
        Annotated[int, Field(strict=True, ge=0), InWords("whole number of tokens")] | None,
        Field(examples=[10000]),
    ] = None
    """The request allows more tokens than this for thinking. An effort counts as its usual budget:
    `minimal` 512, `low` 1024, `medium` 8192, `high` 24576, `xhigh` 32768, `max` 128000. A request
    that states neither budget nor effort does not fulfil the condition. Current Claude Code sends
    31999, or the effort `high`, by default."""
    background: Annotated[StrictBool | None, Field(examples=[True])] = None
    """Whether it is a side call of an agent: a title, a summary, a check of the quota. Known agents
    are Claude Code, OpenCode, Codex and Gemini CLI, which offer tools in each turn; their calls
    without tools are side calls. A call of another client is none."""
    web_search: Annotated[StrictBool | None, Field(examples=[False])] = None
    """Whether the request offers a web search that the provider runs. Claude Code and Gemini CLI
    make a call of its own for each search; Codex offers it in each turn."""
    subagent: Annotated[StrictBool | None, Field(examples=[False])] = None
    """Whether the call comes from a sub-agent. Claude Code, OpenCode, Codex and Gemini CLI mark
    such calls; the calls of other clients do not fulfil it."""

    def accepts(self, shape: CallShape) -> bool:
        """Return whether a call of this shape fulfils all conditions.

        Properties of the shape are read only for conditions that are set.
        """
        return (
            (self.streaming is None or shape.streaming is self.streaming)
            and (self.tools_min is None or shape.tools >= self.tools_min)
            and (self.web_search is None or shape.web_search is self.web_search)
            and (self.thinking is None or shape.thinking is self.thinking)
            and (
                self.thinking_budget_over is None
                or shape.thinking_budget > self.thinking_budget_over
            )
            and (self.background is None or shape.background is self.background)
            and (self.subagent is None or shape.subagent is self.subagent)
            and (self.has_images is None or shape.has_images is self.has_images)
            and (self.input_tokens_over is None or shape.input_tokens > self.input_tokens_over)
        )


class ModelRoute(Section):
    """Routes: which model and provider a call is sent to.

    The first entry whose `match` and `when` fit is applied, and no other. So long-context,
    thinking, image or background calls can go to different models. Responses still contain the
    model name that the client requested. Put entries with conditions before those without.

    A `match` without wildcards is added to the lists of models that clients request
    (`GET /v1/models`). Token counts are requested from the provider that the call would be sent
    to, and estimated if it cannot count.
    """

    match: Annotated[ModelGlob, Field(examples=["claude-haiku-*"])]
    """The requested models that the entry is for, ignoring case. `*`, `?` and `[...]` are
    wildcards; a literal name that contains brackets matches itself."""
    when: Annotated[When | None, InWords("table, see below")] = None
    """Conditions on the call. Without it the entry is for any call."""
    model: Annotated[ModelName | None, Field(examples=["minimax-m3"])] = None
    """The model to request instead. Without it the requested one is kept."""
    provider: Annotated[ProviderName | None, Field(examples=["opencode-go"])] = None
    """The `[providers.NAME]` entry to send the call to, with its key. It must speak the protocol
    of the call, or have a `protocol`. The client's credentials are removed. Without it the call
    goes to the provider that the client addressed, with the client's credentials."""
    fallback: Annotated[tuple[ModelName, ...], Field(examples=[["qwen3.7-plus", "kimi-k3"]])] = ()
    """Models to try in order when the one before has failed for good: attempts used up, circuit
    breaker open, unknown model, or quota used up. `"PROVIDER/MODEL"` tries a model of another
    `[providers.NAME]` entry, for example `"moonshot/kimi-k3"`, which may have another `protocol`.
    If no entry has that name, and
    `model` contains no slash, the configuration is refused."""
    stream: Literal["live", "guarded", "buffered"] = "live"
    """When the client receives content: `"live"` forwards it at once; `"guarded"` holds it until
    4 KiB or 3 seconds of it have arrived, so that a stream that fails early can be retried
    invisibly; `"buffered"` holds it until the response is complete."""
    disable: Annotated[tuple[RuleCode, ...], Field(examples=[["T"]])] = ()
    """The rules to disable for these calls, also at fallbacks, in addition to those of `[rules]`
    and of the target's `[providers.NAME]`."""
    set: FieldsToSet = {}
    """Fields to set in the body of the request, in the words of the target, for what no rule
    knows. A path has dots between its steps, `*` stands for every item of a list or member of an
    object, a number for an item. Missing objects are created, missing items are not. A table is
    merged into the object that is there; to replace that object, list it in `drop` too. `set`,
    `drop` and `rename` are applied after all repairs, to the request to every target of the entry,
    in this order: those of the provider, then those of the entry; each time `rename`, `drop`,
    `set`. They are also applied when a request is sent again as the client wrote it."""
    drop: FieldsToDrop = ()
    """Paths of fields to remove from the body of the request."""
    rename: FieldsToRename = {}
    """New paths of fields, by their paths. A field keeps its value. If both exist, the new one
    stays. With `*`, both paths must be the same up to the last `*`."""

    timeouts: Annotated[TimeoutChanges | None, InWords("table, see below")] = None
    """Other time limits for calls of this entry."""
    retry: Annotated[RetryChanges | None, InWords("table, see below")] = None
    """Other limits of retries for calls of this entry."""

    @field_validator("disable")
    @classmethod
    def _are_known(cls, codes: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        refuse_codes_on_no_call(codes, (info.context or {}).get("known_codes"))
        return codes

    @model_validator(mode="after")
    def _fallbacks_differ(self) -> "ModelRoute":
        refuse(*repeated_fallbacks(self.model, self.fallback))
        return self


def repeated_fallbacks(model: str | None, fallback: Sequence[str]) -> Iterator[Problem]:
    """Yield the problem of each fallback that is tried before anyway."""
    times = Counter(fallback)
    yield from ((("fallback",), f"{name!r} is listed twice") for name in times if times[name] > 1)
    if model in times:
        yield ("fallback",), f"{model!r} is the same as `model`"
