"""Loads a record, also one that another version or program wrote."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from wiremend.call_record.schema import (
    METADATA_KEY,
    CallRecord,
    KeptBody,
    KeptRequest,
    KeptResponse,
)

type Step = int | str
type _Message = KeptRequest | KeptResponse | None


def load_record(metadata: Mapping[str, Any]) -> CallRecord | None:
    """Return the record in a flow's metadata; None if there is none.

    It never raises. A record of another version or program is read as far as it matches this
    schema: unknown fields are ignored, invalid values are omitted. Bodies that are stored as
    references are filled in.
    """
    stored = metadata.get(METADATA_KEY)
    if not isinstance(stored, dict):
        return None
    try:
        return _with_bodies(CallRecord.model_validate(stored))
    except ValidationError as problems:
        salvaged = _salvaged(_copied(stored), problems)
        return None if salvaged is None else _with_bodies(salvaged)


def _with_bodies(record: CallRecord) -> CallRecord:
    """Return the record with the bytes of bodies that are stored as `same_as`."""
    if not _has_messages(record):
        return record
    messages = _messages(record)
    bodies = {name: message.body for name, message in messages if message and message.body}
    if not any(body.same_as for body in bodies.values()):
        return record
    filled = {name: _filled(message, bodies) for name, message in messages}
    attempts = [
        attempt.model_copy(
            update={part: filled[f"attempts[{index}].{part}"] for part in ("request", "response")}
        )
        for index, attempt in enumerate(record.attempts)
    ]
    clients = {name: filled[name] for name in ("client_request", "client_response")}
    return record.model_copy(update={**clients, "attempts": attempts})


def _has_messages(record: CallRecord) -> bool:
    """Whether traffic was kept."""
    if record.client_request is not None or record.client_response is not None:
        return True
    return bool([it for it in record.attempts if it.request is not None or it.response is not None])


def _messages(record: CallRecord) -> list[tuple[str, _Message]]:
    """Return the names and values of everything that has a body."""
    messages: list[tuple[str, _Message]] = [
        ("client_request", record.client_request),
        ("client_response", record.client_response),
    ]
    for index, attempt in enumerate(record.attempts):
        messages += [
            (f"attempts[{index}].request", attempt.request),
            (f"attempts[{index}].response", attempt.response),
        ]
    return messages


def _filled(message: _Message, bodies: Mapping[str, KeptBody]) -> _Message:
    body = message.body if message is not None else None
    source = bodies.get(body.same_as) if body is not None and body.same_as else None
    if message is None or body is None or source is None:
        return message
    return message.model_copy(update={"body": body.model_copy(update={"data": source.data})})


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
