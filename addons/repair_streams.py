"""Response: an event stream that the protocol's grammar accepts, whatever upstream sent."""

from load_configuration import suite_of
from wiremend.config.current import CurrentConfig
from wiremend.seam.stream_layer import PlannedCall


class RepairStreams:
    """Mends events and bodies, keeps silent streams alive, and ends stalled ones."""

    name = "wiremend.repair_streams"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current

    def wiremend_call(self, planned: PlannedCall) -> None:
        """Ask for repair."""
        if planned.plan.protocol is None:
            return
        planned.plan.repair = True
        planned.plan.timeouts = self.current.timeouts
        planned.plan.heartbeat = self.current.heartbeat


addons = suite_of(RepairStreams)
