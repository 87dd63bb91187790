"""Which entry of `[[models]]` a call matches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from wiremend.routing.shape import CallShape, ShapeCondition


class ModelPattern(Protocol):
    """Anything with a glob on model names, and perhaps a condition on the call's shape."""

    @property
    def match(self) -> str:
        """The glob: `*`, `?` and `[…]`."""
        ...

    @property
    def when(self) -> ShapeCondition | None:
        """Which shapes are meant; None: all."""
        ...


@dataclass(frozen=True, slots=True)
class Route:
    """An entry of `[[models]]`: where calls for some models go."""

    match: str
    """A glob on the requested model."""
    when: ShapeCondition | None = None
    """The calls that are meant; None: all."""
    model: str | None = None
    """The model to ask for; None: the requested one."""
    provider: str | None = None
    """The configured provider to ask; None: the one that the client addressed."""
    fallback: tuple[str, ...] = ()
    """Models to ask when that one fails for good; `PROVIDER/MODEL` asks another provider."""
    stream: Literal["live", "guarded", "buffered"] = "live"
    """When content is shown."""


def match_model[Pattern: ModelPattern](
    model: str, patterns: Sequence[Pattern], shape: Callable[[], CallShape] = CallShape
) -> Pattern | None:
    """The first pattern whose glob and condition match, in any case; None if none does.

    A pattern that equals the name matches even if it holds brackets (`claude-opus-4-8[1m]`).
    `shape` is asked only where a condition depends on it, at most once.
    """
    name = model.lower()
    known: CallShape | None = None
    for pattern in patterns:
        glob = pattern.match.lower()
        if name != glob and not fnmatchcase(name, glob):
            continue
        if pattern.when is None:
            return pattern
        known = known or shape()
        if pattern.when.accepts(known):
            return pattern
    return None
