"""A mitmproxy script for tests that share one proxy: no retry budget, no circuit breaker.

Tests cause hundreds of failures within seconds, which budget and breaker would stop. The tests of
budget and breaker use a proxy without this script.
"""

from dataclasses import replace
from typing import Any

from mitmproxy import ctx

_UNLIMITED = 1_000_000


class LiftLimits:
    """Raises the limits of the suite's provider health."""

    name = "traffic.lift_limits"

    def running(self) -> None:
        """Raise the limits once all addons are loaded."""
        for addon in list(ctx.master.addons.lookup.values()):
            if knowledge := getattr(addon, "knowledge", None):
                self._lift(knowledge.health)

    @staticmethod
    def _lift(record: Any) -> None:
        record.limits = replace(record.limits, retry_floor=float(_UNLIMITED), failures=_UNLIMITED)


addons = [LiftLimits()]
