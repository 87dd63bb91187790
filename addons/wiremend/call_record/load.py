"""Reading a record back, whoever wrote it."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from wiremend.call_record.schema import METADATA_KEY, CallRecord

type Step = int | str


def load_record(metadata: Mapping[str, Any]) -> CallRecord | None:
    """Return the record in a flow's metadata; None if there is none.

    It never raises. What another version or another program wrote is read as far as it fits this
    schema: unknown fields are ignored, values that do not fit are left out.
    """
    stored = metadata.get(METADATA_KEY)
    if not isinstance(stored, dict):
        return None
    try:
        return CallRecord.model_validate(stored)
    except ValidationError as problems:
        return _salvaged(_copied(stored), problems)


def _salvaged(stored: Any, problems: ValidationError) -> CallRecord | None:
    """The record without what does not fit. A value goes away with what it is required by."""
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
    """The part of a problem's location that exists in the data.

    A location also contains the tags of unions, which are skipped, and ends with the name of a
    missing field, so that what lacks it is what does not fit.
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
    """Later elements of a list come later, so that removing them first keeps the indices right."""
    return tuple(
        (isinstance(step, str), step if isinstance(step, int) else 0, str(step)) for step in place
    )


def _remove(stored: Any, place: tuple[Step, ...]) -> None:
    if not place:
        return  # the record as a whole
    for step in place[:-1]:
        stored = stored[step]
    last = place[-1]
    if isinstance(stored, dict):
        stored.pop(last, None)
    elif isinstance(stored, list) and isinstance(last, int):
        del stored[last]


def _copied(value: Any) -> Any:
    """The same containers anew, so that the flow keeps what it has."""
    if isinstance(value, dict):
        return {key: _copied(one) for key, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list | tuple) else value
