"""R: what goes wrong between the bytes: connections, statuses, waits."""

from wiremend.protocols.base.names import WireProtocol
from wiremend.rules.rule import Rule

_ALL = tuple(WireProtocol)
_MENDS = "The attempt is made again, within the bounds of `[retry]`, while nothing was shown."

CONNECT_FAILED = Rule(
    code="R001",
    name="connect-failed",
    finds="The provider cannot be connected to: refused, unreachable, or TLS fails.",
    hurts="Some agents give up at once, others show a raw socket error.",
    mends=_MENDS,
    protocols=_ALL,
)
CONNECTION_LOST = Rule(
    code="R002",
    name="connection-lost",
    finds="The connection is reset or closed before the response is complete.",
    hurts='"The socket connection was closed unexpectedly"; some agents crash, some loop.',
    mends=_MENDS + " Afterwards the stream ends in the protocol's error event.",
    protocols=_ALL,
    seen=("anthropics/claude-code#61207", "anomalyco/opencode#23123"),
)
EARLY_END = Rule(
    code="R003",
    name="early-end",
    finds="The response ends cleanly but is not complete.",
    hurts="OpenCode repeats the call without bound; others wait for ever.",
    mends=_MENDS + " Afterwards the stream ends in the protocol's error event.",
    protocols=_ALL,
    seen=("openai/codex#41340", "mastra-ai/mastra#21897"),
)
TIMED_OUT = Rule(
    code="R004",
    name="timed-out",
    finds="Nothing came within one of the limits of `[timeouts]`.",
    hurts="Every agent measured hangs on a stalled stream.",
    mends=_MENDS + " Afterwards the stream ends in the protocol's error event.",
    protocols=_ALL,
    seen=("anomalyco/opencode#48675", "anthropics/claude-code#88900"),
)
RETRYABLE_STATUS = Rule(
    code="R005",
    name="retryable-status",
    finds="The provider answers with a status that another try may cure.",
    hurts="Each agent retries differently: Codex 30 times, Gemini CLI 4 times, some not at all.",
    mends=_MENDS,
    protocols=_ALL,
)
STALE_CONNECTION = Rule(
    code="R006",
    name="stale-connection",
    finds="A kept-alive connection is closed before the first byte of the response.",
    hurts="The request fails although the provider is well.",
    mends="It is sent again at once over a fresh connection; it counts as no failure.",
    protocols=_ALL,
)
REFUSED = Rule(
    code="R007",
    name="refused",
    finds="The provider failed several calls in a row, so its circuit breaker is open.",
    hurts="Agents that retry on their own hammer a provider that is down: 30 calls in 24 s.",
    mends="The call is answered 503 without `retry-after`: Codex would wait that long before each "
    "of its 30 tries. One call probes after a pause.",
    protocols=_ALL,
)
