"""The engine's rules: transport failures (R), and errors disguised as successes (E)."""

from wiremend.protocols.base.names import WireProtocol
from wiremend.rules.rule import Rule

_ALL = tuple(WireProtocol)
_RETRIES = "Retries within the limits of `[retry]`, if nothing was sent to the client yet."
_RETRIES_OR_ENDS = f"{_RETRIES} Otherwise ends the stream in the protocol's error event."

CONNECT_FAILED = Rule(
    code="R001",
    name="connect-failed",
    detects="Connecting to the provider fails: `ECONNREFUSED`, an unreachable host, or a TLS "
    "failure.",
    impact="Some agents give up at once, others show a raw socket error.",
    action=_RETRIES,
    protocols=_ALL,
)
CONNECTION_LOST = Rule(
    code="R002",
    name="connection-lost",
    detects="The connection is reset or closed before the response is complete.",
    impact='"The socket connection was closed unexpectedly"; some agents crash, some loop.',
    action=f"{_RETRIES_OR_ENDS} A body of complete JSON is forwarded: only its length was wrong.",
    protocols=_ALL,
    seen=("anthropics/claude-code#61207", "anomalyco/opencode#23123"),
)
EARLY_END = Rule(
    code="R003",
    name="early-end",
    detects="The response body ends cleanly but is not complete.",
    impact="OpenCode repeats the call without limit; other agents wait forever.",
    action=_RETRIES_OR_ENDS,
    protocols=_ALL,
    seen=("openai/codex#41340", "mastra-ai/mastra#21897"),
)
TIMED_OUT = Rule(
    code="R004",
    name="timed-out",
    detects="No data arrives within one of the limits of `[timeouts]`.",
    impact="Every agent measured hangs on a stalled stream.",
    action=_RETRIES_OR_ENDS,
    protocols=_ALL,
    seen=("anomalyco/opencode#48675", "anthropics/claude-code#88900"),
)
RETRYABLE_STATUS = Rule(
    code="R005",
    name="retryable-status",
    detects="The provider responds with a retryable HTTP status.",
    impact="Agents retry differently: Codex 30 times, Gemini CLI 4 times, some not at all.",
    action=_RETRIES,
    protocols=_ALL,
)
STALE_CONNECTION = Rule(
    code="R006",
    name="stale-connection",
    detects="A kept-alive connection is closed before the first byte of the response.",
    impact="The request fails although the provider is healthy.",
    action="Sends the request again at once over a new connection. This does not count as a "
    "failure.",
    protocols=_ALL,
)
REFUSED = Rule(
    code="R007",
    name="refused",
    detects="Several calls in a row failed, so the provider's circuit breaker is open.",
    impact="Agents that retry on their own overload a provider that is down: 30 calls in 24 s.",
    action="Responds with 503 without `retry-after`, because Codex would wait that long before "
    "each of its 30 tries. After a pause, one call is let through as a probe.",
    protocols=_ALL,
)
HEAD_TOO_LARGE = Rule(
    code="R008",
    name="head-too-large",
    detects="The head of a response, with the interim responses before it, is longer than 64 KiB, "
    "or has more than 200 lines.",
    impact="A proxy or client that waits for its end runs out of memory.",
    action="Ends the call in an error at once, or asks the next `fallback`, and closes the "
    "connection. The same target is not asked again: it would most likely send the same head.",
    protocols=_ALL,
)
TOO_MUCH_HELD = Rule(
    code="R009",
    name="too-much-held",
    detects="All calls together hold as much in memory as `[memory] held` allows.",
    impact="A proxy without a limit is ended by the system, with all its calls.",
    action="Forwards the rest of this response unchanged. A request that cannot be kept gets 503.",
    protocols=_ALL,
)
PROXY_STOPPED = Rule(
    code="R010",
    name="proxy-stopped",
    detects="The proxy ends, by Ctrl-C or after `[shutdown] grace`, while the call is running.",
    impact="A stream that breaks off looks like a failure of the network, and some agents wait.",
    action="Ends the response in the protocol's error at once. The provider is not blamed.",
    protocols=_ALL,
)
KEY_REFUSED = Rule(
    code="R011",
    name="key-refused",
    detects="A provider with several keys (`api_keys`) rejects one of them: 401 or 402.",
    impact="One key that expired or has no credit left ends the turn, although others are valid.",
    action="Sends the request again at once with the next key. If that is accepted, the rejected "
    "key is not used until the configuration is read again. A key is named by its position only.",
    protocols=_ALL,
)

WRAPPED_ERROR = Rule(
    code="E001",
    name="error-in-stream",
    detects="An HTTP 200 stream reports an error before any content.",
    impact="Agents report a schema error and do not retry; parent agents wait forever.",
    action="Retries the call. If the error persists, the client receives an HTTP error in its "
    "protocol.",
    protocols=_ALL,
    seen=("anomalyco/opencode#21979", "BerriAI/litellm#24004", "QuantumNous/new-api#3142"),
    before='HTTP 200, data: {"error":{"code":"","message":"","type":"server_error"}}',
    after='HTTP 500, {"error":{"type":"server_error","message":"…"}}',
)
ERROR_MID_STREAM = Rule(
    code="E002",
    name="error-after-content",
    detects="A stream reports an error after content was forwarded.",
    impact="The answer is incomplete; an error in a foreign format is parsed as a malformed event, "
    "or ignored.",
    action="Rewrites it as the protocol's error event and ends the stream.",
    protocols=_ALL,
    seen=("anomalyco/opencode#23960",),
)
ERROR_IN_BODY = Rule(
    code="E003",
    name="error-in-body",
    detects="The JSON body of an HTTP 200 response is an error.",
    impact="Clients parse it as an empty success and stop silently.",
    action="Retries the call. If the error persists, the client receives the matching HTTP status.",
    protocols=_ALL,
    seen=("anomalyco/opencode#41469", "anomalyco/opencode#49414"),
    before='HTTP 200, {"error":{"message":"Provider returned error","code":429}}',
    after='HTTP 429, {"error":{"message":"Provider returned error", …}}',
)
WEB_PAGE = Rule(
    code="E004",
    name="web-page-instead-of-json",
    detects="An edge proxy responds with an HTML page.",
    impact="Clients fail with `Unexpected token '<'`, print the page, or hang.",
    action="Replaces it with an error in the client's protocol and the same status.",
    protocols=_ALL,
    seen=("All-Hands-AI/OpenHands#1451", "letta-ai/letta-code#1179"),
    before="HTTP 524, <!DOCTYPE html><title>A timeout occurred</title>",
    after='HTTP 524, {"error":{"message":"… answered with a web page: A timeout occurred …"}}',
)
NOT_A_STREAM = Rule(
    code="E005",
    name="json-instead-of-stream",
    detects="The response to a streaming call is one body instead of an event stream.",
    impact="Clients parse it as an empty stream that ended cleanly, and repeat the request without "
    "limit.",
    action="Sends a complete answer as the events of a stream. Otherwise retries the call; if the "
    "fault persists, the client receives an HTTP error.",
    protocols=_ALL,
    seen=("anomalyco/opencode#49414",),
)
WRONG_LABEL = Rule(
    code="E007",
    name="wrong-content-type",
    detects="The `content-type` of a response contradicts its first bytes: events that are "
    "labelled as JSON, as a page or not at all, or JSON that is labelled as events.",
    impact="Clients that choose their parser by the label fail, or read an empty response.",
    action="Treats the response as what it is, and corrects the label. Events are forwarded at "
    "once.",
    protocols=_ALL,
    seen=("QuantumNous/new-api#6254", "smg-project/smg#2403"),
    before="content-type: application/json, data: {…}",
    after="content-type: text/event-stream, data: {…}",
)
SILENT_STOP = Rule(
    code="E008",
    name="silent-stop",
    detects="A complete response to a request with tools contains no text, refusal, call, audio or "
    "block of a server's tool, and no stop reason that explains it.",
    impact="Agents take the turn for finished, and stop in the middle of their task.",
    action="Reports it. With `silent_stop = true` in `[retry]`, asks once more if nothing was sent "
    "to the client and the request does not end in a tool's result; a second response is "
    "forwarded as it is.",
    protocols=_ALL,
    before='{"content":[],"stop_reason":"end_turn"}',
)
EVENTS = Rule(
    code="E009",
    name="stream-instead-of-json",
    detects="The response to a call without `stream` is an event stream.",
    impact="Clients parse the events as JSON and fail, or return them as text.",
    action="Sends the content of the stream as one JSON body.",
    protocols=_ALL,
    seen=("Wei-Shaw/sub2api#2826",),
    before='data: {"choices":[{"delta":{"content":"Hi"},…}]}, data: [DONE]',
    after='{"choices":[{"message":{"role":"assistant","content":"Hi"},…}]}',
)
