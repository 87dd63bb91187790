"""The list of protocols, and the recognition of model calls."""

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
"""Every protocol by its name; the only list of them."""

MESSAGE_CODES = frozenset(
    step.rule.code for protocol in PROTOCOLS.values() for step in protocol.history_passes
)
"""The codes of the rules on the messages and parameters of requests. Each is enabled per target."""


def recognise(method: str, path: str, content_type: str) -> Protocol | None:
    """Return the protocol of a request, or None if it is not a model call.

    `path` may contain a query and a provider's prefix (`/zen/go/v1/messages`). A missing content
    type counts as JSON.
    """
    if method.upper() != "POST" or not _is_json(content_type):
        return None
    endpoint = path.split("?", 1)[0]
    matches = (p for p in PROTOCOLS.values() if p.endpoints.call.search(endpoint))
    return next(matches, None)


def read_request(document: RequestDocument) -> RequestFacts:
    """Return the facts of a recognised request; `valid` is False without a JSON object as body."""
    return document.protocol.read_request(document.path, document.fields)


def is_websocket_upgrade(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Return whether this requests a WebSocket on a model path (Codex: `GET …/responses`)."""
    values = {name.lower(): value.lower() for name, value in headers.items()}
    return (
        method.upper() == "GET"
        and "websocket" in values.get("upgrade", "")
        and recognise("POST", path, "") is not None
    )


def _is_json(content_type: str) -> bool:
    kind = content_type.split(";", 1)[0].strip().lower()
    return not kind or kind in ("application/json", "text/json") or kind.endswith("+json")
