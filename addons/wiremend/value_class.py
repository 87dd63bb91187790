"""A decorator for the values that are created for every call."""

from dataclasses import dataclass, field
from typing import dataclass_transform


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value_class[T](cls: type[T]) -> type[T]:
    """Make a dataclass with slots that type checkers treat as frozen, and that has a hash.

    `@dataclass(frozen=True)` also refuses assignments at run time. For this, its constructor calls
    a function for each field, which takes five times as long.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
