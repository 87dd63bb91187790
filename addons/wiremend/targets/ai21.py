"""Facts about AI21."""

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.names import WireProtocol
from wiremend.targets.vendor import Vendor

AI21 = Vendor(
    name="ai21",
    hosts=("api.ai21.com",),
    deviations={WireProtocol.CHAT_COMPLETIONS: frozenset({Deviation.NO_OBJECT})},
)
