"""Folders of a recording that are somewhere else in a replay: `--map OLD=NEW`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from wiremend.text.patterns import LinearPattern, escape_pattern, linear_pattern


@dataclass(frozen=True)
class PathMap:
    """A folder of the recording, and the folder that takes its place. Both are paths."""

    old: str
    new: str
    _forms: tuple[tuple[LinearPattern[str], str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_forms", tuple(_forms(self.old, self.new)))

    @classmethod
    def parse(cls, text: str) -> "PathMap":
        """Read `OLD=NEW`. Raises ValueError, whose text is for the user."""
        old, sign, new = text.partition("=")
        old, new = old.rstrip("/\\"), new.rstrip("/\\")
        if not sign or not old or not new:
            raise ValueError(f"{text!r} is not OLD=NEW with two folders")
        return cls(old, new)

    def places(self, text: str) -> list[tuple[int, int, str]]:
        """Return where the folder is in a text: start, end, and what takes its place."""
        return [
            (found.start(), found.end(), new)
            for pattern, new in self._forms
            for found in pattern.finditer(text)
        ]


def _forms(old: str, new: str) -> list[tuple[LinearPattern[str], str]]:
    """Return the forms of a path in text, and in JSON inside a text."""
    forms = {old: new, old.replace("\\", "\\\\"): new.replace("\\", "\\\\")}
    forms[old.replace("/", "\\/")] = new.replace("/", "\\/")
    # A path ends where no further character of a name follows: `/a/b` is not in `/a/bc`.
    return [
        (linear_pattern(rf"(?<![\w.~/\\-]){escape_pattern(form)}(?![\w-]|\.\w)"), value)
        for form, value in forms.items()
        if form
    ]


@dataclass(frozen=True)
class PathMaps:
    """Several maps. Of two that apply at the same place, the longer path wins."""

    maps: tuple[PathMap, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.maps)

    def text(self, text: str) -> str:
        """Return a text with the folders replaced."""
        return "".join(self.fragments([text])) if self.maps else text

    def fragments(self, fragments: Sequence[str]) -> list[str]:
        """Return the parts of a text with the folders replaced, also those that several contain.

        What takes the place of a folder is in the part in which it begins.
        """
        whole = "".join(fragments)
        places = self._places(whole)
        if not places:
            return list(fragments)
        replaced = []
        start = 0
        for fragment in fragments:
            end = start + len(fragment)
            replaced.append(_part(whole, start, end, places))
            start = end
        return replaced

    def _places(self, text: str) -> list[tuple[int, int, str]]:
        found = [place for path_map in self.maps for place in path_map.places(text)]
        found.sort(key=lambda place: (place[0], -place[1]))
        chosen: list[tuple[int, int, str]] = []
        for place in found:
            if not chosen or place[0] >= chosen[-1][1]:
                chosen.append(place)
        return chosen


def _part(whole: str, start: int, end: int, places: Sequence[tuple[int, int, str]]) -> str:
    """Return what remains of `whole[start:end]`."""
    parts = []
    at = start
    for first, last, new in places:
        if last <= at or first >= end:
            continue
        if first >= start:
            parts += [whole[at:first], new]
        at = min(last, end)
    return "".join([*parts, whole[at:end]])
