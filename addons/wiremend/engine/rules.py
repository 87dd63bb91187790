"""The rules of the engine: what happens in transport (R), and errors that come as a success (E)."""

from wiremend.protocols.base.names import WireProtocol
from wiremend.rules.rule import Rule

_ALL = tuple(WireProtocol)
_MENDS = "The attempt is made again, within the bounds of `[retry]`, while nothing was shown."

CONNECT_FAILED = Rule(
    code="R001",
    name="connect-failed",
    detects="The provider cannot be connected to: refused, unreachable, or TLS fails.",
    impact="Some agents give up at once, others show a raw socket error.",
    action=_MENDS,
    protocols=_ALL,
)
CONNECTION_LOST = Rule(
    code="R002",
    name="connection-lost",
    detects="The connection is reset or closed before the response is complete.",
    impact='"The socket connection was closed unexpectedly"; some agents crash, some loop.',
    action=_MENDS + " Afterwards the stream ends in the protocol's error event.",
    protocols=_ALL,
    seen=("anthropics/claude-code#61207", "anomalyco/opencode#23123"),
)
EARLY_END = Rule(
    code="R003",
    name="early-end",
    detects="The response ends cleanly but is not complete.",
    impact="OpenCode repeats the call without bound; others wait for ever.",
    action=_MENDS + " Afterwards the stream ends in the protocol's error event.",
    protocols=_ALL,
    seen=("openai/codex#41340", "mastra-ai/mastra#21897"),
)
TIMED_OUT = Rule(
    code="R004",
    name="timed-out",
    detects="Nothing came within one of the limits of `[timeouts]`.",
    impact="Every agent measured hangs on a stalled stream.",
    action=_MENDS + " Afterwards the stream ends in the protocol's error event.",
    protocols=_ALL,
    seen=("anomalyco/opencode#48675", "anthropics/claude-code#88900"),
)
RETRYABLE_STATUS = Rule(
    code="R005",
    name="retryable-status",
    detects="The provider answers with a status that another try may cure.",
    impact="Each agent retries differently: Codex 30 times, Gemini CLI 4 times, some not at all.",
    action=_MENDS,
    protocols=_ALL,
)
STALE_CONNECTION = Rule(
    code="R006",
    name="stale-connection",
    detects="A kept-alive connection is closed before the first byte of the response.",
    impact="The request fails although the provider is well.",
    action="It is sent again at once over a fresh connection; it counts as no failure.",
    protocols=_ALL,
)
REFUSED = Rule(
    code="R007",
    name="refused",
    detects="The provider failed several calls in a row, so its circuit breaker is open.",
    impact="Agents that retry on their own hammer a provider that is down: 30 calls in 24 s.",
    action="The call is answered 503 without `retry-after`: Codex would wait that long before each "
    "of its 30 tries. One call probes after a pause.",
    protocols=_ALL,
)

WRAPPED_ERROR = Rule(
    code="E001",
    name="error-in-stream",
    detects="An HTTP 200 stream reports an error before any content.",
    impact="Agents call it a schema failure and do not retry; parent agents wait for ever.",
    action="The call is tried again; if it persists, the client gets its protocol's HTTP error.",
    protocols=_ALL,
    seen=("anomalyco/opencode#21979", "BerriAI/litellm#24004", "QuantumNous/new-api#3142"),
    before='HTTP 200, data: {"error":{"code":"","message":"","type":"server_error"}}',
    after='HTTP 500, {"error":{"type":"server_error","message":"…"}}',
)
ERROR_MID_STREAM = Rule(
    code="E002",
    name="error-after-content",
    detects="A stream reports an error after content was forwarded.",
    impact="In a foreign shape it is read as a broken event, or not at all.",
    action="It becomes the protocol's own error event, and the stream ends.",
    protocols=_ALL,
    seen=("anomalyco/opencode#23960",),
)
ERROR_IN_BODY = Rule(
    code="E003",
    name="error-in-body",
    detects="An HTTP 200 answer's JSON body is an error.",
    impact="Clients read it as an empty success and stop silently.",
    action="The call is tried again; if it persists, the client gets the HTTP status it stands "
    "for.",
    protocols=_ALL,
    seen=("anomalyco/opencode#41469", "anomalyco/opencode#49414"),
    before='HTTP 200, {"error":{"message":"Provider returned error","code":429}}',
    after='HTTP 429, {"error":{"message":"Provider returned error", …}}',
)
WEB_PAGE = Rule(
    code="E004",
    name="web-page-instead-of-json",
    detects="An edge proxy answers with an HTML page.",
    impact="Clients fail with `Unexpected token '<'`, print the page, or hang.",
    action="It becomes an error in the client's protocol with the same status.",
    protocols=_ALL,
    seen=("All-Hands-AI/OpenHands#1451", "letta-ai/letta-code#1179"),
    before="HTTP 524, <!DOCTYPE html><title>A timeout occurred</title>",
    after='HTTP 524, {"error":{"message":"… answered with a web page: A timeout occurred …"}}',
)
NOT_A_STREAM = Rule(
    code="E005",
    name="json-instead-of-stream",
    detects="A streaming call got a whole body that is neither an event stream nor usable JSON.",
    impact="It is read as an empty, cleanly ended stream and asked again without bound.",
    action="The call is tried again; if it persists, the client gets an HTTP error.",
    protocols=_ALL,
    seen=("anomalyco/opencode#49414",),
)
