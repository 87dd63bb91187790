"""All protocols, and recognising a call by its method, path and content type."""

from collections.abc import Mapping

from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol, RequestFacts
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES

PROTOCOLS: Mapping[WireProtocol, Protocol] = {
    protocol.name: protocol for protocol in (ANTHROPIC, CHAT, RESPONSES, GEMINI)
}
"""Every protocol by its name. There is no other list of them."""

MESSAGE_CODES = frozenset(
    rule.code for protocol in PROTOCOLS.values() for rule, _ in protocol.history_passes
)
"""The codes of the rules on requests' messages and parameters, each on for some targets only."""


def recognise(method: str, path: str, content_type: str) -> Protocol | None:
    """The protocol of a request, or None when it is no model call.

    `path` may have a query. Paths may have a provider's prefix (`/zen/go/v1/messages`).
    """
    if method.upper() != "POST" or not _is_json(content_type):
        return None
    endpoint = path.split("?", 1)[0]
    found = (one for one in PROTOCOLS.values() if one.endpoints.call.search(endpoint))
    return next(found, None)


def read_request(document: RequestDocument) -> RequestFacts:
    """The facts of a recognised request. A body that is not a JSON object gives `valid=False`."""
    return document.protocol.read_request(document.path, document.fields)


def is_websocket_upgrade(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Whether this asks for a WebSocket on a model path (Codex: `GET …/responses`)."""
    known = {name.lower(): value.lower() for name, value in headers.items()}
    return (
        method.upper() == "GET"
        and "websocket" in known.get("upgrade", "")
        and recognise("POST", path, "") is not None
    )


def _is_json(content_type: str) -> bool:
    kind = content_type.split(";", 1)[0].strip().lower()
    return not kind or kind in ("application/json", "text/json") or kind.endswith("+json")
