"""What was learnt from rejections: per provider, model and tool, for the life of the process.

A lesson says what a target refuses and what is done about it from then on. It can be written
out as configuration (`as_toml`), and read from it, so that the next process knows it at once.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

import orjson

from wiremend.targets.wordings import TaughtKind

LESSONS_LIMIT = 500
"""How many lessons are kept; the oldest goes first."""

LessonKind = Literal[TaughtKind, "as-is"]
KINDS: tuple[str, ...] = get_args(LessonKind)
ABOUT_TOOLS = frozenset({"schema-dialect", "tool-names", "unique-names", "custom-type"})
"""Kinds that change tools; with one of them `as-is` says nothing any more."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing that a target refuses."""

    kind: LessonKind
    """What is done: `schema-dialect` converts schemas, `tool-names` renames, `unique-names` keeps
    names apart, `custom-type` drops `"type":"custom"`, `beta` drops a value of the
    `anthropic-beta` header, `field` drops a field, `as-is` sends tools as they came."""
    value: str = ""
    """The dialect, the beta's value, or the field's path with `*` for every item of a list."""
    tool: str = ""
    """As the client calls it; empty: every tool."""

    def __str__(self) -> str:
        about = f" for tool {self.tool!r}" if self.tool else ""
        return f"{self.kind} {self.value}".rstrip() + about


@dataclass(frozen=True, slots=True)
class PlacedLesson:
    """A lesson and whom it is about."""

    provider: str
    """The name of a `[providers]` entry, or a host."""
    model: str
    """A glob, in any case."""
    lesson: Lesson


class LessonBook:
    """All lessons of one process: those of the configuration, and those that were learnt."""

    def __init__(self) -> None:
        self._given: tuple[PlacedLesson, ...] = ()
        self._learnt: dict[PlacedLesson, None] = {}

    def give(self, lessons: Iterable[PlacedLesson]) -> None:
        """Replace the lessons of the configuration."""
        self._given = tuple(lessons)

    def learn(self, provider: str, model: str, lessons: Iterable[Lesson]) -> None:
        """Remember what this target refused; the last word on its tools counts."""
        new = tuple(lessons)
        if any(lesson.kind == "as-is" for lesson in new):
            self._forget(provider, model, ABOUT_TOOLS)
        elif any(lesson.kind in ABOUT_TOOLS for lesson in new):
            self._forget(provider, model, {"as-is"})
        for lesson in new:
            placed = PlacedLesson(provider, model, lesson)
            self._learnt.pop(placed, None)
            self._learnt[placed] = None
        while len(self._learnt) > LESSONS_LIMIT:
            del self._learnt[next(iter(self._learnt))]

    def of(self, provider: str, model: str) -> tuple[Lesson, ...]:
        """What is known of a target."""
        return tuple(
            placed.lesson
            for placed in (*self._given, *self._learnt)
            if placed.provider == provider and _is_meant(placed.model, model)
        )

    def _forget(self, provider: str, model: str, kinds: Set[str]) -> None:
        for placed in list(self._learnt):
            if (placed.provider, placed.model) == (provider, model) and placed.lesson.kind in kinds:
                del self._learnt[placed]

    @property
    def learnt(self) -> tuple[PlacedLesson, ...]:
        """What was learnt by this process, oldest first."""
        return tuple(self._learnt)


def as_toml(lessons: Sequence[PlacedLesson]) -> str:
    """The lessons as they are written in a configuration file."""
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
        # A string of JSON is a basic string of TOML, but for the delete character.
        lines = [
            f"{key} = {orjson.dumps(value).decode()}".replace("\x7f", "\\u007f")
            for key, value in values.items()
            if value
        ]
        entries.append("\n".join(["[[lessons]]", *lines]) + "\n")
    return "\n".join(entries)


def _is_meant(pattern: str, model: str) -> bool:
    return pattern == model or fnmatchcase(model.lower(), pattern.lower())
