"""The values that are created for every call."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, dataclass_transform, overload


@overload
def value_class[T](cls: type[T], /) -> type[T]: ...


@overload
def value_class[T](*, kw_only: bool) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value_class[T](
    cls: type[T] | None = None, /, *, kw_only: bool = False
) -> type[T] | Callable[[type[T]], type[T]]:
    """Make a dataclass with slots that type checkers treat as frozen, and that has a hash.

    `@dataclass(frozen=True)` also refuses assignments at run time. For this, its constructor calls
    a function for each field, which takes five times as long.
    """
    decorate = dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)
    return decorate if cls is None else decorate(cls)


def copier[T](kind: type[T]) -> Callable[..., T]:
    """Return a function that does what `dataclasses.replace` does, in a quarter of the time.

    It copies instances of exactly this class, whose fields are all arguments of its constructor, in
    their order.
    """
    names = tuple(field.name for field in fields(kind))  # type: ignore[arg-type]
    places = {name: place for place, name in enumerate(names)}
    read = attrgetter(*names)

    def copy(original: T, **changes: Any) -> T:
        values = list(read(original))
        for name, value in changes.items():
            values[places[name]] = value
        return kind(*values)

    return copy
