"""Facts about resellers of several vendors' models: GitHub Copilot and Databricks."""

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.names import WireProtocol
from wiremend.targets.vendor import Vendor

COPILOT = Vendor(
    name="copilot",
    hosts=("api.githubcopilot.com", "api.*.githubcopilot.com"),
    deviations={WireProtocol.CHAT_COMPLETIONS: frozenset({Deviation.NO_OBJECT})},
)
DATABRICKS = Vendor(
    name="databricks",
    hosts=("*.azuredatabricks.net", "*.cloud.databricks.com", "*.gcp.databricks.com"),
    intercepted=False,
    deviations={WireProtocol.CHAT_COMPLETIONS: frozenset({Deviation.NULL_COUNTS})},
)
