"""Facts about Mistral."""

from wiremend.protocols.base.traits import CallIdLimit
from wiremend.targets.vendor import CHAT, Requirement, Vendor

MISTRAL = Vendor(
    name="mistral",
    hosts=("api.mistral.ai", "codestral.mistral.ai"),
    models=("mistral-*", "ministral-*", "magistral-*", "codestral-*", "devstral-*"),
    requirements=(
        Requirement(
            protocols=CHAT,
            rules=("Q103",),  # ids of tool calls
            call_ids=CallIdLimit(characters="a-zA-Z0-9", longest=9, exact=True),
            reason="`Tool call id was … but must be a-z, A-Z, 0-9, with a length of 9`",
        ),
    ),
)
