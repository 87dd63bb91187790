"""Arguments of a call that Vertex AI streams in pieces.

Each piece has the path of a value (`$.a.b[0]`) and the value, or the next part of a text.
https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling
"""

from typing import Any

from wiremend.text.json_value import dicts_in
from wiremend.text.patterns import linear_pattern

_STEP = linear_pattern(r"\.?([^.\[\]'\"$]++)|\[(\d{1,6}+)\]|\['([^']*+)'\]|\[\"([^\"]*+)\"\]")
_VALUES = ("stringValue", "numberValue", "boolValue")
_MOST_MISSING = 16
"""How many items of a list may be missing before one that comes."""

type _Steps = tuple[str | int, ...]


class StreamedArgs:
    """Builds the arguments of one call."""

    def __init__(self) -> None:
        self._values: dict[_Steps, Any] = {}
        """The values by their path; texts as lists of pieces."""

    def add(self, pieces: Any) -> None:
        """Take the `partialArgs` of an event."""
        for piece in dicts_in(pieces):
            path = piece.get("jsonPath")
            if not isinstance(path, str):
                continue
            steps = _steps(path)
            text = piece.get("stringValue")
            if isinstance(text, str):
                pieces_of_text = self._values.setdefault(steps, [])
                if isinstance(pieces_of_text, list):
                    pieces_of_text.append(text)
                continue
            self._values[steps] = next((piece[key] for key in _VALUES if key in piece), None)

    def value(self) -> dict[str, Any]:
        """Return the arguments."""
        root: dict[str, Any] = {}
        for steps, value in self._values.items():
            _set(root, steps, "".join(value) if isinstance(value, list) else value)
        return root


def _steps(path: str) -> _Steps:
    steps: list[str | int] = []
    for match in _STEP.finditer(path.removeprefix("$")):
        index = match[2]
        steps.append(int(index) if index is not None else match[1] or match[3] or match[4] or "")
    return tuple(steps)


def _set(root: dict[str, Any], steps: _Steps, value: Any) -> None:
    """Set the value at a path; create the objects and lists on it. Ignore an impossible path."""
    place: Any = root
    for step, following in zip(steps, (*steps[1:], None), strict=True):
        is_last = following is None
        new: Any = value if is_last else [] if isinstance(following, int) else {}
        if isinstance(step, int):
            if not isinstance(place, list) or step > len(place) + _MOST_MISSING:
                return
            place.extend([None] * (step + 1 - len(place)))
            if is_last or place[step] is None:
                place[step] = new
        else:
            if not isinstance(place, dict):
                return
            if is_last or step not in place:
                place[step] = new
        place = place[step]
