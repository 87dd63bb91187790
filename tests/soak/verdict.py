"""Whether the figures of a soak are flat.

Memory and objects are *flat* if they grow by at most 5 % after minute 5. Growth is measured in two
ways, and the larger one counts: the median of the last third of the samples against the median of
the first third, and the Theil-Sen line (the median of the slopes between all pairs of minutes)
over the whole time. The first is blind to growth within the thirds, the second to a late jump; both
ignore single peaks. Memory also depends on how many calls are running, so a machine that becomes
busier during the run looks like growth; the objects, counted after a full collection, then do not
grow as much.

Sockets and tasks depend on how many calls are running, so they are compared when none is: after
the last call there must be no more than before the first one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from .samples import Sample

WARM_UP_SECONDS = 300.0
"""Until then, modules are imported, certificates made, and the allocator's arenas filled."""
SHORTEST_SECONDS = 180.0
"""Growth over a shorter time is not judged."""
TOLERANCE = 0.05
JUDGED = ("rss", "pss", "objects")
COUNTED = ("sockets", "tasks")


@dataclass(frozen=True)
class Growth:
    """How one figure changed after the warm-up."""

    figure: str
    level: float
    """The median of the first third."""
    between_thirds: float
    """From the first to the last third, as a fraction of the level."""
    by_line: float
    """Along the line, as a fraction of the level."""

    @property
    def is_flat(self) -> bool:
        """Whether it is within the tolerance. To shrink is flat."""
        return max(self.between_thirds, self.by_line) <= TOLERANCE


def growth_of(figure: str, samples: Sequence[Sample]) -> Growth | None:
    """Return how a figure grew after the warm-up; None if the time is too short to judge it."""
    judged = [sample for sample in samples if sample.seconds >= WARM_UP_SECONDS]
    if len(judged) < 3 or judged[-1].seconds - judged[0].seconds < SHORTEST_SECONDS:
        return None
    third = len(judged) // 3
    first, last = (_median(figure, part) for part in (judged[:third], judged[-third:]))
    span = judged[-1].seconds - judged[0].seconds
    by_line = slope(
        [
            (minute, _median(figure, [one for one in judged if one.seconds // 60 == minute]))
            for minute in sorted({sample.seconds // 60 for sample in judged})
        ]
    )
    return Growth(figure, first, last / first - 1, by_line * span / 60 / first)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the Theil-Sen slope of points (x, y); 0 for fewer than two."""
    slopes = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2)]
    return median(slopes) if slopes else 0.0


def _median(figure: str, samples: Iterable[Sample]) -> float:
    return median(float(getattr(sample, figure)) for sample in samples)


@dataclass(frozen=True)
class Verdict:
    """The verdict on a whole run."""

    made: int
    failed: int
    """Calls that were lost or hung, or that ended in another way than scripted."""
    growths: tuple[Growth, ...]
    before: Sample
    """Before the first call."""
    after: Sample
    """After the last call."""
    load: Growth | None = None
    """How the number of sockets changed: it tells growth by a leak from growth by more calls."""
    complaints: tuple[str, ...] = ()
    """Tracebacks or keys in the log of the proxy."""

    @property
    def left_over(self) -> dict[str, int]:
        """Return how many more sockets and tasks there are after the last call than before."""
        more = {name: getattr(self.after, name) - getattr(self.before, name) for name in COUNTED}
        return {name: count for name, count in more.items() if count > 0}

    @property
    def is_good(self) -> bool:
        """Whether no call failed, nothing is left over, and everything judged is flat."""
        grows = any(not growth.is_flat for growth in self.growths)
        return not (self.failed or self.left_over or grows or self.complaints)
