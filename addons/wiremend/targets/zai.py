"""Facts about Z.ai (Zhipu)."""

from wiremend.targets.vendor import EVERY_PROTOCOL, LeakedCalls, Requirement, Vendor

ZAI = Vendor(
    name="zai",
    hosts=("api.z.ai", "open.bigmodel.cn"),
    models=("glm-*",),
    leaked_calls=(
        LeakedCalls(
            formats=("glm", "qwen", "hermes"),
            hosts=(),  # reported behind gateways only
            seen=("Gitlawb/openclaude#1791",),
        ),
    ),
    requirements=(
        Requirement(
            protocols=EVERY_PROTOCOL,
            reason="No limit is known: its error 1210 contains neither tool nor field",
            seen=("cline/cline#9939",),
        ),
    ),
)
