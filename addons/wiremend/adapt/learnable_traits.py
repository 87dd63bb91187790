"""The traits of targets that a rejection can teach, on any host.

A lesson of kind `trait` has one of these as its value: `reasoning-not-passed-back`, or with an
argument, `token-limit-name=max_tokens`. It has the effect of a vendor's row with the same rules and
the same field. `wiremend.targets.wordings` contains the messages that teach them.

To add one, add a row to `LEARNABLE_TRAITS` and a wording of kind `trait`. If the trait has an
argument, add a field to `MessageTraits` or `TargetTraits`; the wording captures the argument in its
group `argument`, or contains it after the name (`NAME=ARGUMENT`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from wiremend.protocols.base.traits import MessageTraits, TargetTraits
from wiremend.text.patterns import text_pattern

type ArgumentKind = Literal["number", "word", "words"]

_NUMBER = text_pattern(r"\d{1,9}+")
_WORD = text_pattern(r"[\w.-]{1,64}+")
_QUOTED = text_pattern(r"""["'`]([\w.-]{1,64}+)["'`]""")
_WORDS_LIMIT = 32
_CONJUNCTIONS = frozenset({"and", "or"})
_MESSAGE_FIELDS = frozenset(field.name for field in fields(MessageTraits))


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnableTrait:
    """What a lesson of kind `trait` switches on for a target."""

    name: str
    """The value of the lesson; the name of the rule if it switches on one rule."""
    rules: tuple[str, ...] = ()
    """Codes of the rules on messages and parameters that it switches on."""
    field: str = ""
    """The field of `MessageTraits` or `TargetTraits` that it sets; empty: none."""
    argument: ArgumentKind | None = None
    """The kind of value in the field: an integer, a string, or a tuple of strings. None: the
    lesson has no argument, and the field is set to True."""
    accumulates: bool = False
    """Whether several lessons with different words apply together, instead of the last one."""
    is_lasting: bool = True
    """False: the lesson is about this conversation, not the target. It changes the request that
    was refused and is not stored."""

    def applied_to(self, traits: TargetTraits, argument: str) -> TargetTraits:
        """Return the traits with this one added. Raises ValueError for an invalid argument."""
        messages = replace(traits.messages, rules=traits.messages.rules | frozenset(self.rules))
        traits = replace(traits, messages=messages)
        if not self.field:
            return traits
        change: dict[str, Any] = {self.field: self._value_of(argument)}
        if self.accumulates:
            change[self.field] += getattr(messages, self.field)
        if self.field in _MESSAGE_FIELDS:
            return replace(traits, messages=replace(messages, **change))
        return replace(traits, **change)

    def lesson_value(self, text: str) -> str | None:
        """Return the value of a lesson with the argument in this text of a provider, or None."""
        if self.argument is None:
            return self.name
        if self.argument == "number":
            found = [match[0] for match in _NUMBER.finditer(text)][:1]
        elif self.argument == "word":
            found = [match[0] for match in _WORD.finditer(text)][:1]
        else:
            quoted = [match[1] for match in _QUOTED.finditer(text)]
            words = quoted or [match[0] for match in _WORD.finditer(text)]
            found = [word for word in words if word not in _CONJUNCTIONS][:_WORDS_LIMIT]
        return f"{self.name}={','.join(dict.fromkeys(found))}" if found else None

    def _value_of(self, argument: str) -> Any:
        if self.argument is None:
            return True
        if self.argument == "number":
            return int(argument)
        return argument if self.argument == "word" else tuple(argument.split(","))


LEARNABLE_TRAITS: Mapping[str, LearnableTrait] = {
    trait.name: trait
    for trait in (
        LearnableTrait(
            name="token-limit-name", rules=("Q203",), field="token_limit_name", argument="word"
        ),
        LearnableTrait(name="reasoning-missing", rules=("Q104",)),
        LearnableTrait(name="reasoning-not-passed-back", rules=("Q106",)),
        LearnableTrait(name="system-in-messages", rules=("Q109",)),
        # Tool calls and their results
        LearnableTrait(name="call-without-result", rules=("Q001",)),
        LearnableTrait(name="result-without-call", rules=("Q002",)),
        LearnableTrait(name="results-not-first", rules=("Q003",)),
        LearnableTrait(name="call-id", rules=("Q103",)),
        LearnableTrait(name="short-call-id", rules=("Q103",), field="short_call_ids"),
        LearnableTrait(name="repeated-call-id", rules=("Q301",)),
        LearnableTrait(name="invalid-arguments", rules=("Q309",)),
        # Text and roles
        LearnableTrait(name="empty-text", rules=("Q004",)),
        LearnableTrait(name="empty-message", rules=("Q005",)),
        LearnableTrait(name="trailing-space", rules=("Q006",)),
        LearnableTrait(name="empty-system", rules=("Q007",)),
        LearnableTrait(name="lone-surrogate", rules=("Q302",)),
        LearnableTrait(name="developer-role", rules=("Q113",)),
        LearnableTrait(
            name="instructions-role", rules=("Q113",), field="instructions_role", argument="word"
        ),
        LearnableTrait(name="prefill", rules=("Q308",)),
        # Reasoning in the conversation
        LearnableTrait(name="foreign-thinking", rules=("Q105",)),
        LearnableTrait(name="unverified-reasoning", rules=("Q303",), is_lasting=False),
        LearnableTrait(name="thought-signature-missing", rules=("Q107",)),
        LearnableTrait(name="orphan-reasoning", rules=("Q108",)),
        LearnableTrait(name="item-not-stored", rules=("Q115",)),
        LearnableTrait(name="foreign-item-id", rules=("Q114",)),
        # Images
        LearnableTrait(name="images-unsupported", rules=("Q304",)),
        LearnableTrait(
            name="too-many-images", rules=("Q305",), field="max_images", argument="number"
        ),
        LearnableTrait(
            name="image-too-large", rules=("Q306",), field="max_image_bytes", argument="number"
        ),
        LearnableTrait(
            name="image-refused",
            rules=("Q307",),
            field="refused_images",
            argument="words",
            accumulates=True,
            is_lasting=False,
        ),
        # Cache marks
        LearnableTrait(
            name="too-many-cache-marks", rules=("Q110",), field="max_cache_marks", argument="number"
        ),
        LearnableTrait(name="cache-mark-order", rules=("Q111",)),
        LearnableTrait(name="cache-mark-place", rules=("Q112",)),
        # Thinking
        LearnableTrait(
            name="thinking-type", rules=("Q208",), field="thinking_type", argument="word"
        ),
        LearnableTrait(name="thinks-always", rules=("Q210",), field="thinks_always"),
        LearnableTrait(
            name="forced-choice", rules=("Q211",), field="forced_choice", argument="word"
        ),
        LearnableTrait(name="thinking-switch", field="thinking_switch", argument="word"),
        LearnableTrait(name="budget-exceeds-limit", rules=("Q212",), is_lasting=False),
        LearnableTrait(
            name="budget-too-large",
            rules=("Q213",),
            field="max_thinking_budget",
            argument="number",
        ),
        LearnableTrait(name="efforts", rules=("Q207",), field="efforts", argument="words"),
        LearnableTrait(
            name="refused-efforts",
            rules=("Q207",),
            field="refused_efforts",
            argument="words",
            accumulates=True,
        ),
        LearnableTrait(name="effort-without-thinking", rules=("Q209",)),
        # Parameters
        LearnableTrait(name="sampling-pair", rules=("Q201",)),
        LearnableTrait(name="sampling-refused", rules=("Q202",)),
        LearnableTrait(name="sampling-unsupported", rules=("Q205",)),
        LearnableTrait(name="sampling-with-thinking", rules=("Q206",)),
        LearnableTrait(name="long-identifier", rules=("Q214",)),
        LearnableTrait(
            name="token-limit", rules=("Q204",), field="max_output_tokens", argument="number"
        ),
    )
}
"""Every learnable trait, by its name."""


def with_trait(traits: TargetTraits, value: str) -> TargetTraits:
    """Return the traits with the one in a lesson's value added; unchanged if it is unknown."""
    name, _, argument = value.partition("=")
    trait = LEARNABLE_TRAITS.get(name)
    if trait is None or trait_problem(value):
        return traits
    return trait.applied_to(traits, argument)


def trait_problem(value: str) -> str:
    """Return what is wrong with the value of a lesson of kind `trait`; empty if nothing is."""
    name, separator, argument = value.partition("=")
    trait = LEARNABLE_TRAITS.get(name)
    if trait is None:
        return f"there is no trait {name!r}"
    if trait.argument is None:
        return f"the trait {name!r} has no argument" if separator else ""
    if trait.lesson_value(argument) != value:
        return f"expected {name}=ARGUMENT, where the argument is a {trait.argument}, got {value!r}"
    return ""
