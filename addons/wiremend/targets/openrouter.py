"""Facts about OpenRouter, a gateway to the models of many vendors."""

from wiremend.targets.vendor import Vendor

OPENROUTER = Vendor(name="openrouter", hosts=("openrouter.ai",), is_gateway=True)
