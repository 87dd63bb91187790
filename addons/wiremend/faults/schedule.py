"""Which fault is injected into which attempt of which call."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256

from wiremend.faults.fault import ProviderFault

_FRACTION_BYTES = 8


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A fault, and the calls that it is injected into.

    Calls are counted from 1, separately for each fault: only those count whose host, model and path
    match.
    """

    fault: ProviderFault
    hosts: tuple[str, ...] = ()
    """Globs of hosts, in lower case; empty: any host."""
    models: tuple[str, ...] = ()
    """Globs of models, in lower case; empty: any model."""
    paths: tuple[str, ...] = ()
    """Globs of paths without query; empty: any path."""
    first: int = 1
    last: int | None = None
    """The first and the last call; None: no last one."""
    every: int = 1
    """From `first` on, each call whose distance to it is a multiple of this."""
    probability: float = 1.0
    """The share of these calls."""
    attempts: int = 1
    """How many attempts of such a call fail, from the first one on; 0: all."""

    def matches(self, host: str, model: str, path: str) -> bool:
        """Return whether calls like this one count."""
        return (
            _matches(host.lower(), self.hosts)
            and _matches(model.lower(), self.models)
            and _matches(path.partition("?")[0], self.paths)
        )

    def chooses(self, number: int, draw: float) -> bool:
        """Return whether the fault is injected into the call with this number.

        `draw` is a number from 0 to below 1.
        """
        is_in_range = self.first <= number and (self.last is None or number <= self.last)
        return is_in_range and (number - self.first) % self.every == 0 and draw < self.probability


def _matches(text: str, globs: Sequence[str]) -> bool:
    return not globs or any(fnmatchcase(text, glob) for glob in globs)


@dataclass(frozen=True, slots=True)
class ChosenFault:
    """A fault that is injected into an attempt."""

    number: int
    """Its position in the file; the first one is 1."""
    fault: ProviderFault

    def __str__(self) -> str:
        return f"fault {self.number}, {self.fault}"


class FaultSchedule:
    """The faults of one proxy, and how many calls were counted for each."""

    def __init__(self, planned: Sequence[PlannedFault], seed: int = 0) -> None:
        self.planned = tuple(planned)
        self.without_effect: Counter[int] = Counter()
        """How often each fault, by its number, could not be applied to an answer."""
        self._seed = seed
        self._counts = [0] * len(self.planned)

    def start_call(self) -> "CallFaults":
        """Return the faults of a new call, which is counted at its attempts."""
        return CallFaults(self)

    def count(self, index: int) -> bool:
        """Count a call for a fault; return whether the fault is injected into it."""
        self._counts[index] += 1
        number = self._counts[index]
        return self.planned[index].chooses(number, self._draw(index, number))

    def _draw(self, index: int, number: int) -> float:
        """Return a number from 0 to below 1 that depends only on the seed and the arguments."""
        digest = sha256(f"{self._seed}/{index}/{number}".encode()).digest()
        return int.from_bytes(digest[:_FRACTION_BYTES]) / 2.0 ** (8 * _FRACTION_BYTES)


class CallFaults:
    """The faults of one call."""

    def __init__(self, schedule: FaultSchedule) -> None:
        self._schedule = schedule
        self._chosen: dict[int, bool] = {}
        """By index of the fault: whether it is injected into this call."""
        self._injected: Counter[int] = Counter()

    def next_attempt(self, host: str, model: str, path: str) -> ChosenFault | None:
        """Return the fault of the attempt that starts, to this host; None: there is none.

        The first fault that applies is chosen.
        """
        chosen: ChosenFault | None = None
        for index, planned in enumerate(self._schedule.planned):
            if not planned.matches(host, model, path):
                continue
            if index not in self._chosen:
                self._chosen[index] = self._schedule.count(index)
            is_left = not planned.attempts or self._injected[index] < planned.attempts
            if chosen is None and self._chosen[index] and is_left:
                self._injected[index] += 1
                chosen = ChosenFault(index + 1, planned.fault)
        return chosen

    def had_no_effect(self, chosen: ChosenFault) -> None:
        """Count a fault that could not be applied to the answer of its attempt."""
        self._schedule.without_effect[chosen.number] += 1
