"""Facts about GitHub Copilot."""

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.names import WireProtocol
from wiremend.targets.vendor import Vendor

COPILOT = Vendor(
    name="copilot",
    hosts=("api.githubcopilot.com", "api.*.githubcopilot.com"),
    deviations={WireProtocol.CHAT_COMPLETIONS: frozenset({Deviation.NO_OBJECT})},
)
