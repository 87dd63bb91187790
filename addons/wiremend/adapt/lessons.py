"""Lessons learnt from rejections, by provider, model and tool.

A lesson contains what a target refuses and how requests to it are adapted from then on. Lessons
can be written as configuration (`as_toml`) and read from it. With `[learning] file` they are kept
in a file (`wiremend.config.lesson_file`), so that they survive the process.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

import orjson

from wiremend.adapt.learnable_traits import LEARNABLE_TRAITS
from wiremend.targets.wordings import TaughtKind

LESSONS_LIMIT = 500
"""Maximum number of learnt lessons. Beyond it, the oldest are removed."""

LessonKind = Literal[TaughtKind, "as-is"]
KINDS: tuple[str, ...] = get_args(LessonKind)
AS_IS_SECONDS = 3600.0
"""How long `as-is` applies. The rejection behind it may have had another cause, and passed."""
ABOUT_TOOLS = frozenset({"schema-dialect", "tool-names", "unique-names", "custom-type"})
"""Kinds that change tools. A lesson of such a kind replaces `as-is`."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing that a target refuses."""

    kind: LessonKind
    """The adaptation: `schema-dialect` converts schemas, `tool-names` renames tools,
    `unique-names` makes names unique, `custom-type` removes `"type":"custom"`, `beta` removes a
    value of the `anthropic-beta` header, `field` removes a field, `trait` switches on what a row
    of a vendor could switch on (`adapt.learnable_traits`), `as-is` sends tools unchanged."""
    value: str = ""
    """The dialect, the beta's value, the field's path with `*` for every item of a list, or the
    trait, as `NAME` or `NAME=ARGUMENT`."""
    tool: str = ""
    """The client's name of the tool; empty for every tool."""

    @property
    def subject(self) -> tuple[str, str] | None:
        """What no two lessons apply to: a later one replaces an earlier one. None: any number."""
        if self.kind in ("schema-dialect", "tool-names"):
            return self.kind, self.tool
        if self.kind == "trait":
            name = self.value.partition("=")[0]
            trait = LEARNABLE_TRAITS.get(name)
            return None if trait is not None and trait.accumulates else (self.kind, name)
        return None

    def __str__(self) -> str:
        about = f" for tool {self.tool!r}" if self.tool else ""
        return f"{self.kind} {self.value}".rstrip() + about


def is_lasting(lesson: Lesson) -> bool:
    """Return whether a lesson is about the target, not about one conversation only."""
    trait = LEARNABLE_TRAITS.get(lesson.value.partition("=")[0])
    return lesson.kind != "trait" or trait is None or trait.is_lasting


@dataclass(frozen=True, slots=True)
class PlacedLesson:
    """A lesson and the target that it applies to."""

    provider: str
    """The name of a `[providers]` entry, or a host."""
    model: str
    """A glob; case is ignored."""
    lesson: Lesson

    @property
    def key(self) -> Hashable:
        """What no two stored lessons have in common: the later one replaces the earlier one."""
        subject = self.lesson.subject or (self.lesson.kind, self.lesson.value, self.lesson.tool)
        return self.provider, self.model, subject


@dataclass(frozen=True, slots=True)
class LessonRecord:
    """A lesson that was learnt, and its origin."""

    placed: PlacedLesson
    learnt_at: float = 0.0
    """Seconds since the epoch."""
    words: str = ""
    """The words of the provider that taught it, without secrets and shortened."""


class LessonBook:
    """All lessons of one process: those of the configuration, and those that were learnt.

    `clock` returns seconds since the epoch. `keep` is called with each group of lessons that is
    learnt and lasts; `as-is` does not, since it applies for `AS_IS_SECONDS`.
    """

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.keep: Callable[[Sequence[LessonRecord]], None] | None = None
        self.drop_kept: Callable[[], None] | None = None
        """Removes what was kept."""
        self._clock = clock
        self._configured: tuple[PlacedLesson, ...] = ()
        self._learnt: dict[Hashable, LessonRecord] = {}

    def configure(self, lessons: Iterable[PlacedLesson]) -> None:
        """Replace the lessons of the configuration."""
        self._configured = tuple(lessons)

    def learn(self, provider: str, model: str, lessons: Iterable[Lesson], words: str = "") -> None:
        """Store lessons about a target. Later lessons about its tools replace `as-is`, and `as-is`
        replaces earlier ones. `words` are those that taught them, without secrets."""
        new = tuple(lessons)
        if any(lesson.kind == "as-is" for lesson in new):
            self._forget(provider, model, ABOUT_TOOLS)
        elif any(lesson.kind in ABOUT_TOOLS for lesson in new):
            self._forget(provider, model, {"as-is"})
        now = self._clock()
        learnt = [LessonRecord(PlacedLesson(provider, model, it), now, words) for it in new]
        self.add(learnt)
        lasting = [entry for entry in learnt if entry.placed.lesson.kind != "as-is"]
        if self.keep is not None and lasting:
            self.keep(lasting)

    def add(self, lessons: Iterable[LessonRecord]) -> None:
        """Store lessons that were learnt before, by this process or by another one."""
        for entry in lessons:
            self._learnt.pop(entry.placed.key, None)
            self._learnt[entry.placed.key] = entry
        while len(self._learnt) > LESSONS_LIMIT:
            del self._learnt[next(iter(self._learnt))]

    def of(self, provider: str, model: str) -> tuple[Lesson, ...]:
        """Return the lessons that apply to a target: configured ones first, then learnt ones."""
        if not self._configured and not self._learnt:
            return ()
        return tuple(
            placed.lesson
            for placed in (*self._configured, *self.learnt)
            if placed.provider == provider and _matches(placed.model, model)
        )

    def forget(self) -> int:
        """Forget all lessons that were learnt, also those that were kept; return how many."""
        known = len(self._learnt)
        self._learnt.clear()
        if self.drop_kept is not None:
            self.drop_kept()
        return known

    def _forget(self, provider: str, model: str, kinds: Set[str]) -> None:
        for key, entry in list(self._learnt.items()):
            placed = entry.placed
            if (placed.provider, placed.model) == (provider, model) and placed.lesson.kind in kinds:
                del self._learnt[key]

    @property
    def learnt(self) -> tuple[PlacedLesson, ...]:
        """The lessons that were learnt and apply now, oldest first."""
        oldest = self._clock() - AS_IS_SECONDS
        return tuple(
            entry.placed
            for entry in self._learnt.values()
            if entry.placed.lesson.kind != "as-is" or entry.learnt_at > oldest
        )


def as_toml(lessons: Sequence[PlacedLesson]) -> str:
    """Return lessons as the `[[lessons]]` tables of a configuration file."""
    entries = []
    for placed in lessons:
        lesson = placed.lesson
        values = {
            "provider": placed.provider,
            "model": placed.model,
            "kind": lesson.kind,
            "value": lesson.value,
            "tool": lesson.tool,
        }
        # A JSON string is a basic string of TOML, except that TOML requires DEL to be escaped.
        lines = [
            f"{key} = {orjson.dumps(value).decode()}".replace("\x7f", "\\u007f")
            for key, value in values.items()
            if value
        ]
        entries.append("\n".join(["[[lessons]]", *lines]) + "\n")
    return "\n".join(entries)


def _matches(pattern: str, model: str) -> bool:
    return pattern == model or fnmatchcase(model.lower(), pattern.lower())
