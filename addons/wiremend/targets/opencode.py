"""Facts about OpenCode Zen and Go, gateways to the models of many vendors."""

from wiremend.targets.vendor import Vendor

OPENCODE = Vendor(name="opencode", hosts=("opencode.ai",), is_gateway=True)
