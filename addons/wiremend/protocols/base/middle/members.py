"""Taking apart a JSON object whose unknown members must be kept."""

from collections.abc import Mapping
from typing import Any

from wiremend.protocols.base.middle.content import Own
from wiremend.protocols.base.names import WireProtocol
from wiremend.text.json_value import is_integer, is_number


class Members:
    """The members of an object that a reader has not taken yet.

    A member is taken only if it has the expected type and is not empty; all others remain and
    become `own`, so that the writer of the same protocol restores them as they were.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._rest = dict(fields)

    def __contains__(self, key: str) -> bool:
        return key in self._rest

    def peek(self, key: str) -> Any:
        """Return a member without taking it; None if there is none."""
        return self._rest.get(key)

    def drop(self, key: str) -> Any:
        """Take a member of any type; None if there is none."""
        return self._rest.pop(key, None)

    def keep(self, key: str, value: Any) -> None:
        """Put a member back, such as the rest of an object."""
        self._rest[key] = value

    def text(self, key: str) -> str:
        """Take a string; empty if there is none."""
        value = self._rest.get(key)
        if not isinstance(value, str) or not value:
            return ""
        del self._rest[key]
        return value

    def integer(self, key: str) -> int | None:
        """Take an integer."""
        value = self._rest.get(key)
        if not is_integer(value):
            return None
        del self._rest[key]
        return value

    def number(self, key: str) -> float | None:
        """Take a number."""
        value: float | None = self._rest.get(key)
        if not is_number(value):
            return None
        del self._rest[key]
        return value

    def flag(self, key: str) -> bool | None:
        """Take true or false."""
        value = self._rest.get(key)
        if not isinstance(value, bool):
            return None
        del self._rest[key]
        return value

    def switch(self, key: str) -> bool:
        """Take a true; return whether it was there."""
        if self._rest.get(key) is not True:
            return False
        del self._rest[key]
        return True

    def object(self, key: str) -> dict[str, Any] | None:
        """Take an object, also an empty one."""
        value = self._rest.get(key)
        if not isinstance(value, dict):
            return None
        del self._rest[key]
        return value

    def list(self, key: str) -> list[Any] | None:
        """Take a list that is not empty."""
        value = self._rest.get(key)
        if not isinstance(value, list) or not value:
            return None
        del self._rest[key]
        return value

    def word(self, key: str, words: frozenset[str] | Mapping[str, Any]) -> str:
        """Take a string if it is one of these words; else empty."""
        value = self._rest.get(key)
        if not isinstance(value, str) or value not in words:
            return ""
        del self._rest[key]
        return value

    def own(self, protocol: WireProtocol) -> Own | None:
        """Return the members that are left; None if there are none."""
        return Own(protocol, self._rest) if self._rest else None


def without_nothing(**members: Any) -> dict[str, Any]:
    """Return the members that are neither None nor empty text, lists or objects."""
    return {
        key: value
        for key, value in members.items()
        if value is not None and value != "" and value != [] and value != {} and value != ()
    }
