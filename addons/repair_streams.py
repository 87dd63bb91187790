"""Response: turns what upstream sent into an event stream that the grammar accepts."""

from load_configuration import Shell, suite_of
from wiremend.engine.settings import Feature


class RepairStreams(Shell):
    """Repairs events and bodies, keeps silent streams alive, and ends stalled ones."""

    name = "wiremend.repair_streams"
    features = frozenset({Feature.REPAIR})


addons = suite_of(RepairStreams)
