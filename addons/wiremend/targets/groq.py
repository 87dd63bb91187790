"""Facts about Groq, which hosts open models."""

from wiremend.targets.vendor import Vendor

GROQ = Vendor(
    name="groq",
    hosts=("api.groq.com",),
    too_many_tools=r"'?tools'?\s*+: maximum number of items",
)
