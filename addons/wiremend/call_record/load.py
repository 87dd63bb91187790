"""Loads a record, also one that another version or program wrote."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from wiremend.call_record.schema import METADATA_KEY, CallRecord

type Step = int | str


def load_record(metadata: Mapping[str, Any]) -> CallRecord | None:
    """Return the record in a flow's metadata; None if there is none.

    It never raises. A record of another version or program is read as far as it matches this
    schema: unknown fields are ignored, invalid values are omitted.
    """
    stored = metadata.get(METADATA_KEY)
    if not isinstance(stored, dict):
        return None
    try:
        return CallRecord.model_validate(stored)
    except ValidationError as problems:
        return _salvaged(_copied(stored), problems)


def _salvaged(stored: Any, problems: ValidationError) -> CallRecord | None:
    """Return the record without invalid values and without the objects that require them."""
    while True:
        places = {_place_in(stored, problem["loc"]) for problem in problems.errors()}
        for place in sorted(places, key=_order, reverse=True):
            _remove(stored, place)
        try:
            return CallRecord.model_validate(stored)
        except ValidationError as more:
            if not any(_place_in(stored, problem["loc"]) for problem in more.errors()):
                return None
            problems = more


def _place_in(stored: Any, location: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the part of a problem's location that exists in the data.

    A location also contains the tags of unions, which are skipped. The location of a missing field
    ends with its name, so the result is the object that lacks the field.
    """
    place: list[Step] = []
    for step in location:
        if isinstance(step, int):
            exists = isinstance(stored, list) and step < len(stored)
        else:
            exists = isinstance(stored, dict) and step in stored
        if exists:
            stored = stored[step]
            place.append(step)
    return tuple(place)


def _order(place: tuple[Step, ...]) -> tuple[tuple[bool, int, str], ...]:
    """Sort key by list index: removing later elements first keeps the other indices valid."""
    return tuple(
        (isinstance(step, str), step if isinstance(step, int) else 0, str(step)) for step in place
    )


def _remove(stored: Any, place: tuple[Step, ...]) -> None:
    if not place:
        return  # the whole record; it cannot be removed
    for step in place[:-1]:
        stored = stored[step]
    last = place[-1]
    if isinstance(stored, dict):
        stored.pop(last, None)
    elif isinstance(stored, list) and isinstance(last, int):
        del stored[last]


def _copied(value: Any) -> Any:
    """Return a copy of the containers, so that the flow is not changed."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list | tuple) else value
