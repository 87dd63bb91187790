"""What reading keeps of a value so that this protocol can write it as it was.

Several forms of a value mean the same: a call without an id, bytes in the other alphabet of Base64,
a schema with types in upper case. The middle form has one of them. The original is kept beside the
members that only Gemini has. It is no loss for other protocols.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from wiremend.protocols.base.middle.content import Own, own_fields
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.names import WireProtocol
from wiremend.value_class import value_class

_G = WireProtocol.GEMINI
_NOTHING: Mapping[str, Any] = {}


@value_class
class OwnForm(Own):
    """Members that only Gemini has, and the original form of others."""

    form: Mapping[str, Any] = field(default_factory=dict, hash=False)


def own_of(members: Members, **form: Any) -> Own | None:
    """Return the members that were not taken and what `form` keeps; None if there is neither."""
    own = members.own(_G)
    kept = {key: value for key, value in form.items() if value is not None}
    if not kept:
        return own
    return OwnForm(_G, own.fields if own is not None else _NOTHING, kept)


def with_form(own: Own | None, **form: Any) -> Own:
    """Return `own` with further parts of the original form."""
    fields = own.fields if own is not None else _NOTHING
    return OwnForm(_G, fields, {**form_of(own), **form})


def form_of(own: Own | None) -> Mapping[str, Any]:
    """Return what is kept of the original form; empty if nothing is."""
    return own.form if isinstance(own, OwnForm) else _NOTHING


def restored(written: dict[str, Any], own: Own | None) -> dict[str, Any]:
    """Return an object with the members that only Gemini has; inner objects are merged."""
    for key, value in own_fields(own, _G).items():
        inner = written.get(key)
        is_merged = isinstance(inner, dict) and isinstance(value, dict)
        written[key] = {**inner, **value} if is_merged and isinstance(inner, dict) else value
    return written
