"""E: errors that a provider reports where a client does not look for them."""

from wiremend.protocols.base.names import WireProtocol
from wiremend.rules.rule import Rule

_ALL = tuple(WireProtocol)

WRAPPED_ERROR = Rule(
    code="E001",
    name="error-in-stream",
    finds="An HTTP 200 stream reports an error before any content.",
    hurts="Agents call it a schema failure and do not retry; parent agents wait for ever.",
    mends="The call is tried again; if it persists, the client gets its protocol's HTTP error.",
    protocols=_ALL,
    seen=("anomalyco/opencode#21979", "BerriAI/litellm#24004", "QuantumNous/new-api#3142"),
    before='HTTP 200, data: {"error":{"code":"","message":"","type":"server_error"}}',
    after='HTTP 500, {"error":{"type":"server_error","message":"…"}}',
)
ERROR_MID_STREAM = Rule(
    code="E002",
    name="error-after-content",
    finds="A stream reports an error after content was forwarded.",
    hurts="In a foreign shape it is read as a broken event, or not at all.",
    mends="It becomes the protocol's own error event, and the stream ends.",
    protocols=_ALL,
    seen=("anomalyco/opencode#23960",),
)
ERROR_IN_BODY = Rule(
    code="E003",
    name="error-in-body",
    finds="An HTTP 200 answer's JSON body is an error.",
    hurts="Clients read it as an empty success and stop silently.",
    mends="The call is tried again; if it persists, the client gets the HTTP status it stands for.",
    protocols=_ALL,
    seen=("anomalyco/opencode#41469", "anomalyco/opencode#49414"),
    before='HTTP 200, {"error":{"message":"Provider returned error","code":429}}',
    after='HTTP 429, {"error":{"message":"Provider returned error", …}}',
)
WEB_PAGE = Rule(
    code="E004",
    name="web-page-instead-of-json",
    finds="An edge proxy answers with an HTML page.",
    hurts="Clients fail with `Unexpected token '<'`, print the page, or hang.",
    mends="It becomes an error in the client's protocol with the same status.",
    protocols=_ALL,
    seen=("All-Hands-AI/OpenHands#1451", "letta-ai/letta-code#1179"),
    before="HTTP 524, <!DOCTYPE html><title>A timeout occurred</title>",
    after='HTTP 524, {"error":{"message":"… answered with a web page: A timeout occurred …"}}',
)
NOT_A_STREAM = Rule(
    code="E005",
    name="json-instead-of-stream",
    finds="A streaming call got a whole body that is neither an event stream nor usable JSON.",
    hurts="It is read as an empty, cleanly ended stream and asked again without bound.",
    mends="The call is tried again; if it persists, the client gets an HTTP error.",
    protocols=_ALL,
    seen=("anomalyco/opencode#49414",),
)
