"""The exceptions to the laws: which exchange breaks which law by which rule, and why that is so.

They are kept in one file, `exceptions.toml`. An entry covers one rule on a list of exchanges,
which are named by their ids; nothing of their content is stored.
"""

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from .laws import Law

KNOWN_FAULT = "known fault: "
"""A reason that starts so describes a fault of wiremend; any other one a decision."""

type Key = tuple[Law, str, str]
"""A law, the code of a rule, and the id of an exchange."""


class UnusableExceptions(Exception):
    """The file cannot be read; the message is for the user."""


class Entry(BaseModel):
    """One `[[exception]]` of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    law: Law
    rule: str
    """A rule's code, or one of the names in `laws` for what no rule reports."""
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    exchanges: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")], ...],
        Field(min_length=1),
    ]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    exception: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Exceptions:
    """All exceptions, and which of them were needed."""

    reasons: Mapping[Key, str]
    _used: set[Key] = field(default_factory=set)

    def reason_for(self, law: Law, rule: str, exchange: str) -> str | None:
        """Why this exchange may break the law by this rule; None: it may not."""
        key = law, rule, exchange
        if key in self.reasons:
            self._used.add(key)
        return self.reasons.get(key)

    def unused(self, laws: Iterable[Law]) -> list[Key]:
        """The exceptions to these laws that were never asked for."""
        wanted = set(laws)
        return [key for key in self.reasons if key[0] in wanted and key not in self._used]


def read_exceptions(path: Path) -> Exceptions:
    """The exceptions of a file. Raises UnusableExceptions."""
    try:
        entries = _File.model_validate(tomllib.loads(path.read_text())).exception
    except FileNotFoundError:
        raise UnusableExceptions(f"{path}: no such file") from None
    except (ValidationError, tomllib.TOMLDecodeError, UnicodeDecodeError) as reason:
        raise UnusableExceptions(f"{path}: {_first_problem(reason)}") from None
    keys = [(entry.law, entry.rule, exchange) for entry in entries for exchange in entry.exchanges]
    if repeated := [key for key, count in Counter(keys).items() if count > 1]:
        raise UnusableExceptions(f"{path}: listed twice: {' '.join(repeated[0])}")
    reasons = [entry.reason for entry in entries for _ in entry.exchanges]
    return Exceptions(dict(zip(keys, reasons, strict=True)))


def _first_problem(reason: Exception) -> str:
    if not isinstance(reason, ValidationError):
        return str(reason)
    problem = reason.errors()[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
