"""Facts about Databricks."""

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.names import WireProtocol
from wiremend.targets.vendor import Vendor

DATABRICKS = Vendor(
    name="databricks",
    hosts=("*.azuredatabricks.net", "*.cloud.databricks.com", "*.gcp.databricks.com"),
    deviations={WireProtocol.CHAT_COMPLETIONS: frozenset({Deviation.NULL_COUNTS})},
)
