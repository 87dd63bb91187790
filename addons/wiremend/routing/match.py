"""Matching a call with the entries of `[[models]]`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from wiremend.protocols.base.traits import FieldChanges
from wiremend.routing.limits import NO_CHANGES, LimitChanges
from wiremend.routing.shape import CallShape, ShapeCondition


class ModelPattern(Protocol):
    """A glob on model names, with an optional condition on the call's shape."""

    @property
    def match(self) -> str:
        """A glob with `*`, `?` and `[…]`."""
        ...

    @property
    def when(self) -> ShapeCondition | None:
        """The condition; None means that every shape matches."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """An entry of `[[models]]`: the targets of calls for some models."""

    match: str
    """A glob on the requested model."""
    when: ShapeCondition | None = None
    """A condition on the call; None means all calls."""
    model: str | None = None
    """The model to request; None means the requested one."""
    provider: str | None = None
    """The configured provider to use; None means the one that the client addressed."""
    fallback: tuple[str, ...] = ()
    """Models to try when the one before has failed for good; `PROVIDER/MODEL` is one of another
    provider."""
    stream: Literal["live", "guarded", "buffered"] = "live"
    """When content is forwarded; see `config.model.ModelRoute.stream`."""
    changes: FieldChanges = field(default_factory=FieldChanges)
    """Changes of the request's fields, for every target."""
    limits: LimitChanges = NO_CHANGES
    """What it changes of the limits on attempts, for every target."""
    disabled: frozenset[str] = frozenset()
    """Codes of the rules that are disabled for its calls."""

    @property
    def sets_anything(self) -> bool:
        """Whether it changes more of a call than its targets."""
        is_live, changes_limits = self.stream == "live", self.limits is not NO_CHANGES
        return bool(not is_live or self.changes or changes_limits or self.disabled)


def match_model[Pattern: ModelPattern](
    model: str, patterns: Sequence[Pattern], shape: Callable[[], CallShape]
) -> Pattern | None:
    """Return the first pattern whose glob and condition match; None if none does.

    Case is ignored. A glob that is equal to the name matches even if it contains brackets
    (`claude-opus-4-8[1m]`). `shape` is called at most once, and only if a condition needs it.
    """
    name = model.lower()
    computed: CallShape | None = None
    for pattern in patterns:
        glob = pattern.match.lower()
        if name != glob and not fnmatchcase(name, glob):
            continue
        if pattern.when is None:
            return pattern
        computed = computed or shape()
        if pattern.when.accepts(computed):
            return pattern
    return None
