"""Facts about Z.ai (Zhipu)."""

from wiremend.targets.vendor import EVERY_PROTOCOL, Requirement, Vendor

ZAI = Vendor(
    name="zai",
    hosts=("api.z.ai", "open.bigmodel.cn"),
    models=("glm-*",),
    requirements=(
        Requirement(
            protocols=EVERY_PROTOCOL,
            reason="No limit is known: its error 1210 contains neither tool nor field",
            seen=("cline/cline#9939",),
        ),
    ),
)
