"""Conversion to plain data that mitmproxy can save: dict, list, str, int, float, bool, None, bytes.

The data is not validated, since records are rewritten while calls run; tests validate it.
"""

from dataclasses import fields
from typing import Any

from wiremend.protocols.base.usage import Usage
from wiremend.rules.rule import (
    AttemptPlace,
    BodyPlace,
    CallPlace,
    EventPlace,
    Finding,
    HeaderPlace,
    Place,
    StoredPlace,
)

type Plain = dict[str, Any]

TEXT_LIMIT = 2000
"""Maximum number of characters. Longer texts, which quote requests or responses, are cut."""


def plain_text(text: str) -> str:
    """Return the text cut to the limit, with characters replaced that UTF-8 cannot encode.

    mitmproxy cannot save a flow that contains a lone surrogate.
    """
    if len(text) > TEXT_LIMIT:
        text = text[:TEXT_LIMIT] + "…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def plain_place(place: Place) -> Plain | None:
    """Return the place as one of `schema.StoredPlaces`; None if there is only its text."""
    match place:
        case EventPlace(number):
            return {"kind": "event", "number": number}
        case BodyPlace(path):
            return {"kind": "body", "path": [_plain_step(step) for step in path]}
        case AttemptPlace(number):
            return {"kind": "attempt", "number": number}
        case HeaderPlace(name):
            return {"kind": "header", "name": plain_text(name)}
        case CallPlace():
            return {"kind": "part", "part": place.value}
        case StoredPlace():
            return None


def plain_finding(finding: Finding) -> Plain:
    """Return the finding as a `schema.StoredFinding`."""
    return {
        "code": finding.code,
        "place": plain_place(finding.place),
        "where": plain_text(str(finding.place)),
        "found": plain_text(finding.found),
        "done": plain_text(finding.done),
    }


_COUNTS = tuple(field.name for field in fields(Usage))


def plain_usage(usage: Usage) -> Plain:
    """Return token counts as a `schema.Usage`."""
    return {name: getattr(usage, name) for name in _COUNTS}


def _plain_step(step: int | str) -> int | str:
    return step if isinstance(step, int) else plain_text(step)
