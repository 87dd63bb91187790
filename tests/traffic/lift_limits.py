"""A mitmproxy script for tests that share one proxy: no retry budget, no circuit breaker.

Hundreds of failures on purpose within seconds are what those exist to stop. The tests about
budget and breaker use a proxy without this script.
"""

from dataclasses import replace
from typing import Any

from mitmproxy import ctx

_ENOUGH = 1_000_000


class LiftLimits:
    """Finds the suite's record of its providers' health, and makes it generous."""

    name = "traffic.lift_limits"

    def running(self) -> None:
        """Act once everything is loaded."""
        for addon in list(ctx.master.addons.lookup.values()):
            if knowledge := getattr(addon, "knowledge", None):
                self._lift(knowledge.health)

    @staticmethod
    def _lift(record: Any) -> None:
        record.limits = replace(record.limits, retry_floor=float(_ENOUGH), failures=_ENOUGH)


addons = [LiftLimits()]
