"""Finds every function of the library, and makes one of them raise.

The code object of a function is replaced. So all references to it are affected: imported names,
methods, properties, and functions that are stored in tables.
"""

import builtins
import functools
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import wiremend

PACKAGES = (
    "text",
    "rules",
    "protocols",
    "targets",
    "call_record",
    "repair",
    "adapt",
    "routing",
    "engine",
    "seam",
    "views",
)
"""The packages whose code runs in a call."""
MODULES = ("clients", "secrets")
SHELLS = Path(wiremend.__file__).parents[1]
_HOOK = "_wiremend_injection"


class Injected(Exception):
    """What an injected function raises."""


@dataclass(frozen=True)
class Point:
    """One function."""

    name: str
    """Module and qualified name."""
    function: FunctionType

    @property
    def module(self) -> str:
        """Its module, without `wiremend.`."""
        return self.function.__module__.removeprefix("wiremend.")


def all_points() -> dict[CodeType, Point]:
    """Return every function of the library and of the shells, by its code."""
    points: dict[CodeType, Point] = {}
    for module in _modules():
        for function in _functions_in(module):
            code = function.__code__
            # Methods that are generated, such as those of dataclasses, are not the library's code.
            # Python itself ignores what a finalizer raises.
            is_finalizer = function.__name__ == "__del__"
            if code.co_filename.startswith(str(SHELLS)) and code not in points and not is_finalizer:
                name = f"{function.__module__.removeprefix('wiremend.')}.{function.__qualname__}"
                points[code] = Point(name, function)
    return points


def _modules() -> Iterator[Any]:
    for package in PACKAGES:
        root = importlib.import_module(f"wiremend.{package}")
        yield root
        for found in pkgutil.walk_packages(root.__path__, f"wiremend.{package}."):
            yield importlib.import_module(found.name)
    for name in MODULES:
        yield importlib.import_module(f"wiremend.{name}")
    for shell in SHELLS.glob("*.py"):
        if shell.stem in sys.modules:
            yield sys.modules[shell.stem]


def _functions_in(owner: Any) -> Iterator[FunctionType]:
    for value in list(vars(owner).values()):
        if inspect.isclass(value) and getattr(value, "__module__", "") == owner.__name__:
            yield from _methods_of(value)
        elif (function := _plain(value)) is not None:
            yield from _unwrapped(function)


def _methods_of(owner: type) -> Iterator[FunctionType]:
    for value in list(vars(owner).values()):
        if inspect.isclass(value) and value.__qualname__.startswith(owner.__qualname__ + "."):
            yield from _methods_of(value)
        elif (function := _plain(value)) is not None:
            yield from _unwrapped(function)


def _plain(value: Any) -> FunctionType | None:
    """Return the function in a class's or module's attribute."""
    if isinstance(value, property):
        value = value.fget
    elif isinstance(value, functools.cached_property):
        value = value.func
    elif isinstance(value, staticmethod | classmethod):
        value = value.__func__
    return value if isinstance(value, FunctionType) else None


def _unwrapped(function: FunctionType) -> Iterator[FunctionType]:
    inner = getattr(function, "__wrapped__", None)
    if isinstance(inner, FunctionType):
        yield from _unwrapped(inner)
    else:
        yield function


class Injection:
    """A function that raises while the injection is armed."""

    def __init__(self, point: Point, *, once: bool) -> None:
        self.is_armed = False
        self.raised = 0
        function = point.function
        self._original = FunctionType(
            function.__code__,
            function.__globals__,
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        self._original.__kwdefaults__ = function.__kwdefaults__
        self._once = once

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.is_armed and not (self._once and self.raised):
            self.raised += 1
            raise Injected("on purpose")
        return self._original(*args, **kwargs)


@contextmanager
def injected(point: Point, *, once: bool) -> Iterator[Injection]:
    """Replace the code of the function; it raises while `is_armed` is set."""
    injection = Injection(point, once=once)
    original = point.function.__code__
    setattr(builtins, _HOOK, injection)
    try:
        point.function.__code__ = _template.__code__.replace(co_freevars=original.co_freevars)
        yield injection
    finally:
        point.function.__code__ = original
        delattr(builtins, _HOOK)


def _template(*args: Any, **kwargs: Any) -> Any:
    return _wiremend_injection(args, kwargs)  # type: ignore[name-defined] # noqa: F821


def functions_run(action: Callable[[], Any]) -> set[CodeType]:
    """Return the code of every function that runs during `action`."""
    seen: set[CodeType] = set()

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            seen.add(frame.f_code)

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return seen
